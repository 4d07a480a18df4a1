// SPDX-License-Identifier: Apache-2.0
//! The benchmark's own words for people: units, roles, levels, shares of energy.
//!
//! Foreign texts go through [`text::line`]. Figures are joules and grams.

use crate::record::text;

use super::record::{CountedBy, Level, PueKind, Role, UnitKind, UnitPart};

/// One unit, as after "joules per".
pub fn unit(unit: &UnitPart) -> String {
    match (unit.kind, &unit.quality) {
        (UnitKind::Token, _) => "token".to_owned(),
        (UnitKind::Sample, _) => "sample".to_owned(),
        (UnitKind::Step, _) => "step".to_owned(),
        (UnitKind::Run, _) | (UnitKind::Quality, None) => "run".to_owned(),
        (UnitKind::Quality, Some(target)) => {
            let sign = if target.larger_is_better { "≥" } else { "≤" };
            format!("run to {} {sign} {}", text::line(&target.metric), target.threshold)
        }
    }
}

/// The kind of a unit, as a spec writes it.
pub fn unit_kind(kind: UnitKind) -> &'static str {
    match kind {
        UnitKind::Token => "token",
        UnitKind::Sample => "sample",
        UnitKind::Step => "step",
        UnitKind::Run => "run",
        UnitKind::Quality => "quality",
    }
}

/// What a role is of.
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Provider => "training",
        Role::Consumer => "inference",
    }
}

/// A unit with its name and role: `Joules per token (tokens, training)`.
pub fn heading(of: &UnitPart) -> String {
    format!("Joules per {} ({}, {})", unit(of), text::line(&of.name), role(of.role))
}

/// How units are counted.
pub fn counted_by(by: CountedBy) -> &'static str {
    match by {
        CountedBy::Mark => "marks",
        CountedBy::Pattern => "a pattern in the output",
        CountedBy::Exit => "ended runs",
    }
}

/// How well a PUE is known.
pub fn pue_kind(kind: PueKind) -> &'static str {
    match kind {
        PueKind::Measured => "measured",
        PueKind::Annual => "annual mean",
        PueKind::Stated => "stated",
        PueKind::Assumed => "assumed",
    }
}

/// `A` to `D`.
pub fn level(level: Level) -> &'static str {
    match level {
        Level::A => "A",
        Level::B => "B",
        Level::C => "C",
        Level::D => "D",
    }
}

/// `GPU, CPU, DRAM`.
pub fn kinds<'a>(kinds: impl IntoIterator<Item = &'a String>) -> String {
    let words: Vec<String> = kinds.into_iter().map(|kind| text::line(&text::kind(kind))).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// What a ratio of energies is: `12 % (9.1 to 15 %) less`, or
/// `2.31 times (2.10 to 2.52)` from twice as much on.
pub fn difference(ratio: f64, low: f64, high: f64) -> String {
    let percent = |part: f64| text::percent(part.abs() * 100.0);
    let bare = |part: f64| percent(part).trim_end_matches(" %").to_owned();
    let between = |one: f64, other: f64| format!("({} to {})", bare(one), percent(other));
    match ratio {
        _ if ratio >= 2.0 => format!(
            "{} times ({} to {}) the",
            text::number(ratio),
            text::number(low),
            text::number(high)
        ),
        _ if ratio < 1.0 => {
            format!("{} {} less", percent(1.0 - ratio), between(1.0 - high, 1.0 - low))
        }
        _ => format!("{} {} more", percent(ratio - 1.0), between(low - 1.0, high - 1.0)),
    }
}

/// An interval that holds 1: `between 3.1 % less and 5.0 % more`.
pub fn undecided(low: f64, high: f64) -> String {
    let end = |ratio: f64| match ratio {
        _ if ratio >= 2.0 => format!("{} times the", text::number(ratio)),
        _ if ratio < 1.0 => format!("{} less", text::percent((1.0 - ratio) * 100.0)),
        _ => format!("{} more", text::percent((ratio - 1.0) * 100.0)),
    };
    format!("between {} and {}", end(low), end(high))
}

/// The `index`th letter of a list of records: A to Z, AA, AB, ….
pub fn letter(index: usize) -> String {
    let last = char::from(b'A' + (index % 26) as u8);
    let before = if index >= 26 { letter(index / 26 - 1) } else { String::new() };
    format!("{before}{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_after_z() {
        let check = |index, expected: &str| assert_eq!(letter(index), expected);
        check(0, "A");
        check(25, "Z");
        check(26, "AA");
        check(701, "ZZ");
        check(702, "AAA");
    }

    #[test]
    fn ratios_are_said_in_percent_and_from_twice_on_in_times() {
        assert_eq!(difference(0.88, 0.85, 0.909), "12 % (9.1 to 15 %) less");
        assert_eq!(difference(1.2, 1.15, 1.25), "20 % (15 to 25 %) more");
        assert_eq!(difference(2.31, 2.1, 2.52), "2.31 times (2.10 to 2.52) the");
        assert_eq!(undecided(0.969, 1.05), "between 3.1 % less and 5.0 % more");
        assert_eq!(undecided(0.5, 3.0), "between 50 % less and 3.00 times the");
    }
}
