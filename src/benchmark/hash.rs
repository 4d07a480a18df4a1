// SPDX-License-Identifier: Apache-2.0
//! The content hash of a benchmark record.
//!
//! SHA-256 over the record's canonical JSON (RFC 8785) without its field `hash`. All
//! fields count, those of a later version too; spaces and the order of fields do not.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::record::BenchmarkRecord;

/// `sha256:` and 64 hexadecimal digits, of a record as it was read.
///
/// # Errors
/// What has no canonical form: a number that is none in JSON.
pub fn of(mut record: Value) -> Result<String, serde_json::Error> {
    if let Some(fields) = record.as_object_mut() {
        fields.remove("hash");
    }
    let canonical = serde_json_canonicalizer::to_vec(&record)?;
    let digest = Sha256::digest(canonical);
    Ok(digest.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}")))
}

/// The record with its hash.
///
/// # Errors
/// As [`of`].
pub fn sealed(mut record: BenchmarkRecord) -> Result<BenchmarkRecord, serde_json::Error> {
    record.hash = of(serde_json::to_value(&record)?)?;
    Ok(record)
}
