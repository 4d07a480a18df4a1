// SPDX-License-Identifier: Apache-2.0
//! CPU time: what a job used, and what the node used and could have used.
//!
//! A job's CPU time is its cgroup's `usage_usec` (exact to the microsecond) or
//! its tree's ticks; the node's is `/proc/stat`'s, in ticks of 1/`CLK_TCK` s
//! (10 ms on every common kernel). Ticks may be charged by sampling, exact
//! figures never are, so that over one interval the jobs' sum may exceed the
//! node's by some ticks: a split has to take the larger one as its whole.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::cgroup::{CgroupError, JobCgroup};
use super::processes::{ProcessTable, TableError};
use super::tree::{TreeClaim, TreeError};
use super::{CpuReading, JobSpec, leading_number};
use crate::clock;
use crate::sensors::Roots;
use crate::units::BootTime;

/// Where `/proc/stat` begins to be read into; it grows if its `cpu` lines do not fit.
const STAT_BYTES: usize = 16 * 1024;

/// Why there is no CPU time to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// From the job's cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// From the job's process tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// From the table of processes.
    #[error(transparent)]
    Table(#[from] TableError),
    /// `/proc/stat` cannot be read.
    #[error("cannot read {}: {errno}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// `/proc/stat` is not as proc_stat(5) says.
    #[error("cannot understand {}", .0.display())]
    Malformed(PathBuf),
}

/// What ties a job to CPU time.
#[derive(Debug)]
pub enum CpuClaim {
    /// Its own cgroup: exact, and loses nothing.
    Cgroup(JobCgroup),
    /// Its process tree, where no cgroup could be made, and why not.
    Tree {
        /// The tree.
        tree: TreeClaim,
        /// Why there is no cgroup.
        reason: String,
    },
}

/// A claim as the ledger keeps it, to be taken up again in the same boot.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SavedClaim {
    /// The path of the cgroup.
    Cgroup(PathBuf),
    /// The tree as it was last seen.
    Tree {
        /// The tree.
        tree: TreeClaim,
        /// Why there is no cgroup.
        reason: String,
    },
}

impl CpuClaim {
    /// Claims the CPU time of a job from now on: by a cgroup where one can be
    /// made, else by its tree. The job's process must not have forked yet.
    ///
    /// # Errors
    /// Where its process has ended or processes cannot be read.
    pub fn start(roots: &Roots, job: &JobSpec, table: &mut ProcessTable) -> Result<Self, CpuError> {
        match JobCgroup::create(roots, job.pid, &job.id) {
            Ok(cgroup) => Ok(CpuClaim::Cgroup(cgroup)),
            Err(why) => {
                let tree = TreeClaim::start(table, job.wrapper_pid, job.pid)?;
                Ok(CpuClaim::Tree { tree, reason: why.to_string() })
            }
        }
    }

    /// Takes a claim up again after the daemon was restarted, within one boot.
    ///
    /// # Errors
    /// [`CgroupError::Gone`] where the cgroup was removed: the job has ended.
    pub fn resume(roots: &Roots, saved: SavedClaim) -> Result<Self, CpuError> {
        Ok(match saved {
            SavedClaim::Cgroup(path) => CpuClaim::Cgroup(JobCgroup::open(roots, &path)?),
            SavedClaim::Tree { tree, reason } => CpuClaim::Tree { tree, reason },
        })
    }

    /// What [`CpuClaim::resume`] needs.
    pub fn saved(&self) -> SavedClaim {
        match self {
            CpuClaim::Cgroup(cgroup) => SavedClaim::Cgroup(cgroup.path().to_owned()),
            CpuClaim::Tree { tree, reason } => {
                SavedClaim::Tree { tree: tree.clone(), reason: reason.clone() }
            }
        }
    }

    /// Whether [`ProcessTable::scan`] has to be called before this claim is read.
    pub fn needs_processes(&self) -> bool {
        matches!(self, CpuClaim::Tree { .. })
    }

