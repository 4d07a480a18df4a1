// SPDX-License-Identifier: Apache-2.0
//! Whether a benchmark record holds together: `docs/benchmark.md`, "Validity".
//!
//! Everything that can be told from the record alone: its form, its hash, every figure
//! that follows from others, its level, its disclosures, and the protocol's rules as far
//! as the parts show them. What nobody can compute again from the parts (a sensor's
//! reading itself) is not checked and listed there. Pure: a record in, violations out.

mod arithmetic;
mod campaign;
mod disclosures;
mod form;
mod intensity;
mod repetitions;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::hash;
use super::read::Read;
use super::record::Level;

/// What is checked, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Fields, their types and their words.
    Form,
    /// The content hash.
    Hash,
    /// Figures that follow from others.
    Arithmetic,
    /// Figures that can be.
    Plausible,
    /// The quality level.
    Level,
    /// What must be told.
    Disclosure,
    /// The protocol's rules and their exceptions.
    Protocol,
    /// The SSH signature.
    Signature,
}

impl Check {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Check::Form => "form",
            Check::Hash => "hash",
            Check::Arithmetic => "arithmetic",
            Check::Plausible => "plausible",
            Check::Level => "level",
            Check::Disclosure => "disclosure",
            Check::Protocol => "protocol",
            Check::Signature => "signature",
        }
    }
}

/// One thing that is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which check it fails.
    pub check: Check,
    /// Where: a JSON pointer (RFC 6901); for a signature its file.
    pub at: String,
    /// What the record says there.
    pub said: String,
    /// What was found instead.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { check, at, said, found } = self;
        write!(f, "{at}: {}: says {said}; {found}", check.as_str())
    }
}

/// No more than these are gathered of one check: a hostile record could have millions.
const MOST_OF_A_CHECK: usize = 200;

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Everything that is wrong, at most 200 of each check; empty: the record is valid.
    pub violations: Vec<Violation>,
    /// The level as it was computed; `None` where nothing can be computed.
    pub level: Option<Level>,
}

/// Checks a record.
pub fn validate(read: &Read) -> Outcome {
    let mut findings = Findings::default();
    form::check(read, &mut findings);
    let hash = hash::of(read.value.clone()).unwrap_or_else(|error| error.to_string());
    if hash != read.record.hash {
        findings.add(Check::Hash, "/hash", &read.record.hash, format!("the content has {hash}"));
    }
    let level = arithmetic::check(&read.record, &mut findings);
    campaign::check(&read.record, &mut findings);
    repetitions::check(&read.record, &mut findings);
    intensity::check(&read.record, &mut findings);
    disclosures::check(&read.record, &mut findings);
    rules::check(&read.record, &mut findings);
    let violations: Vec<Violation> = findings.0.into_values().flatten().collect();
    Outcome { violations, level }
}

/// Violations as they are gathered, by check.
#[derive(Default)]
struct Findings(BTreeMap<Check, Vec<Violation>>);

impl Findings {
    fn add(
        &mut self,
        check: Check,
        at: impl Into<String>,
        said: impl fmt::Display,
        found: impl Into<String>,
    ) {
        let of_check = self.0.entry(check).or_default();
        if of_check.len() < MOST_OF_A_CHECK {
            let (at, said, found) = (at.into(), said.to_string(), found.into());
            of_check.push(Violation { check, at, said, found });
        }
    }

    /// Adds a violation where a figure is not as `holds` says.
    fn expect(
        &mut self,
        holds: bool,
        check: Check,
        at: impl Into<String>,
        said: impl fmt::Display,
        found: &str,
    ) {
        if !holds {
            self.add(check, at, said, found);
        }
    }
}
