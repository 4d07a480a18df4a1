// SPDX-License-Identifier: Apache-2.0
//! What the machine draws now and who uses it, as clients see it.
//!
//! Made of the published snapshot alone, so that who asks never waits for the engine. On
//! the socket and on the page it is the same but for its jobs: each has the shape that its
//! readers need. Names, users, projects and figures, as `/metrics` has them; never a command line or a
//! label. What is not known is null, never zero.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::engine::snapshot::{DomainView, IntensityView, JobView, PhaseView, Snapshot, UnitView};
use crate::jobs::JobId;
use crate::sensors::Kind;
use crate::units::Energy;

/// Jobs that are told of at a time, the most powerful first.
const JOBS: usize = 1_000;

/// The machine now, with its jobs in the shape `Job`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Now<Job = JobNow> {
    /// When the books were published, to the millisecond; null before the first reading.
    #[serde(serialize_with = "to_milliseconds")]
    pub at: Option<Timestamp>,
    /// The daemon's release.
    pub release: String,
    /// The machine's name.
    pub host: String,
    /// Why the sampler stands still; null where it does not.
    pub trouble: Option<String>,
    /// Of all counted domains.
    pub watts: Option<f64>,
    /// Of that, what no job uses; null until two readings are known ([`Now::since`]).
    pub unattributed_watts: Option<f64>,
    /// What `watts` emit in an hour at the intensity of now; without PUE.
    pub grams_per_hour: Option<f64>,
    /// The intensity of the default zone.
    pub intensity: Option<Intensity>,
    /// The intensities of the other zones in use.
    pub other_intensities: Vec<Intensity>,
    /// The domains.
    pub domains: Vec<DomainNow>,
    /// Running jobs, and those that ended a while ago; nested jobs are in the figures of
    /// those around them too.
    pub jobs: Vec<Job>,
    /// All jobs that run, those that are not in the list too.
    #[serde(default)]
    pub jobs_running: usize,
    /// Jobs that are not in the list.
    pub jobs_left_out: usize,
}

/// The intensity of a zone in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intensity {
    /// The zone that the figure is of.
    pub zone: String,
    /// Grams of CO2e per kWh.
    pub grams_per_kwh: f64,
    /// Who says so.
    pub source: String,
    /// `average`, `marginal`.
    pub signal: String,
    /// How good it is, in a word.
    pub quality: String,
    /// Start of the figure's interval; null for a yearly mean.
    pub from: Option<Timestamp>,
}

/// One domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainNow {
    /// Its id.
    pub id: String,
    /// `gpu`, `cpu`, `dram`, `node`, …
    pub kind: String,
    /// What people call the device.
    pub device: String,
    /// `nvml`, `rapl`, `hwmon`, `estimate`.
    pub source: String,
    /// How it is known.
    pub method: String,
    /// Whether it is part of the sums; one that is not overlaps others.
    pub counted: bool,
    /// How its sensor does.
    pub state: String,
    /// Power over the last tick.
    pub watts: Option<f64>,
    /// Since the ledger began.
    pub joules: f64,
    /// Of that, what no job used.
    pub unattributed_joules: f64,
    /// The last good reading.
    pub read_at: Option<Timestamp>,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobNow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub user: String,
    /// Its project, if it has one.
    pub project: Option<String>,
    /// `running`, `finished`.
    pub state: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Null unless it runs.
    pub watts: Option<f64>,
    /// Of all counted domains.
    pub joules: f64,
    /// Of GPUs.
    pub gpu_joules: f64,
    /// Of CPUs.
    pub cpu_joules: f64,
    /// Of memory.
    pub dram_joules: f64,
    /// Of electricity and, where known, hardware, at the intensity known when it was used.
    pub emissions_grams: f64,
    /// The phase that it is in; null: in none.
    pub phase: Option<String>,
    /// The phases that it has marked.
    #[serde(default)]
    pub phases: Vec<PhaseNow>,
    /// The units of work that it has counted.
    #[serde(default)]
    pub work: Vec<UnitNow>,
}

/// A phase of a job so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseNow {
    /// Its name.
    pub name: String,
    /// How long the job was in it.
    pub seconds: f64,
    /// Of all counted domains.
    pub joules: f64,
}

/// Units of one name that a job has counted so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitNow {
    /// The unit's name.
    pub unit: String,
    /// How many.
    pub count: f64,
    /// Of the whole job, for each; null where none was counted.
    pub joules_per_unit: Option<f64>,
}

impl<Job> Default for Now<Job> {
    /// Before the first look: nothing is known.
    fn default() -> Self {
        Now {
            at: None,
            release: String::new(),
            host: String::new(),
            trouble: None,
            watts: None,
            unattributed_watts: None,
            grams_per_hour: None,
            intensity: None,
            other_intensities: Vec::new(),
            domains: Vec::new(),
            jobs: Vec::new(),
            jobs_running: 0,
            jobs_left_out: 0,
        }
    }
}

impl Now {
    /// As the snapshot has it; with `only`, of the jobs that one.
    pub fn of(snapshot: &Snapshot, trouble: Option<String>, only: Option<&JobId>) -> Now {
        let wanted = |job: &&JobView| only.is_none_or(|only| job.meta.id == *only);
        let jobs = snapshot.jobs.iter().filter(wanted).collect();
        Now::with_jobs(snapshot, trouble, jobs, JOBS, JobNow::of)
    }