    /// The job's CPU time since it began, those of nested jobs included. Never
    /// falls. Allocates nothing in the steady state.
    ///
    /// # Errors
    /// A failed read: a gap, not the end of the job.
    pub fn used(&mut self, table: &mut ProcessTable) -> Result<CpuReading, CpuError> {
        match self {
            CpuClaim::Cgroup(cgroup) => {
                let begin = clock::now();
                let used_microseconds = cgroup.used_microseconds()?;
                Ok(CpuReading { at: middle(begin), used_microseconds })
            }
            CpuClaim::Tree { tree, .. } => {
                let ticks = tree.used_ticks(table)?;
                Ok(CpuReading { at: table.at(), used_microseconds: microseconds(ticks) })
            }
        }
    }

    /// Whether a process of the job lives: for a tree as of the last [`CpuClaim::used`].
    ///
    /// # Errors
    /// Where that cannot be read: to be taken as alive.
    pub fn alive(&self) -> Result<bool, CpuError> {
        match self {
            CpuClaim::Cgroup(cgroup) => Ok(cgroup.alive()?),
            CpuClaim::Tree { tree, .. } => Ok(tree.alive()),
        }
    }

    /// Whether a process is the job's, or a nested job's.
    pub fn contains(&self, pid: i32) -> bool {
        match self {
            CpuClaim::Cgroup(cgroup) => cgroup.contains(pid),
            CpuClaim::Tree { tree, .. } => tree.contains(pid),
        }
    }

    /// The job's processes. May allocate.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub fn pids(&self) -> Result<Vec<i32>, CpuError> {
        match self {
            CpuClaim::Cgroup(cgroup) => Ok(cgroup.pids()?),
            CpuClaim::Tree { tree, .. } => Ok(tree.pids().collect()),
        }
    }

    /// What this claim may miss, for people; empty for a cgroup.
    pub fn notes(&self) -> Vec<String> {
        match self {
            CpuClaim::Cgroup(_) => Vec::new(),
            CpuClaim::Tree { tree, reason } => {
                let mut notes = tree.notes();
                notes.push(format!("no cgroup for the job: {reason}"));
                notes
            }
        }
    }
}

/// The node's cumulative CPU time at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeReading {
    /// When it was read.
    pub at: BootTime,
    /// Microseconds since boot in which a core ran something, all cores:
    /// `user + nice + system + irq + softirq` of proc_stat(5). Left out: `idle`
    /// and `iowait` (nothing ran), `steal` (another guest of the host ran), and
    /// `guest` and `guest_nice`, which `user` and `nice` hold already.
    pub busy_microseconds: u64,
    /// Cores online.
    pub cores: u32,
}

impl NodeReading {
    /// What the cores could have given over a time: `cores × time`, in microseconds.
    pub fn capacity_microseconds(&self, time: Duration) -> u64 {
        u64::try_from(u128::from(self.cores) * time.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Reads the node's CPU time.
#[derive(Debug)]
pub struct NodeCpu {
    path: PathBuf,
    file: OwnedFd,
    text: Vec<u8>,
    /// The most that was said: the kernel's figures may step back a little when
    /// a core goes offline.
    busy: u64,
}

impl NodeCpu {
    /// Opens `<procfs>/stat`.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn open(roots: &Roots) -> Result<Self, CpuError> {
        let path = roots.procfs.join("stat");
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => Ok(NodeCpu { path, file, text: vec![0; STAT_BYTES], busy: 0 }),
            Err(errno) => Err(CpuError::Unreadable { path, errno }),
        }
    }

    /// The node's CPU time now. One system call; allocates nothing but where the
    /// file has outgrown its buffer.
    ///
    /// # Errors
    /// A failed read or a file that is not as documented.
    pub fn read(&mut self) -> Result<NodeReading, CpuError> {
        loop {
            let begin = clock::now();
            let length = rustix::io::pread(&self.file, &mut self.text[..], 0)
                .map_err(|errno| CpuError::Unreadable { path: self.path.clone(), errno })?;
            let at = middle(begin);
            match parse_stat(&self.text[..length]) {
                Some(Stat { busy_ticks, cores, complete })
                    if complete || length < self.text.len() =>
                {
                    self.busy = self.busy.max(microseconds(busy_ticks));
                    return Ok(NodeReading { at, busy_microseconds: self.busy, cores });
                }
                Some(_) => self.text.resize(self.text.len() * 2, 0),
                None => return Err(CpuError::Malformed(self.path.clone())),
            }
        }
    }
}

/// The middle of something that began then and ends now.
fn middle(begin: BootTime) -> BootTime {
    begin.plus(clock::now().since(begin) / 2)
}

/// Ticks of 1/`CLK_TCK` s in microseconds.
fn microseconds(ticks: u64) -> u64 {
    let hertz = u128::from(rustix::param::clock_ticks_per_second().max(1));
    u64::try_from(u128::from(ticks) * 1_000_000 / hertz).unwrap_or(u64::MAX)
}

/// What `/proc/stat` says of the node, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Ticks since boot in which a CPU worked, summed over all.
    pub busy_ticks: u64,
    /// CPUs online.
    pub cores: u32,
    /// A line that is no `cpu` line was seen, so that no core is missing.
    pub complete: bool,
}

