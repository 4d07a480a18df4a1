// SPDX-License-Identifier: Apache-2.0
//! The report of a window, from `bench window` to `bench run`.

use serde::{Deserialize, Serialize};

use crate::jobs::Exit;

/// What was done in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowReport {
    /// RFC 3339, UTC: before the first run.
    pub started_at: String,
    /// RFC 3339, UTC: after the last.
    pub ended_at: String,
    /// From the first run's start to the last one's end.
    pub seconds: f64,
    /// Whole runs: those that ended with 0, or were ended at their quality.
    pub runs: u64,
    /// Seconds of the shortest of them; null: there is none.
    pub shortest_run_seconds: Option<f64>,
    /// Seconds of the longest of them.
    pub longest_run_seconds: Option<f64>,
    /// The name of the unit.
    pub unit: Option<String>,
    /// Units of the whole runs; null: the command marks them by itself.
    pub units: Option<f64>,
    /// Where the unit is a quality.
    pub quality: Option<QualityReport>,
    /// Why no further run was begun.
    pub ended_by: EndedBy,
    /// How the last run ended.
    pub exit: ExitReport,
    /// The signal that interrupted it; null: none did.
    pub interrupted_by: Option<i32>,
    /// What else is to be known.
    pub notes: Vec<String>,
}

/// A quality in a window's runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QualityReport {
    /// Its name.
    pub metric: String,
    /// Seconds from a run's start to its reach, of each run that reached it.
    pub reached_seconds: Vec<f64>,
    /// Whole runs that did not.
    pub missed: u64,
    /// The metric as it was told last; null: never.
    pub last: Option<f64>,
}

/// Why no further run was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndedBy {
    /// The least time has passed.
    Time,
    /// A run failed.
    Failure,
    /// A signal asked for it.
    Interrupt,
}

/// How a run ended; exactly one of the two is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitReport {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
}

impl ExitReport {
    /// Of an exit.
    pub const fn of(exit: Exit) -> ExitReport {
        match exit {
            Exit::Code(code) => ExitReport { code: Some(code), signal: None },
            Exit::Signal(signal) => ExitReport { code: None, signal: Some(signal) },
            Exit::Unknown => ExitReport { code: None, signal: None },
        }
    }
}
