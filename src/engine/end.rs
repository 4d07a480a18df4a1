// SPDX-License-Identifier: Apache-2.0
//! The end of a job: with its last process, also when its wrapper was killed.
//!
//! An end is complete when the readings of its moment are in; a GPU that does not
//! answer delays nobody past [`END_WAIT`], and one that is known not to answer
//! delays nobody at all.

use std::time::Duration;

use crate::attribution::phases::OUTSIDE;
use crate::clock;
use crate::jobs::cpu::CpuClaim;
use crate::jobs::{Exit, JobId, JobState};
use crate::ledger::Event;
use crate::ledger::books::Slot;
use crate::units::{BootTime, Energy};

use super::core::Engine;
use super::gpus::{Change, Claim};
use super::job::{Job, Phase, ReportReply};
use super::snapshot::SensorState;

/// How long an end waits for GPU readings: several counter steps of 0.1 s.
const END_WAIT: Duration = Duration::from_millis(400);
/// Looks, one a second at most, until which a wrapper has to report an end that was
/// seen without it.
const GONE_LOOKS: u32 = 2;

/// How a process tree is read until it holds still: so many times the same, at most so
/// many times in all, with this pause between.
const STILL_READS: u32 = 4;
const SETTLING_READS: u32 = 15;
const SETTLING_PAUSE: Duration = Duration::from_millis(2);

impl Engine {
    /// A main process ended; with the last one, and the last of what they started, the
    /// job does.
    pub(super) fn end(
        &mut self,
        id: &JobId,
        pid: i32,
        exit: Exit,
        at: BootTime,
        reply: Option<ReportReply>,
    ) {
        let Some(slot) = self.slot_of(id) else {
            if let Some(reply) = reply {
                let _ = reply.send(self.show(id));
            }
            return;
        };
        self.read_local();
        let Some(job) = self.job_mut(slot) else { return };
        job.replies.extend(reply);
        let mut last = false;
        for member in job.members.iter_mut().filter(|member| member.pid == pid) {
            last |= !std::mem::replace(&mut member.ended, true);
        }
        if last && job.members.iter().all(|member| member.ended) {
            self.settle_tree(slot);
        }
        let Some(job) = self.job_mut(slot) else { return };
        // Several ranks: a failure is the job's, whoever reports last.
        if !matches!(job.row.exit, Some(Exit::Code(1..) | Exit::Signal(_))) {
            job.row.exit = Some(exit);
        }
        if job.ending() {
            // Told twice, or seen before it was told: once is enough.
            return;
        }
        if job.members.iter().any(|member| !member.ended) || has_processes(job) {
            // The job goes on without this member; whoever asked gets what is known.
            let replies = std::mem::take(&mut job.replies);
            self.answer(slot, replies);
            return;
        }
        // The moment is the client's word: it lies within the job's life.
        let at = at.max(job.row.started_at).min(clock::now());
        self.begin_end(slot, at);
    }

    /// A job followed by its process tree may be forking away from its main process
    /// at this very moment. As long as its wrapper waits for our answer, what was
    /// forked can still be found below it, so the tree is read until it holds still:
    /// a rare case, and a bounded wait.
    fn settle_tree(&mut self, slot: Slot) {
        let mut last = self.tree_of(slot);
        let mut still = 0;
        for _ in 0..SETTLING_READS {
            if last.is_empty() || still == STILL_READS {
                return;
            }
            std::thread::sleep(SETTLING_PAUSE);
            self.read_local();
            let tree = self.tree_of(slot);
            still = if tree == last { still + 1 } else { 0 };
            last = tree;
        }
    }

    /// The processes of a job that is followed by its tree, zombies included; none
    /// where cgroups tell.
    fn tree_of(&self, slot: Slot) -> Vec<i32> {
        let claims = self.job(slot).into_iter().flat_map(|job| &job.members);
        let mut tree: Vec<i32> = claims
            .filter_map(|member| member.claim.as_ref())
            .filter(|claim| claim.needs_processes())
            .filter_map(|claim| claim.pids().ok())
            .flatten()
            .collect();
        tree.sort_unstable();
        tree
    }

