// SPDX-License-Identifier: Apache-2.0
//! The books: per job and domain, energy by interval, kept for good.
//!
//! [`books`] holds the open interval in memory; [`writer`] is the one thread
//! that writes the SQLite file ([`recover`]: what it finds in it at a start);
//! [`query`] reads it, also from another process while the daemon writes. Energy is integer microjoules throughout. A booking
//! that was closed is never changed again; emissions are not stored, they are
//! derived from bookings and intensity facts.

mod accounts;
mod apply;
pub mod books;
pub mod facts;
mod outage;
mod pending;
pub mod period;
pub mod query;
pub mod recover;
mod rows;
pub mod schema;
mod work;
pub mod writer;

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::jobs::{Exit, JobSpec, JobState};
use crate::sensors::{Domain, Missing};
use crate::units::{BootTime, Energy, Intensity};

pub use work::{PhaseMark, PhaseReport, UnitMark, UnitReport};

/// The 95 % uncertainty of an energy, by cause: half-widths in µJ.
///
/// How they combine is documented in `docs/accuracy.md`: causes are independent
/// of one another; within a cause, `edge` and `resolution` add in quadrature over
/// bookings, `split` and `gap` add linearly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncertainty {
    /// From interpolating the counter at the job's start and end.
    pub edge: Energy,
    /// From splitting a shared domain: resolution and skew of CPU times.
    pub split: Energy,
    /// From gaps: how much more it may have been (one-sided).
    pub gap: Energy,
    /// From the counter's smallest step.
    pub resolution: Energy,
}

/// An energy with what is known of its quality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// The energy booked.
    pub energy: Energy,
    /// How uncertain it is.
    pub uncertainty: Uncertainty,
    /// Time without readings that this energy covers, in nanoseconds.
    pub gap_nanoseconds: u64,
}

/// A job's number in the ledger. 0 is the account `unattributed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobKey(pub i64);

impl JobKey {
    /// The account of energy that no job used.
    pub const UNATTRIBUTED: JobKey = JobKey(0);
}

/// A domain's number in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DomainKey(pub i64);

impl DomainKey {
    /// The machine as a whole, in [`HeldMark`]; no domain.
    pub const MACHINE: DomainKey = DomainKey(0);
}

/// One line of the books: what a job used of a domain in an interval. The key is
/// (job, domain, from); a line with a known key replaces the earlier one while
/// the interval is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booking {
    /// Whose.
    pub job: JobKey,
    /// Of which domain.
    pub domain: DomainKey,
    /// Start of the interval, microseconds since 1970 UTC.
    pub from_microseconds: i64,
    /// End so far, microseconds since 1970 UTC.
    pub to_microseconds: i64,
    /// What was used. Own energy only: a nested job's is in the nested job's lines.
    pub amount: Amount,
}

/// The last value read of a counter: where a restarted daemon reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterMark {
    /// Of which domain.
    pub domain: DomainKey,
    /// When it was read.
    pub at: BootTime,
    /// The raw value.
    pub value: Energy,
}

/// A running job's CPU time at the last tick: the other half of booking a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuMark {
    /// Whose.
    pub job: JobKey,
    /// Microseconds of CPU time, cumulative as the claim counts it.
    pub used_microseconds: u64,
}

/// How long a job has held something, cumulative, its nested jobs apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldMark {
    /// Whose.
    pub job: JobKey,
    /// What: a GPU's domain, or [`DomainKey::MACHINE`].
    pub domain: DomainKey,
    /// Microseconds.
    pub microseconds: u64,
    /// Up to when.
    pub until: BootTime,
}

/// A job as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// Its number.
    pub key: JobKey,
    /// Who, what, where.
    pub spec: JobSpec,
    /// How it came to us: `run`, later `slurm`, `container`, ….
    pub origin: String,
    /// Running, finished or lost.
    pub state: JobState,
    /// How it ended; `None` while it runs.
    pub exit: Option<Exit>,
    /// When it started, UTC.
    pub started: Timestamp,
    /// When it started on the boot's clock.
    pub started_at: BootTime,
    /// When it ended, UTC.
    pub ended: Option<Timestamp>,
    /// Wall time from start to end, never from two wall-clock readings.
    pub duration: Option<Duration>,
    /// The boot in which it ran (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// What ties it to its CPU time (`jobs::cpu::SavedClaim` in JSON), so that a
    /// restarted daemon takes it up again.
    pub claim: Option<String>,
    /// Carbon zone in force.
    pub zone: Option<String>,
    /// PUE in force, in thousandths; `None`: not set.
    pub pue_thousandths: Option<u32>,
}

