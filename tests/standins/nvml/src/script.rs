// SPDX-License-Identifier: Apache-2.0
//! The script: what machine the stand-in plays, and when what goes wrong.
//!
//! Times in the script are milliseconds after `epoch_ns`, a moment of
//! `CLOCK_BOOTTIME`.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::trace::Trace;

/// The whole machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Time zero of all other times, on `CLOCK_BOOTTIME`, in nanoseconds.
    pub epoch_ns: u64,
    /// The driver.
    #[serde(default)]
    pub driver: Driver,
    /// The GPUs, in the order of NVML's index.
    #[serde(default)]
    pub gpus: Vec<Gpu>,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Where each call is logged as `symbol gpu nanoseconds`; gpu `-` for none.
    #[serde(default)]
    pub call_log: Option<PathBuf>,
}

/// The driver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Driver {
    /// Its version.
    pub version: String,
    /// CUDA's version as the driver gives it: 13000 is 13.0.
    pub cuda_version: i32,
}

impl Default for Driver {
    fn default() -> Self {
        Driver { version: "580.95.05".into(), cuda_version: 13_000 }
    }
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gpu {
    /// `GPU-…`.
    pub uuid: String,
    /// The product name.
    pub name: String,
    /// `00000000:01:00.0`.
    pub pci_bus_id: String,
    /// What it draws.
    pub power: Trace,
    /// Its energy counter.
    pub counter: Counter,
    /// Its power sensor.
    pub sensor: Sensor,
    /// The enforced limit.
    pub power_limit_mw: u32,
    /// The limit from the factory.
    pub default_power_limit_mw: u32,
    /// Its temperature.
    pub celsius: u32,
    /// The clock of its SMs.
    pub clock_mhz: u32,
    /// `nvmlClocksEventReason…`, as bits.
    pub throttle_reasons: u64,
    /// Persistence mode.
    pub persistence: bool,
    /// `None`: the GPU knows no MIG. Empty: MIG is off.
    pub mig: Option<Vec<MigInstance>>,
    /// Who uses it.
    pub processes: Vec<Process>,
    /// A file with more of them, one `pid [used_memory [sm_percent]]` a line, read at each call.
    pub processes_file: Option<PathBuf>,
}

impl Default for Gpu {
    fn default() -> Self {
        Gpu {
            uuid: "GPU-00000000-0000-0000-0000-000000000000".into(),
            name: "NVIDIA Stand-in".into(),
            pci_bus_id: "00000000:01:00.0".into(),
            power: Trace::Constant { mw: 100_000 },
            counter: Counter::default(),
            sensor: Sensor::default(),
            power_limit_mw: 700_000,
            default_power_limit_mw: 700_000,
            celsius: 40,
            clock_mhz: 1_410,
            throttle_reasons: 0,
            persistence: true,
            mig: None,
            processes: Vec::new(),
            processes_file: None,
        }
    }
}

impl Gpu {
    /// The `index`-th GPU of a machine, with that power.
    pub fn numbered(index: usize, power: Trace) -> Gpu {
        Gpu {
            uuid: format!("GPU-00000000-0000-0000-0000-{index:012}"),
            pci_bus_id: format!("00000000:{:02X}:00.0", index + 1),
            power,
            ..Gpu::default()
        }
    }
}

/// The energy counter, refreshed in steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Counter {
    /// `false`: NOT_SUPPORTED, as before Volta.
    pub present: bool,
    /// Between two refreshes.
    pub step_ms: f64,
    /// The first refresh after the epoch.
    pub phase_ms: f64,
    /// Each refresh is late by up to this, by a fixed pseudo-random rule.
    pub jitter_ms: f64,
    /// Its value at the epoch.
    pub offset_mj: u64,
    /// When it restarts at zero.
    pub resets_ms: Vec<u64>,
}

