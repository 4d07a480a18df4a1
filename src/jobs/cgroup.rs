// SPDX-License-Identifier: Apache-2.0
//! A job's own cgroup v2: the CPU time that loses nothing.
//!
//! The cgroup is made INSIDE the one that the process is in, so that nothing is
//! ever moved out of its session, Slurm job or container. Membership is inherited
//! by fork and cannot be left without rights; nested jobs nest. The process is best
//! born in it ([`Cradle`]), else moved. `cpu.stat` needs
//! no controller and keeps counting the dead (Linux
//! `Documentation/admin-guide/cgroup-v2.rst`). Where the kernel refuses, the
//! error says so and the caller falls back to the process tree: this file never
//! enables a controller and never moves a process that it was not given.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{JobId, leading_number};
use crate::sensors::Roots;

/// Cgroups of one job that are looked into: far more than jobs make.
const MOST_FOLDERS: usize = 4096;

/// Why there is no cgroup for a job, or no answer from it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CgroupError {
    /// No cgroup2 file system is mounted where we can see it.
    #[error("no cgroup2 file system is mounted, says {}", .0.display())]
    NotMounted(PathBuf),
    /// The process is in no cgroup below our mount: it is gone, or outside our namespace.
    #[error("process {0} is in no cgroup v2 that can be seen from here")]
    NoCgroup(i32),
    /// We may not make the cgroup or move the process.
    #[error("not permitted to {action} {}; root may, or the owner of a delegated cgroup", .path.display())]
    NotPermitted {
        /// `make`, `move a process into`, …
        action: &'static str,
        /// The cgroup.
        path: PathBuf,
    },
    /// A cgroup of this job exists and has processes in it.
    #[error("{} exists and is in use", .0.display())]
    Exists(PathBuf),
    /// It was there and is no longer.
    #[error("{} is gone", .0.display())]
    Gone(PathBuf),
    /// The kernel refused (its no-internal-processes rule, a limit, a threaded
    /// cgroup) or the read failed.
    #[error("cannot {action} {}: {errno}", .path.display())]
    Refused {
        /// `make`, `read`, …
        action: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
}

impl CgroupError {
    fn new(action: &'static str, path: &Path, errno: Errno) -> Self {
        let path = path.to_owned();
        match errno {
            Errno::ACCESS | Errno::PERM | Errno::ROFS => CgroupError::NotPermitted { action, path },
            Errno::NODEV | Errno::NOENT => CgroupError::Gone(path),
            errno => CgroupError::Refused { action, path, errno },
        }
    }
}

/// The cgroup of one job. Dropping it closes it and leaves the cgroup in place,
/// so that a daemon that comes back finds it.
#[derive(Debug)]
pub struct JobCgroup {
    path: PathBuf,
    /// As `/proc/PID/cgroup` shows it to us: the key of [`JobCgroup::contains`].
    name: Vec<u8>,
    procfs: PathBuf,
    directory: OwnedFd,
    cpu_stat: OwnedFd,
    events: OwnedFd,
}

impl JobCgroup {
    /// The cgroup that `pid` was born in, where its wrapper made it
    /// ([`Cradle`]); else makes `aimeter-<id>` inside the cgroup of `pid` and
    /// moves `pid` into it. To be called before the process has forked, else
    /// earlier children stay outside. An empty one left by an earlier job of this
    /// id is replaced, so that its CPU time begins at 0.
    ///
    /// # Errors
    /// Each is a reason to meter the process tree instead; nothing is left behind.
    pub fn create(roots: &Roots, pid: i32, id: &JobId) -> Result<Self, CgroupError> {
        let parent = Mount::find(&roots.procfs)?.directory_of_process(roots, pid)?;
        let name = name_of(id);
        if parent.file_name() == Some(OsStr::new(&name)) {
            return Self::open(roots, &parent);
        }
        let path = parent.join(name);
        make(&path)?;
        let joined = Self::open(roots, &path).and_then(|cgroup| {
            cgroup.adopt(pid)?;
            Ok(cgroup)
        });
        if joined.is_err() {
            // Best effort: an empty cgroup costs nothing and is replaced next time.
            let _ = rustix::fs::rmdir(&path);
        }
        joined
    }