    /// The job's last process has ended: asks for the readings of that moment.
    pub(super) fn begin_end(&mut self, slot: Slot, at: BootTime) {
        let claimed: Vec<(usize, Claim)> =
            (0..self.gpus.len()).filter_map(|gpu| Some((gpu, self.claim_on(gpu, slot)?))).collect();
        let totals: Vec<Option<(Energy, Option<BootTime>)>> = self
            .domains
            .iter()
            .map(|domain| domain.split_by_cpu().then_some((domain.total, domain.last_read)))
            .collect();
        self.book_local_uncertainty(slot);
        self.tell_unread_and_dead(slot, at);
        let deadline = clock::now().plus(END_WAIT);
        let Some(job) = self.job_mut(slot) else { return };
        let waiting: Vec<usize> = claimed.iter().map(|(gpu, _)| *gpu).collect();
        job.phase = Phase::Ending { waiting, deadline };
        if let Some(work) = &mut job.work {
            work.change(at, OUTSIDE);
        }
        job.row.exit.get_or_insert(Exit::Unknown);
        job.row.ended = Some(clock::wall_at(at));
        job.row.duration = Some(at.since(job.row.started_at));
        for (place, total) in totals.into_iter().enumerate() {
            if let (Some(before), Some((total, read))) = (job.before[place], total) {
                let moved = total.saturating_sub(before);
                job.moved[place] = Some(until(moved, job.row.started_at, at, read));
            }
        }
        if claimed.is_empty() {
            return self.finish(slot);
        }
        for (gpu, claim) in claimed {
            self.change_claim(gpu, Change { at, claim, begins: false, edge_asked: false });
            if !self.answers(gpu) {
                self.settle_unread(gpu);
            }
        }
    }

    /// Whether a GPU can be expected to be read soon.
    fn answers(&self, gpu: usize) -> bool {
        let gpu = &self.gpus[gpu];
        let state = self.domains[gpu.place].state;
        gpu.line.is_some() && !matches!(state, SensorState::Stalled | SensorState::Lost)
    }

    /// Ends the waiting of all jobs for a GPU that is not read.
    pub(super) fn settle_unread(&mut self, gpu: usize) {
        for slot in (1..self.jobs.len()).map(Slot) {
            let waits = self.job(slot).is_some_and(
                |job| matches!(&job.phase, Phase::Ending { waiting, .. } if waiting.contains(&gpu)),
            );
            if waits {
                self.give_up(slot, gpu);
            }
        }
    }

    fn give_up(&mut self, slot: Slot, gpu: usize) {
        let place = self.gpus[gpu].place;
        let job = self.job(slot);
        let ended = job.and_then(|job| Some(job.row.started_at.plus(job.row.duration?)));
        self.tell_unread(slot, place, ended.unwrap_or_else(clock::now));
        self.drop_claims(gpu, slot);
        self.gpu_settled(slot, gpu);
    }

    /// A job's claim on a GPU, made already or still to be made.
    pub(super) fn claim_on(&self, gpu: usize, slot: Slot) -> Option<Claim> {
        let gpu = &self.gpus[gpu];
        let pending = gpu.changes.iter().filter(|change| change.begins).map(|c| c.claim);
        gpu.claims.iter().copied().chain(pending).find(|claim| claim.slot == slot)
    }

    /// A GPU's reading of a job's end is in.
    pub(super) fn gpu_settled(&mut self, slot: Slot, gpu: usize) {
        let Some(job) = self.job_mut(slot) else { return };
        if let Phase::Ending { waiting, .. } = &mut job.phase {
            waiting.retain(|other| *other != gpu);
            if waiting.is_empty() {
                self.finish(slot);
            }
        }
    }

    /// Ends the waiting for GPUs that do not answer.
    pub(super) fn end_overdue(&mut self, now: BootTime) {
        for slot in 1..self.jobs.len() {
            let Some(Phase::Ending { waiting, deadline }) =
                self.jobs[slot].as_ref().map(|job| &job.phase)
            else {
                continue;
            };
            if now < *deadline {
                continue;
            }
            for gpu in waiting.clone() {
                self.give_up(Slot(slot), gpu);
            }
        }
    }

    fn drop_claims(&mut self, gpu: usize, slot: Slot) {
        let gpu = &mut self.gpus[gpu];
        gpu.claims.retain(|claim| claim.slot != slot);
        gpu.changes.retain(|change| change.claim.slot != slot);
        gpu.users.retain(|(owner, _)| *owner != Some(slot));
    }

    /// The earliest deadline of an ending job.
    pub(super) fn deadline(&self) -> Option<BootTime> {
        let deadline = |job: &Job| match job.phase {
            Phase::Ending { deadline, .. } => Some(deadline),
            Phase::Running => None,
        };
        self.jobs.iter().flatten().filter_map(deadline).min()
    }