impl Default for Counter {
    fn default() -> Self {
        Counter {
            present: true,
            step_ms: 100.0,
            phase_ms: 0.0,
            jitter_ms: 0.0,
            offset_mj: 0,
            resets_ms: Vec::new(),
        }
    }
}

/// The power sensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sensor {
    /// Between two refreshes.
    pub update_ms: u64,
    /// Over how long before the refresh it averages.
    pub window_ms: u64,
    /// The driver's ring of samples; `None`: NOT_SUPPORTED.
    pub samples: Option<SampleBuffer>,
}

impl Default for Sensor {
    fn default() -> Self {
        Sensor { update_ms: 100, window_ms: 100, samples: None }
    }
}

/// The driver's ring of power samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleBuffer {
    /// Between two samples; each is the mean power since the one before.
    pub every_ms: u64,
    /// How many it holds.
    pub length: usize,
}

/// A MIG instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigInstance {
    /// `MIG-…`.
    pub uuid: String,
    /// GPU instance id.
    pub gpu_instance: u32,
    /// Compute instance id.
    #[serde(default)]
    pub compute_instance: u32,
    /// How many of the GPU's slices it has.
    pub slices: u32,
}

/// A process on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Bytes of GPU memory.
    #[serde(default)]
    pub used_memory: u64,
    /// What process utilisation says; `None`: inactive.
    #[serde(default)]
    pub sm_percent: Option<u32>,
    /// The MIG GPU instance it runs in.
    #[serde(default)]
    pub gpu_instance: Option<u32>,
}

/// Something that goes wrong for a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The symbol it concerns, `*` for every call.
    pub call: String,
    /// The GPU's index; `None`: all, and calls without a GPU.
    #[serde(default)]
    pub gpu: Option<usize>,
    /// From when.
    #[serde(default)]
    pub from_ms: u64,
    /// Until when; `None`: for good.
    #[serde(default)]
    pub until_ms: Option<u64>,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The call returns this `nvmlReturn_t`; 15 is a lost GPU.
    Error(u32),
    /// The call takes this many milliseconds longer.
    SlowMs(u64),
    /// The call does not return while the fault lasts.
    Stuck,
    /// Energy and power calls give this value instead.
    Value(u64),
}

impl Fault {
    /// A fault from now on, for good: until the script is changed.
    pub fn standing(call: &str, gpu: Option<usize>, kind: FaultKind) -> Fault {
        Fault { call: call.into(), gpu, from_ms: 0, until_ms: None, kind }
    }

    /// Whether it concerns this call at this time (nanoseconds after the epoch).
    pub(crate) fn concerns(&self, call: &str, gpu: Option<usize>, time: u64) -> bool {
        (self.call == "*" || self.call == call)
            && (self.gpu.is_none() || self.gpu == gpu)
            && time >= self.from_ms * 1_000_000
            && self.until_ms.is_none_or(|until| time < until * 1_000_000)
    }
}

impl Script {
    /// A machine whose time zero is now.
    pub fn starting_now(gpus: Vec<Gpu>) -> Script {
        Script {
            epoch_ns: crate::now_ns(),
            driver: Driver::default(),
            gpus,
            faults: Vec::new(),
            call_log: None,
        }
    }

    /// Reads a script.
    pub fn load(path: &Path) -> io::Result<Script> {
        let text = std::fs::read_to_string(path)?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Writes it in one step: a reader sees the old or the new one whole.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let partial = path.with_extension("partial");
        std::fs::write(&partial, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(partial, path)
    }

    /// The energy in microjoules that a GPU drew between two moments of
    /// `CLOCK_BOOTTIME`, exact but for the last microjoule.
    pub fn energy_between(&self, gpu: usize, from_ns: u64, until_ns: u64) -> u64 {
        let trace = &self.gpus[gpu].power;
        let after = |moment: u64| moment.saturating_sub(self.epoch_ns);
        let picojoules = trace.integral(after(until_ns)) - trace.integral(after(from_ns));
        (picojoules / 1_000_000) as u64
    }
}
