// SPDX-License-Identifier: Apache-2.0
//! Benchmark records as they come from a file: taken only where they are valid.
//!
//! Nothing that a record derives for itself is believed: what stands in
//! [`Checked::derived`] was computed here.

use super::derive::{derive, summed_up};
use super::read::{self, ReadError};
use super::record::{BenchmarkRecord, Derived};
use super::statistics::{Summary, Unusable};
use super::validate::{Violation, validate};
use crate::record::VersionError;

/// A valid record.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its file.
    pub file: String,
    /// The record as it was read.
    pub record: BenchmarkRecord,
    /// What follows from its measured parts.
    pub derived: Derived,
    /// The same for the statistics.
    pub summary: Summary,
}

/// Why a file is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Something else than a benchmark record.
    #[error("not a benchmark record")]
    Foreign,
    /// One that cannot be read.
    #[error(transparent)]
    Unreadable(ReadError),
    /// Not valid.
    #[error("not valid: {first}{}", more(*.others))]
    Invalid {
        /// One of its violations.
        first: Box<Violation>,
        /// How many others there are.
        others: usize,
    },
    /// The measured parts cannot be computed with.
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

fn more(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => " (and another violation)".to_owned(),
        others => format!(" (and {others} other violations)"),
    }
}

/// Reads and checks a record.
///
/// # Errors
/// [`Refused`].
pub fn read(file: &str, bytes: &[u8]) -> Result<Checked, Refused> {
    let read = read::read(bytes).map_err(|error| match error {
        ReadError::Json(_)
        | ReadError::NoSchema
        | ReadError::Version(VersionError::NotARecord { .. }) => Refused::Foreign,
        error => Refused::Unreadable(error),
    })?;
    let mut violations = validate(&read).violations.into_iter();
    if let Some(first) = violations.next() {
        return Err(Refused::Invalid { first: Box::new(first), others: violations.len() });
    }
    let record = read.record;
    let derived = derive(&record)?;
    let summary = summed_up(&record)?;
    Ok(Checked { file: file.to_owned(), record, derived, summary })
}
