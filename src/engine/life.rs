// SPDX-License-Identifier: Apache-2.0
//! Commands, and the start of a job: before its process execs, so that no joule
//! of it is missed. Its end is in [`super::end`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::jobs::cpu::CpuClaim;
use crate::jobs::gpus::{self, GpuClaim, GpuIdentity};
use crate::jobs::processes::owner;
use crate::jobs::{GpuRequest, JobId, JobSpec, JobState};
use crate::ledger::books::Slot;
use crate::ledger::{Event, JobRow};
use crate::units::{BootTime, Emissions, Energy, Power};

use super::core::Engine;
use super::gpus::{Change, Claim, tie};
use super::held::Hold;
use super::job::{Job, Member, Phase};
use super::snapshot::JobMeta;
use super::{Command, EngineError, Settings, Started};

/// What a job is told whose list of GPUs cannot be looked at yet.
const GPUS_UNKNOWN: &str = "the GPUs are still being opened: the list of them is not checked";
/// Remarks of one job at most.
const MOST_NOTES: usize = 64;
/// When a new job's processes are first looked for on its GPUs.
const FIRST_LOOK_AT_USERS: Duration = Duration::from_secs(1);

impl Engine {
    /// Does what a command says. `Stop` is the loop's own.
    pub(super) fn handle(&mut self, command: Command) {
        // An answer that nobody waits for any more is no error of ours.
        match command {
            Command::Start(spec, reply) => {
                let _ = reply.send(self.start(*spec));
            }
            Command::Join { job, pid, wrapper_pid, reply } => {
                let _ = reply.send(self.join(&job, pid, wrapper_pid));
            }
            Command::End { job, pid, exit, at, reply } => self.end(&job, pid, exit, at, reply),
            Command::Show(job, reply) => {
                let _ = reply.send(self.show(&job));
            }
            Command::Terminate { job, by, reply } => {
                let _ = reply.send(self.terminate(&job, by));
            }
            Command::Tell { job, told } => self.batch.events.push(Event::Told { job, told }),
            Command::Sensors(reply) => {
                let _ = reply.send(self.sensor_list());
            }
            Command::GpuRelease(reply) => match &self.monitor {
                Some(monitor) => {
                    monitor.release();
                    // Answered when NVML is shut down: before, no GPU can be reset.
                    self.releases.push(reply);
                }
                None => drop(reply.send(Err(EngineError::Stopped))),
            },
            Command::GpuReclaim(reply) => {
                if let Some(monitor) = &self.monitor {
                    monitor.reclaim();
                }
                let _ = reply.send(());
            }
            Command::Intensity(facts) => {
                self.batch.events.extend(facts.into_iter().map(Event::Intensity));
            }
            Command::Reload(settings) => self.reload(*settings),
            Command::Wake | Command::Stop(_) => {}
        }
    }

    fn start(&mut self, mut spec: JobSpec) -> Result<Started, EngineError> {
        if self.slot_of(&spec.id).is_some() || self.was_finished(&spec.id) {
            return Err(EngineError::JobExists(spec.id));
        }
        let mut resolved = gpus::resolve(&spec.gpus, &self.identities());
        if let (GpuRequest::List(_), Some(problem)) = (&spec.gpus, resolved.problems.first()) {
            if self.knows_gpus() {
                return Err(EngineError::UnknownGpu(problem.clone()));
            }
            // The job claims them once they are open.
            resolved.problems = vec![GPUS_UNKNOWN.to_owned()];
        }
        let processes = self.processes.as_mut().ok_or(EngineError::Stopped)?;
        let claim = CpuClaim::start(&self.roots, &spec, processes).map_err(|error| {
            tracing::warn!(job = %spec.id, %error, "cannot follow the job's processes");
            EngineError::NoProcess(spec.pid)
        })?;
        self.read_local();
        spec.parent.take_if(|parent| !self.may_be_inside(parent, spec.uid, spec.pid));
        let at = clock::now();
        let slot = self.open_job(spec, claim, at);
        self.claim_gpus(slot, &resolved.claims, at);
        self.refresh_users_of(&resolved.claims);
        self.users_due = self.users_due.min(at.plus(FIRST_LOOK_AT_USERS));
        self.submit(at);
        self.publish();
        Ok(Started { at, warnings: resolved.problems })
    }

    /// Whether it has been told which GPUs there are, or why none: at a start of the
    /// machine, NVML takes seconds to open.
    fn knows_gpus(&self) -> bool {
        !self.gpus.is_empty() || !self.gpu_missing.is_empty()
    }

    /// Whether a job of that user and process may count as part of another: what it
    /// uses is then in the other's figures, which are nobody else's to change.
    fn may_be_inside(&self, parent: &JobId, uid: u32, pid: i32) -> bool {
        let Some(outer) = self.slot_of(parent).and_then(|slot| self.job(slot)) else { return true };
        uid == 0 || uid == outer.row.spec.uid || holds(outer, pid)
    }

