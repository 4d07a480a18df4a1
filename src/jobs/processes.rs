// SPDX-License-Identifier: Apache-2.0
//! The processes of the machine, read once a tick for all jobs metered by tree.
//!
//! Only `/proc/PID/stat` is read, and after the first scan only that of new
//! processes and of those that a job watches: who is no descendant of a job when
//! first seen never becomes one. A process is known by (pid, start time), never
//! by its pid alone. It never takes a failed read for the end of a process.
//!
//! `/proc/PID/task/TID/children` is not used: it is one file per thread, absent
//! without `CONFIG_PROC_CHILDREN`, and reliable only for stopped processes
//! (proc_tid_children(5)).

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, RawDir, SeekFrom};
use rustix::io::Errno;

use super::leading_number;
use crate::clock;
use crate::sensors::Roots;
use crate::units::BootTime;

/// Every how many scans all processes are read anew. That heals the one case in
/// which a cached process is taken for another: its pid reused within one tick.
const ALL_EVERY: u32 = 64;

/// Room for about a thousand names in one `getdents64`.
const DIRECTORY_BYTES: usize = 32 * 1024;

/// The processes could not be read. That says nothing about whether they live.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The kernel refused, for instance for want of file descriptors.
    #[error("cannot read {}: {errno}", .path.display())]
    Unreadable {
        /// What was read.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A stat file was not as proc_pid_stat(5) says.
    #[error("cannot understand the stat file of process {0}")]
    Malformed(i32),
}

/// One process, as its stat file had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: i32,
    /// Its parent's id; 0: none that we can see.
    pub parent: i32,
    /// Ticks from boot to its start.
    pub start: u64,
    /// Ticks of CPU time of its own (`utime` + `stime`), all threads.
    pub own: u64,
    /// Ticks of CPU time of the descendants reaped by it (`cutime` + `cstime`).
    pub reaped: u64,
    /// Whether it has a live thread (false: a zombie).
    pub running: bool,
    /// When it was read, counted in reads.
    pub(super) order: u64,
    /// Read in every scan because a job has it.
    pub(super) watched: bool,
    /// The last [`ProcessTable::next_mark`] that found it.
    pub(super) mark: u64,
    /// Its parent was there, so that we know for good whose descendant it is.
    settled: bool,
    /// It was found gone after the scan that read it.
    ended: bool,
}

/// All processes, sorted by pid.
#[derive(Debug)]
pub struct ProcessTable {
    procfs: PathBuf,
    directory: OwnedFd,
    entries: Box<[MaybeUninit<u8>]>,
    processes: Vec<Process>,
    previous: Vec<Process>,
    /// (parent, index) of every process read in this scan, sorted.
    families: Vec<(i32, usize)>,
    scans: u32,
    read_all: bool,
    order: u64,
    scan_start: u64,
    mark: u64,
    at: BootTime,
}

