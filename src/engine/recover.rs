// SPDX-License-Identifier: Apache-2.0
//! Taking up what an earlier daemon left: totals, counters and running jobs.
//!
//! Counters run on while nobody reads them, and so do the kernel's CPU times of a
//! job's cgroup. So the first readings after a restart, against the last ones in
//! the ledger (same boot, same life of the counter), give exactly what was used
//! meanwhile. What cannot be known is said, as a range, and never made up.

use std::time::Duration;

use jiff::Timestamp;

use crate::carbon::pue::PueByTime;
use crate::clock;
use crate::jobs::cpu::{CpuClaim, SavedClaim};
use crate::jobs::{Exit, JobState};
use crate::ledger::books::{Slot, add};
use crate::ledger::recover::{AccountEnergy, KnownMark, Recovered, RunningJob};
use crate::ledger::{Booking, DomainKey, Event, IntervalEnergy};
use crate::sensors::Kind;
use crate::units::{BootTime, Emissions, Energy};

use super::core::Engine;
use super::job::Job;
use super::publish::{Account, Finished};
use super::snapshot::JobMeta;
use super::work::Work;

/// Shorter absences are no remark on a job: a restart of the daemon takes as long.
const REMARKABLE: Duration = Duration::from_secs(2);

impl Engine {
    /// Takes over accounts, finished jobs and running jobs. Before any domain is added.
    pub(super) fn recover(&mut self, recovered: &mut Recovered) {
        self.next_domain_key = recovered.next_domain;
        self.next_job_key = recovered.next_job;
        for (id, known) in &recovered.domains {
            self.domain_keys.insert(id.clone(), known.key);
        }
        for sum in &recovered.users {
            self.recover_account(sum, |engine| &mut engine.users);
        }
        for sum in &recovered.projects {
            self.recover_account(sum, |engine| &mut engine.projects);
        }
        self.pue_facts = std::mem::take(&mut recovered.pue);
        for (name, held) in &recovered.users_held {
            let embodied = self.embodied_of(held);
            let place = super::life::account_of(&mut self.users, name);
            self.users[place].add_embodied(embodied);
        }
        for (name, held) in &recovered.projects_held {
            let embodied = self.embodied_of(held);
            let place = super::life::account_of(&mut self.projects, name);
            self.projects[place].add_embodied(embodied);
        }
        for summary in std::mem::take(&mut recovered.ended) {
            let spec = &summary.row.spec;
            let meta = JobMeta {
                id: spec.id.clone(),
                uid: spec.uid,
                name: spec.name.clone(),
                user: spec.user.clone(),
                project: spec.project.clone(),
            };
            let ended = summary.row.ended.unwrap_or_else(clock::wall);
            let intensity = self.intensity_at(summary.row.zone.as_deref(), ended);
            let pue = PueByTime::of_job(&summary.row, &self.pue_facts).at(ended.as_microsecond());
            let mut energy = summary.energy.map(Option::unwrap_or_default);
            let node = std::mem::take(&mut energy[Kind::Node as usize]);
            let total = energy.iter().fold(Energy::ZERO, |sum, part| sum.saturating_add(*part));
            self.finished.push(Finished {
                at: summary.row.ended.map_or_else(clock::now, clock::moment_of),
                meta: meta.into(),
                started: summary.row.started,
                ended: summary.row.ended,
                duration: summary.row.duration,
                energy,
                node,
                emissions: Emissions::of(total, intensity, pue),
                embodied: self.embodied_of(&summary.held),
                work: None,
                report: None,
            });
        }
    }

    fn recover_account(
        &mut self,
        sum: &AccountEnergy,
        accounts: fn(&mut Engine) -> &mut Vec<Account>,
    ) {
        let emissions = self.account_emissions(sum);
        let accounts = accounts(self);
        let place = super::life::account_of(accounts, &sum.name);
        accounts[place].add(sum.kind, sum.energy, emissions);
    }

