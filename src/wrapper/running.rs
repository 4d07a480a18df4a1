// SPDX-License-Identifier: Apache-2.0
//! The wait for the command: signals in, effects out, orphans reaped.
//!
//! One thread, no timer: it sleeps in the kernel until a signal comes, and a
//! SIGCHLD is one of them. The clock is read directly after the call that told
//! of the command's end.

use std::io::{PipeReader, Read};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::unistd::{Pid, getpgid, getpgrp};
use rustix::process::{WaitOptions, WaitStatus};

use super::image::refusal;
use super::signals::{Received, Signals, send, stop_ourselves};
use super::state::{Effect, Event, State};
use super::{Launch, Outcome, Usage, WrapperError};
use crate::clock;
use crate::jobs::Exit;
use crate::units::BootTime;

/// A released command.
///
/// Until this is dropped, signals to this process are held back: keep it while
/// the summary is written, so that a second Ctrl-C does not take the summary.
#[derive(Debug)]
pub struct Running {
    pid: i32,
    started: BootTime,
    launch: Launch,
    failure: PipeReader,
    signals: Signals,
    state: State,
}

/// What waiting for children told.
enum Children {
    /// An event of the command, and when it was seen.
    Command(Event, BootTime),
    /// Nothing more now; some still run.
    SomeRun,
    /// There are none.
    None,
}

impl Running {
    pub(super) const fn new(
        pid: i32,
        started: BootTime,
        launch: Launch,
        failure: PipeReader,
        signals: Signals,
        state: State,
    ) -> Running {
        Running { pid, started, launch, failure, signals, state }
    }

    /// The command's pid.
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// The moment just before the command was released.
    pub const fn started(&self) -> BootTime {
        self.started
    }

    /// Waits until the command has ended, passes signals on, and stops and goes
    /// on with it. What the command left behind is not waited for. `stops` is told before
    /// this process stops (true) and when it goes on (false).
    ///
    /// # Errors
    ///
    /// [`WrapperError::NotFound`] and [`WrapperError::NotExecutable`] where the
    /// command never began; [`WrapperError::System`] where waiting failed.
    pub fn wait(&mut self, stops: &dyn Fn(bool)) -> Result<Outcome, WrapperError> {
        let (exit, ended) = self.end(stops)?;
        if let Some(errno) = self.failed_exec() {
            return Err(refusal(&self.launch, errno));
        }
        let adopted_left = loop {
            match self.next_of_children()? {
                Children::Command(..) => {}
                Children::SomeRun => break true,
                Children::None => break false,
            }
        };
        Ok(Outcome { exit, ended, adopted_left, usage: usage_of_children()? })
    }

    fn end(&mut self, stops: &dyn Fn(bool)) -> Result<(Exit, BootTime), WrapperError> {
        loop {
            // Children first: one may have ended before signals were taken.
            while let Children::Command(event, seen) = self.next_of_children()? {
                if let Some(exit) = self.step(event, stops)? {
                    return Ok((exit, seen));
                }
            }
            let received = self.signals.next().map_err(WrapperError::system("sigtimedwait"))?;
            if received.number != libc::SIGCHLD {
                let child_apart = self.group_of_child() != getpgrp();
                let Received { number, sender } = received;
                self.step(Event::Signal { number, sender, child_apart }, stops)?;
            }
        }
    }

    /// Handles one event; gives the command's exit once it has ended.
    fn step(&mut self, event: Event, stops: &dyn Fn(bool)) -> Result<Option<Exit>, WrapperError> {
        let (state, effect) = self.state.handle(event);
        self.state = state;
        match effect {
            Effect::Nothing => {}
            Effect::ToChild(number) => send(number, self.pid),
            Effect::ToGroupOfChild(number) => send(number, -self.group_of_child().as_raw()),
            Effect::StopOurselves(number) => {
                stops(true);
                let stopped = stop_ourselves(number);
                stops(false);
                stopped.map_err(WrapperError::system("raise"))?;
            }
            Effect::Finish(exit) => return Ok(Some(exit)),
        }
        Ok(None)
    }

    fn group_of_child(&self) -> Pid {
        getpgid(Some(Pid::from_raw(self.pid))).unwrap_or_else(|_| getpgrp())
    }

    /// Reaps adopted orphans until there is news of the command or no news.
    fn next_of_children(&self) -> Result<Children, WrapperError> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED;
        loop {
            let news = rustix::process::wait(options);
            let seen = clock::now();
            match news {
                Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == self.pid => {
                    if let Some(event) = event_of(status) {
                        return Ok(Children::Command(event, seen));
                    }
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return Ok(Children::SomeRun),
                Err(rustix::io::Errno::CHILD) => return Ok(Children::None),
                Err(error) => {
                    let errno = Errno::from_raw(error.raw_os_error());
                    return Err(WrapperError::System { call: "wait4", errno });
                }
            }
        }
    }

    /// Why the exec failed; `None`: it did not, or the child was killed before.
    fn failed_exec(&mut self) -> Option<Errno> {
        let mut bytes = [0; size_of::<i32>()];
        self.failure.read_exact(&mut bytes).ok()?;
        Some(Errno::from_raw(i32::from_ne_bytes(bytes)))
    }
}

fn event_of(status: WaitStatus) -> Option<Event> {
    if let Some(code) = status.exit_status() {
        return Some(Event::ChildEnded(Exit::Code(code)));
    }
    if let Some(number) = status.terminating_signal() {
        return Some(Event::ChildEnded(Exit::Signal(number)));
    }
    if let Some(number) = status.stopping_signal() {
        return Some(Event::ChildStopped(number));
    }
    status.continued().then_some(Event::ChildContinued)
}

fn usage_of_children() -> Result<Usage, WrapperError> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(WrapperError::system("getrusage"))?;
    let duration = |time: TimeVal| {
        Duration::from_secs(u64::try_from(time.tv_sec()).unwrap_or(0))
            + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap_or(0))
    };
    // Linux counts the resident set in KiB (getrusage(2)).
    let peak_resident_bytes = u64::try_from(usage.max_rss()).unwrap_or(0) * 1024;
    let (user, system) = (duration(usage.user_time()), duration(usage.system_time()));
    Ok(Usage { user, system, peak_resident_bytes })
}