    /// Opens the cgroup of a job that was started earlier, by [`JobCgroup::path`].
    ///
    /// # Errors
    /// [`CgroupError::Gone`] where it was removed meanwhile.
    pub fn open(roots: &Roots, path: &Path) -> Result<Self, CgroupError> {
        let refuse = |errno| CgroupError::new("open", path, errno);
        let name = Mount::find(&roots.procfs)?
            .name_of(path)
            .ok_or_else(|| CgroupError::Gone(path.to_owned()))?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(refuse)?;
        let cpu_stat = open_in(&directory, "cpu.stat").map_err(refuse)?;
        let events = open_in(&directory, "cgroup.events").map_err(refuse)?;
        let procfs = roots.procfs.clone();
        Ok(JobCgroup { path: path.to_owned(), name, procfs, directory, cpu_stat, events })
    }

    /// Where it is; kept in the ledger for [`JobCgroup::open`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves one process (all its threads) into the cgroup.
    ///
    /// # Errors
    /// As the kernel refuses it.
    pub fn adopt(&self, pid: i32) -> Result<(), CgroupError> {
        self.write("cgroup.procs", pid.to_string().as_bytes(), "move a process into")
    }

    /// Moves one process into the cgroup where it is in the one around it, so that it
    /// leaves no session, Slurm task or container, whose limits hold it; true as well
    /// where it is in the cgroup already.
    pub fn adopt_neighbour(&self, pid: i32) -> bool {
        let Ok(name) = cgroup_of(&self.procfs, pid) else { return false };
        is_inside(&name, &self.name) || is_around(&name, &self.name) && self.adopt(pid).is_ok()
    }

    /// Microseconds of CPU time of every process that was ever in it or below it.
    /// One system call, no allocation.
    ///
    /// # Errors
    /// [`CgroupError::Gone`] after [`JobCgroup::remove`].
    pub fn used_microseconds(&self) -> Result<u64, CgroupError> {
        self.value(&self.cpu_stat, b"usage_usec ")
    }

    /// Whether a process of the job, or of one nested in it, still lives. A
    /// zombie no longer counts. A cgroup that is gone had none.
    ///
    /// # Errors
    /// Where the kernel's answer cannot be read.
    pub fn alive(&self) -> Result<bool, CgroupError> {
        match self.value(&self.events, b"populated ") {
            Err(CgroupError::Gone(_)) => Ok(false),
            answer => answer.map(|populated| populated != 0),
        }
    }

    /// The processes in it and below it, in no order. May allocate.
    ///
    /// # Errors
    /// Where a list cannot be read.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = Vec::new();
        for path in folders(&self.path) {
            match std::fs::read_to_string(path.join("cgroup.procs")) {
                Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
                Err(error) => {
                    let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
                    match CgroupError::new("read", &path, errno) {
                        // One below it was removed meanwhile.
                        CgroupError::Gone(gone) if gone != self.path => {}
                        error => return Err(error),
                    }
                }
            }
        }
        Ok(pids)
    }

    /// Whether a process is in it or below it. May allocate.
    pub fn contains(&self, pid: i32) -> bool {
        cgroup_of(&self.procfs, pid).is_ok_and(|name| is_inside(&name, &self.name))
    }

    /// Kills every process in it and below it (Linux 5.14).
    ///
    /// # Errors
    /// As the kernel refuses it.
    pub fn kill(&self) -> Result<(), CgroupError> {
        self.write("cgroup.kill", b"1", "kill the processes of")
    }

    /// Removes it and what was made below it, after the job's end.
    ///
    /// # Errors
    /// Harmless: an empty cgroup costs nothing, and the next job of this id replaces it.
    pub fn remove(&self) -> Result<(), CgroupError> {
        for path in folders(&self.path).iter().rev() {
            match rustix::fs::rmdir(path) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(CgroupError::new("remove", path, errno)),
            }
        }
        Ok(())
    }

    fn value(&self, file: &OwnedFd, key: &[u8]) -> Result<u64, CgroupError> {
        let mut text = [0; 512];
        let length = rustix::io::pread(file, &mut text[..], 0)
            .map_err(|errno| CgroupError::new("read", &self.path, errno))?;
        keyed_number(&text[..length], key).ok_or_else(|| CgroupError::Refused {
            action: "understand",
            path: self.path.clone(),
            errno: Errno::BADMSG,
        })
    }

    fn write(&self, file: &str, text: &[u8], action: &'static str) -> Result<(), CgroupError> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.directory, file, flags, Mode::empty())
            .and_then(|file| rustix::io::write(file, text))
            .map(|_| ())
            .map_err(|errno| match errno {
                // Of the process, not of the cgroup.
                Errno::SRCH => CgroupError::Refused { action, path: self.path.clone(), errno },
                errno => CgroupError::new(action, &self.path, errno),
            })
    }
}

