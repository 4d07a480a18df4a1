// SPDX-License-Identifier: Apache-2.0
//! The process side of `aimeter run -- COMMAND`; it knows nothing of energy.
//!
//! The command stays in the **wrapper's own process group**, as with `time`.
//! So what the terminal sends (Ctrl-C, Ctrl-Z, hang-up, a new size) reaches the
//! command from the kernel, and the wrapper must not send it again; a signal
//! sent to the wrapper's pid alone is passed on. A group of its own would need
//! the terminal handed over and back, and would take the command away from the
//! shell's job control and from the scheduler's signals to the group.
//!
//! The command is forked and held before its exec ([`Paused`]), so that the
//! caller can tell the daemon its pid, move it to a cgroup and read the
//! counters; then it is released ([`Running`]). The wrapper never delays it after
//! that, never reads its output, and never outlives it by itself.

mod exit;
mod image;
mod running;
mod signals;
mod spawn;
mod startup;
mod state;

use std::ffi::OsString;
use std::time::Duration;

use nix::errno::Errno;

use crate::jobs::Exit;
use crate::units::BootTime;

pub use exit::exit_like;
pub use image::look_for;
pub use running::Running;
pub use spawn::{Paused, spawn};

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The command and its arguments; the command is looked up in `PATH` as by `execvp`.
    pub command: Vec<OsString>,
    /// Variables to add to the wrapper's own environment, or to replace in it.
    pub environment: Vec<(OsString, OsString)>,
}

/// How the command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code, or the signal that killed it; never [`Exit::Unknown`].
    pub exit: Exit,
    /// The moment at which the wrapper saw it.
    pub ended: BootTime,
    /// Whether processes that the command left behind still run. A child that
    /// the wrapper's process had before it was the wrapper counts as one.
    pub adopted_left: bool,
    /// What the command and everything reaped below it used.
    pub usage: Usage,
}

/// The resources of all ended and reaped processes below the wrapper
/// (`getrusage(2)`, `RUSAGE_CHILDREN`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time in user mode.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// The largest resident set of any single one of them, in bytes.
    pub peak_resident_bytes: u64,
}

/// Why a command could not be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapperError {
    /// There is no such command.
    #[error("cannot run `{command}`: command not found")]
    NotFound {
        /// The command as given.
        command: String,
    },
    /// The kernel refused to execute it.
    #[error("cannot run `{command}`: {}", .errno.desc())]
    NotExecutable {
        /// The command as given.
        command: String,
        /// The kernel's reason.
        errno: Errno,
    },
    /// An argument or a variable holds a NUL byte, or a variable's name is
    /// empty or holds `=`: no process can be given such.
    #[error("cannot pass `{0}` to a command: it holds a NUL byte or an `=`, or is empty")]
    Unpassable(String),
    /// A system call of the wrapper itself failed.
    #[error("cannot start a process: {call} failed: {}", .errno.desc())]
    System {
        /// The system call.
        call: &'static str,
        /// The kernel's reason.
        errno: Errno,
    },
}

impl WrapperError {
    /// The exit code that tells of it: 127 not found, 126 not executable, 125
    /// the wrapper's own failure, as with `env`, `nohup` and `timeout`
    /// (GNU coreutils manual, "Exit status").
    pub const fn exit_code(&self) -> i32 {
        match self {
            WrapperError::NotFound { .. } => 127,
            WrapperError::NotExecutable { .. } => 126,
            WrapperError::Unpassable(_) | WrapperError::System { .. } => 125,
        }
    }

    /// For `map_err` on a system call.
    fn system(call: &'static str) -> impl FnOnce(Errno) -> WrapperError {
        move |errno| WrapperError::System { call, errno }
    }
}
