// SPDX-License-Identifier: Apache-2.0
//! Ending as the command ended.
//!
//! A shell tells a command that exited with 130 from one that died of SIGINT
//! (only the second stops its script), so the wrapper dies of the same signal.

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};

use crate::jobs::Exit;

/// Ends this process with the exit code, or kills it by the signal.
///
/// Where the signal does not kill it (the first process of a container is
/// spared its signals), it exits with 128 plus the signal's number, the code
/// that shells give. [`Exit::Unknown`] exits with 1.
pub fn exit_like(exit: Exit) -> ! {
    match exit {
        Exit::Code(code) => std::process::exit(code),
        Exit::Signal(number) => {
            die_of(number);
            std::process::exit(128 + number)
        }
        Exit::Unknown => std::process::exit(1),
    }
}

fn die_of(number: i32) {
    // A core of the wrapper would hide the command's own. The limit alone does
    // not stop a handler in core_pattern (core(5)); a process that is not
    // dumpable has none. Where either fails, dying matters more.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    // SAFETY: the default action is no handler, the set is a valid place that
    // is initialised before its use, and a wrong number makes each call fail.
    unsafe {
        libc::signal(number, libc::SIG_DFL);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, number);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
        libc::raise(number);
    }
}
