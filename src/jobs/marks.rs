// SPDX-License-Identifier: Apache-2.0
//! Marks: what a job says of itself while it runs. A phase begins or ends, units of work
//! are done.
//!
//! A mark is the client's word and becomes a label of metrics: names are short and of few
//! characters, counts are integers of thousandths.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The phase and the unit that take what is beyond the bounds.
pub const OTHER: &str = "other";
/// Characters of a name at most.
const LONGEST: usize = 64;
/// The largest count of one mark.
const MOST: f64 = 1e12;

/// The name of a phase or a unit: `[A-Za-z_][A-Za-z0-9_.:-]{0,63}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MarkName(Arc<str>);

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is no name of a phase or a unit: write 1 to 64 characters of A-Z a-z 0-9 _ . : - \
     that begin with a letter or _",
    .0.chars().take(80).collect::<String>().escape_debug()
)]
pub struct InvalidName(String);

impl MarkName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, to be kept.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The name of what is beyond the bounds.
    pub fn other() -> MarkName {
        MarkName(OTHER.into())
    }
}

impl TryFrom<String> for MarkName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl FromStr for MarkName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let begins = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        let fits = text.len() <= LONGEST
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b));
        if begins && fits { Ok(MarkName(text.into())) } else { Err(InvalidName(text.to_owned())) }
    }
}

impl From<MarkName> for String {
    fn from(name: MarkName) -> String {
        name.0.to_string()
    }
}

impl fmt::Display for MarkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Units of work, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Count(u64);

/// A number that is no count.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is no count: write a number from 0 to 1e12, with at most 3 decimals")]
pub struct InvalidCount(f64);

impl Count {
    /// Of so many thousandths.
    pub const fn from_thousandths(thousandths: u64) -> Count {
        Count(thousandths)
    }

    /// In thousandths.
    pub const fn thousandths(self) -> u64 {
        self.0
    }

    /// The sum, held at the largest value.
    pub const fn saturating_add(self, more: Count) -> Count {
        Count(self.0.saturating_add(more.0))
    }

    /// As a number.
    pub fn units(self) -> f64 {
        self.0 as f64 / 1e3
    }
}

impl TryFrom<f64> for Count {
    type Error = InvalidCount;

    fn try_from(number: f64) -> Result<Count, InvalidCount> {
        // Thousandths up to 2^53 are exact.
        if !(0.0..=MOST).contains(&number) {
            return Err(InvalidCount(number));
        }
        let whole = number.trunc();
        let rest = ((number - whole) * 1e3).round();
        Ok(Count((whole as u64) * 1_000 + rest as u64))
    }
}

/// What a job says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A phase begins; the one before ends.
    Phase(MarkName),
    /// The phase ends.
    End,
    /// So many units more were done.
    Count(MarkName, Count),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["epoch", "_x", "eval:step-1.2", &"a".repeat(64)] {
            assert_eq!(good.parse::<MarkName>().unwrap().as_str(), good);
        }
        for bad in ["", "1st", "-x", "a b", "é", "a\"", &"a".repeat(65)] {
            assert!(bad.parse::<MarkName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn counts_are_exact_to_a_thousandth() {
        let count = |number: f64| Count::try_from(number).map(Count::thousandths);
        assert_eq!(count(0.0), Ok(0));
        assert_eq!(count(4096.0), Ok(4_096_000));
        assert_eq!(count(0.1), Ok(100));
        assert_eq!(count(2.9999), Ok(3_000));
        assert_eq!(count(999_999_999_999.999), Ok(999_999_999_999_999));
        assert_eq!(count(1e12), Ok(1_000_000_000_000_000));
        for bad in [-1.0, f64::NAN, f64::INFINITY, 1.1e12] {
            assert!(count(bad).is_err(), "{bad}");
        }
    }
}