/// What happens to jobs and domains, in the order in which it happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A domain seen for the first time by this daemon (or with other properties).
    Domain {
        /// Its number.
        key: DomainKey,
        /// Its properties.
        domain: Domain,
        /// The life of its counter: boot id and the source's epoch.
        epoch: String,
    },
    /// A job started, or changed in a way that matters (its whole row).
    Job(Box<JobRow>),
    /// What a domain's counter moved in all while a job ran: for the job's share.
    Share {
        /// The job.
        job: JobKey,
        /// The domain.
        domain: DomainKey,
        /// What the counter moved.
        moved: Energy,
    },
    /// What a domain had counted in all when the job's claim on it began.
    Before {
        /// The job.
        job: JobKey,
        /// The domain.
        domain: DomainKey,
        /// Its total then.
        total: Energy,
    },
    /// A remark on a job's quality, for its record: a gap, a lost sensor.
    Note {
        /// The job.
        job: JobKey,
        /// One sentence, for people.
        text: String,
    },
    /// A sensor that was missing while a job ran.
    Missing {
        /// The job.
        job: JobKey,
        /// The sensor.
        missing: Missing,
    },
    /// A carbon-intensity fact.
    Intensity(IntensityFact),
    /// A PUE that holds from now on.
    Pue(PueFact),
    /// What was first said of an ended job's emissions; a later one changes nothing.
    Told {
        /// The job.
        job: JobKey,
        /// What was said.
        told: Told,
    },
}

/// Everything since the last batch; the buffers are reused.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What happened; applied before the bookings.
    pub events: Vec<Event>,
    /// Lines that are new or have grown.
    pub bookings: Vec<Booking>,
    /// Last readings.
    pub counters: Vec<CounterMark>,
    /// CPU times at the last tick.
    pub cpu: Vec<CpuMark>,
    /// What jobs have held so far.
    pub held: Vec<HeldMark>,
    /// Phases that have grown.
    pub phases: Vec<PhaseMark>,
    /// Units that were counted.
    pub units: Vec<UnitMark>,
}

/// What a fact of carbon intensity rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntensityKind {
    /// Measured by the provider.
    Actual,
    /// Measured, may still change.
    Provisional,
    /// Modelled by the provider.
    Estimated,
    /// Fetched before its interval began.
    Forecast,
    /// Yearly mean of the shipped table.
    Table,
}

impl IntensityKind {
    /// Every kind.
    pub const ALL: [IntensityKind; 5] = [
        IntensityKind::Actual,
        IntensityKind::Provisional,
        IntensityKind::Estimated,
        IntensityKind::Forecast,
        IntensityKind::Table,
    ];

    /// The lower-case word used in records and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            IntensityKind::Actual => "actual",
            IntensityKind::Provisional => "provisional",
            IntensityKind::Estimated => "estimated",
            IntensityKind::Forecast => "forecast",
            IntensityKind::Table => "table",
        }
    }

    /// The kind of a word of [`IntensityKind::as_str`].
    pub fn from_word(word: &str) -> Option<IntensityKind> {
        IntensityKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One fact of carbon intensity: kept for good, never changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntensityFact {
    /// The zone it is the figure of (`GB`, `US-CA`, `WORLD`).
    pub zone: String,
    /// From this moment …
    pub from: Timestamp,
    /// … to before this one.
    pub to: Timestamp,
    /// The figure.
    pub intensity: Intensity,
    /// `average` or `marginal`.
    pub signal: String,
    /// `lifecycle` or `direct`.
    pub boundary: String,
    /// Who says so: `table:OWID/Ember 2024`, later the feeds' names.
    pub source: String,
    /// How good it is.
    pub kind: IntensityKind,
    /// When we got it.
    pub fetched_at: Timestamp,
    /// The provider's own time of update, where given.
    pub provider_updated_at: Option<Timestamp>,
}

/// A zone in which jobs used energy, and the time from their first use to their last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneUse {
    /// The zone.
    pub zone: String,
    /// From here …
    pub from: Timestamp,
    /// … to here: now, where a job runs.
    pub to: Timestamp,
}

