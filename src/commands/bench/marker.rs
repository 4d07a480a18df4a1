// SPDX-License-Identifier: Apache-2.0
//! Units counted on behalf of a job, summed up and sent a few times a second.
//!
//! The work comes first: nothing here fails, and a meter that is not there is tried again
//! only after a while. What could not be sent waits and goes with the next; what was sent
//! and not answered may have been taken, and is not sent twice.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock;
use crate::commands::mark::MARK_SOCKET;
use crate::jobs::JobId;
use crate::jobs::marks::{Count, Mark, MarkName};
use crate::server::client::{self, ClientError};
use crate::server::protocol::MarkLine;
use crate::units::BootTime;

/// At least so much time between two marks.
const INTERVAL: Duration = Duration::from_millis(250);
/// So long a meter is left alone that is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts of one job.
#[derive(Debug)]
pub(super) struct Marker {
    /// `None`: this is no job, or nobody meters it.
    to: Option<(JobId, PathBuf)>,
    waiting: Vec<(MarkName, Count)>,
    next: BootTime,
}

impl Marker {
    /// For the job that this process is in.
    pub(super) fn of_job() -> Marker {
        let variable = |name| std::env::var(name).ok().filter(|text: &String| !text.is_empty());
        let job = variable("AIMETER_JOB_ID").and_then(|text| text.parse().ok());
        let to = job.zip(variable(MARK_SOCKET).map(PathBuf::from));
        Marker { to, waiting: Vec::new(), next: clock::now() }
    }

    /// Counts so many more; sends where it is time.
    pub(super) fn add(&mut self, unit: &MarkName, count: Count) {
        if self.to.is_none() || count == Count::default() {
            return;
        }
        match self.waiting.iter_mut().find(|(name, _)| name == unit) {
            Some((_, sum)) => *sum = sum.saturating_add(count),
            None => self.waiting.push((unit.clone(), count)),
        }
        if clock::now() >= self.next {
            self.flush();
        }
    }

    /// Sends all that waits.
    pub(super) fn flush(&mut self) {
        let Some((job, socket)) = &self.to else { return };
        let now = clock::now();
        let send = |unit: &MarkName, count: Count| {
            let mark = Mark::Count(unit.clone(), count);
            let sent = client::mark(socket, MarkLine::new(job.clone(), mark, now));
            !matches!(sent, Err(ClientError::Unreachable { .. }))
        };
        self.waiting.retain(|(unit, count)| !send(unit, *count));
        let wait = if self.waiting.is_empty() { INTERVAL } else { PATIENCE };
        self.next = now.plus(wait);
    }
}
