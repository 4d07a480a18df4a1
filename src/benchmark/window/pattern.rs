// SPDX-License-Identifier: Apache-2.0
//! The pattern that finds units or a metric in a line.

use regex::bytes::{Captures, Regex, RegexBuilder};

use crate::jobs::marks::Count;

/// A regular expression over bytes (syntax of the crate `regex`; classes such as `\d` are
/// of ASCII).
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn compile(text: &str) -> Result<Pattern, String> {
        let built = RegexBuilder::new(text).unicode(false).size_limit(1 << 20).build();
        built.map(Pattern).map_err(|error| {
            let message = error.to_string();
            let last = message.lines().last().unwrap_or_default();
            format!("`{text}`: {}", last.trim_start_matches("error: "))
        })
    }

    /// How many units each match stands for: its group `count`, else 1. `None`: the group
    /// holds no count.
    pub(super) fn counts(&self, line: &[u8]) -> impl Iterator<Item = Option<Count>> {
        self.0.captures_iter(line).map(|found| match group(&found, "count") {
            None => Some(Count::from_thousandths(1_000)),
            Some(bytes) => number(bytes).and_then(|number| Count::try_from(number).ok()),
        })
    }

    /// The value that each match tells: its group `value`, else the first group, else all
    /// of it. `None`: that is no number.
    pub(super) fn values(&self, line: &[u8]) -> impl Iterator<Item = Option<f64>> {
        self.0.captures_iter(line).map(|found| {
            let whole = || found.get(1).or_else(|| found.get(0)).map(|part| part.as_bytes());
            group(&found, "value").or_else(whole).and_then(number)
        })
    }
}

fn group<'l>(found: &Captures<'l>, name: &str) -> Option<&'l [u8]> {
    found.name(name).map(|part| part.as_bytes())
}

fn number(bytes: &[u8]) -> Option<f64> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_pattern_is_told_in_one_line() {
        let error = Pattern::compile("a(b").unwrap_err();
        assert_eq!(error, "`a(b`: unclosed group");
        assert!(Pattern::compile("(a{1000}){1000}").is_err());
    }
}