impl ProcessTable {
    /// Opens `<procfs>`; reads nothing yet.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn open(roots: &Roots) -> Result<Self, TableError> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&roots.procfs, flags, Mode::empty())
            .map_err(|errno| TableError::Unreadable { path: roots.procfs.clone(), errno })?;
        Ok(ProcessTable {
            procfs: roots.procfs.clone(),
            directory,
            entries: vec![MaybeUninit::uninit(); DIRECTORY_BYTES].into(),
            processes: Vec::new(),
            previous: Vec::new(),
            families: Vec::new(),
            scans: 0,
            read_all: true,
            order: 0,
            scan_start: 0,
            mark: 0,
            at: BootTime::default(),
        })
    }

    /// Looks at the processes anew: once a tick, before the jobs are asked.
    /// Allocates only while the number of processes grows.
    ///
    /// # Errors
    /// The table then still holds the scan before.
    pub fn scan(&mut self) -> Result<(), TableError> {
        let begin = clock::now();
        let all = self.read_all || self.scans.is_multiple_of(ALL_EVERY);
        std::mem::swap(&mut self.processes, &mut self.previous);
        self.scan_start = self.order;
        if let Err(error) = self.fill(all) {
            std::mem::swap(&mut self.processes, &mut self.previous);
            self.read_all = true;
            return Err(error);
        }
        self.scans = self.scans.wrapping_add(1);
        self.read_all = false;
        self.index();
        self.at = begin.plus(clock::now().since(begin) / 2);
        Ok(())
    }

    /// As [`ProcessTable::scan`], reading every process: for a job's start.
    ///
    /// # Errors
    /// As [`ProcessTable::scan`].
    pub fn scan_all(&mut self) -> Result<(), TableError> {
        self.read_all = true;
        self.scan()
    }

    /// The middle of the last scan.
    pub fn at(&self) -> BootTime {
        self.at
    }

    /// The process with this id, as of its last read.
    pub fn get(&self, pid: i32) -> Option<&Process> {
        self.find(pid).map(|index| &self.processes[index]).filter(|process| !process.ended)
    }

    pub(super) fn find(&self, pid: i32) -> Option<usize> {
        self.processes.binary_search_by_key(&pid, |process| process.pid).ok()
    }

    pub(super) fn process(&self, index: usize) -> &Process {
        &self.processes[index]
    }

    /// A number that no process is marked with yet.
    pub(super) fn next_mark(&mut self) -> u64 {
        self.mark += 1;
        self.mark
    }

    /// Marks a process, has it read in every scan from now on, and gives it as
    /// read later than `order`: read again if need be, `None` if it has ended.
    pub(super) fn claim(
        &mut self,
        index: usize,
        order: u64,
        mark: u64,
    ) -> Result<Option<Process>, TableError> {
        let known = self.processes[index];
        if known.ended {
            return Ok(None);
        }
        let mut process = known;
        if known.order <= order.max(self.scan_start) {
            match self.read(known.pid)? {
                Some(fresh) if fresh.start == known.start => process = fresh,
                // It ended after the scan, and its children, read before that,
                // still name it as their parent: have all read next time.
                _ => {
                    self.read_all = true;
                    self.processes[index].ended = true;
                    return Ok(None);
                }
            }
        }
        process.watched = true;
        process.mark = mark;
        process.settled = known.settled;
        self.processes[index] = process;
        Ok(Some(process))
    }

    /// The indices of the children of a process that this scan read.
    pub(super) fn children(&self, parent: i32) -> std::ops::Range<usize> {
        let begin = self.families.partition_point(|family| family.0 < parent);
        let end = self.families.partition_point(|family| family.0 <= parent);
        begin..end
    }

    pub(super) fn child(&self, family: usize) -> usize {
        self.families[family].1
    }

    fn fill(&mut self, all: bool) -> Result<(), TableError> {
        self.processes.clear();
        // Taken out for the time of the walk, which borrows it.
        let mut entries = std::mem::take(&mut self.entries);
        let filled = self.walk(&mut entries, all);
        self.entries = entries;
        filled?;
        if !self.processes.is_sorted_by_key(|process| process.pid) {
            self.processes.sort_unstable_by_key(|process| process.pid);
        }
        Ok(())
    }

    fn walk(&mut self, entries: &mut [MaybeUninit<u8>], all: bool) -> Result<(), TableError> {
        let unreadable =
            |path: &PathBuf, errno| TableError::Unreadable { path: path.clone(), errno };
        // A copy of the descriptor (it shares its position), so that `self` stays free.
        let directory = rustix::io::dup(&self.directory)
            .and_then(|directory| {
                rustix::fs::seek(&directory, SeekFrom::Start(0)).map(|_| directory)
            })
            .map_err(|errno| unreadable(&self.procfs, errno))?;
        let mut walk = RawDir::new(&directory, entries);
        while let Some(entry) = walk.next() {
            let entry = entry.map_err(|errno| unreadable(&self.procfs, errno))?;
            let Some((pid, b"")) = leading_number(entry.file_name().to_bytes()) else { continue };
            let Ok(pid) = i32::try_from(pid) else { continue };
            let earlier = self.previous.binary_search_by_key(&pid, |process| process.pid);
            let earlier = earlier.ok().map(|index| self.previous[index]);
            match earlier {
                Some(known) if !all && !known.watched && known.settled => {
                    self.processes.push(known)
                }
                earlier => {
                    if let Some(mut process) = self.read(pid)? {
                        let same = earlier.filter(|known| known.start == process.start);
                        process.watched = same.is_some_and(|known| known.watched);
                        process.mark = same.map_or(0, |known| known.mark);
                        self.processes.push(process);
                    }
                }
            }
        }
        Ok(())
    }

    fn index(&mut self) {
        self.families.clear();
        for index in 0..self.processes.len() {
            let Process { parent, order, .. } = self.processes[index];
            if order > self.scan_start {
                self.families.push((parent, index));
                let settled = parent == 0 || self.find(parent).is_some();
                self.processes[index].settled = settled;
            }
        }
        self.families.sort_unstable();
    }

    /// Reads one stat file; `None`: there is no such process, or it is hidden from us.
    fn read(&mut self, pid: i32) -> Result<Option<Process>, TableError> {
        let mut text = [0; 1024];
        let mut name = [0; 24];
        match read_stat(&self.directory, stat_name(&mut name, pid), &mut text) {
            Ok(length) => {
                let mut process = parse(pid, &text[..length]).ok_or(TableError::Malformed(pid))?;
                self.order += 1;
                process.order = self.order;
                Ok(Some(process))
            }
            Err(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM) => Ok(None),
            Err(errno) => {
                let path = self.procfs.join(pid.to_string()).join("stat");
                Err(TableError::Unreadable { path, errno })
            }
        }
    }
}