    /// Opens a new job's account and tells the ledger.
    fn open_job(&mut self, mut spec: JobSpec, claim: CpuClaim, at: BootTime) -> Slot {
        // Both are the client's word.
        let cores = self.node_last.map_or(1, |node| node.cores);
        spec.reserved_cores = spec.reserved_cores.min(cores);
        spec.pue_thousandths = spec.pue_thousandths.map(|pue| pue.max(1_000));
        spec.zone = spec.zone.map(|zone| zone.to_ascii_uppercase());
        let zone = spec.zone.clone().or_else(|| self.settings.zone.clone());
        let pue_thousandths = spec.pue_thousandths.or(self.pue.map(|pue| pue.thousandths));
        let row = JobRow {
            key: self.take_job_key(),
            origin: "run".to_owned(),
            state: JobState::Running,
            exit: None,
            started: clock::wall_at(at),
            started_at: at,
            ended: None,
            duration: None,
            boot_id: self.boot_id.clone(),
            claim: serde_json::to_string(&claim.saved()).ok(),
            zone,
            pue_thousandths,
            spec,
        };
        let key = row.key;
        let slot = self.add_job(row, claim, Vec::new());
        self.tell_intensity(slot);
        for missing in self.gpu_missing.iter().chain(&self.local_missing) {
            self.batch.events.push(Event::Missing { job: key, missing: missing.clone() });
        }
        for place in 0..self.domains.len() {
            if self.domains[place].split_by_cpu() {
                let total = self.domains[place].total;
                self.begin_share(slot, place, total);
            }
        }
        slot
    }

    /// Notes what a domain had counted in all when a job's claim on it began.
    pub(super) fn begin_share(&mut self, slot: Slot, place: usize, total: Energy) {
        let domain = self.domains[place].key;
        let Some(job) = self.jobs.get_mut(slot.0).and_then(Option::as_mut) else { return };
        if job.before[place].is_none() {
            job.before[place] = Some(total);
            self.batch.events.push(Event::Before { job: job.row.key, domain, total });
        }
    }

    /// Gives a job an account, a user and a project; used for new jobs and for those
    /// taken up again after a restart.
    /// `known` are the remarks that the ledger has already.
    pub(super) fn add_job(&mut self, row: JobRow, claim: CpuClaim, known: Vec<String>) -> Slot {
        let slot = self.books.open_account(row.key);
        let meta = Arc::new(JobMeta {
            id: row.spec.id.clone(),
            uid: row.spec.uid,
            name: row.spec.name.clone(),
            user: row.spec.user.clone(),
            project: row.spec.project.clone(),
        });
        let parent = row.spec.parent.as_ref().and_then(|id| self.slot_of(id));
        let user = account_of(&mut self.users, &row.spec.user);
        let project = row.spec.project.as_deref().map(|name| account_of(&mut self.projects, name));
        let notes = claim.notes();
        let (pid, wrapper_pid) = (row.spec.pid, row.spec.wrapper_pid);
        let mut job = Job {
            meta,
            slot,
            parent,
            members: vec![Member { pid, wrapper_pid, ended: false, claim: Some(claim) }],
            phase: Phase::Running,
            replies: Vec::new(),
            cpu_used: 0,
            cpu_delta: 0,
            intensity: self.intensity_at(row.zone.as_deref(), clock::wall()),
            pue_thousandths: row.pue_thousandths.unwrap_or(1_000),
            user,
            project,
            inclusive: Vec::new(),
            before: Vec::new(),
            moved: Vec::new(),
            energy: Default::default(),
            node: Energy::ZERO,
            emissions: Emissions::ZERO,
            embodied: Emissions::ZERO,
            held: Hold::default(),
            held_own: Hold::default(),
            since_power: Vec::new(),
            powers: Vec::new(),
            power: Power::ZERO,
            pieces: Vec::new(),
            piece: None,
            notes: known,
            work: None,
            gone_looks: 0,
            resumed: false,
            ended_between: None,
            row,
        };
        job.resize(self.domains.len());
        if self.jobs.len() <= slot.0 {
            self.jobs.resize_with(slot.0 + 1, || None);
        }
        self.batch.events.push(Event::Job(Box::new(job.row.clone())));
        self.jobs[slot.0] = Some(job);
        self.forget_intensity();
        for note in notes {
            self.note(slot, note);
        }
        slot
    }

    /// Lets a job's claims on GPUs begin at a moment.
    pub(super) fn claim_gpus(&mut self, slot: Slot, claims: &[GpuClaim], at: BootTime) {
        for claim in claims {
            self.claim_at(slot, claim, at);
        }
    }

    /// Lets one claim begin at a moment.
    pub(super) fn claim_at(&mut self, slot: Slot, claim: &GpuClaim, at: BootTime) {
        let slices = if claim.whole > 1 { claim.weight } else { 0 };
        let claimed = Claim { slot, tie: tie(claim.strength), slices };
        self.change_claim(
            claim.gpu,
            Change { at, claim: claimed, begins: true, edge_asked: false },
        );
    }

