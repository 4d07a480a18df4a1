// SPDX-License-Identifier: Apache-2.0
//! What the engine answers: a job's report, the list of sensors.

use crate::jobs::{JobId, JobState};
use crate::ledger::books::{Slot, add};
use crate::ledger::{Amount, DomainReport, JobReport, Uncertainty};
use crate::sensors::Kind;
use crate::server::protocol::{SensorList, SensorRow};
use crate::units::Energy;

use super::EngineError;
use super::core::Engine;
use super::job::{Job, ReportReply};

impl Engine {
    /// A running or recently finished job.
    pub(super) fn show(&self, id: &JobId) -> Result<Box<JobReport>, EngineError> {
        if let Some(job) = self.running().find(|job| job.row.spec.id == *id) {
            return Ok(Box::new(self.report(job)));
        }
        self.finished
            .iter()
            .find(|finished| finished.meta.id == *id)
            .and_then(|finished| finished.report.clone())
            .ok_or_else(|| EngineError::UnknownJob(id.clone()))
    }

    /// Sends the job's report to all who wait for it.
    pub(super) fn answer(&self, slot: Slot, replies: Vec<ReportReply>) {
        let Some(job) = self.job(slot) else { return };
        for reply in replies {
            // Whoever asked may have gone meanwhile.
            let _ = reply.send(Ok(Box::new(self.report(job))));
        }
    }

    /// The job's figures as they stand, nested jobs included.
    pub(super) fn report(&self, job: &Job) -> JobReport {
        let mut intervals = job.pieces.clone();
        intervals.extend(job.piece);
        for inner in self.jobs.iter().flatten().filter(|inner| self.is_inside(inner.slot, job.slot))
        {
            intervals.extend(inner.piece);
        }
        let mut notes = job.notes.clone();
        if job.row.state == JobState::Running && job.row.ended.is_none() {
            notes.push("the job has processes that still run: these are its figures so far".into());
        }
        let now = crate::clock::now();
        JobReport {
            job: job.row.clone(),
            domains: self.domain_reports(job),
            intervals,
            missing: self.gpu_missing.iter().chain(&self.local_missing).cloned().collect(),
            notes,
            pue: self.pue_of(&job.row),
            held: self.held_of(job),
            phases: job.work.as_ref().map_or_else(Vec::new, |work| work.phase_reports(now)),
            units: job.work.as_ref().map_or_else(Vec::new, |work| work.unit_reports()),
        }
    }

    fn domain_reports(&self, job: &Job) -> Vec<DomainReport> {
        self.domains
            .iter()
            .enumerate()
            .filter_map(|(place, state)| {
                let amount = job.inclusive[place];
                let claimed = job.before[place].is_some();
                let seen = amount.energy > Energy::ZERO || amount.gap_nanoseconds > 0;
                // A GPU that the job never claimed is no part of its report, and a dead
                // counter's 0 is no figure.
                if amount.energy == Energy::ZERO && self.is_dead(place) {
                    return None;
                }
                if !(seen || claimed && state.last_read.is_some()) {
                    return None;
                }
                let moved = job.moved[place]
                    .or_else(|| job.before[place].map(|before| state.total.saturating_sub(before)));
                let exclusive = state.domain.kind == Kind::Gpu && moved == Some(amount.energy);
                Some(DomainReport { domain: (*state.domain).clone(), amount, moved, exclusive })
            })
            .collect()
    }

    /// Books what is uncertain about the job's part of domains split by CPU time: the
    /// resolution of CPU times and of the counter's updates, at the job's two ends.
    /// What lies between telescopes away. Formula in `docs/accuracy.md`.
    pub(super) fn book_local_uncertainty(&mut self, slot: Slot) {
        let Some(job) = self.job(slot) else { return };
        let time = crate::clock::now().since(job.row.started_at);
        let by_tree = job
            .members
            .iter()
            .filter_map(|member| member.claim.as_ref())
            .any(|claim| claim.needs_processes());
        // A tree's times come in ticks of 10 ms, a cgroup's in microseconds; either
        // is read within 0.2 ms of the counter.
        let cpu_error = std::time::Duration::from_micros(if by_tree { 10_200 } else { 200 });
        let cores = u64::from(self.node_last.map_or(1, |node| node.cores.max(1)));
        let amounts: Vec<(usize, Amount)> = self
            .domains
            .iter()
            .enumerate()
            .filter(|(place, state)| {
                state.split_by_cpu() && job.inclusive[*place].energy > Energy::ZERO
            })
            .map(|(place, state)| {
                let before = job.before[place].unwrap_or(state.total);
                let moved = state.total.saturating_sub(before);
                let mean = moved.over(time);
                let per_core =
                    Energy::from_microjoules(mean.during(cpu_error * 2).microjoules() / cores);
                let edge = mean
                    .during(state.domain.update_period * 2)
                    .portion(job.inclusive[place].energy.microjoules(), moved.microjoules());
                let uncertainty = Uncertainty { edge, split: per_core, ..Uncertainty::default() };
                (place, Amount { uncertainty, ..Amount::default() })
            })
            .collect();
        let now = crate::clock::now();
        for (place, amount) in amounts {
            let at = self.wall_microseconds(now);
            self.books.book_doubt(slot, place, at, amount.uncertainty);
            let mut next = Some(slot);
            while let Some(job) = next.and_then(|slot| self.job_mut(slot)) {
                add(&mut job.inclusive[place], amount);
                next = job.parent;
            }
        }
    }

    /// The domains and what is missing.
    pub(super) fn sensor_list(&self) -> SensorList {
        let rows = self.domains.iter().map(|state| SensorRow {
            domain: (*state.domain).clone(),
            state: state.state.as_str().to_owned(),
            observed_update_seconds: state.observed_update.map(|time| time.as_secs_f64()),
            wrap_seconds: state
                .domain
                .range
                .map(|range| range.joules() / state.domain.max_power.watts()),
            power_watts: state.power.map(|power| power.watts()),
            read_errors: state.read_errors.iter().sum(),
        });
        SensorList {
            domains: rows.collect(),
            missing: self.gpu_missing.iter().chain(&self.local_missing).cloned().collect(),
        }
    }
}