    /// What an account's counter of emissions begins with. In zones that feeds tell of,
    /// nothing: the intensity of each of its times is not at hand, and a counter that
    /// begins anew is understood, where one that has changed is taken for emissions.
    fn account_emissions(&self, sum: &AccountEnergy) -> Emissions {
        let live = |zone: &str| !self.settings.facts.of(zone).is_empty();
        if sum.zone.as_deref().is_some_and(live) {
            return Emissions::ZERO;
        }
        let mean = crate::grid::fact_for(sum.zone.as_deref(), clock::wall()).fact.intensity;
        Emissions::of(sum.energy, mean, sum.pue_thousandths.unwrap_or(1_000))
    }

    /// Gives a domain that has just been found its totals and, where its counter
    /// ran on, its last reading.
    pub(super) fn resume_domain(&mut self, place: usize) {
        let Some(known) = self.recovered.domains.remove(&self.domains[place].domain.id) else {
            return;
        };
        let state = &mut self.domains[place];
        state.total = known.total;
        state.unattributed = known.unattributed;
        let Some(mark) = known.mark else { return };
        if !same_life(&mark, &self.boot_id, &state.epoch) {
            tracing::info!(
                domain = %state.domain.id,
                "the counter began anew since the ledger's last reading of {}: what it \
                 counted between is lost",
                mark.wall
            );
            return;
        }
        let domain = std::sync::Arc::clone(&state.domain);
        state.meter.resume(&domain, mark.at, mark.value);
        // CPU times of the absence: how long the cores had is known, how busy they
        // were is not, so that the jobs' own times stand for it.
        let cores = self.node_last.map_or(0, |node| node.cores);
        let away = clock::now().since(mark.at);
        let capacity = away.as_micros() as u64 * u64::from(cores);
        state.pending.node.capacity_microseconds = capacity;
        state.pending.node.cores = cores;
        self.away_since = Some(self.away_since.map_or(mark.at, |at| at.min(mark.at)));
    }

    /// Takes up the jobs that ran. After the local domains were added.
    pub(super) fn resume_jobs(&mut self, running: Vec<RunningJob>) {
        for job in running {
            if job.row.boot_id != self.boot_id {
                self.lose(job, "the machine was started anew while the job ran");
                continue;
            }
            let saved: Option<SavedClaim> =
                job.row.claim.as_deref().and_then(|text| serde_json::from_str(text).ok());
            match saved.map(|saved| CpuClaim::resume(&self.roots, saved)) {
                Some(Ok(claim)) => self.resume_job(job, claim),
                Some(Err(error)) => {
                    tracing::debug!(job = %job.row.spec.id, %error, "cannot take the job up");
                    self.lose(job, "it ended while the daemon was away");
                }
                None => self.lose(job, "what ties it to its processes is not in the ledger"),
            }
        }
    }

    fn resume_job(&mut self, job: RunningJob, mut claim: CpuClaim) {
        self.await_domains(&job);
        let runs = self.still_runs(&mut claim);
        let slot = self.add_job(job.row, claim, job.notes);
        self.tell_intensity(slot);
        for line in &job.lines {
            self.restore_line(slot, line, true);
        }
        for line in &job.nested {
            self.restore_line(slot, line, false);
        }
        self.held_until = self.held_until.min(job.held_until.unwrap_or(self.held_until));
        self.restore_held(slot, &job.held, true);
        self.restore_held(slot, &job.nested_held, false);
        let before: Vec<(usize, Energy)> = job
            .before
            .iter()
            .filter_map(|(key, total)| Some((self.place_of_key(*key)?, *total)))
            .collect();
        let now = clock::now();
        let since = self.away_since.unwrap_or(now);
        let Some(resumed) = self.job_mut(slot) else { return };
        resumed.cpu_used = job.cpu_microseconds.unwrap_or(0);
        resumed.resumed = true;
        resumed.work = Work::recovered(&job.phases, &job.units);
        resumed.ended_between = (!runs).then_some((since, now));
        for (place, total) in before {
            resumed.before[place] = Some(total);
        }
        let away = now.since(since);
        if away >= REMARKABLE {
            let note = format!(
                "the daemon was away for {:.1} s until {}: what the counters moved in that \
                 time is booked from their values before and after",
                away.as_secs_f64(),
                clock::wall().strftime("%Y-%m-%dT%H:%M:%SZ"),
            );
            self.note(slot, note);
        }
        self.tell_phase_of_absence(slot);
    }

