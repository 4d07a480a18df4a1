// SPDX-License-Identifier: Apache-2.0
//! The version of a form that aimeter writes, and reading records of any version.
//!
//! `aimeter-record/MAJOR` or `aimeter-record/MAJOR.MINOR`; the benchmark record is
//! numbered alike. The minor number rises when a field is added (an older reader ignores
//! it), the major one when a field changes its meaning, its unit or its name. See
//! `docs/record.md`.

use std::fmt;

use serde::Deserialize;

use super::Record;

/// The name and version of the form that [`super::build`] makes.
pub const SCHEMA: &str = "aimeter-record/1";

/// The job's record.
pub const RECORD: Form =
    Form { name: "aimeter-record", current: Version { major: 1, minor: 0 }, what: "record" };

/// A form that aimeter writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// What stands before the slash.
    pub name: &'static str,
    /// The version that this program writes.
    pub current: Version,
    /// What people call it.
    pub what: &'static str,
}

/// A version of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Changes where a field changes its meaning.
    pub major: u32,
    /// Changes where a field is added.
    pub minor: u32,
}

/// Why a record cannot be read by its version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not a record of this form.
    #[error("`{found}` is no {what} schema; expected `{expected}`")]
    NotARecord {
        /// What it calls itself.
        found: String,
        /// The form's [`Form::what`].
        what: &'static str,
        /// The form's own schema.
        expected: String,
    },
    /// Made by a later aimeter whose fields mean something else.
    #[error("the {what} is of version {found}, this aimeter reads up to {known}; update aimeter")]
    TooNew {
        /// The record's.
        found: Version,
        /// Ours.
        known: Version,
        /// The form's [`Form::what`].
        what: &'static str,
    },
    /// Of a form that this aimeter no longer knows.
    #[error("the {what} is of version {found}, this aimeter reads from {}; use an older aimeter", known.major)]
    TooOld {
        /// The record's.
        found: Version,
        /// Ours.
        known: Version,
        /// The form's [`Form::what`].
        what: &'static str,
    },
}

/// Why a text is no record.
#[derive(Debug, thiserror::Error)]
pub enum ReadRecordError {
    /// Its version.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// Its form.
    #[error("not a record: {0}")]
    Form(#[from] serde_json::Error),
}

impl Form {
    /// As the field `schema` of what this program writes.
    pub fn schema(&self) -> String {
        format!("{}/{}", self.name, self.current)
    }

    /// The version that a record's field `schema` names.
    ///
    /// # Errors
    /// [`VersionError::NotARecord`].
    pub fn version(&self, schema: &str) -> Result<Version, VersionError> {
        let parse = || {
            let numbers = schema.strip_prefix(self.name)?.strip_prefix('/')?;
            let (major, minor) = numbers.split_once('.').unwrap_or((numbers, "0"));
            Some(Version { major: number(major)?, minor: number(minor)? })
        };
        parse().ok_or_else(|| VersionError::NotARecord {
            // Anybody's text, which is to be shown on a line.
            found: schema.chars().take(40).collect(),
            what: self.what,
            expected: self.schema(),
        })
    }

    /// The version that a record's field `schema` names, where this program reads it.
    ///
    /// # Errors
    /// [`VersionError`]: it is none of this form, or its major number is another one.
    pub fn readable(&self, schema: &str) -> Result<Version, VersionError> {
        let (found, known, what) = (self.version(schema)?, self.current, self.what);
        match found.major.cmp(&known.major) {
            std::cmp::Ordering::Equal => Ok(found),
            std::cmp::Ordering::Greater => Err(VersionError::TooNew { found, known, what }),
            std::cmp::Ordering::Less => Err(VersionError::TooOld { found, known, what }),
        }
    }
}

/// Digits alone: `+1` is none.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            0 => write!(f, "{}", self.major),
            minor => write!(f, "{}.{minor}", self.major),
        }
    }
}

/// Reads a record of any version that this program understands.
///
/// # Errors
/// [`ReadRecordError`]: no JSON, no record, or of a version that is not understood.
pub fn read(json: &str) -> Result<Record, ReadRecordError> {
    #[derive(Deserialize)]
    struct Head {
        schema: String,
    }
    // The version first: the form of another one may not parse at all.
    let head: Head = serde_json::from_str(json)?;
    RECORD.readable(&head.schema)?;
    Ok(serde_json::from_str(json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_write_is_the_current_version() {
        assert_eq!(RECORD.version(SCHEMA), Ok(RECORD.current));
        assert_eq!(RECORD.schema(), SCHEMA);
    }

    #[test]
    fn minor_versions_read_each_other_and_major_ones_do_not() {
        let ours = Form { current: Version { major: 2, minor: 3 }, ..RECORD };
        for minor in [3, 0, 9] {
            let found = ours.readable(&format!("aimeter-record/2.{minor}"));
            assert_eq!(found, Ok(Version { major: 2, minor }));
        }
        let newer = ours.readable("aimeter-record/3");
        assert!(matches!(newer, Err(VersionError::TooNew { .. })));
        let older = ours.readable("aimeter-record/1.9").unwrap_err();
        assert_eq!(
            older.to_string(),
            "the record is of version 1.9, this aimeter reads from 2; use an older aimeter"
        );
    }

    #[test]
    fn a_text_that_names_no_version_is_no_record() {
        for text in [
            "",
            "aimeter-record",
            "aimeter-record/",
            "aimeter-record/x",
            "other/1",
            "aimeter-record/1.x",
            "aimeter-record/+1",
            "aimeter-records/1",
        ] {
            let error = RECORD.version(text).unwrap_err();
            let expected = format!("`{text}` is no record schema; expected `aimeter-record/1`");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn a_newer_record_is_refused_by_its_version_and_not_by_its_form() {
        let newer = read(r#"{"schema": "aimeter-record/2", "all": "different"}"#).unwrap_err();
        assert_eq!(
            newer.to_string(),
            "the record is of version 2, this aimeter reads up to 1; update aimeter"
        );
        assert!(matches!(read("[]"), Err(ReadRecordError::Form(_))));
    }
}
