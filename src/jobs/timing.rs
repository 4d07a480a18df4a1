// SPDX-License-Identifier: Apache-2.0
//! Why a job began when it did: what `aimeter run --when` chose, and by which figures.
//!
//! Kept with the job for its record. It is what was expected; what came of it is
//! derived later, from facts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::units::Intensity;

/// The choice of a job's start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// By what the start was chosen.
    pub policy: Policy,
    /// When the user asked, UTC.
    pub asked_at: Timestamp,
    /// How long it then waited, on a clock that nobody sets.
    pub waited_milliseconds: u64,
    /// The start of the chosen window, UTC.
    pub window_from: Timestamp,
    /// Its end.
    pub window_to: Timestamp,
    /// Mean over a window as long that begins when the user asked, as then forecast.
    pub expected_at_once: Intensity,
    /// Mean over the chosen window, as forecast.
    pub expected_window: Intensity,
    /// The zone of the forecast.
    pub zone: String,
    /// `average` or `marginal`.
    pub signal: String,
    /// `direct` or `lifecycle`.
    pub boundary: String,
    /// Whose forecast.
    pub source: String,
    /// When the forecast of the chosen window was fetched.
    pub fetched_at: Timestamp,
}

/// How a start is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// The window with the least mean carbon intensity.
    Greenest,
}

impl Policy {
    /// The word in records and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Policy::Greenest => "greenest",
        }
    }
}
