// SPDX-License-Identifier: Apache-2.0
//! The engine's state and its loop: commands between ticks, ticks on time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::attribution::cpu::{CpuUse, NodeUse};
use crate::carbon::pue::PueNow;
use crate::clock;
use crate::jobs::JobState;
use crate::jobs::cpu::{NodeCpu, NodeReading};
use crate::jobs::processes::ProcessTable;
use crate::ledger::books::{Books, Slot};
use crate::ledger::recover::Recovered;
use crate::ledger::writer::Writer;
use crate::ledger::{Batch, CounterMark, CpuMark, DomainKey, Event, JobKey, PueFact};
use crate::meter::gpus::{GpuEvent, GpuMonitor};
use crate::sensors::{Domain, DomainId, Missing, ReadError, Roots};
use crate::units::{BootTime, Energy};

use super::domains::{DomainState, LocalSource};
use super::gpus::{Claimants, GpuState};
use super::inbox::{Inbox, Waiting};
use super::intensity::Followed;
use super::job::Job;
use super::publish::{Account, Finished};
use super::snapshot::{SensorState, Snapshot};
use super::{Command, ReleaseReply, Settings};

/// Batches go to the ledger at least this often.
const SUBMIT_PERIOD: Duration = Duration::from_secs(1);
/// GPU process lists are read this often: they hold a driver-wide lock.
const USERS_PERIOD: Duration = Duration::from_secs(10);
/// … and while a job is younger than that, since its processes come to its GPUs
/// some seconds after its start.
const USERS_PERIOD_YOUNG: Duration = Duration::from_secs(2);
/// Ends that no wrapper has told are looked for at the first tick after this time:
/// once a second at every period below, since it takes a read a job.
const ENDED_PERIOD: Duration = Duration::from_millis(900);
/// A GPU whose last call ended longer ago than this is stalled.
const STALLED: Duration = Duration::from_secs(3);

/// The engine.
pub(super) struct Engine {
    pub settings: Settings,
    pub roots: Roots,
    pub boot_id: String,
    pub commands: Receiver<Command>,
    pub gpu_events: Receiver<GpuEvent>,
    pub monitor: Option<GpuMonitor>,
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub spare: Option<Arc<Snapshot>>,

    pub local: Vec<LocalSource>,
    pub local_missing: Vec<Missing>,
    pub domains: Vec<DomainState>,
    pub domain_keys: HashMap<DomainId, DomainKey>,
    pub next_domain_key: i64,
    pub gpus: Vec<GpuState>,
    /// The place in `gpus` of each GPU of the monitor.
    pub lines: Vec<usize>,
    pub gpu_missing: Vec<Missing>,
    /// Who waits until NVML is let go of.
    pub releases: Vec<ReleaseReply>,

    pub node: Option<NodeCpu>,
    pub node_last: Option<NodeReading>,
    pub processes: Option<ProcessTable>,

    /// Running jobs by slot; 0 is `unattributed` and never a job.
    pub jobs: Vec<Option<Job>>,
    pub finished: Vec<Finished>,
    pub users: Vec<Account>,
    pub projects: Vec<Account>,
    pub next_job_key: i64,
    /// What the ledger knew at the start and nobody has taken up yet.
    pub recovered: Recovered,
    /// The oldest last reading that a counter was taken up from.
    pub away_since: Option<BootTime>,

    pub books: Books,
    pub writer: Option<Writer>,
    pub batch: Batch,
    /// The PUE in force, and the facts of it since the oldest running job began.
    pub pue: Option<PueNow>,
    pub pue_facts: Vec<PueFact>,
    /// Up to when hardware's time was given out.
    pub held_until: BootTime,
    /// Nanograms CO2e of making the machine, for each hour that it is held.
    pub server_rate: u64,
    /// Whether a job ended that the ledger and exporters are still to be told of.
    pub unsaid_end: bool,
    pub last_submit: BootTime,
    pub users_due: BootTime,
    pub ended_due: BootTime,
    pub interval_end: i64,
    /// Zones whose fact the ledger has been told.
    pub told_zones: Vec<String>,
    pub followed: Followed,
    pub wall_minus_boot: i64,
    pub ticks: u64,
    pub missed_ticks: u64,