/// Parses `/proc/stat` (proc_stat(5)), also one that a buffer has cut. `None`
/// where it does not start with the sum of all CPUs.
pub fn parse_stat(text: &[u8]) -> Option<Stat> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let mut rest = lines.next()?.strip_prefix(b"cpu ")?;
    let mut ticks = [0; 7];
    for slot in &mut ticks {
        (*slot, rest) = leading_number(rest.trim_ascii_start())?;
    }
    let [user, nice, system, _idle, _iowait, irq, softirq] = ticks;
    let busy_ticks = [nice, system, irq, softirq].into_iter().try_fold(user, u64::checked_add)?;
    let mut stat = Stat { busy_ticks, cores: 0, complete: false };
    // A line of less than three bytes is one that was cut.
    for line in lines.filter(|line| line.len() >= 3) {
        if !line.starts_with(b"cpu") {
            stat.complete = true;
            break;
        }
        stat.cores += 1;
    }
    Some(stat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_leaves_out_idle_iowait_steal_and_counts_guests_once() {
        let text =
            b"cpu  100 20 30 4000 500 6 7 80 90 9\ncpu0 1 2 3\ncpu3 1 2 3\nintr 5 6\ncpu9 1\n";
        let stat = parse_stat(text).unwrap();
        assert_eq!(stat, Stat { busy_ticks: 163, cores: 2, complete: true });
    }

    #[test]
    fn a_cut_or_foreign_file_is_said_to_be_so() {
        assert!(!parse_stat(b"cpu  1 2 3 4 5 6 7\ncpu0 1\ncp").unwrap().complete);
        for text in ["", "cpu", "cpu  1 2 3", "cpu0 1 2 3 4 5 6 7", "cpu  a b", "intr 1"] {
            assert_eq!(parse_stat(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_file_larger_than_the_buffer_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut text = "cpu  10 0 0 0 0 0 0 0 0 0\n".to_owned();
        (0..1024).for_each(|core| text += &format!("cpu{core} 1 2 3 4 5 6 7 8 9 10\n"));
        std::fs::write(folder.path().join("stat"), text + "intr 1\n").unwrap();
        let roots = Roots { procfs: folder.path().into(), ..Roots::default() };
        let reading = NodeCpu::open(&roots).unwrap().read().unwrap();
        assert_eq!(reading.cores, 1024);
        assert_eq!(reading.busy_microseconds, microseconds(10));
    }

    #[test]
    fn capacity_is_cores_times_time() {
        let reading = NodeReading { cores: 64, ..NodeReading::default() };
        assert_eq!(reading.capacity_microseconds(Duration::from_millis(1500)), 96_000_000);
    }
}
