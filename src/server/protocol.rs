// SPDX-License-Identifier: Apache-2.0
//! What client and daemon say to each other on the Unix socket.
//!
//! One JSON object a line each way; the connection may carry several requests.
//! Who may do what is decided by the peer's credentials (`SO_PEERCRED`), never by
//! what the request claims. The form is internal: client and daemon of one
//! package; a [`VERSION`] that differs is refused with both numbers.

use serde::{Deserialize, Serialize};

use crate::carbon::Known;
use crate::jobs::marks::{Count, Mark, MarkName};
use crate::jobs::{Exit, JobId, JobSpec};
use crate::ledger::JobReport;
use crate::record::Record;
use crate::sensors::{Domain, Missing};
use crate::units::BootTime;

use super::now::Now;

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// The longest request in bytes, its line end included.
pub const MAX_LINE: usize = 1024 * 1024;

/// From the client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// First on every connection.
    Hello {
        /// The client's [`VERSION`].
        version: u32,
    },
    /// A job is about to start: its process waits for our answer before it execs.
    Start(Box<JobSpec>),
    /// One more process of a running job (a rank that was started with the same
    /// `AIMETER_JOB_ID`).
    Join {
        /// The job.
        job: JobId,
        /// The rank's process.
        pid: i32,
        /// The rank's wrapper.
        wrapper_pid: i32,
    },
    /// The job's (or rank's) main process ended.
    End {
        /// The job.
        job: JobId,
        /// The process given at start or join.
        pid: i32,
        /// How.
        exit: Exit,
        /// When, on the boot's clock.
        at: BootTime,
        /// Whether the client waits for the record.
        want_record: bool,
    },
    /// All that is known of a job.
    Show {
        /// The job.
        job: JobId,
    },
    /// End a running job: SIGTERM to all its processes.
    Terminate {
        /// The job.
        job: JobId,
    },
    /// The domains and what is missing.
    Sensors,
    /// What a job says of itself; needs no `Hello`. Unlike the others, its form is kept:
    /// `docs/marks.md`.
    Mark(MarkLine),
    /// What is drawn now and who uses it.
    Now {
        /// Of the jobs only this one; `None`: all.
        job: Option<JobId>,
    },
    /// Let go of the GPUs' driver, so that a GPU can be reset.
    GpuRelease,
    /// Take the GPUs up again.
    GpuReclaim,
}

/// A mark on the wire. Exactly one of `phase`, `end` and `unit` with `add`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarkLine {
    /// The job.
    pub job: JobId,
    /// A phase begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<MarkName>,
    /// The phase ends.
    #[serde(default, skip_serializing_if = "is_false")]
    pub end: bool,
    /// Units were done …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<MarkName>,
    /// … so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub add: Option<f64>,
    /// When it was, on the boot's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<BootTime>,
    /// Whether an answer is wanted.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub answer: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_true(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl MarkLine {
    /// A mark of a job at a moment, with an answer.
    pub fn new(job: JobId, mark: Mark, at: BootTime) -> MarkLine {
        let (phase, unit, add) = (None, None, None);
        let mut line = MarkLine { job, phase, end: false, unit, add, at: Some(at), answer: true };
        match mark {
            Mark::Phase(name) => line.phase = Some(name),
            Mark::End => line.end = true,
            Mark::Count(unit, add) => (line.unit, line.add) = (Some(unit), Some(add.units())),
        }
        line
    }

    /// What it says.
    ///
    /// # Errors
    /// Where it is not exactly one thing, or its count is none.
    pub fn mark(self) -> Result<Mark, String> {
        match (self.phase, self.end, self.unit, self.add) {
            (Some(name), false, None, None) => Ok(Mark::Phase(name)),
            (None, true, None, None) => Ok(Mark::End),
            (None, false, Some(unit), Some(add)) => Count::try_from(add)
                .map(|count| Mark::Count(unit, count))
                .map_err(|error| error.to_string()),
            _ => Err("a mark holds one of `phase`, `end`, and `unit` with `add`".to_owned()),
        }
    }
}

/// From the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To `Hello`.
    Hello {
        /// The daemon's [`VERSION`].
        version: u32,
        /// Its release.
        release: String,
    },
    /// To `Start` and `Join`: metering runs.
    Started {
        /// The job.
        job: JobId,
        /// The moment from which energy is the job's.
        at: BootTime,
        /// What the user should know at once (unknown zone, untrustworthy GPU index).
        warnings: Vec<String>,
    },
    /// To `End` with `want_record`, when the last readings are in.
    Ended(Box<Record>),
    /// To `End` of a rank, or without `want_record`.
    Noted,
    /// To `Show`.
    Job {
        /// Its energy.
        report: Box<JobReport>,
        /// What is known of its grid.
        known: Box<Known>,
    },
    /// To `Sensors`.
    Sensors(SensorList),
    /// To `Mark`.
    Marked(bool),
    /// To `Now`.
    Now(Box<Now>),
    /// Done.
    Done,
    /// Refused or failed.
    Error {
        /// A closed set: `not_permitted`, `unknown_job`, `invalid`, `version`, `busy`, `failed`.
        code: String,
        /// For people.
        message: String,
    },
}

/// Every domain with its state, as `aimeter sensors` lists it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SensorList {
    /// The domains that are read.
    pub domains: Vec<SensorRow>,
    /// What is not, and why.
    pub missing: Vec<Missing>,
}

/// One domain as `aimeter sensors` lists it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SensorRow {
    /// The domain.
    pub domain: Domain,
    /// `ok`, `no_data`, `failed`, `not_permitted`, `lost`, `stalled`, `dead`.
    pub state: String,
    /// How often the value was seen to change, in seconds; `None`: not seen yet.
    pub observed_update_seconds: Option<f64>,
    /// The time in which the counter wraps at the device's largest power, in seconds.
    pub wrap_seconds: Option<f64>,
    /// Power over the last tick, in watts.
    pub power_watts: Option<f64>,
    /// Reads that failed since the daemon started.
    pub read_errors: u64,
}