    pub uses: Vec<CpuUse>,
    pub shares: Vec<Energy>,
    pub parts: Vec<Energy>,
    pub claimants: Claimants,

    pub inbox: Arc<Inbox>,
    /// The room of marks that were taken.
    pub marks: Vec<Waiting>,
    /// When counters were last read for a change of phase.
    pub read_for_phase: BootTime,
    /// When the ledger is to be told of a change of phase, before its next batch.
    pub work_due: Option<BootTime>,
    /// When it was last told so.
    pub work_told: BootTime,
}

impl Engine {
    /// Runs until told to stop or until nobody is left to tell.
    pub fn run(mut self) {
        let mut next = clock::now();
        loop {
            let now = clock::now();
            if now >= next {
                self.take_marks();
                self.tick(now);
                next = self.after(next, now);
            }
            // A period that was made shorter holds at once.
            next = next.min(clock::now().plus(self.settings.period));
            let dues = [self.deadline(), self.work_due];
            let until = dues.into_iter().flatten().fold(next, BootTime::min);
            let wait = until.since(clock::now());
            match self.commands.recv_timeout(wait) {
                Ok(Command::Stop(reply)) => {
                    self.stop();
                    // Whoever asked may have gone meanwhile.
                    let _ = reply.send(());
                    return;
                }
                Ok(command) => {
                    // What a job said before it ended is there before its end.
                    self.take_marks();
                    self.handle(command);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.stop(),
            }
            self.drain_gpus();
            self.end_overdue(clock::now());
            self.tell_ends();
            self.tell_changes(clock::now());
        }
    }

    /// The next tick on the grid of the period; ticks that came too late are
    /// counted, not made up.
    fn after(&mut self, due: BootTime, now: BootTime) -> BootTime {
        let period = self.settings.period.as_nanos().max(1) as u64;
        let late = now.since(due).as_nanos() as u64 / period;
        self.missed_ticks += late;
        due.plus(Duration::from_nanos(period * (late + 1)))
    }

    /// A regular tick.
    fn tick(&mut self, now: BootTime) {
        self.follow_intensity();
        self.drain_gpus();
        self.read_local();
        self.roll_interval();
        if now >= self.ended_due {
            self.find_ended(now);
            self.ended_due = now.plus(ENDED_PERIOD);
        }
        self.find_stalled(now);
        self.update_power();
        if now >= self.users_due {
            self.refresh_users();
            let young = |job: &Job| now.since(job.row.started_at) < USERS_PERIOD;
            let next = if self.running().any(young) { USERS_PERIOD_YOUNG } else { USERS_PERIOD };
            self.users_due = now.plus(next);
        }
        self.ticks += 1;
        if now.since(self.last_submit) >= SUBMIT_PERIOD.mul_f32(0.9) {
            self.last_submit = now;
            self.submit(now);
        }
        self.drop_old(now);
        self.publish();
    }

    /// Reads every domain on this thread and all CPU times, back to back, and books
    /// what the counters moved.
    pub(super) fn read_local(&mut self) {
        self.wall_minus_boot = clock::wall_minus_boot_microseconds();
        self.look_at_pue(clock::now());
        self.read_cpu_times();
        self.give_out_time(clock::now());
        let period = self.settings.period;
        for source in 0..self.local.len() {
            let mut local = self.local.swap_remove(source);
            local.source.read(&mut local.slots);
            for (&place, &result) in local.places.iter().zip(&local.slots) {
                if let Some(delta) = self.domains[place].take(result, period) {
                    self.book_by_cpu(place, delta);
                    if delta.reset {
                        self.tell_reset(place);
                    }
                }
            }
            if local.slots.iter().any(|slot| matches!(slot, Err(ReadError::Lost(_)))) {
                self.renew_epoch(&local);
            }
            self.local.push(local);
            let last = self.local.len() - 1;
            self.local.swap(source, last);
        }
    }

    /// A sensor went and came back: its counter may have begun anew.
    fn renew_epoch(&mut self, local: &LocalSource) {
        let epoch = local.source.epoch();
        for &place in &local.places {
            let state = &mut self.domains[place];
            if state.epoch != epoch {
                state.meter.start_epoch();
                state.epoch.clone_from(&epoch);
                self.tell_domain(place);
            }
        }
    }

    /// What each job and the node used since the last tick, added to what each
    /// domain still has to split.
    fn read_cpu_times(&mut self) {
        let reading = self.node.as_mut().and_then(|node| node.read().ok());
        let node = match (self.node_last, reading) {
            (Some(last), Some(reading)) => NodeUse {
                busy_microseconds: reading.busy_microseconds.saturating_sub(last.busy_microseconds),
                capacity_microseconds: reading.capacity_microseconds(reading.at.since(last.at)),
                cores: reading.cores,
            },
            _ => NodeUse::default(),
        };
        self.node_last = reading.or(self.node_last);
        self.read_jobs();
        let mut uses = std::mem::take(&mut self.uses);
        uses.clear();
        uses.resize(self.jobs.len(), CpuUse::default());
        for job in self.jobs.iter().flatten() {
            let sum = &mut uses[job.slot.0];
            sum.used_microseconds += job.cpu_delta;
            sum.reserved_cores = job.reserved_cores();
        }
        // What a nested job used is not its outer job's own.
        for job in self.jobs.iter().flatten() {
            if let Some(parent) = job.parent {
                let outer = &mut uses[parent.0];
                outer.used_microseconds = outer.used_microseconds.saturating_sub(job.cpu_delta);
                outer.reserved_cores = outer.reserved_cores.saturating_sub(job.reserved_cores());
            }
        }
        for domain in self.domains.iter_mut().filter(|domain| domain.split_by_cpu()) {
            domain.pending.add(node, &uses);
        }
        self.uses = uses;
    }

    fn read_jobs(&mut self) {
        // Where nothing can be read, nothing is added: what was used comes later.
        self.jobs.iter_mut().flatten().for_each(|job| job.cpu_delta = 0);
        let Some(processes) = self.processes.as_mut() else { return };
        let by_tree = |job: &Job| {
            job.members
                .iter()
                .filter_map(|member| member.claim.as_ref())
                .any(|claim| claim.needs_processes())
        };
        if self.jobs.iter().flatten().any(by_tree) && processes.scan().is_err() {
            return;
        }
        for job in self.jobs.iter_mut().flatten() {
            let used: Option<u64> = job
                .members
                .iter_mut()
                .filter_map(|member| member.claim.as_mut())
                .map(|claim| claim.used(processes).ok().map(|reading| reading.used_microseconds))
                .sum();
            // A read that fails is caught up by the next one.
            let used = used.unwrap_or(job.cpu_used).max(job.cpu_used);
            job.cpu_delta = used - job.cpu_used;
            job.cpu_used = used;
        }
    }

    /// Closes all intervals at the interval's end.
    fn roll_interval(&mut self) {
        let now = self.wall_microseconds(clock::now());
        let length = i64::try_from(self.settings.interval.as_micros()).unwrap_or(i64::MAX).max(1);
        // An end that is further away than an interval is long is of a wall clock that
        // was set back, or of a longer interval.
        if (0..length).contains(&self.interval_end.saturating_sub(now).saturating_sub(1)) {
            return;
        }
        if self.interval_end != 0 {
            self.close_intervals();
        }
        self.interval_end = (now / length + 1) * length;
    }

    /// Closes all intervals: what is booked from here on is in lines of its own.
    pub(super) fn close_intervals(&mut self) {
        self.books.drain(&mut self.batch.bookings);
        self.books.close_intervals();
        for slot in 1..self.jobs.len() {
            self.close_piece(Slot(slot));
        }
    }

    /// Adds a job's open piece to its own and its ancestors' pieces.
    pub(super) fn close_piece(&mut self, slot: Slot) {
        let Some(piece) = self.job_mut(slot).and_then(|job| job.piece.take()) else { return };
        let mut next = Some(slot);
        while let Some(job) = next.and_then(|slot| self.job_mut(slot)) {
            job.pieces.push(piece);
            next = job.parent;
        }
    }

    /// Hands what has grown to the ledger's writer.
    pub(super) fn submit(&mut self, now: BootTime) {
        self.work_due = None;
        self.books.drain(&mut self.batch.bookings);
        for domain in &self.domains {
            if let Some((at, value)) = domain.meter.mark() {
                self.batch.counters.push(CounterMark { domain: domain.key, at, value });
            }
        }
        for job in self.jobs.iter().flatten() {
            self.batch.cpu.push(CpuMark { job: job.row.key, used_microseconds: job.cpu_used });
        }
        self.tell_held();
        for slot in 1..self.jobs.len() {
            self.tell_work(Slot(slot), Some(now));
        }
        match &self.writer {
            Some(writer) => writer.submit(&mut self.batch),
            None => {
                self.batch.events.clear();
                self.batch.bookings.clear();
                self.batch.counters.clear();
                self.batch.cpu.clear();
                self.batch.held.clear();
                self.batch.phases.clear();
                self.batch.units.clear();
            }
        }
    }

    fn stop(&mut self) {
        self.take_marks();
        self.drain_gpus();
        self.read_local();
        self.submit(clock::now());
        if let Some(monitor) = self.monitor.take() {
            monitor.stop();
        }
        if let Some(writer) = self.writer.take()
            && let Err(error) = writer.close()
        {
            tracing::error!(%error, "the last lines could not be written to the ledger");
        }
        self.publish();
    }

    /// The place of a domain: the one it had, or a new one.
    pub(super) fn place_of(&mut self, mut domain: Domain, epoch: &str) -> usize {
        let calibrated = self.settings.calibration.iter().find(|(id, _)| *id == domain.id);
        if let Some((_, percent)) = calibrated {
            domain.gain_percent = Some(*percent);
        }
        let known = self.domains.iter().position(|state| state.domain.id == domain.id);
        if let Some(place) = known {
            let state = &mut self.domains[place];
            if state.epoch != epoch {
                state.meter.start_epoch();
                epoch.clone_into(&mut state.epoch);
            }
            if *state.domain != domain {
                state.domain = Arc::new(domain);
            }
            self.tell_domain(place);
            return place;
        }
        let key = *self.domain_keys.entry(domain.id.clone()).or_insert_with(|| {
            self.next_domain_key += 1;
            DomainKey(self.next_domain_key - 1)
        });
        let state = DomainState::new(domain, key, epoch.to_owned(), self.settings.period);
        self.domains.push(state);
        let place = self.books.add_domain(key);
        for job in self.jobs.iter_mut().flatten() {
            job.resize(place + 1);
        }
        self.resume_domain(place);
        self.tell_domain(place);
        place
    }

    fn tell_domain(&mut self, place: usize) {
        let state = &self.domains[place];
        self.batch.events.push(Event::Domain {
            key: state.key,
            domain: (*state.domain).clone(),
            epoch: state.epoch.clone(),
        });
    }

    /// A moment on the wall clock, microseconds since 1970 UTC.
    pub(super) fn wall_microseconds(&self, moment: BootTime) -> i64 {
        let boot = i64::try_from(moment.nanoseconds() / 1_000).unwrap_or(i64::MAX);
        boot.saturating_add(self.wall_minus_boot)
    }

    pub(super) fn job(&self, slot: Slot) -> Option<&Job> {
        self.jobs.get(slot.0)?.as_ref()
    }

    pub(super) fn job_mut(&mut self, slot: Slot) -> Option<&mut Job> {
        self.jobs.get_mut(slot.0)?.as_mut()
    }

    /// A new number for a job.
    pub(super) fn take_job_key(&mut self) -> JobKey {
        self.next_job_key += 1;
        JobKey(self.next_job_key - 1)
    }

    /// Marks GPUs whose call into the driver has not come back.
    fn find_stalled(&mut self, now: BootTime) {
        let Some(monitor) = &self.monitor else { return };
        let patience = STALLED.max(self.settings.period * 3);
        for gpu in &self.gpus {
            let stalled = |line| monitor.since_last_call(line, now).is_some_and(|t| t > patience);
            let domain = &mut self.domains[gpu.place];
            if gpu.line.is_some_and(stalled) && domain.state != SensorState::Stalled {
                domain.state = SensorState::Stalled;
                domain.power = None;
                tracing::warn!(
                    domain = %domain.domain.id,
                    "a call into the driver has not come back"
                );
            }
        }
    }

    fn refresh_users(&self) {
        if let Some(monitor) = &self.monitor {
            for gpu in &self.gpus {
                if let Some(line) = gpu.line {
                    monitor.refresh_users(line, gpu.is_shared());
                }
            }
        }
    }

    /// Jobs that run now, in no order.
    pub(super) fn running(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().flatten().filter(|job| job.row.state == JobState::Running)
    }
}