/// An empty cgroup for a job whose process is yet to be forked into it
/// (`CLONE_INTO_CGROUP`, clone3(2)).
///
/// To move a process, the kernel first waits until no core is in the middle of a
/// fork: for a grace period of RCU, 4 to 20 ms, by which the job would start
/// later. A process that is born in its cgroup need not be moved. That takes the
/// right to the cgroup around it, which root has, and the owner of a delegated one.
#[derive(Debug)]
pub struct Cradle {
    path: PathBuf,
    directory: OwnedFd,
}

impl Cradle {
    /// Makes `aimeter-<id>` inside the cgroup of this process.
    ///
    /// # Errors
    /// Each is a reason to have the process moved after its birth.
    pub fn make(roots: &Roots, id: &JobId) -> Result<Self, CgroupError> {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let path = Mount::find(&roots.procfs)?.directory_of_process(roots, own)?.join(name_of(id));
        make(&path)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(directory) => Ok(Cradle { path, directory }),
            Err(errno) => Err(CgroupError::new("open", &path, errno)),
        }
    }

    /// Removes it, where nobody meters by it: else it is the meter's to remove.
    pub fn remove(self) {
        // A process that the job left behind keeps it; an empty one costs nothing.
        let _ = rustix::fs::rmdir(&self.path);
    }
}

impl AsFd for Cradle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// A folder and those below it, outer before inner, at most [`MOST_FOLDERS`]. The job
/// makes them, as many and as deep as it likes: no recursion.
fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders = vec![path.to_owned()];
    let mut next = 0;
    while let Some(folder) = folders.get(next) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let inner = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let room = MOST_FOLDERS - folders.len();
        let inner: Vec<PathBuf> = inner.take(room).map(|entry| entry.path()).collect();
        folders.extend(inner);
        next += 1;
    }
    folders
}

/// The folder's name of a job's cgroup.
fn name_of(id: &JobId) -> String {
    format!("aimeter-{id}")
}

fn open_in(directory: &impl AsFd, file: &str) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(directory, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// `mkdir`, replacing an empty cgroup of that name.
fn make(path: &Path) -> Result<(), CgroupError> {
    let mode = Mode::from_raw_mode(0o755);
    let mut made = rustix::fs::mkdir(path, mode);
    if made == Err(Errno::EXIST) {
        rustix::fs::unlinkat(rustix::fs::CWD, path, AtFlags::REMOVEDIR)
            .map_err(|_| CgroupError::Exists(path.to_owned()))?;
        made = rustix::fs::mkdir(path, mode);
    }
    made.map_err(|errno| match errno {
        Errno::EXIST => CgroupError::Exists(path.to_owned()),
        errno => CgroupError::new("make", path, errno),
    })
}

/// The cgroup of a process as its procfs shows it: the `0::` line of
/// `/proc/PID/cgroup` (cgroups(7)).
fn cgroup_of(procfs: &Path, pid: i32) -> Result<Vec<u8>, CgroupError> {
    let text = std::fs::read(procfs.join(pid.to_string()).join("cgroup"))
        .map_err(|_| CgroupError::NoCgroup(pid))?;
    text.split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(b"0::"))
        .filter(|name| !name.ends_with(b" (deleted)"))
        .map(<[u8]>::to_owned)
        .ok_or(CgroupError::NoCgroup(pid))
}

/// Whether `name` is `outer` or below it; `/a-b` is not below `/a`.
fn is_inside(name: &[u8], outer: &[u8]) -> bool {
    name.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || outer.ends_with(b"/"))
}

