// SPDX-License-Identifier: Apache-2.0
//! The wrapper's signals: blocked while the command runs, and taken one by one.
//!
//! A blocked signal is queued even where its action is to be ignored
//! (`sig_ignored` in Linux's `kernel/signal.c`), so SIGCHLD, SIGCONT, SIGWINCH
//! and what `nohup` ignores all arrive here. No handler ever runs.

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};

use super::state::Sender;

/// Not taken: faults of our own code, and limits that the kernel holds against
/// the wrapper and not the command. They keep their actions.
const NOT_TAKEN: [Signal; 8] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGTRAP,
    Signal::SIGSYS,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
];

/// A signal that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// Its number.
    pub(super) number: i32,
    /// Who sent it.
    pub(super) sender: Sender,
}

/// The signals of this process, blocked in the calling thread and in those that
/// it starts from now on. Dropping it forgets what is pending and unblocks.
#[derive(Debug)]
pub(super) struct Signals {
    taken: SigSet,
    original: SigSet,
}

impl Signals {
    /// Blocks them.
    pub(super) fn take() -> Result<Signals, Errno> {
        let mut taken = SigSet::all();
        for signal in NOT_TAKEN {
            taken.remove(signal);
        }
        let original = taken.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Signals { taken, original })
    }

    /// Waits for the next one.
    pub(super) fn next(&self) -> Result<Received, Errno> {
        loop {
            match self.receive(None) {
                Err(Errno::EINTR) => {}
                result => return result,
            }
        }
    }

    /// Takes one; with `limit` at most that long, then `EAGAIN`.
    fn receive(&self, limit: Option<libc::timespec>) -> Result<Received, Errno> {
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: all zeroes is a valid `siginfo_t` to be written to.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set and the limit are alive, or the limit is null: for ever.
        let result = unsafe { libc::sigtimedwait(self.taken.as_ref(), &mut info, limit) };
        let number = Errno::result(result)?;
        // SAFETY: the kernel filled it. Where the signal was no process's, the
        // field holds something else and is not used.
        let pid = unsafe { info.si_pid() };
        Ok(Received { number, sender: sender(info.si_code, pid) })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        while self.receive(Some(at_once)).is_ok() {}
        // It fails only for a wrong argument.
        let _ = self.original.thread_set_mask();
    }
}

/// Stops this process by a stop signal, as its default action does: where the
/// process group is orphaned nothing happens, as no shell could continue it.
/// Returns when the process is continued.
pub(super) fn stop_ourselves(number: i32) -> Result<(), Errno> {
    let signal = Signal::try_from(number)?;
    // A stop signal would wipe out a SIGCONT that has come since (signal(7)),
    // and nobody would send another.
    if pending()?.contains(Signal::SIGCONT) {
        return Ok(());
    }
    let only = SigSet::from(signal);
    raise(signal)?;
    if signal == Signal::SIGSTOP {
        return Ok(());
    }
    let blocked = only.thread_swap_mask(SigmaskHow::SIG_UNBLOCK)?;
    blocked.thread_set_mask()
}

/// Sends a signal, real-time ones too; one to a process that has gone is no error.
pub(super) fn send(number: i32, target: i32) {
    // SAFETY: takes no pointer. The command was not reaped yet, so its pid and
    // its group are still its own.
    unsafe { libc::kill(target, number) };
}

fn pending() -> Result<SigSet, Errno> {
    let mut set = SigSet::empty().as_ref().to_owned();
    // SAFETY: the set is a valid place to write to.
    Errno::result(unsafe { libc::sigpending(&mut set) })?;
    // SAFETY: the kernel filled it, from an initialised set.
    Ok(unsafe { SigSet::from_sigset_t_unchecked(set) })
}

fn sender(code: i32, pid: i32) -> Sender {
    if code > 0 {
        Sender::Kernel
    } else if pid == own_pid() {
        Sender::Ourselves
    } else if descends_from_us(pid) {
        Sender::Job
    } else {
        Sender::Other
    }
}

/// Whether a living process is below this one. The wrapper is a subreaper, so
/// that the line of parents of whatever the command started leads here.
fn descends_from_us(pid: i32) -> bool {
    // A parent can end while we climb, so the climb is bounded.
    let mut pid = pid;
    for _ in 0..1000 {
        match parent(pid) {
            Some(parent) if parent == own_pid() => return true,
            Some(parent) if parent > 1 => pid = parent,
            _ => return false,
        }
    }
    false
}

/// The parent by `/proc/PID/stat`, whose second field, the name in brackets,
/// may hold anything (proc(5)).
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sent_a_signal_is_told_from_code_and_pid() {
        let parent = nix::unistd::getppid().as_raw();
        assert_eq!(sender(libc::SI_KERNEL, 0), Sender::Kernel);
        assert_eq!(sender(libc::SI_USER, own_pid()), Sender::Ourselves);
        assert_eq!(sender(libc::SI_USER, parent), Sender::Other);
        // A sender outside our pid namespace shows as 0 (sigaction(2)).
        assert_eq!(sender(libc::SI_USER, 0), Sender::Other);
    }

    #[test]
    fn a_grandchild_descends_from_us() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sh -c 'echo $$; read line'; true"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        let grandchild = line.trim().parse().unwrap();
        assert_eq!(sender(libc::SI_USER, grandchild), Sender::Job);
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
