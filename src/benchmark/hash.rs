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

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: `printf '%s' '{"a":"é","b":[1,1e-7,0.1]}' | sha256sum`.
    const DIGEST: &str = "sha256:8e2e2774b02b57542eb8ab1bc218ffa0a637242178fa980f0a7554441869a978";

    #[test]
    fn the_hash_is_of_the_canonical_text_without_itself() {
        let texts = [
            r#"{"b": [1.0, 1E-7, 0.1], "a": "\u00e9", "hash": "sha256:0"}"#,
            r#"{"hash":7,"a":"é","b":[1,0.0000001,1e-1]}"#,
            r#"{"a":"é","b":[1,1e-7,0.10]}"#,
        ];
        for text in texts {
            assert_eq!(of(serde_json::from_str(text).unwrap()).unwrap(), DIGEST, "{text}");
        }
        let inside = serde_json::json!({"a": "é", "b": [1, 1e-7, 0.1], "c": {"hash": 1}});
        assert_ne!(of(inside.clone()).unwrap(), DIGEST);
        let other = serde_json::json!({"a": "é", "b": [1, 1e-7, 0.1], "c": {"hash": 2}});
        assert_ne!(of(inside).unwrap(), of(other).unwrap());
    }
}
