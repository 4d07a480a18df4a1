// SPDX-License-Identifier: Apache-2.0
//! What exporters see: an immutable picture of the books after a tick.
//!
//! Plain values only. Energies are cumulative since the ledger began and never
//! fall. The engine publishes one after each tick and each start or end of a
//! job, and reuses the buffers of the one before.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::carbon::pue::PueNow;
pub use crate::grid::facts::FeedView;
use crate::jobs::JobId;
use crate::jobs::marks::Count;
pub use crate::ledger::LedgerView;
use crate::sensors::{Domain, Kind};
use crate::units::{Emissions, Energy, Power};

/// Energies of counted domains by [`Kind`], in the order of [`Kind::ALL`].
pub type ByKind = [Energy; Kind::ALL.len()];

/// The picture.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub at: Option<Timestamp>,
    /// Ticks since the engine started; moves on as long as the sampler lives.
    pub ticks: u64,
    /// Ticks that came too late to be taken.
    pub missed_ticks: u64,
    /// The domains.
    pub domains: Vec<DomainView>,
    /// Running jobs, and finished ones for a configured time.
    pub jobs: Vec<JobView>,
    /// Which running job holds which GPU.
    pub claims: Vec<ClaimView>,
    /// Totals by user since the ledger began.
    pub users: Vec<AccountView>,
    /// Totals by project since the ledger began.
    pub projects: Vec<AccountView>,
    /// The sources.
    pub sources: Vec<SourceView>,
    /// The ledger.
    pub ledger: LedgerView,
    /// The building's PUE in force.
    pub pue: Option<PueNow>,
    /// The intensity of now of each zone in use, the default one first.
    pub zones: Arc<[IntensityView]>,
    /// How the feeds of intensity do.
    pub feeds: Arc<Vec<FeedView>>,
}

/// How a domain does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SensorState {
    /// Read at the last tick.
    #[default]
    Ok,
    /// Nothing to say now (asleep).
    NoData,
    /// The last read failed.
    Failed,
    /// May not be read.
    NotPermitted,
    /// The device is gone.
    Lost,
    /// A call has not come back.
    Stalled,
    /// The counter stays at 0.
    Dead,
}

impl SensorState {
    /// The word in listings.
    pub const fn as_str(self) -> &'static str {
        match self {
            SensorState::Ok => "ok",
            SensorState::NoData => "no_data",
            SensorState::Failed => "failed",
            SensorState::NotPermitted => "not_permitted",
            SensorState::Lost => "lost",
            SensorState::Stalled => "stalled",
            SensorState::Dead => "dead",
        }
    }
}

/// One domain.
#[derive(Clone, Debug)]
pub struct DomainView {
    /// Its properties.
    pub domain: Arc<Domain>,
    /// All energy booked of it.
    pub total: Energy,
    /// Of that, what no job used.
    pub unattributed: Energy,
    /// Power over the last tick.
    pub power: Option<Power>,
    /// How it does.
    pub state: SensorState,
    /// Failed reads by reason, in the order `no_data`, `failed`, `not_permitted`, `lost`.
    pub read_errors: [u64; 4],
    /// Values refused as absurd.
    pub refused: u64,
    /// Counter restarts seen.
    pub resets: u64,
    /// Last good reading.
    pub last_read: Option<Timestamp>,
}

/// What never changes of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobMeta {
    /// Its id.
    pub id: JobId,
    /// The user's id.
    pub uid: u32,
    /// Its name.
    pub name: String,
    /// Who.
    pub user: String,
    /// Which project, if any.
    pub project: Option<String>,
}

/// One job, nested jobs included in its figures.
#[derive(Clone, Debug)]
pub struct JobView {
    /// Who and what.
    pub meta: Arc<JobMeta>,
    /// Whether it runs.
    pub running: bool,
    /// When it started.
    pub started: Timestamp,
    /// When it ended, if it has.
    pub ended: Option<Timestamp>,
    /// How long it took, if it has ended.
    pub duration: Option<Duration>,
    /// Energy of counted domains.
    pub energy: ByKind,
    /// Its part of the node's own meter, which overlaps the others.
    pub node: Energy,
    /// Emissions at the intensity known when the energy was used.
    pub emissions: Emissions,
    /// Emissions of making the hardware that was held.
    pub embodied: Emissions,
    /// Power over the last tick.
    pub power: Power,
    /// Its phases and units of work; `None`: it has marked none.
    pub work: Option<Arc<WorkView>>,
}

/// What a job has marked.
#[derive(Clone, Debug, Default)]
pub struct WorkView {
    /// Its phases, in the order of their first beginning.
    pub phases: Vec<PhaseView>,
    /// The name of the phase that it is in; `None`: in none.
    pub current: Option<Arc<str>>,
    /// Its units.
    pub units: Vec<UnitView>,
}

/// A phase.
#[derive(Clone, Debug)]
pub struct PhaseView {
    /// Its name.
    pub name: Arc<str>,
    /// Energy of counted domains, nested jobs included.
    pub energy: Energy,
    /// How long the job was in it.
    pub time: Duration,
}

/// Units of one name.
#[derive(Clone, Debug)]
pub struct UnitView {
    /// Its name.
    pub name: Arc<str>,
    /// How many.
    pub count: Count,
}

/// A GPU that a running job holds: it named the GPU, and no job within it did.
#[derive(Clone, Debug)]
pub struct ClaimView {
    /// The GPU.
    pub domain: Arc<Domain>,
    /// Who holds it.
    pub job: Arc<JobMeta>,
}

/// A user or a project.
#[derive(Clone, Debug)]
pub struct AccountView {
    /// Its name.
    pub name: Arc<str>,
    /// Energy of counted domains.
    pub energy: ByKind,
    /// Emissions at the intensity known when the energy was used.
    pub emissions: Emissions,
    /// Emissions of making the hardware that was held.
    pub embodied: Emissions,
}

/// One source.
#[derive(Clone, Debug)]
pub struct SourceView {
    /// `nvml`, `rapl`, `hwmon`, `estimate`.
    pub name: &'static str,
    /// Whether at least one of its domains was read at the last tick.
    pub up: bool,
    /// Its domains.
    pub domains: u32,
    /// Domains or parts of it that are missing.
    pub missing: u32,
}

/// The intensity of a zone in use.
#[derive(Clone, Debug)]
pub struct IntensityView {
    /// The zone as it is set, or as a job named it; `None`: none is.
    pub asked: Option<Arc<str>>,
    /// Since when energy is used there, as far as the running jobs tell.
    pub since: Timestamp,
    /// The zone that the figure is of: the world where no other is known.
    pub zone: Arc<str>,
    /// Grams per kWh.
    pub grams_per_kwh: f64,
    /// Who says so.
    pub source: Arc<str>,
    /// `average`.
    pub signal: Arc<str>,
    /// How good it is, in a word.
    pub quality: &'static str,
    /// The start of the figure's interval; a yearly mean has none.
    pub from: Option<Timestamp>,
}
