// SPDX-License-Identifier: Apache-2.0
//! A time in which the ledger cannot be written: when to try again, and what the
//! log says of it.
//!
//! An outage is one line when it begins, one every few minutes while it lasts, and
//! one when it is over, each with counts; never a line a try.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::ErrorCode;

use super::apply::Refused;
use super::pending::Dropped;
use crate::clock;
use crate::units::BootTime;

/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Failures are said at most once in this time.
const SAY_AGAIN: Duration = Duration::from_secs(300);

/// The present outage, if any, and what was said of it and of earlier ones.
#[derive(Debug)]
pub struct Outages {
    path: PathBuf,
    present: Outage,
    /// When a failure was last said.
    failure_said: Option<BootTime>,
    /// When a refused row was last said.
    refusal_said: Option<BootTime>,
}

/// A time in which writing fails.
#[derive(Debug, Default)]
struct Outage {
    failures: u64,
    pause: Duration,
    next_try: BootTime,
    said: bool,
    dropped: Dropped,
}

impl Outages {
    /// Of the ledger at a path, which works so far.
    pub fn new(path: &Path) -> Self {
        let present = Outage::default();
        Outages { path: path.to_owned(), present, failure_said: None, refusal_said: None }
    }

    /// How long to wait before the next try; zero in good times.
    pub fn pause(&self) -> Duration {
        self.present.next_try.since(clock::now())
    }

    /// A write failed; so much waits, so much was given up since the last good one.
    pub fn failed(&mut self, cause: &rusqlite::Error, waiting: u64, dropped: Dropped) {
        let present = &mut self.present;
        present.failures += 1;
        present.pause = (present.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        present.next_try = clock::now().plus(present.pause);
        let first_loss = present.dropped == Dropped::default() && dropped != present.dropped;
        present.dropped = dropped;
        if due(&mut self.failure_said) || first_loss {
            present.said = true;
            self.say(cause, waiting);
        }
    }

    /// A write went well.
    pub fn over(&mut self, dropped: Dropped) {
        let outage = std::mem::take(&mut self.present);
        if outage.said || dropped != Dropped::default() {
            tracing::info!(
                failures = outage.failures,
                dropped_lines = dropped.lines,
                dropped_energy = %dropped.energy,
                dropped_events = dropped.events,
                "the ledger is written again"
            );
        }
    }

    /// Rows were refused by the schema, for good.
    pub fn refused(&mut self, refused: &Refused) {
        if let Some(cause) = &refused.first
            && due(&mut self.refusal_said)
        {
            tracing::error!(rows = refused.rows, %cause, "the ledger refused rows: they are lost");
        }
    }

    /// One line for the log: what happened, what it means, what to do.
    fn say(&self, cause: &rusqlite::Error, waiting: u64) {
        let what = match cause.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => {
                "the disk of the ledger is full: metering goes on in memory; \
                 free space and all is saved"
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another process holds the ledger: metering goes on in memory until it lets go"
            }
            _ => "the ledger cannot be written: metering goes on in memory, trying again",
        };
        let dropped = self.present.dropped;
        tracing::error!(
            path = %self.path.display(),
            %cause,
            failures = self.present.failures,
            waiting_lines = waiting,
            dropped_lines = dropped.lines,
            dropped_energy = %dropped.energy,
            dropped_events = dropped.events,
            "{what}"
        );
    }
}

/// Whether something may be said again; then notes that it was.
fn due(said: &mut Option<BootTime>) -> bool {
    let now = clock::now();
    let due = said.is_none_or(|said| now.since(said) >= SAY_AGAIN);
    if due {
        *said = Some(now);
    }
    due
}