    /// Says which phase has what was used while nobody took marks, and what is only cut by
    /// time between it and the one before: what counters showed at its beginning was lost.
    fn tell_phase_of_absence(&mut self, slot: Slot) {
        let Some(job) = self.job(slot) else { return };
        let Some((began, phase, before)) = job.work.as_ref().and_then(|work| work.since()) else {
            return;
        };
        let mut text = format!(
            "the daemon was away until {}: what was used from its last reading on is in {phase} up \
             to the next mark; marks of that time may be missing",
            clock::wall().strftime("%Y-%m-%dT%H:%M:%SZ"),
        );
        let claimed = |place: &usize| {
            job.before[*place].is_some() || job.inclusive[*place].energy > Energy::ZERO
        };
        let earlier = (0..self.domains.len()).filter(claimed).filter_map(|place| {
            let state = &self.domains[place];
            let (at, _) = state.meter.mark().filter(|(at, _)| *at < began)?;
            let id = &state.domain.id;
            Some(format!("{id} ({:.2} s before)", began.since(at).as_secs_f64()))
        });
        let earlier: Vec<String> = earlier.collect();
        if !earlier.is_empty() {
            text += &format!(
                "; what was read last before {phase} began is cut by time between it and {before}: {}",
                earlier.join(", ")
            );
        }
        self.note(slot, text);
    }

    /// Adds the domains of a job that no sensor has shown yet: the GPUs' library is
    /// opened later, and what the job used of them stands in the ledger.
    fn await_domains(&mut self, job: &RunningJob) {
        let lines = job.lines.iter().chain(&job.nested).map(|line| line.domain);
        let held = job.held.iter().chain(&job.nested_held).map(|(key, _)| *key);
        for key in lines.chain(job.before.iter().map(|(key, _)| *key)).chain(held) {
            if self.place_of_key(key).is_some() {
                continue;
            }
            let known = self.recovered.domains.values().find(|known| known.key == key);
            let Some(known) = known else { continue };
            let epoch = known.mark.as_ref().map_or_else(String::new, |mark| mark.epoch.clone());
            self.place_of(known.domain.clone(), &epoch);
        }
    }

    /// Whether a process of the job lives; where that cannot be read, it does.
    fn still_runs(&mut self, claim: &mut CpuClaim) -> bool {
        let Some(processes) = self.processes.as_mut() else { return true };
        if claim.needs_processes()
            && (processes.scan_all().is_err() || claim.used(processes).is_err())
        {
            return true;
        }
        claim.alive().unwrap_or(true)
    }

    /// Whether what a GPU drew has to wait until it is known when a job that used it
    /// ended: it ended while the daemon was away, and its wrapper may tell.
    pub(super) fn awaits_end(&self, gpu: usize) -> bool {
        let unknown = |job: &Job| job.ended_between.is_some() && !job.ending();
        self.jobs.iter().flatten().any(|job| unknown(job) && self.claim_on(gpu, job.slot).is_some())
    }