    /// With what no job used between an earlier look and this one, from energy; a domain
    /// that was not read in between, or whose books began anew, says nothing.
    pub fn since(self, earlier: &Now) -> Now {
        let of_domain = |domain: &DomainNow| {
            let before = earlier.domains.iter().find(|before| before.id == domain.id)?;
            let seconds = domain.read_at?.duration_since(before.read_at?).as_secs_f64();
            let joules = domain.unattributed_joules - before.unattributed_joules;
            (seconds > 0.0 && joules >= 0.0).then(|| joules / seconds)
        };
        let counted = self.domains.iter().filter(|domain| domain.counted);
        let watts = counted.filter_map(of_domain).reduce(|sum, watts| sum + watts);
        Now { unattributed_watts: watts.map(thousandths), ..self }
    }
}

impl<Job> Now<Job> {
    /// As the snapshot has it, with at most so many of these jobs: those that run first, of
    /// them the most powerful.
    pub fn with_jobs(
        snapshot: &Snapshot,
        trouble: Option<String>,
        mut jobs: Vec<&JobView>,
        most: usize,
        shape: impl Fn(&JobView) -> Job,
    ) -> Now<Job> {
        let counted = snapshot.domains.iter().filter(|view| view.domain.counted());
        let watts = counted.filter_map(|view| view.power).map(|power| power.watts());
        let watts = watts.reduce(|sum, watts| sum + watts);
        let mut zones = snapshot.zones.iter().map(Intensity::of);
        let intensity = zones.next();
        jobs.sort_by_key(|job| (!job.running, std::cmp::Reverse((job.power, job.started))));
        Now {
            at: snapshot.at,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            trouble,
            watts: watts.map(thousandths),
            unattributed_watts: None,
            grams_per_hour: watts
                .zip(intensity.as_ref())
                .map(|(watts, intensity)| thousandths(watts * intensity.grams_per_kwh / 1e3)),
            intensity,
            other_intensities: zones.collect(),
            domains: snapshot.domains.iter().map(DomainNow::of).collect(),
            jobs_running: jobs.iter().filter(|job| job.running).count(),
            jobs_left_out: jobs.len().saturating_sub(most),
            jobs: jobs.into_iter().take(most).map(shape).collect(),
        }
    }
}

impl Intensity {
    /// Of a zone in use.
    pub fn of(view: &IntensityView) -> Intensity {
        Intensity {
            zone: view.zone.to_string(),
            grams_per_kwh: view.grams_per_kwh,
            source: view.source.to_string(),
            signal: view.signal.to_string(),
            quality: view.quality.to_owned(),
            from: view.from,
        }
    }
}

impl DomainNow {
    fn of(view: &DomainView) -> DomainNow {
        let domain = &view.domain;
        DomainNow {
            id: domain.id.as_str().to_owned(),
            kind: domain.kind.as_str().to_owned(),
            device: domain.device.clone(),
            source: domain.source.clone(),
            method: domain.method.as_str().to_owned(),
            counted: domain.counted(),
            state: view.state.as_str().to_owned(),
            watts: view.power.map(|power| thousandths(power.watts())),
            joules: view.total.joules(),
            unattributed_joules: view.unattributed.joules(),
            read_at: view.last_read,
        }
    }
}

impl JobNow {
    fn of(view: &JobView) -> JobNow {
        let total = view.energy.iter().copied().fold(Energy::ZERO, Energy::saturating_add);
        let of_kind = |kind: Kind| view.energy[kind as usize].joules();
        let work = view.work.as_deref();
        JobNow {
            id: view.meta.id.to_string(),
            name: view.meta.name.clone(),
            user: view.meta.user.clone(),
            project: view.meta.project.clone(),
            state: if view.running { "running" } else { "finished" }.to_owned(),
            started_at: view.started,
            watts: view.running.then(|| thousandths(view.power.watts())),
            joules: total.joules(),
            gpu_joules: of_kind(Kind::Gpu),
            cpu_joules: of_kind(Kind::Cpu),
            dram_joules: of_kind(Kind::Dram),
            emissions_grams: view.emissions.grams() + view.embodied.grams(),
            phase: work.and_then(|work| Some(work.current.as_deref()?.to_owned())),
            phases: work
                .map_or_else(Vec::new, |work| work.phases.iter().map(PhaseNow::of).collect()),
            work: work.map_or_else(Vec::new, |work| {
                work.units.iter().map(|unit| UnitNow::of(unit, total)).collect()
            }),
        }
    }

    /// Whether it runs.
    pub fn runs(&self) -> bool {
        self.state == "running"
    }
}

impl PhaseNow {
    fn of(view: &PhaseView) -> PhaseNow {
        PhaseNow {
            name: view.name.to_string(),
            seconds: thousandths(view.time.as_secs_f64()),
            joules: view.energy.joules(),
        }
    }
}

impl UnitNow {
    fn of(view: &UnitView, of_job: Energy) -> UnitNow {
        let count = view.count.units();
        let each = (count > 0.0).then(|| of_job.joules() / count);
        UnitNow { unit: view.name.to_string(), count, joules_per_unit: each }
    }
}

/// Always of three decimals, so that texts are in the order of their times.
fn to_milliseconds<S: Serializer>(
    at: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    at.map(|at| format!("{at:.3}")).serialize(serializer)
}

/// More figures than a sensor has would only make the text longer.
pub(super) fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