fn read_stat(directory: &OwnedFd, name: &CStr, text: &mut [u8]) -> Result<usize, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    rustix::io::read(&file, text)
}

/// `<pid>/stat`, without an allocation.
fn stat_name(buffer: &mut [u8; 24], pid: i32) -> &CStr {
    use std::io::Write;
    // Ten digits, "/stat" and the final 0 fit in 24 bytes.
    let _ = write!(&mut buffer[..], "{pid}/stat\0");
    CStr::from_bytes_until_nul(buffer).unwrap_or_default()
}

/// Parses `/proc/PID/stat`. The name of the process may hold blanks and brackets,
/// so that the fields are counted from its last bracket. `None`: not such a file.
pub fn parse(pid: i32, text: &[u8]) -> Option<Process> {
    let name_end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = text.get(name_end + 2..)?;
    let mut fields = rest.split(|byte| *byte == b' ');
    // Numbers as in proc_pid_stat(5): (3) state, (4) ppid.
    let state = *fields.next()?.first()?;
    let parent = i32::try_from(number(fields.next())?).ok()?;
    // (14) utime, (15) stime, (16) cutime, (17) cstime.
    let user = number(fields.nth(9))?;
    let system = number(fields.next())?;
    let reaped_user = number(fields.next())?;
    let reaped_system = number(fields.next())?;
    // (20) num_threads, (22) starttime.
    let threads = number(fields.nth(2))?;
    let start = number(fields.nth(1))?;
    Some(Process {
        pid,
        parent,
        start,
        own: user + system,
        reaped: reaped_user + reaped_system,
        // A first thread that ended before the others shows as a zombie, too.
        running: !matches!(state, b'Z' | b'X' | b'x') || threads > 1,
        order: 0,
        watched: false,
        mark: 0,
        settled: false,
        ended: false,
    })
}

/// A field that is a number, at most 2^62 so that sums of two fit.
fn number(field: Option<&[u8]>) -> Option<u64> {
    leading_number(field?).map(|(number, _)| number).filter(|number| *number <= 1 << 62)
}

/// The real user id of a process, from `status` (see proc_pid_status(5)).
///
/// Not the owner of the folder: that is root's for a process that cannot be dumped.
pub fn owner(procfs: &Path, pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(procfs.join(pid.to_string()).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let text = b"42 (a) S 1 (b)) R 7 1 1 0 -1 4194304 9 8 0 0 11 12 13 14 20 0 3 0 555 99 1\n";
        let process = parse(42, text).unwrap();
        assert_eq!((process.parent, process.start), (7, 555));
        assert_eq!((process.own, process.reaped), (23, 27));
        assert!(process.running);
    }

    #[test]
    fn a_zombie_runs_only_while_it_has_other_threads() {
        let stat = |threads| format!("4 (x) Z 7 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 {threads} 0 5 0\n");
        assert!(!parse(4, stat(1).as_bytes()).unwrap().running);
        assert!(parse(4, stat(2).as_bytes()).unwrap().running);
    }

    #[test]
    fn garbage_is_refused() {
        for text in ["", ")", "1 (x)", "1 (x) S", "1 (x) S 1 1", "1 (x) S -1 1 1 1 1 1 1 1 1 1 1 1"]
        {
            assert_eq!(parse(1, text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn the_table_knows_this_process() {
        let mut table = ProcessTable::open(&Roots::default()).unwrap();
        table.scan().unwrap();
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
        let process = *table.get(own).unwrap();
        assert_eq!(process.parent, parent);
        assert!(process.running && process.settled);
        table.scan().unwrap();
        assert_eq!(table.get(own).unwrap().order, process.order, "read twice though unwatched");
    }
}
