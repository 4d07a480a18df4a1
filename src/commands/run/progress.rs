// SPDX-License-Identifier: Apache-2.0
//! `aimeter run --progress`: the job's figures on the terminal while it runs.
//!
//! A line of our own is drawn only where neither standard output nor standard error, which
//! the job has from us, is a terminal: it then never stands between the job's own lines.
//! Else the figures go into the terminal's title. The job is never kept waiting: a thread
//! reads published figures, and a terminal that takes nothing now misses a line.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::libc;

use crate::commands::complain;
use crate::engine::Handle;
use crate::jobs::JobId;
use crate::server::client::Client;
use crate::server::now::Now;
use crate::top::progress;

/// Time between two lines.
const PERIOD: Duration = Duration::from_secs(1);
/// The width of a line on a terminal that does not tell its own.
const WIDTH: u16 = 80;

/// To the start of the line, and clear it.
const CLEAR: &str = "\r\x1b[K";
/// Keep the title, and give it back (XTWINOPS 22 and 23, xterm's control sequences).
const KEEP_TITLE: &str = "\x1b[22;2t";
const OLD_TITLE: &str = "\x1b[23;2t";

/// Who knows the job's figures.
pub enum Watch {
    /// The daemon, or the rank that meters for all.
    Daemon(Client, JobId),
    /// This process.
    Own(Handle, JobId),
}

impl Watch {
    fn look(&mut self) -> Option<Now> {
        match self {
            // Lost: what was said stands until it is back.
            Watch::Daemon(client, job) => client.now(Some(job)).ok(),
            Watch::Own(engine, job) => Some(Now::of(&engine.snapshot(), None, Some(job))),
        }
    }
}

/// The figures on the terminal; taken away when dropped.
pub struct Progress {
    screen: Arc<Mutex<Screen>>,
    /// Dropped: the thread ends.
    _stop: Sender<()>,
}

impl Progress {
    /// Shows them from now on, where there is a terminal to show them on.
    pub fn start(watch: Watch, quiet: bool) -> Option<Progress> {
        let screen = Arc::new(Mutex::new(Screen::find(quiet)?));
        let (stop, stopped) = channel();
        let shared = Arc::clone(&screen);
        let work = move || show(watch, &shared, &stopped);
        // Without a thread there is nothing to see; the job runs.
        std::thread::Builder::new().name("progress".into()).spawn(work).ok()?;
        Some(Progress { screen, _stop: stop })
    }

    /// The process is about to stop (Ctrl-Z), or goes on.
    pub fn stopping(&self, stops: bool) {
        let mut screen = lock(&self.screen);
        screen.clear();
        screen.held = stops;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stopping(true);
    }
}

fn show(mut watch: Watch, screen: &Mutex<Screen>, stopped: &Receiver<()>) {
    while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        let Some(now) = watch.look() else { continue };
        if let Some(job) = now.jobs.first().filter(|job| job.runs()) {
            let mut screen = lock(screen);
            let width = screen.width();
            screen.draw(&progress(job, &now, width));
        }
    }
}

fn lock(screen: &Mutex<Screen>) -> MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal that this process is controlled by.
struct Screen {
    /// An opening of our own that never waits.
    terminal: File,
    /// Whether the figures go into the title.
    title: bool,
    drawn: bool,
    /// Nothing may be drawn.
    held: bool,
}

impl Screen {
    fn find(quiet: bool) -> Option<Screen> {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let terminal = OpenOptions::new().write(true).custom_flags(flags).open("/dev/tty").ok()?;
        let title = io::stdout().is_terminal() || io::stderr().is_terminal();
        let kind = std::env::var("TERM").unwrap_or_default();
        let said = match (title, kind.as_str()) {
            (_, "" | "dumb") | (true, "linux") => {
                "--progress: this terminal has no place for it beside the job's output"
            }
            (true, _) => "--progress: the job writes to this terminal; see the terminal's title",
            (false, _) => "",
        };
        if !said.is_empty() && !quiet {
            complain(said);
        }
        let none = matches!(kind.as_str(), "" | "dumb") || (title && kind == "linux");
        (!none).then_some(Screen { terminal, title, drawn: false, held: false })
    }

    fn width(&self) -> u16 {
        let size = rustix::termios::tcgetwinsize(&self.terminal);
        size.ok().map(|size| size.ws_col).filter(|width| *width > 0).unwrap_or(WIDTH) - 1
    }

    /// In the background the terminal is another's.
    fn is_ours(&self) -> bool {
        let foreground = rustix::termios::tcgetpgrp(&self.terminal);
        foreground.is_ok_and(|group| group == rustix::process::getpgrp())
    }

    fn draw(&mut self, line: &str) {
        if self.held || !self.is_ours() {
            return;
        }
        match (self.title, self.drawn) {
            (true, false) => self.write(&format!("{KEEP_TITLE}\x1b]2;{line}\x07")),
            (true, true) => self.write(&format!("\x1b]2;{line}\x07")),
            (false, _) => self.write(&format!("\r{line}\x1b[K")),
        }
        self.drawn = true;
    }

    fn clear(&mut self) {
        if self.drawn {
            self.write(if self.title { OLD_TITLE } else { CLEAR });
        }
        self.drawn = false;
    }

    /// What the terminal does not take now is not shown.
    fn write(&mut self, text: &str) {
        let _ = self.terminal.write(text.as_bytes());
    }
}
