// SPDX-License-Identifier: Apache-2.0
//! A command in a terminal of its own: a new session whose controlling terminal
//! is a fresh pty. What it prints is waited for by markers, never by sleeping.

#![allow(dead_code, reason = "each test crate uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "patience and measurement, outside the program")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// After this long a test has failed. Nothing is measured by it.
const LIMIT: Duration = Duration::from_secs(30);

/// A running command and its terminal.
pub struct Pty {
    master: File,
    child: Child,
    unread: String,
}

impl Pty {
    /// Starts the command as the leader of a session with a new terminal.
    pub fn spawn(mut command: Command) -> Pty {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = open(ptsname_r(&master).unwrap().as_str(), flags, Mode::empty()).unwrap();
        let copy = || Stdio::from(slave.try_clone().unwrap());
        command.stdin(copy()).stdout(copy()).stderr(copy());
        let attach = || {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(std::io::stdin())?;
            Ok(())
        };
        // SAFETY: two system calls, nothing that allocates or locks.
        let child = unsafe { command.pre_exec(attach) }.spawn().unwrap();
        let master = File::from(OwnedFd::from(master));
        Pty { master, child, unread: String::new() }
    }

    /// The command's pid.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until this has been printed; returns what came before it.
    #[track_caller]
    pub fn expect(&mut self, marker: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.unread.find(marker) {
                let before = self.unread[..at].to_owned();
                self.unread.drain(..at + marker.len());
                return before;
            }
            let more = self.read_before(deadline);
            assert_ne!(more, "", "`{marker}` did not come; unread: {:?}", self.unread);
            self.unread.push_str(&more);
        }
    }

    /// What has been printed and was not returned yet; waits for something. Empty: nothing
    /// came in time, or nobody holds the terminal open any more.
    pub fn more(&mut self) -> String {
        if self.unread.is_empty() {
            return self.read_before(Instant::now() + LIMIT);
        }
        std::mem::take(&mut self.unread)
    }

    /// Whether the terminal edits lines and shows what is typed, as it does for a shell.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.master).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    fn read_before(&mut self, deadline: Instant) -> String {
        let ready = readable_before(&self.master, deadline);
        let mut bytes = [0; 4096];
        // A terminal that nobody holds open any more reads as an error.
        let count = if ready { self.master.read(&mut bytes).unwrap_or(0) } else { 0 };
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    /// Waits for the end of the current line; returns the line.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.expect("\r\n")
    }

    /// Gives the terminal another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    /// Waits for the command's end.
    #[track_caller]
    pub fn wait(mut self) -> ExitStatus {
        ended(&mut self.child)
    }

    /// Hangs up the terminal, then waits for the command's end.
    #[track_caller]
    pub fn hang_up(self) -> ExitStatus {
        let Pty { master, mut child, .. } = self;
        drop(master);
        ended(&mut child)
    }
}

/// Waits for a child's end; one that does not end in time is killed.
#[track_caller]
pub fn ended(child: &mut Child) -> ExitStatus {
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    if !readable(&handle) {
        child.kill().unwrap();
        panic!("the command did not end");
    }
    child.wait().unwrap()
}

/// Waits until there is something to read, or the end; false: nothing came.
pub fn readable(descriptor: &impl AsFd) -> bool {
    readable_before(descriptor, Instant::now() + LIMIT)
}

fn readable_before(descriptor: &impl AsFd, deadline: Instant) -> bool {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).unwrap();
    let flags = PollFlags::IN | PollFlags::HUP;
    poll(&mut [PollFd::new(descriptor, flags)], Some(&left)).unwrap() > 0
}
