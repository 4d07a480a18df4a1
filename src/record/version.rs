// SPDX-License-Identifier: Apache-2.0
//! The version of the record's form, and reading records of any version.
//!
//! `aimeter-record/MAJOR` or `aimeter-record/MAJOR.MINOR`. The minor number rises
//! when a field is added (an older reader ignores it), the major one when a field
//! changes its meaning, its unit or its name. See `docs/record.md`.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::Record;

/// The name and version of the form that [`super::build`] makes.
pub const SCHEMA: &str = "aimeter-record/1";

const NAME: &str = "aimeter-record/";

/// A version of the record's form.
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
    /// Not a record of ours.
    #[error("`{0}` is no record schema; expected `{SCHEMA}`")]
    NotARecord(String),
    /// Made by a later aimeter whose fields mean something else.
    #[error("the record is of version {found}, this aimeter reads up to {known}; update aimeter")]
    TooNew {
        /// The record's.
        found: Version,
        /// Ours.
        known: Version,
    },
    /// Of a form that this aimeter no longer knows.
    #[error("the record is of version {found}, this aimeter reads from {}; use an older aimeter", known.major)]
    TooOld {
        /// The record's.
        found: Version,
        /// Ours.
        known: Version,
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

impl Version {
    /// The version that this program writes.
    pub const CURRENT: Version = Version { major: 1, minor: 0 };

    /// Whether a reader of version `known` understands a record of this version.
    ///
    /// # Errors
    /// [`VersionError::TooNew`] or [`VersionError::TooOld`] where the majors differ.
    pub fn check_readable_by(self, known: Version) -> Result<(), VersionError> {
        match self.major.cmp(&known.major) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Greater => Err(VersionError::TooNew { found: self, known }),
            std::cmp::Ordering::Less => Err(VersionError::TooOld { found: self, known }),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            0 => write!(f, "{}", self.major),
            minor => write!(f, "{}.{minor}", self.major),
        }
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(schema: &str) -> Result<Self, VersionError> {
        let parse = || {
            let numbers = schema.strip_prefix(NAME)?;
            let (major, minor) = numbers.split_once('.').unwrap_or((numbers, "0"));
            Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()? })
        };
        parse().ok_or_else(|| VersionError::NotARecord(schema.to_owned()))
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
    head.schema.parse::<Version>()?.check_readable_by(Version::CURRENT)?;
    Ok(serde_json::from_str(json)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_write_is_the_current_version() {
        assert_eq!(SCHEMA.parse(), Ok(Version::CURRENT));
        assert_eq!(format!("{NAME}{}", Version::CURRENT), SCHEMA);
    }

    #[test]
    fn minor_versions_read_each_other_and_major_ones_do_not() {
        let ours = Version { major: 2, minor: 3 };
        let check = |major, minor| Version { major, minor }.check_readable_by(ours);
        assert_eq!(check(2, 3), Ok(()));
        assert_eq!(check(2, 0), Ok(()));
        assert_eq!(check(2, 9), Ok(()));
        assert!(matches!(check(3, 0), Err(VersionError::TooNew { .. })));
        let older = check(1, 9).unwrap_err();
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
        ] {
            assert_eq!(text.parse::<Version>(), Err(VersionError::NotARecord(text.into())));
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
