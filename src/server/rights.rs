// SPDX-License-Identifier: Apache-2.0
//! Who may do what, by the peer's credentials as the kernel gives them
//! (`SO_PEERCRED`), never by what a request claims.
//!
//! | | root | a user |
//! | --- | --- | --- |
//! | start, join | any process | own processes, own jobs |
//! | show, end, terminate, mark | any job | own jobs |
//! | sensors, now | yes | yes |
//! | gpu release, reclaim | yes | no |
//!
//! Who may connect at all is decided by the socket file's group and mode.

use std::path::Path;

use super::protocol::Request;
use crate::jobs::processes::owner;

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user id when it connected.
    pub uid: u32,
}

/// A refusal, in words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A process that is somebody else's.
    #[error("process {0} is not yours")]
    Process(i32),
    /// A process that is not there.
    #[error("process {0} does not exist")]
    NoProcess(i32),
    /// A job that is somebody else's.
    #[error("the job is not yours")]
    Job,
    /// Something only root may do.
    #[error("only root may do this")]
    RootOnly,
}

impl Peer {
    /// Whether it is root.
    pub fn is_root(self) -> bool {
        self.uid == 0
    }

    /// Whether it may bring this process into a job.
    ///
    /// # Errors
    /// Where it may not, or where the process is not there.
    pub fn may_meter(self, procfs: &Path, pid: i32) -> Result<(), Denied> {
        match owner(procfs, pid) {
            None => Err(Denied::NoProcess(pid)),
            Some(uid) if uid == self.uid || self.is_root() => Ok(()),
            Some(_) => Err(Denied::Process(pid)),
        }
    }

    /// Whether it may see and end a job of this user.
    ///
    /// # Errors
    /// Where it may not.
    pub fn may_touch_job_of(self, uid: u32) -> Result<(), Denied> {
        if uid == self.uid || self.is_root() { Ok(()) } else { Err(Denied::Job) }
    }

    /// Whether it may make this kind of request at all.
    ///
    /// # Errors
    /// Where only root may.
    pub fn may_ask(self, request: &Request) -> Result<(), Denied> {
        match request {
            Request::GpuRelease | Request::GpuReclaim if !self.is_root() => Err(Denied::RootOnly),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn procfs() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (pid, uid) in [(10, 1_000), (11, 1_001), (12, 0)] {
            let process = folder.path().join(pid.to_string());
            fs::create_dir(&process).unwrap();
            let status = format!("Name:\tx\nUid:\t{uid}\t0\t0\t0\nGid:\t7\t7\t7\t7\n");
            fs::write(process.join("status"), status).unwrap();
        }
        folder
    }

    #[test]
    fn a_user_meters_its_own_processes_and_root_any() {
        let procfs = procfs();
        let check = |uid, pid| Peer { uid }.may_meter(procfs.path(), pid);
        assert_eq!(check(1_000, 10), Ok(()));
        assert_eq!(check(1_000, 11), Err(Denied::Process(11)));
        assert_eq!(check(1_000, 12), Err(Denied::Process(12)));
        assert_eq!(check(1_000, 99), Err(Denied::NoProcess(99)));
        assert_eq!(check(0, 11), Ok(()));
        assert_eq!(check(0, 99), Err(Denied::NoProcess(99)));
    }

    #[test]
    fn our_own_process_is_ours() {
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(owner(Path::new("/proc"), std::process::id() as i32), Some(uid));
    }

    #[test]
    fn a_user_touches_its_own_jobs_and_leaves_the_gpus_alone() {
        let (user, root) = (Peer { uid: 1_000 }, Peer { uid: 0 });
        assert_eq!(user.may_touch_job_of(1_000), Ok(()));
        assert_eq!(user.may_touch_job_of(0), Err(Denied::Job));
        assert_eq!(root.may_touch_job_of(1_000), Ok(()));
        assert_eq!(user.may_ask(&Request::GpuRelease), Err(Denied::RootOnly));
        assert_eq!(user.may_ask(&Request::Sensors), Ok(()));
        assert_eq!(root.may_ask(&Request::GpuReclaim), Ok(()));
    }
}
