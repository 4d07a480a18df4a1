// SPDX-License-Identifier: Apache-2.0
//! The shapes of the page's JSON. A contract, written in `docs/page.md`: fields are
//! added, never changed. What is not known is null, never zero.

use serde::Serialize;

use crate::carbon::equivalents;
use crate::engine::snapshot::{JobView, Snapshot};
use crate::jobs::JobState;
use crate::ledger::query::JobSummary;
use crate::record::Record;
use crate::sensors::Kind;
use crate::server::now::{Now, thousandths};
use crate::units::Energy;

use super::history::{Lines, STEP};

/// Jobs that are shown at a time; a page of thousands says nothing to anyone.
const JOBS: usize = 64;

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

/// `/api/v1/now`: what is drawn now.
pub fn now(
    snapshot: &Snapshot,
    unattributed_watts: Option<f64>,
    trouble: Option<String>,
) -> Now<Job> {
    let jobs = snapshot.jobs.iter().collect();
    let now = Now::with_jobs(snapshot, trouble, jobs, JOBS, Job::of_view);
    Now { unattributed_watts: unattributed_watts.map(thousandths), ..now }
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
            ended_at: view.ended.map(|ended| format!("{ended:.3}")),
            duration_seconds: view.duration.map(|time| time.as_secs_f64()),
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
            duration: None,
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