/// What was first said of a job's emissions, at its end: kept for good, so that a
/// figure that was handed out can be compared with what is known later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When it was said.
    pub at: Timestamp,
    /// CO2e of its electricity in micrograms, with PUE.
    pub micrograms: u64,
    /// The energy-weighted mean intensity.
    pub mean: Intensity,
}

/// The building's PUE from a moment on, until the next fact's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PueFact {
    /// The moment.
    pub from: Timestamp,
    /// In thousandths; `None`: none was set.
    pub thousandths: Option<u32>,
    /// Who says so: `config`, `schedule`, `file` or `http`.
    pub source: String,
}

/// For how long a job held hardware alone, nested jobs included; of what several
/// share, each has its part of the time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The machine without its GPUs.
    pub machine_microseconds: u64,
    /// Its GPUs.
    pub gpus: Vec<HeldGpu>,
}

/// A GPU that was held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldGpu {
    /// NVML's name.
    pub model: String,
    /// For how long.
    pub microseconds: u64,
}

impl Held {
    /// A part of it: `part` ÷ `whole` of every time.
    pub fn portion(&self, part: u64, whole: u64) -> Held {
        let of = |time: u64| {
            let (part, whole) = (u128::from(part.min(whole)), u128::from(whole.max(1)));
            (u128::from(time) * part / whole) as u64
        };
        let gpu = |gpu: &HeldGpu| HeldGpu { microseconds: of(gpu.microseconds), ..gpu.clone() };
        Held {
            machine_microseconds: of(self.machine_microseconds),
            gpus: self.gpus.iter().map(gpu).collect(),
        }
    }

    /// Adds a time: of a GPU of this model, or (`None`) of the machine.
    pub fn add(&mut self, model: Option<&str>, microseconds: u64) {
        let Some(model) = model else {
            self.machine_microseconds = self.machine_microseconds.saturating_add(microseconds);
            return;
        };
        match self.gpus.iter_mut().find(|gpu| gpu.model == model) {
            Some(gpu) => gpu.microseconds = gpu.microseconds.saturating_add(microseconds),
            None => self.gpus.push(HeldGpu { model: model.to_owned(), microseconds }),
        }
    }
}

/// A job's energy of one domain, for people and records: nested jobs included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainReport {
    /// The domain.
    pub domain: Domain,
    /// What the job used of it.
    pub amount: Amount,
    /// What the counter moved in all while the job ran; `None`: not known (yet).
    pub moved: Option<Energy>,
    /// Whether the job held the domain alone (its energy is then measured, not derived).
    pub exclusive: bool,
}

/// Energy of counted domains by interval, nested jobs included: what emissions
/// are computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalEnergy {
    /// Microseconds since 1970 UTC.
    pub from_microseconds: i64,
    /// Microseconds since 1970 UTC.
    pub to_microseconds: i64,
    /// Energy of all counted domains.
    pub energy: Energy,
}

/// All that the books know of one job: from the running daemon or from the ledger,
/// in the same shape. `record::build` makes the public record of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobReport {
    /// The job.
    pub job: JobRow,
    /// Its energy by domain; overlapping domains too (they say so).
    pub domains: Vec<DomainReport>,
    /// Its energy by interval.
    pub intervals: Vec<IntervalEnergy>,
    /// Sensors that were missing while it ran.
    pub missing: Vec<Missing>,
    /// Remarks on quality, oldest first.
    pub notes: Vec<String>,
    /// The building's PUE during its time, oldest first.
    #[serde(default)]
    pub pue: Vec<PueFact>,
    /// What it held.
    #[serde(default)]
    pub held: Held,
    /// Its phases, in the order of their first beginning.
    #[serde(default)]
    pub phases: Vec<PhaseReport>,
    /// Its units of work, by phase.
    #[serde(default)]
    pub units: Vec<UnitReport>,
}

/// The ledger's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerView {
    /// Whether the last write went well.
    pub up: bool,
    /// Failed writes.
    pub errors: u64,
    /// Last good write.
    pub last_write: Option<Timestamp>,
    /// Bookings that wait for a ledger that fails.
    pub pending: u64,
}
