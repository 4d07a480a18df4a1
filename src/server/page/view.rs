// SPDX-License-Identifier: Apache-2.0
//! The shapes of the page's JSON. A contract, written in `docs/page.md`: fields are
//! added, never changed. What is not known is null, never zero.

use serde::Serialize;

use crate::carbon::equivalents;
use crate::engine::snapshot::{DomainView, IntensityView, JobView, Snapshot};
use crate::jobs::JobState;
use crate::ledger::query::JobSummary;
use crate::record::Record;
use crate::sensors::Kind;
use crate::units::Energy;

use super::history::{Lines, STEP};

/// Jobs that are shown at a time; a page of thousands says nothing to anyone.
const JOBS: usize = 64;

/// `/api/v1/now`.
#[derive(Debug, Serialize)]
pub struct Now<'a> {
    /// RFC 3339, UTC; null before the first reading.
    at: Option<String>,
    release: &'static str,
    host: String,
    /// Why the sampler stands still; null where it does not.
    trouble: Option<String>,
    /// Of all counted domains.
    watts: Option<f64>,
    unattributed_watts: Option<f64>,
    /// What `watts` emit in an hour at the intensity of now; without PUE.
    grams_per_hour: Option<f64>,
    intensity: Option<Intensity<'a>>,
    domains: Vec<DomainNow<'a>>,
    /// All that run, those that are not in the list too.
    jobs_running: usize,
    jobs: Vec<Job>,
    /// Jobs that are not in the list, which takes the most powerful.
    jobs_left_out: usize,
}

/// The intensity of the default zone.
#[derive(Debug, Serialize)]
pub struct Intensity<'a> {
    zone: &'a str,
    grams_per_kwh: f64,
    source: &'a str,
    signal: &'a str,
    quality: &'a str,
    /// Start of the figure's interval; null for a yearly mean.
    from: Option<String>,
}

#[derive(Debug, Serialize)]
struct DomainNow<'a> {
    id: &'a str,
    kind: &'static str,
    device: &'a str,
    source: &'a str,
    method: &'static str,
    /// Whether it is part of the sum; one that is not overlaps others.
    counted: bool,
    state: &'static str,
    watts: Option<f64>,
    /// Since the ledger began.
    joules: f64,
    unattributed_joules: f64,
}

/// A job in a list.
#[derive(Clone, Debug, Serialize)]
pub struct Job {
    /// Its id.
    pub id: String,
    name: String,
    user: String,
    project: Option<String>,
    /// `running`, `finished`, `lost`.
    pub state: &'static str,
    started_at: String,
    ended_at: Option<String>,
    duration_seconds: Option<f64>,
    /// Null unless it runs.
    watts: Option<f64>,
    joules: Option<f64>,
    gpu_joules: Option<f64>,
    cpu_joules: Option<f64>,
    dram_joules: Option<f64>,
    /// Of electricity and, where known, hardware.
    emissions_grams: Option<f64>,
    /// The same in things that people know.
    like: Option<Like>,
}

/// So many of something.
#[derive(Clone, Debug, Serialize)]
struct Like {
    count: f64,
    of: &'static str,
    source: &'static str,
}

/// `/api/v1/history`.
#[derive(Debug, Serialize)]
pub struct HistoryView<'a> {
    step_seconds: f64,
    /// Start and end of each slot, seconds since 1970 UTC.
    slots: Vec<[f64; 2]>,
    domains: Vec<DomainLine<'a>>,
    unattributed_watts: Vec<Option<f32>>,
}

#[derive(Debug, Serialize)]
struct DomainLine<'a> {
    id: &'a str,
    kind: &'static str,
    device: &'a str,
    counted: bool,
    watts: Vec<Option<f32>>,
}