    /// Everything of the job is booked: closes it, tells the ledger, answers.
    fn finish(&mut self, slot: Slot) {
        let Some(job) = self.job_mut(slot) else { return };
        if job.row.state == JobState::Running {
            job.row.state = JobState::Finished;
        }
        let replies = std::mem::take(&mut job.replies);
        self.books.drain(&mut self.batch.bookings);
        self.books.close_interval(slot);
        self.close_piece(slot);
        self.answer(slot, replies);
        self.tell_held_by(slot);
        self.tell_work(slot, None);
        self.tell_end(slot);
        for gpu in 0..self.gpus.len() {
            self.drop_claims(gpu, slot);
        }
        self.books.close_account(slot);
        let Some(mut job) = self.jobs[slot.0].take() else { return };
        self.forget_intensity();
        for orphan in self.jobs.iter_mut().flatten().filter(|other| other.parent == Some(slot)) {
            orphan.parent = job.parent;
        }
        for domain in &mut self.domains {
            if let Some(pending) = domain.pending.jobs.get_mut(slot.0) {
                *pending = Default::default();
            }
        }
        for member in &mut job.members {
            if let Some(CpuClaim::Cgroup(cgroup)) = &member.claim
                && let Err(error) = cgroup.remove()
            {
                tracing::debug!(job = %job.row.spec.id, %error, "left the job's cgroup");
            }
        }
        self.keep_finished(job);
        self.unsaid_end = true;
    }

    /// Tells the ledger and the exporters of jobs that ended. Never from within an
    /// end: a delta may be booked by half then, and the counter's mark, which is
    /// past it all, must not get to the ledger before the rest.
    pub(super) fn tell_ends(&mut self) {
        if std::mem::take(&mut self.unsaid_end) {
            self.submit(clock::now());
            self.publish();
        }
    }

    fn tell_end(&mut self, slot: Slot) {
        let Some(job) = self.jobs[slot.0].as_ref() else { return };
        let key = job.row.key;
        self.batch.events.push(Event::Job(Box::new(job.row.clone())));
        for (place, moved) in job.moved.iter().enumerate() {
            if let Some(moved) = *moved {
                let domain = self.domains[place].key;
                self.batch.events.push(Event::Share { job: key, domain, moved });
            }
        }
    }

    /// Finds jobs whose last process ended without their wrapper saying so: it was
    /// killed. A wrapper that lives gets time to report.
    pub(super) fn find_ended(&mut self, now: BootTime) {
        for slot in 1..self.jobs.len() {
            let Some(job) = self.jobs[slot].as_mut() else { continue };
            if job.ending() || has_processes(job) {
                job.gone_looks = 0;
                continue;
            }
            job.gone_looks += 1;
            let reporting =
                job.members.iter().any(|member| !member.ended && exists(member.wrapper_pid));
            if reporting && job.gone_looks <= GONE_LOOKS {
                continue;
            }
            let all_reported = job.members.iter().all(|member| member.ended);
            let (at, how) = match job.ended_between {
                // Within half of that time, whenever it was: so the energy's
                // uncertainty, where it is cut by time, is all of the smaller part.
                Some((from, to)) => (
                    from.plus(to.since(from) / 2),
                    "the job ended while the daemon was away and its wrapper could not say when: \
                     its exit code is not known, its end is taken in the middle of that time",
                ),
                None => (
                    now,
                    "the wrapper was gone when the job ended: its exit code is not known, \
                     its end is known to the second",
                ),
            };
            if !all_reported {
                self.note(Slot(slot), how.to_owned());
            }
            self.begin_end(Slot(slot), at);
        }
    }
}

/// What a domain moved until a job's end, where it was read a little later than that: of
/// what it moved until the reading, by its mean power.
fn until(moved: Energy, from: BootTime, end: BootTime, read: Option<BootTime>) -> Energy {
    match read.filter(|read| *read > end && end > from) {
        Some(read) => {
            let part = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            moved.portion(part(end.since(from)), part(read.since(from)))
        }
        None => moved,
    }
}

/// Whether any process of the job lives; where that cannot be read, it does.
fn has_processes(job: &Job) -> bool {
    job.members
        .iter()
        .filter_map(|member| member.claim.as_ref())
        .any(|claim| claim.alive().unwrap_or(true))
}

fn exists(pid: i32) -> bool {
    rustix::process::Pid::from_raw(pid)
        .is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_after_the_end_is_cut_off_at_the_mean_power() {
        let at = |milliseconds: u64| BootTime::from_nanoseconds(milliseconds * 1_000_000);
        let moved = Energy::from_microjoules(110);
        let cut = |read| until(moved, at(1_000), at(2_000), read).microjoules();
        assert_eq!(cut(Some(at(2_100))), 100);
        assert_eq!(cut(Some(at(2_000))), 110);
        assert_eq!(cut(Some(at(1_900))), 110);
        assert_eq!(cut(None), 110);
    }
}
