// SPDX-License-Identifier: Apache-2.0
//! Benchmark records as they come from a file: taken only where their content hash and
//! their arithmetic hold. Nothing that a record derives for itself is believed: what
//! stands in [`Checked::derived`] was computed here.

use serde_json::Value;

use super::derive::{derive, summed_up};
use super::hash;
use super::record::{BenchmarkRecord, Derived};
use super::statistics::{Summary, Unusable};

const NAME: &str = "aimeter-benchmark/";

/// Relative difference up to which two computations of a figure are the same one.
const SAME: f64 = 1e-9;

/// A record whose hash and arithmetic hold.
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

/// Why a text is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Something else than a benchmark record.
    #[error("not a benchmark record")]
    Foreign,
    /// Of a later form.
    #[error("it is of version {0}, this aimeter reads version 1; update aimeter")]
    Version(String),
    /// A field is missing or of another type.
    #[error("not in the form of a benchmark record: {0}")]
    Form(serde_json::Error),
    /// The hash is of something else.
    #[error("its content is not that of its hash")]
    Hash,
    /// The measured parts cannot be computed with.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// A figure does not follow from the parts.
    #[error("`{0}` does not follow from the measured parts")]
    Arithmetic(String),
}

/// Reads a record.
///
/// # Errors
/// [`Refused`].
pub fn read(file: &str, text: &str) -> Result<Checked, Refused> {
    let value: Value = serde_json::from_str(text).map_err(|_| Refused::Foreign)?;
    let schema = value.get("schema").and_then(Value::as_str);
    let version = schema.and_then(|schema| schema.strip_prefix(NAME)).ok_or(Refused::Foreign)?;
    if version.split('.').next() != Some("1") {
        return Err(Refused::Version(version.chars().take(16).collect()));
    }
    let record: BenchmarkRecord = serde_json::from_str(text).map_err(Refused::Form)?;
    if hash::of(value).ok().as_ref() != Some(&record.hash) {
        return Err(Refused::Hash);
    }
    let derived = derive(&record)?;
    let summary = summed_up(&record)?;
    sums(&record)?;
    let found = serde_json::to_value(&record.derived).map_err(Refused::Form)?;
    let expected = serde_json::to_value(&derived).map_err(Refused::Form)?;
    if let Some(place) = different("derived", &found, &expected) {
        return Err(Refused::Arithmetic(place));
    }
    Ok(Checked { file: file.to_owned(), record, derived, summary })
}

/// Whether each repetition's joules are those of its summed domains.
fn sums(record: &BenchmarkRecord) -> Result<(), Refused> {
    for (index, one) in record.repetitions.iter().enumerate() {
        let sum: f64 =
            one.domains.iter().filter(|domain| domain.summed).map(|domain| domain.joules).sum();
        if !close(sum, one.joules) {
            return Err(Refused::Arithmetic(format!("repetitions[{index}].joules")));
        }
    }
    Ok(())
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= SAME * one.abs().max(other.abs())
}

/// The first place where two values are not the same.
fn different(place: &str, found: &Value, expected: &Value) -> Option<String> {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            expected.iter().find_map(|(key, expected)| {
                let found = found.get(key).unwrap_or(&Value::Null);
                different(&format!("{place}.{key}"), found, expected)
            })
        }
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            let pairs = found.iter().zip(expected).enumerate();
            pairs.into_iter().find_map(|(index, (found, expected))| {
                different(&format!("{place}[{index}]"), found, expected)
            })
        }
        (Value::Number(one), Value::Number(other)) => {
            let numbers = one.as_f64().zip(other.as_f64());
            (!numbers.is_some_and(|(one, other)| close(one, other))).then(|| place.to_owned())
        }
        (found, expected) => (found != expected).then(|| place.to_owned()),
    }
}
