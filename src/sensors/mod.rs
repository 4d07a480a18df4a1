// SPDX-License-Identifier: Apache-2.0
//! Sensors: what can be counted on this machine, and reading it.
//!
//! One file a source. A source lists its domains and reads their raw values; it
//! never computes a difference, never remembers an earlier value for the meter,
//! and never turns a failed read into a number. To add a source: one file here,
//! one line in [`local_sources`] (or, for a device that may hang, one source per
//! device as NVML does), one test file, one row in `docs/sensors.md`.

pub mod cpuinfo;
pub mod estimate;
pub mod files;
pub mod hwmon;
pub mod nvml;
pub mod rapl;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::units::{BootTime, Energy, Power};

/// The name of a domain, unique on a host and stable over reboots:
/// `nvml:GPU-6f0c…`, `rapl:package-0`, `rapl:package-0/dram`, `hwmon:…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DomainId(Arc<str>);

impl DomainId {
    /// A domain id from its text.
    pub fn new(text: &str) -> Self {
        DomainId(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a domain's energy is the energy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A GPU board.
    Gpu,
    /// A CPU package (or, estimated, all of them).
    Cpu,
    /// Memory beside the package.
    Dram,
    /// A whole node or platform: overlaps the others, never added to them.
    Node,
    /// The cores inside a package: part of [`Kind::Cpu`].
    Core,
    /// The graphics part inside a package: part of [`Kind::Cpu`].
    Uncore,
}

impl Kind {
    /// Every kind, in the order in which people read them.
    pub const ALL: [Kind; 6] =
        [Kind::Gpu, Kind::Cpu, Kind::Dram, Kind::Node, Kind::Core, Kind::Uncore];

    /// The lower-case word used in records, labels and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Gpu => "gpu",
            Kind::Cpu => "cpu",
            Kind::Dram => "dram",
            Kind::Node => "node",
            Kind::Core => "core",
            Kind::Uncore => "uncore",
        }
    }

    /// The kind of a word of [`Kind::as_str`].
    pub fn from_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// How a domain's energy comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A hardware energy counter.
    Counter,
    /// Power samples, integrated by trapezoid: the sensor has no counter.
    Power,
    /// No sensor: a model.
    Estimate,
}

impl Method {
    /// The lower-case word used in records and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Counter => "counter",
            Method::Power => "power",
            Method::Estimate => "estimate",
        }
    }

    /// The method of a word of [`Method::as_str`].
    pub fn from_word(word: &str) -> Option<Method> {
        [Method::Counter, Method::Power, Method::Estimate]
            .into_iter()
            .find(|method| method.as_str() == word)
    }
}

/// One thing whose energy is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name.
    pub id: DomainId,
    /// Of what.
    pub kind: Kind,
    /// The source that reads it: `nvml`, `rapl`, `hwmon`, `estimate`.
    pub source: String,
    /// How.
    pub method: Method,
    /// The smallest step of the counter (RAPL 61 µJ or 15 µJ, NVML 1 mJ).
    pub resolution: Energy,
    /// The largest value before the counter wraps to 0; `None`: never wraps.
    /// The modulus is this plus one counter unit (see `docs/accuracy.md`).
    pub range: Option<Energy>,
    /// How often the hardware refreshes the value, as documented for its kind.
    pub update_period: Duration,
    /// More than the device can draw: a faster rise is a bad reading.
    pub max_power: Power,
    /// `None`: counted in totals. Else why it is shown but never added:
    /// another domain contains it, or it contains others.
    pub overlap: Option<String>,
    /// The sensor's gain error as published for its kind, ± percent at 95 %;
    /// `None` where nothing is published.
    pub gain_percent: Option<f64>,
    /// For [`Method::Estimate`]: the model's error, ± percent at 95 %.
    pub model_percent: Option<f64>,
    /// What device it is, for people: `NVIDIA H100 80GB HBM3`, `package-0`.
    pub device: String,
    /// The driver's version, for a GPU.
    pub driver: Option<String>,
    /// The enforced power limit, for a GPU.
    pub power_limit: Option<Power>,
}

impl Domain {
    /// Whether its energy is part of a job's total.
    pub fn counted(&self) -> bool {
        self.overlap.is_none()
    }
}

/// A raw value as the sensor gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A cumulative counter.
    Counter(Energy),
    /// Power at a moment (or the mean since the last sample), where there is no counter.
    Power(Power),
}

/// One value and the moment it was read, as close to the read as can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The middle of the read call.
    pub at: BootTime,
    /// What it said.
    pub value: Value,
}

/// Why there is no value. Four different things, never to be confused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The sensor has nothing to say now (asleep, no sample yet). Not a failure.
    #[error("no data: {0}")]
    NoData(&'static str),
    /// Reading failed; a later try may work.
    #[error("failed: {0}")]
    Failed(&'static str),
    /// We may not read it.
    #[error("not permitted: {0}")]
    NotPermitted(&'static str),
    /// The device is gone; what comes back later is a new counter.
    #[error("lost: {0}")]
    Lost(&'static str),
}

impl ReadError {
    /// The label value of this state in metrics: a closed set.
    pub const fn reason(self) -> &'static str {
        match self {
            ReadError::NoData(_) => "no_data",
            ReadError::Failed(_) => "failed",
            ReadError::NotPermitted(_) => "not_permitted",
            ReadError::Lost(_) => "lost",
        }
    }
}

/// A domain or a whole source that should be here and is not, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The source: `nvml`, `rapl`, `hwmon`.
    pub source: String,
    /// Which domain, or what part of the source.
    pub what: String,
    /// One of `no_device` (there is no such thing here: nothing is missed), `absent`,
    /// `not_permitted`, `failed`, `lost`, `overlap`, `no_counter`.
    pub state: String,
    /// What happened, in words.
    pub why: String,
    /// What to do about it; a command where there is one.
    pub remedy: Option<String>,
}

/// What a source found.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// The domains, in the order of [`Source::read`]'s slots.
    pub domains: Vec<Domain>,
    /// What is missing, and why.
    pub missing: Vec<Missing>,
}

/// One source of readings.
///
/// Calls are synchronous and made from one thread; a source whose calls may hang
/// (NVML) is one source per device, each on a thread of its own.
pub trait Source: Send {
    /// `nvml`, `rapl`, `hwmon` or `estimate`.
    fn name(&self) -> &'static str;

    /// Looks for the domains anew. May allocate; called rarely.
    fn discover(&mut self) -> Discovery;

    /// Reads every domain of the last [`Source::discover`], in its order, into
    /// `slots` (same length). Allocates nothing. One failing domain must not
    /// keep the others from being read.
    fn read(&mut self, slots: &mut [Result<Reading, ReadError>]);

    /// What tells one life of the counters from the next, such as the driver's
    /// load; boot is known elsewhere. Equal values: the counters ran on between.
    fn epoch(&self) -> String {
        String::new()
    }
}

/// Where the kernel's file systems are: real by default, elsewhere in a
/// container or a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// `/sys`.
    pub sysfs: PathBuf,
    /// `/proc`.
    pub procfs: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Roots { sysfs: "/sys".into(), procfs: "/proc".into() }
    }
}

/// The sources that read this machine's files, in the order in which people see
/// them. GPUs by NVML are added by the engine, one source a device; the estimate
/// is added where [`estimate::is_needed`].
pub fn local_sources(roots: &Roots) -> Vec<Box<dyn Source>> {
    vec![Box::new(rapl::Rapl::new(roots)), Box::new(hwmon::Hwmon::new(roots))]
}