/// Whether `inner` is right below `name`.
fn is_around(name: &[u8], inner: &[u8]) -> bool {
    let slash = inner.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    name == &inner[..slash.max(1)]
}

/// The number after `key` at the start of a line, as in `cpu.stat` and
/// `cgroup.events`; `None` where there is none.
pub fn keyed_number(text: &[u8], key: &[u8]) -> Option<u64> {
    text.split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(key))
        .and_then(|rest| leading_number(rest))
        .map(|(number, _)| number)
}

/// Where cgroup2 is mounted, and which cgroup is at its root.
#[derive(Debug, PartialEq, Eq)]
pub struct Mount {
    /// The folder where it is mounted.
    pub point: PathBuf,
    /// The name of the cgroup that is seen there.
    pub root: Vec<u8>,
}

impl Mount {
    fn find(procfs: &Path) -> Result<Mount, CgroupError> {
        let file = procfs.join("self/mountinfo");
        std::fs::read(&file)
            .ok()
            .and_then(|text| Mount::parse(&text))
            .ok_or(CgroupError::NotMounted(file))
    }

    /// The widest cgroup2 mount of a mountinfo (proc_pid_mountinfo(5)): the one
    /// with the shortest root, the first of equals.
    pub fn parse(text: &[u8]) -> Option<Mount> {
        text.split(|byte| *byte == b'\n')
            .filter_map(Mount::parse_line)
            .reduce(|best, other| if other.root.len() < best.root.len() { other } else { best })
    }

    fn parse_line(line: &[u8]) -> Option<Mount> {
        let mut fields = line.split(|byte| *byte == b' ');
        let root = unescape(fields.nth(3)?);
        let point = PathBuf::from(OsString::from_vec(unescape(fields.next()?)));
        fields.by_ref().find(|field| *field == b"-")?;
        (fields.next()? == b"cgroup2").then_some(Mount { point, root })
    }

    /// The directory of the cgroup that a process is in.
    fn directory_of_process(&self, roots: &Roots, pid: i32) -> Result<PathBuf, CgroupError> {
        self.directory_of(&cgroup_of(&roots.procfs, pid)?, pid)
    }

    /// The directory of the cgroup called `name`.
    fn directory_of(&self, name: &[u8], pid: i32) -> Result<PathBuf, CgroupError> {
        let below = self.root.strip_suffix(b"/").unwrap_or(&self.root);
        if !is_inside(name, &self.root) || name.starts_with(b"/..") {
            return Err(CgroupError::NoCgroup(pid));
        }
        let rest = &name[below.len()..];
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        Ok(self.point.join(OsStr::from_bytes(rest)))
    }

    /// The name of the cgroup at a directory; `None`: not below this mount.
    fn name_of(&self, directory: &Path) -> Option<Vec<u8>> {
        let rest = directory.strip_prefix(&self.point).ok()?.as_os_str().as_bytes();
        let mut name = self.root.strip_suffix(b"/").unwrap_or(&self.root).to_owned();
        name.push(b'/');
        name.extend_from_slice(rest);
        Some(name)
    }
}