/// What is drawn now.
pub fn now(
    snapshot: &Snapshot,
    unattributed_watts: Option<f64>,
    trouble: Option<String>,
) -> Now<'_> {
    let counted = snapshot.domains.iter().filter(|view| view.domain.counted());
    let watts = counted.filter_map(|view| view.power).map(|power| power.watts());
    let watts = watts.reduce(|sum, watts| sum + watts);
    let intensity = snapshot.zones.first();
    let mut jobs: Vec<&JobView> = snapshot.jobs.iter().collect();
    jobs.sort_by_key(|job| (!job.running, std::cmp::Reverse((job.power, job.started))));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Now {
        at: snapshot.at.map(|at| format!("{at:.3}")),
        release: env!("CARGO_PKG_VERSION"),
        host,
        trouble,
        watts: watts.map(thousandths),
        unattributed_watts: unattributed_watts.map(thousandths),
        grams_per_hour: watts
            .zip(intensity)
            .map(|(watts, view)| thousandths(watts * view.grams_per_kwh / 1e3)),
        intensity: intensity.map(Intensity::of),
        domains: snapshot.domains.iter().map(domain).collect(),
        jobs_running: jobs.iter().filter(|job| job.running).count(),
        jobs_left_out: jobs.len().saturating_sub(JOBS),
        jobs: jobs.into_iter().take(JOBS).map(Job::of_view).collect(),
    }
}

impl<'a> Intensity<'a> {
    /// Of a zone in use.
    pub fn of(view: &'a IntensityView) -> Self {
        Intensity {
            zone: &view.zone,
            grams_per_kwh: view.grams_per_kwh,
            source: &view.source,
            signal: &view.signal,
            quality: view.quality,
            from: view.from.map(|from| from.to_string()),
        }
    }
}

fn domain(view: &DomainView) -> DomainNow<'_> {
    let domain = &view.domain;
    DomainNow {
        id: domain.id.as_str(),
        kind: domain.kind.as_str(),
        device: &domain.device,
        source: &domain.source,
        method: domain.method.as_str(),
        counted: domain.counted(),
        state: view.state.as_str(),
        watts: view.power.map(|power| thousandths(power.watts())),
        joules: view.total.joules(),
        unattributed_joules: view.unattributed.joules(),
    }
}

impl Job {
    /// As the snapshot has it: running, or ended a while ago.
    pub fn of_view(view: &JobView) -> Job {
        let total = view.energy.iter().copied().fold(Energy::ZERO, Energy::saturating_add);
        let of_kind = |kind: Kind| Some(view.energy[kind as usize].joules());
        let grams = view.emissions.grams() + view.embodied.grams();
        Job {
            id: view.meta.id.to_string(),
            name: view.meta.name.clone(),
            user: view.meta.user.clone(),
            project: view.meta.project.clone(),
            state: if view.running { "running" } else { "finished" },
            started_at: format!("{:.3}", view.started),
            ended_at: None,
            duration_seconds: None,
            watts: view.running.then(|| thousandths(view.power.watts())),
            joules: Some(total.joules()),
            gpu_joules: of_kind(Kind::Gpu),
            cpu_joules: of_kind(Kind::Cpu),
            dram_joules: of_kind(Kind::Dram),
            emissions_grams: Some(grams),
            like: like(Some(grams)),
        }
    }

    /// As the ledger has it, with its emissions.
    pub fn of_summary(job: &JobSummary, grams: Option<f64>) -> Job {
        let (row, spec) = (&job.row, &job.row.spec);
        let of_kind = |kind: Kind| job.energy[kind as usize].map(Energy::joules);
        Job {
            id: spec.id.to_string(),
            name: spec.name.clone(),
            user: spec.user.clone(),
            project: spec.project.clone(),
            state: row.state.as_str(),
            started_at: format!("{:.3}", row.started),
            ended_at: row.ended.map(|ended| format!("{ended:.3}")),
            duration_seconds: row.duration.map(|time| time.as_secs_f64()),
            watts: None,
            joules: job.total().map(Energy::joules),
            gpu_joules: of_kind(Kind::Gpu),
            cpu_joules: of_kind(Kind::Cpu),
            dram_joules: of_kind(Kind::Dram),
            emissions_grams: grams,
            like: like(grams),
        }
    }

