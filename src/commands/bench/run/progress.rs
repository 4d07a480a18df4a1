// SPDX-License-Identifier: Apache-2.0
//! What people see of a campaign while it runs, on standard error: on a terminal one line
//! that is drawn anew, else a line for each part that begins or ends.

use std::io::{self, IsTerminal, Write};

use crate::record::text;

/// To the start of the line, and clear it.
const CLEAR: &str = "\r\x1b[K";
const WIDTH: usize = 80;

/// The place for it.
pub struct Progress {
    terminal: bool,
    quiet: bool,
    drawn: bool,
}

impl Progress {
    /// On standard error; `quiet`: nothing is said.
    pub fn new(quiet: bool) -> Progress {
        let dumb = std::env::var("TERM").is_ok_and(|kind| kind == "dumb");
        Progress { terminal: io::stderr().is_terminal() && !dumb, quiet, drawn: false }
    }

    /// A line that stays.
    pub fn say(&mut self, line: &str) {
        if !self.quiet {
            self.clear();
            // A closed standard error is nobody's failure.
            let _ = writeln!(io::stderr(), "bench: {}", text::line(line));
        }
    }

    /// How far it is; drawn over what was drawn before.
    pub fn draw(&mut self, line: &str) {
        if self.quiet || !self.terminal {
            return;
        }
        let width = rustix::termios::tcgetwinsize(io::stderr())
            .ok()
            .map_or(WIDTH, |size| usize::from(size.ws_col.max(2)));
        let short: String = text::line(line).chars().take(width - 1).collect();
        let _ = write!(io::stderr(), "\r{short}\x1b[K");
        self.drawn = true;
    }

    /// Takes away what was drawn.
    pub fn clear(&mut self) {
        if self.drawn {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
        self.drawn = false;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
