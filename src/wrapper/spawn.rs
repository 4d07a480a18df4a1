// SPDX-License-Identifier: Apache-2.0
//! The launch: fork, hold the child before its exec, release it.
//!
//! Until the fork is done the wrapper's signals act as always: one that kills
//! it leaves no command behind, as the held child sees its pipe close and ends.
//! The child keeps the mask and the actions that the wrapper was started with.
//! Nobody waits for the exec: a child that Ctrl-Z stops between fork and exec
//! would else hang the wrapper for good (the race told in nextest's
//! `double_spawn.rs`). A failed exec is read from a pipe when the child has
//! ended; the pipe closes on exec, as does every descriptor of ours.

use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid, getsid};

use super::image::Image;
use super::running::Running;
use super::signals::{Signals, send};
use super::state::State;
use super::{Launch, WrapperError, startup};
use crate::clock;

/// Of clone3(2), Linux 5.7; the crate `libc` has it in a type that it does not fit.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A forked command that waits before its exec. Dropping it ends the child.
#[derive(Debug)]
pub struct Paused {
    /// Empty once the child is released.
    held: Option<Held>,
    pid: Pid,
}

#[derive(Debug)]
struct Held {
    launch: Launch,
    go: PipeWriter,
    failure: PipeReader,
    signals: Signals,
}

/// Forks the command and holds it before its exec; takes this process's signals.
/// Its process is born in `cgroup` where one is given and the kernel takes it,
/// else beside this one.
///
/// Threads must be started after this call and not before: they inherit the
/// blocked signals, and an unblocked thread would be killed by the first one.
/// No child of this process may be waited for elsewhere while the command runs.
///
/// # Errors
///
/// [`WrapperError::Unpassable`], or [`WrapperError::System`] where the system
/// gives no pipe or process. A command that does not exist is told at its end.
pub fn spawn(launch: &Launch, cgroup: Option<BorrowedFd<'_>>) -> Result<Paused, WrapperError> {
    let mut image = Image::new(launch)?;
    let (wait, go) = pipe().map_err(io("pipe"))?;
    let (failure, report) = pipe().map_err(io("pipe"))?;
    // Without it an orphan is reaped by another and its CPU time is not ours
    // to see; the job runs all the same.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));

    // With SIGCHLD ignored the kernel would reap the children itself.
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default action is no handler.
    let child_action = unsafe { sigaction(Signal::SIGCHLD, &default) }
        .map_err(WrapperError::system("sigaction"))?;

    // SAFETY: the child calls only async-signal-safe functions: all memory it
    // needs is allocated above.
    let born = cgroup.and_then(|cgroup| unsafe { fork_into(cgroup) }.ok());
    let born = match born {
        Some(born) => born,
        // SAFETY: as above.
        None => unsafe { fork() }.map_err(WrapperError::system("fork"))?,
    };
    match born {
        ForkResult::Child => {
            let ours = [go.as_raw_fd(), failure.as_raw_fd()];
            run_child(&mut image, &child_action, ours, wait.as_raw_fd(), report.as_raw_fd())
        }
        ForkResult::Parent { child } => {
            let mut paused = Paused { held: None, pid: child };
            let signals = Signals::take().map_err(WrapperError::system("pthread_sigmask"))?;
            paused.held = Some(Held { launch: launch.clone(), go, failure, signals });
            Ok(paused)
        }
    }
}

/// Forks by clone3(2), the child in that cgroup.
///
/// # Safety
///
/// As [`fork`], in a process of one thread. The C library does not know of the
/// child: it may only make async-signal-safe calls until its exec.
unsafe fn fork_into(cgroup: BorrowedFd<'_>) -> Result<ForkResult, Errno> {
    // SAFETY: all zeroes is a valid `clone_args`: nothing is asked for.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = CLONE_INTO_CGROUP;
    arguments.exit_signal = libc::SIGCHLD as u64;
    arguments.cgroup = cgroup.as_raw_fd() as u64;
    let size = size_of::<libc::clone_args>();
    // SAFETY: the arguments are valid and ask for a child with a copy of all memory.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size) } {
        -1 => Err(Errno::last()),
        0 => Ok(ForkResult::Child),
        child => Ok(ForkResult::Parent { child: Pid::from_raw(child as libc::pid_t) }),
    }
}

impl Paused {
    /// The command's pid, which stays the same through the exec.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Lets the command go; its start is the moment just before.
    ///
    /// # Errors
    ///
    /// [`WrapperError::System`] where the child cannot be told.
    pub fn release(mut self) -> Result<Running, WrapperError> {
        let Some(mut held) = self.held.take() else {
            return Err(WrapperError::System { call: "write", errno: Errno::EBADF });
        };
        let started = clock::now();
        match held.go.write_all(&[1]) {
            // Killed while it was held: its end is seen like any other.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
            result => result.map_err(io("write"))?,
        }
        let leads = getsid(None).is_ok_and(|session| session == getpid());
        let Held { launch, failure, signals, .. } = held;
        Ok(Running::new(self.pid(), started, launch, failure, signals, State::new(leads)))
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // Killed and not only let go, since it may stand stopped.
        if self.held.take().is_some() {
            send(libc::SIGKILL, self.pid.as_raw());
            let _ = waitpid(self.pid, None);
        }
    }
}

fn io(call: &'static str) -> impl FnOnce(std::io::Error) -> WrapperError {
    move |error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        WrapperError::System { call, errno }
    }
}

/// The child, from the fork to the exec: only async-signal-safe calls, and no
/// allocation (signal-safety(7)).
fn run_child(
    image: &mut Image,
    child_action: &SigAction,
    of_parent: [i32; 2],
    wait: i32,
    report: i32,
) -> ! {
    // SAFETY: raw system calls on descriptors of our own and, for the standard
    // ones, on those that the runtime opened in place of closed ones; actions
    // set are default, ignored, or what the process was started with.
    unsafe {
        for descriptor in of_parent {
            libc::close(descriptor);
        }
        let pipe = if startup::sigpipe_was_ignored() { libc::SIG_IGN } else { libc::SIG_DFL };
        libc::signal(libc::SIGPIPE, pipe);
        let _ = sigaction(Signal::SIGCHLD, child_action);
        let mut byte = 0u8;
        let told = loop {
            let count = libc::read(wait, (&raw mut byte).cast(), 1);
            if count != -1 || Errno::last() != Errno::EINTR {
                break count == 1;
            }
        };
        if !told {
            libc::_exit(125);
        }
        for descriptor in (0..=2).filter(|descriptor| startup::was_closed(*descriptor)) {
            libc::close(descriptor);
        }
        let errno = image.execute() as i32;
        libc::write(report, (&raw const errno).cast(), size_of::<i32>());
        libc::_exit(127)
    }
}
