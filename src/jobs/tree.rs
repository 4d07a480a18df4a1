// SPDX-License-Identifier: Apache-2.0
//! A job's process tree: its CPU time where no cgroup can be made.
//!
//! CPU time = Σ over the living of (own + reaped children's), the wrapper's own
//! left out, minus the same sum at the start. The wrapper is a child subreaper
//! (`PR_SET_CHILD_SUBREAPER`) and reaps everything, so a dead process's time
//! moves into an ancestor's `cutime` + `cstime`; a zombie still shows its own.
//! Figures are `/proc/PID/stat`'s (proc_pid_stat(5)), in ticks of 1/`CLK_TCK` s,
//! each of four fields rounded down. `/proc/PID/schedstat` is finer and not
//! used: it covers one thread, and no reaped child. The result never falls, and
//! no process's time is ever in it twice (see [`TreeClaim::used_ticks`]).

use serde::{Deserialize, Serialize};

use super::processes::{Process, ProcessTable, TableError};

/// How often one reading looks again because processes ended while it looked.
const ATTEMPTS: u32 = 4;

/// Why a process tree cannot be metered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The job's process has ended before it was looked at.
    #[error("process {0} is gone; a job has to be registered before its command starts")]
    Gone(i32),
    /// The processes could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// A process of the job, as last seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    pid: i32,
    start: u64,
    /// Its own ticks; 0 for the wrapper, which is no part of the job.
    own: u64,
    reaped: u64,
    running: bool,
    /// Its place in the order of reads of the scan that found it.
    #[serde(skip)]
    order: u64,
}

/// The tree of one job: all below the wrapper, and, once the wrapper is gone,
/// all that was known then and what descends from it. Serialisable, so that it
/// can be followed further by a daemon that comes back within the same boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TreeClaim {
    /// Its pid and start; `None`: it was gone before the job began.
    wrapper: Option<(i32, u64)>,
    /// Ancestors before their descendants; the wrapper first while it lives.
    members: Vec<Member>,
    /// Ticks of the wrapper's tree before the job.
    base: u64,
    /// Ticks of processes that ended and passed their time on to none of ours.
    retained: u64,
    /// The most that was ever said.
    said: u64,
    /// Whether a process ended whose time nobody of ours got.
    orphaned: bool,
    #[serde(skip)]
    found: Vec<Member>,
}

impl TreeClaim {
    /// Starts following the tree of `pid` under `wrapper`, counting from now.
    /// Scans all processes. To be called before the job forks.
    ///
    /// # Errors
    /// [`TreeError::Gone`] where `pid` has ended.
    pub fn start(table: &mut ProcessTable, wrapper: i32, pid: i32) -> Result<Self, TreeError> {
        table.scan_all()?;
        let wrapper = table.get(wrapper).map(|process| (process.pid, process.start));
        let known = |pid| table.get(pid).map(|process| Member::of(process, wrapper));
        let root = known(pid).ok_or(TreeError::Gone(pid))?;
        let first = wrapper.and_then(|(wrapper, _)| known(wrapper));
        let members = first.into_iter().chain([root]).collect();
        let mut tree = TreeClaim {
            wrapper,
            members,
            base: 0,
            retained: 0,
            said: 0,
            orphaned: false,
            found: Vec::new(),
        };
        tree.settle(table)?;
        tree.base = tree.sum();
        Ok(tree)
    }

    /// The job's CPU time in ticks, from the table's last scan. Never falls.
    ///
    /// Exact but for the rounding of each process's four fields, because a tree
    /// is read ancestors first: time that moves up while we read is then missed,
    /// never doubled. What is missed is seen by comparing: the ticks of members
    /// that ended must show as growth of their ancestors' reaped time. If they
    /// do not, the processes are scanned again; if they still do not, nobody
    /// reaped them (SIGCHLD ignored, or the wrapper is gone), and the ticks last
    /// seen are retained.
    ///
    /// # Errors
    /// Where the processes cannot be read: not the end of the job.
    pub fn used_ticks(&mut self, table: &mut ProcessTable) -> Result<u64, TableError> {
        self.settle(table)?;
        self.said = self.said.max((self.sum() + self.retained).saturating_sub(self.base));
        Ok(self.said)
    }