    /// Puts a line of the ledger back into a job's inclusive figures.
    fn restore_line(&mut self, slot: Slot, line: &Booking, own: bool) {
        let Some(place) = self.place_of_key(line.domain) else { return };
        let domain = std::sync::Arc::clone(&self.domains[place].domain);
        let at = Timestamp::from_microsecond(line.from_microseconds).unwrap_or_default();
        let mut next = Some(slot);
        while let Some(slot) = next {
            let Some(job) = self.job(slot) else { break };
            let intensity = self.intensity_at(job.row.zone.as_deref(), at);
            let pue = PueByTime::of_job(&job.row, &self.pue_facts).at(line.from_microseconds);
            let Some(job) = self.job_mut(slot) else { break };
            add(&mut job.inclusive[place], line.amount);
            if domain.counted() {
                let sum = &mut job.energy[domain.kind as usize];
                *sum = sum.saturating_add(line.amount.energy);
                let more = Emissions::of(line.amount.energy, intensity, pue);
                job.emissions = job.emissions.saturating_add(more);
                job.pieces.push(IntervalEnergy {
                    from_microseconds: line.from_microseconds,
                    to_microseconds: line.to_microseconds,
                    energy: line.amount.energy,
                });
            } else if domain.kind == Kind::Node {
                job.node = job.node.saturating_add(line.amount.energy);
            }
            // A nested job that was lost is in every ancestor's list already.
            next = if own { job.parent } else { None };
        }
    }

    /// Puts what a job held (`own`), or what ended jobs held inside it, back into its
    /// figures.
    fn restore_held(&mut self, slot: Slot, held: &[(DomainKey, u64)], own: bool) {
        for &(key, microseconds) in held {
            let place = self.place_of_key(key);
            if place.is_none() && key != DomainKey::MACHINE {
                continue;
            }
            if own && let Some(job) = self.job_mut(slot) {
                job.held_own.add(place, microseconds);
            }
            // A nested job that was lost is in every ancestor's list already.
            self.hold_inclusive(slot, place, microseconds, own);
        }
    }

    fn place_of_key(&self, key: crate::ledger::DomainKey) -> Option<usize> {
        self.domains.iter().position(|state| state.key == key)
    }

    /// Closes a job that cannot be taken up.
    fn lose(&mut self, job: RunningJob, why: &str) {
        let last = job.lines.iter().map(|line| line.to_microseconds).max();
        let ended = last
            .and_then(|at| jiff::Timestamp::from_microsecond(at).ok())
            .unwrap_or(job.row.started);
        let mut row = job.row;
        tracing::warn!(job = %row.spec.id, why, "the job is lost");
        let text = format!(
            "{why}: its figures end at {}; what it used after that is in `unattributed` \
             where the counters ran on, and is not known otherwise",
            ended.strftime("%Y-%m-%dT%H:%M:%SZ"),
        );
        self.batch.events.push(Event::Note { job: row.key, text });
        row.state = JobState::Lost;
        row.exit = Some(Exit::Unknown);
        row.duration = ended.duration_since(row.started).try_into().ok();
        row.ended = Some(ended);
        self.batch.events.push(Event::Job(Box::new(row)));
    }

    /// Lets running jobs claim GPUs that have just been opened.
    pub(super) fn claim_opened(&mut self) {
        let identities = self.identities();
        let now = clock::now();
        let jobs: Vec<(Slot, crate::jobs::GpuRequest, bool)> = self
            .running()
            .filter(|job| !job.ending())
            .map(|job| (job.slot, job.row.spec.gpus.clone(), job.resumed))
            .collect();
        for (slot, request, resumed) in jobs {
            let mut claims = crate::jobs::gpus::resolve(&request, &identities).claims;
            claims.retain(|claim| self.claim_on(claim.gpu, slot).is_none());
            // A job that was taken up holds its GPUs since before the daemon went.
            let at = if resumed { BootTime::default() } else { now };
            for claim in &claims {
                if !resumed {
                    self.tell_late(slot, claim.gpu);
                }
                self.claim_at(slot, claim, at);
            }
        }
    }
}

fn same_life(mark: &KnownMark, boot_id: &str, epoch: &str) -> bool {
    mark.boot_id == boot_id && mark.epoch == epoch
}