    /// As its record has it.
    pub fn of_record(record: &Record, state: JobState, watts: Option<f64>) -> Job {
        let (job, energy) = (&record.job, &record.energy);
        let of_kind = |kind: &str| {
            let counted = record.quality.coverage.iter().any(|covered| covered == kind);
            let domains = energy.domains.iter().filter(|domain| counted && domain.kind == kind);
            domains.map(|domain| domain.joules).reduce(|sum, joules| sum + joules)
        };
        Job {
            id: job.id.clone(),
            name: job.name.clone(),
            user: job.user.clone(),
            project: job.project.clone(),
            state: state.as_str(),
            started_at: job.started_at.clone(),
            ended_at: job.ended_at.clone(),
            duration_seconds: job.duration_seconds,
            watts,
            joules: energy.total_joules,
            gpu_joules: of_kind("gpu"),
            cpu_joules: of_kind("cpu"),
            dram_joules: of_kind("dram"),
            emissions_grams: record.emissions.total_grams,
            like: like(record.emissions.total_grams),
        }
    }

    /// With the end of the same job as the ledger has it, where it has it already.
    pub fn with_end_of(self, other: &Job) -> Job {
        if other.ended_at.is_none() {
            return self;
        }
        let ended_at = other.ended_at.clone();
        Job { state: other.state, ended_at, duration_seconds: other.duration_seconds, ..self }
    }
}

fn like(grams: Option<f64>) -> Option<Like> {
    let (one, count) = equivalents::readable(grams?)?;
    Some(Like { count, of: &one.text, source: &one.source })
}

/// The last hour, or its last slot.
pub fn history(lines: &Lines) -> HistoryView<'_> {
    HistoryView {
        step_seconds: STEP,
        slots: lines
            .slots
            .iter()
            .map(|(from, to)| [thousandths(*from), thousandths(*to)])
            .collect(),
        domains: lines
            .domains
            .iter()
            .map(|(domain, watts)| DomainLine {
                id: domain.id.as_str(),
                kind: domain.kind.as_str(),
                device: &domain.device,
                counted: domain.counted(),
                watts: watts.iter().copied().map(hundredths).collect(),
            })
            .collect(),
        unattributed_watts: lines.unattributed.iter().copied().map(hundredths).collect(),
    }
}

/// More figures than a sensor has would only make the text longer.
fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn hundredths(watts: f32) -> Option<f32> {
    (!watts.is_nan()).then(|| (watts * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::snapshot::{ByKind, JobMeta};
    use crate::units::{Emissions, Power};

    #[test]
    fn running_jobs_are_counted_whether_the_list_has_room_for_them_or_not() {
        let job = |place: usize, running: bool| JobView {
            meta: Arc::new(JobMeta {
                id: format!("j{place}").parse().unwrap(),
                uid: 1,
                name: String::new(),
                user: String::new(),
                project: None,
            }),
            running,
            started: jiff::Timestamp::UNIX_EPOCH,
            ended: None,
            energy: ByKind::default(),
            node: Energy::ZERO,
            emissions: Emissions::ZERO,
            embodied: Emissions::ZERO,
            power: Power::ZERO,
            work: None,
        };
        let mut snapshot = Snapshot::default();
        let mut counts = |running: usize, ended: usize| {
            let running = (0..running).map(|place| job(place, true));
            snapshot.jobs =
                running.chain((0..ended).map(|place| job(1_000 + place, false))).collect();
            let now = now(&snapshot, None, None);
            (now.jobs_running, now.jobs.len(), now.jobs_left_out)
        };
        assert_eq!(counts(3, 2), (3, 5, 0));
        assert_eq!(counts(64, 500), (64, 64, 500));
        assert_eq!(counts(70, 500), (70, 64, 506));
    }
}