    /// Whether a process of the job lived at the last reading; zombies do not count.
    pub fn alive(&self) -> bool {
        self.job_members().any(|member| member.running)
    }

    /// The job's processes at the last reading, zombies included.
    pub fn pids(&self) -> impl Iterator<Item = i32> + '_ {
        self.job_members().map(|member| member.pid)
    }

    /// Whether a process was the job's at the last reading.
    pub fn contains(&self, pid: i32) -> bool {
        self.pids().any(|member| member == pid)
    }

    /// What this way of metering may have missed, for people.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "CPU time is from the process tree, in steps of 10 ms per process: no cgroup could be made"
                .to_owned(),
        ];
        if !self.members.iter().any(|member| member.is(self.wrapper)) {
            notes.push(
                "the wrapper has ended before the job: processes that left the tree between two readings are not counted"
                    .to_owned(),
            );
        }
        if self.orphaned {
            notes.push(
                "processes ended that nobody waited for: their CPU time after the last reading is not counted"
                    .to_owned(),
            );
        }
        notes
    }

    fn job_members(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.is(self.wrapper))
    }

    fn sum(&self) -> u64 {
        self.members.iter().map(|member| member.own + member.reaped).sum()
    }

    /// Brings `members` up to date. Where processes end faster than we look,
    /// they stay as they were and the next reading catches up.
    fn settle(&mut self, table: &mut ProcessTable) -> Result<(), TableError> {
        let mut ended_before = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                table.scan()?;
            }
            let mark = table.next_mark();
            self.find(table, mark)?;
            let change = self.change(table, mark);
            let missing = change.ended_ticks.saturating_sub(change.reaped_ticks);
            // Those that had ended before this scan began have been reaped before
            // it, so that their ancestors' figures of this scan are final.
            if missing == 0 || ended_before == Some(change.ended) {
                self.retained += missing;
                self.orphaned |= missing > 0;
                std::mem::swap(&mut self.members, &mut self.found);
                return Ok(());
            }
            ended_before = Some(change.ended);
        }
        Ok(())
    }

    /// Collects the living into `found`: below the wrapper, then below each
    /// member that is no longer below it.
    fn find(&mut self, table: &mut ProcessTable, mark: u64) -> Result<(), TableError> {
        self.found.clear();
        for member in &self.members {
            let Some(index) = table.find(member.pid) else { continue };
            let process = table.process(index);
            if process.start != member.start || process.mark == mark {
                continue;
            }
            let mut next = self.found.len();
            // What is not below the first may have been a moment ago, and have
            // been reaped into what is found already: it is read again.
            let order = if next == 0 { 0 } else { u64::MAX };
            if let Some(process) = table.claim(index, order, mark)? {
                self.found.push(Member::of(&process, self.wrapper));
            }
            while let Some(parent) = self.found.get(next).copied() {
                for family in table.children(parent.pid) {
                    let index = table.child(family);
                    if table.process(index).mark == mark {
                        continue;
                    }
                    if let Some(process) = table.claim(index, parent.order, mark)? {
                        self.found.push(Member::of(&process, self.wrapper));
                    }
                }
                next += 1;
            }
        }
        Ok(())
    }

    /// What became of `members` since they were last seen.
    fn change(&self, table: &ProcessTable, mark: u64) -> Change {
        let mut change = Change::default();
        for member in &self.members {
            let process = table.get(member.pid);
            match process.filter(|p| p.mark == mark && p.start == member.start) {
                Some(process) => {
                    change.reaped_ticks += process.reaped.saturating_sub(member.reaped);
                }
                None => {
                    change.ended += 1;
                    change.ended_ticks += member.own + member.reaped;
                }
            }
        }
        change
    }
}

/// The members that ended, what they had, and what the others reaped.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    ended: usize,
    ended_ticks: u64,
    reaped_ticks: u64,
}

impl Member {
    fn of(process: &Process, wrapper: Option<(i32, u64)>) -> Member {
        let is_wrapper = wrapper == Some((process.pid, process.start));
        Member {
            pid: process.pid,
            start: process.start,
            own: if is_wrapper { 0 } else { process.own },
            reaped: process.reaped,
            running: process.running,
            order: process.order,
        }
    }

    fn is(&self, wrapper: Option<(i32, u64)>) -> bool {
        wrapper == Some((self.pid, self.start))
    }
}

#[cfg(test)]
mod tests;