    fn refresh_users_of(&self, claims: &[GpuClaim]) {
        if let Some(monitor) = &self.monitor {
            for gpu in claims.iter().map(|claim| &self.gpus[claim.gpu]) {
                if let Some(line) = gpu.line {
                    monitor.refresh_users(line, gpu.is_shared());
                }
            }
        }
    }

    /// The GPUs in the order of [`Engine::gpus`].
    pub(super) fn identities(&self) -> Vec<GpuIdentity> {
        self.gpus.iter().map(|gpu| gpu.identity.clone()).collect()
    }

    fn join(&mut self, id: &JobId, pid: i32, wrapper_pid: i32) -> Result<Started, EngineError> {
        let slot = self.slot_of(id).ok_or_else(|| EngineError::UnknownJob(id.clone()))?;
        let job = self.jobs[slot.0].as_mut().filter(|job| !job.ending());
        let job = job.ok_or_else(|| EngineError::UnknownJob(id.clone()))?;
        if job.members.iter().any(|member| member.pid == pid && !member.ended) {
            // Asked again, as the answer did not come in time.
            return Ok(Started { at: job.row.started_at, warnings: Vec::new() });
        }
        let first = job.members.first().and_then(|member| member.claim.as_ref());
        let adopted = match first {
            Some(CpuClaim::Cgroup(cgroup)) => cgroup.adopt_neighbour(pid),
            _ => false,
        };
        let claim = if adopted {
            None
        } else {
            let spec = JobSpec { pid, wrapper_pid, ..job.row.spec.clone() };
            let processes = self.processes.as_mut().ok_or(EngineError::Stopped)?;
            let claim = CpuClaim::start(&self.roots, &spec, processes)
                .map_err(|_| EngineError::NoProcess(pid))?;
            Some(claim)
        };
        job.members.push(Member { pid, wrapper_pid, ended: false, claim });
        Ok(Started { at: job.row.started_at, warnings: Vec::new() })
    }

    /// Adds a remark to a job's record.
    pub(super) fn note(&mut self, slot: Slot, text: String) {
        let Some(job) = self.jobs.get_mut(slot.0).and_then(Option::as_mut) else { return };
        // A sensor that fails in a new way at every tick has said enough.
        if job.notes.len() < MOST_NOTES && !job.notes.contains(&text) {
            self.batch.events.push(Event::Note { job: job.row.key, text: text.clone() });
            job.notes.push(text);
        }
    }

    fn terminate(&mut self, id: &JobId, by: u32) -> Result<(), EngineError> {
        let slot = self.slot_of(id).ok_or_else(|| EngineError::UnknownJob(id.clone()))?;
        // A tree's processes are those of its last reading: a pid may be another's by now.
        self.read_local();
        let Some(job) = self.job(slot) else { return Ok(()) };
        let claims = job.members.iter().filter_map(|member| member.claim.as_ref());
        for pid in claims.filter_map(|claim| claim.pids().ok()).flatten() {
            terminate_for(by, &self.roots.procfs, pid);
        }
        Ok(())
    }

    fn reload(&mut self, settings: Settings) {
        self.settings = settings;
        self.renew_embodied_rates();
        self.forget_intensity();
        for state in &mut self.domains {
            state.meter.set_period(&state.domain, self.settings.period);
        }
        if let Some(monitor) = &self.monitor {
            monitor.set_period(self.settings.period);
        }
    }

    /// The slot of a running job.
    pub(super) fn slot_of(&self, id: &JobId) -> Option<Slot> {
        self.jobs.iter().flatten().find(|job| job.row.spec.id == *id).map(|job| job.slot)
    }
}

/// SIGTERM to a process, where it is the user's: one that runs as somebody else (`sudo`
/// within a job) is not the user's to end. Root ends any.
fn terminate_for(uid: u32, procfs: &Path, pid: i32) {
    let Some(raw) = rustix::process::Pid::from_raw(pid) else { return };
    if uid == 0 || owner(procfs, pid) == Some(uid) {
        // A process that has just ended needs no signal.
        let _ = rustix::process::kill_process(raw, rustix::process::Signal::TERM);
    }
}

/// Whether a process is a job's, or a nested job's.
pub(super) fn holds(job: &Job, pid: i32) -> bool {
    let mut claims = job.members.iter().filter_map(|member| member.claim.as_ref());
    claims.any(|claim| claim.contains(pid))
}

pub(super) fn account_of(accounts: &mut Vec<super::publish::Account>, name: &str) -> usize {
    match accounts.iter().position(|account| &*account.name == name) {
        Some(place) => place,
        None => {
            accounts.push(super::publish::Account::new(name));
            accounts.len() - 1
        }
    }
}