/// Undoes mountinfo's `\040`: a backslash and three octal digits for a byte.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits =
            after.get(..3).filter(|digits| digits.iter().all(|d| (b'0'..b'8').contains(d)));
        match digits.filter(|_| first == b'\\') {
            Some(digits) => {
                let byte =
                    digits.iter().fold(0u32, |byte, digit| byte * 8 + u32::from(digit - b'0'));
                bytes.push((byte & 0xff) as u8);
                rest = &after[3..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroups_of_any_depth_are_listed_on_a_small_stack() {
        let folder = tempfile::tempdir().unwrap();
        let deep = (0..1_500).fold(folder.path().to_owned(), |path, _| path.join("a"));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        let root = folder.path().to_owned();
        // The engine's is as small.
        let thread = std::thread::Builder::new().stack_size(256 * 1024);
        let found = thread.spawn(move || folders(&root)).unwrap().join().unwrap();
        assert_eq!(found.len(), 1_502);
        assert_eq!(found[0], folder.path());
        assert_eq!(found.last(), Some(&deep));
    }

    const HYBRID: &[u8] = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:3 master:2 - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_mount_is_found_by_its_type_and_not_by_its_path() {
        let mount = Mount::parse(HYBRID).unwrap();
        assert_eq!(mount.point, Path::new("/sys/fs/cgroup/unified"));
        assert_eq!(mount.root, b"/");
        assert_eq!(Mount::parse(b"1 2 0:3 / / rw - ext4 /dev/vda rw\n"), None);
        assert_eq!(Mount::parse(b"garbage\n41 31\n- cgroup2"), None);
    }

    #[test]
    fn the_widest_mount_wins_and_escapes_are_undone() {
        let text =
            b"9 1 0:38 /pod /mnt/a\\040b rw - cgroup2 c rw\n8 1 0:38 / /cg rw - cgroup2 c rw\n";
        assert_eq!(Mount::parse(text).unwrap().point, Path::new("/cg"));
        assert_eq!(Mount::parse_line(&text[..40]).unwrap().point, Path::new("/mnt/a b"));
    }

    #[test]
    fn names_and_directories_are_each_others_inverse() {
        for (root, name, directory) in [
            ("/", "/", "/cg"),
            ("/", "/user.slice/a b", "/cg/user.slice/a b"),
            ("/pod", "/pod/x", "/cg/x"),
            ("/pod", "/pod", "/cg"),
        ] {
            let mount = Mount { point: "/cg".into(), root: root.into() };
            assert_eq!(mount.directory_of(name.as_bytes(), 1).unwrap(), Path::new(directory));
        }
        let mount = Mount { point: "/cg".into(), root: "/pod".into() };
        assert_eq!(mount.name_of(Path::new("/cg/x/y")).unwrap(), b"/pod/x/y");
        assert_eq!(mount.name_of(Path::new("/elsewhere")), None);
    }

    #[test]
    fn a_cgroup_outside_the_mount_is_refused() {
        let mount = Mount { point: "/cg".into(), root: "/pod".into() };
        assert_eq!(mount.directory_of(b"/podium/x", 7), Err(CgroupError::NoCgroup(7)));
        let mount = Mount { point: "/cg".into(), root: "/".into() };
        assert_eq!(mount.directory_of(b"/../other", 7), Err(CgroupError::NoCgroup(7)));
    }

    #[test]
    fn a_neighbour_is_in_the_cgroup_right_around() {
        assert!(is_around(b"/a", b"/a/aimeter-1"));
        assert!(is_around(b"/", b"/aimeter-1"));
        assert!(!is_around(b"/a/b", b"/a/aimeter-1"));
        assert!(!is_around(b"/", b"/a/aimeter-1"));
        assert!(!is_around(b"/ab", b"/a/aimeter-1"));
    }

    #[test]
    fn membership_is_by_whole_path_components() {
        assert!(is_inside(b"/a/aimeter-1", b"/a/aimeter-1"));
        assert!(is_inside(b"/a/aimeter-1/x", b"/a/aimeter-1"));
        assert!(!is_inside(b"/a/aimeter-12", b"/a/aimeter-1"));
        assert!(is_inside(b"/a", b"/"));
    }

    #[test]
    fn a_key_is_matched_whole_and_garbage_is_no_number() {
        let text = b"usage_usec 1234\nuser_usec 5\nnr_periods 0\n";
        assert_eq!(keyed_number(text, b"usage_usec "), Some(1234));
        assert_eq!(keyed_number(text, b"usec "), None);
        assert_eq!(keyed_number(b"usage_usec x\n", b"usage_usec "), None);
        assert_eq!(keyed_number(b"usage_usec 99999999999999999999\n", b"usage_usec "), None);
    }

    #[test]
    fn errnos_become_reasons() {
        let path = Path::new("/cg/a");
        let reason = |errno| CgroupError::new("make", path, errno);
        assert!(matches!(reason(Errno::ACCESS), CgroupError::NotPermitted { .. }));
        assert!(matches!(reason(Errno::ROFS), CgroupError::NotPermitted { .. }));
        assert!(matches!(reason(Errno::BUSY), CgroupError::Refused { .. }));
        assert!(matches!(reason(Errno::OPNOTSUPP), CgroupError::Refused { .. }));
        assert_eq!(reason(Errno::NODEV), CgroupError::Gone(path.to_owned()));
    }
}
