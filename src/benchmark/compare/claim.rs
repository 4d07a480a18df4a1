// SPDX-License-Identifier: Apache-2.0
//! What may be said of two records' energy, and in which words.
//!
//! By the worse level of the two: D allows no comparison, C a difference on the same
//! sensors, A and B a difference that is shown. Records that count different kinds of
//! domains are not compared at any level: the one that counts less would look better.

use serde::Serialize;

use super::super::checked::Checked;
use super::super::record::{Level, Origin};
use super::super::statistics::{Difference, Ratio, Sensors};
use super::super::words;
use super::counted;

/// What may be said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// Whether a comparison may be claimed at all.
    pub allowed: bool,
    /// `lower`, `higher` or `not shown`; null where none may be claimed.
    pub difference: Option<&'static str>,
    /// The worse level of the two.
    pub level: Level,
    /// The sentence that may be said, or why none may be.
    pub words: String,
}

/// The claim on two records with their letters; `ratio` is the second's energy over the
/// first's.
pub fn claim(
    baseline: (&str, &Checked),
    other: (&str, &Checked),
    ratio: Option<Ratio>,
    sensors: Sensors,
) -> Claim {
    let level = |one: &Checked| one.derived.level.level;
    let worse = level(baseline.1).max(level(other.1));
    let refusal = refusal(baseline, other, sensors);
    let (ratio, refusal) = match (ratio, refusal) {
        (Some(ratio), None) => (ratio, None),
        (_, Some(refusal)) => (Ratio { ratio: 1.0, low: 1.0, high: 1.0 }, Some(refusal)),
        (None, None) => {
            let refusal = "one of them has one repetition only".to_owned();
            (Ratio { ratio: 1.0, low: 1.0, high: 1.0 }, Some(refusal))
        }
    };
    if let Some(refusal) = refusal {
        let words = format!("no comparison may be claimed: {refusal}");
        return Claim { allowed: false, difference: None, level: worse, words };
    }
    let unit = words::unit(&baseline.1.record.unit);
    let (difference, words) = sentence(ratio, (baseline.0, other.0), &unit, worse);
    let words = format!("{words} {}", qualified(worse));
    Claim { allowed: true, difference: Some(difference), level: worse, words }
}

fn sentence(
    Ratio { ratio, low, high }: Ratio,
    (baseline, other): (&str, &str),
    unit: &str,
    worse: Level,
) -> (&'static str, String) {
    let about = if worse == Level::C { "about " } else { "" };
    let energy = |size: &str| format!("{other} uses {about}{size} energy per {unit}");
    let than = |size: &str| if size.ends_with(" the") { "of" } else { "than" };
    let said = |size: String| format!("{} {} {baseline}", energy(&size), than(&size));
    match (Ratio { ratio, low, high }).difference() {
        Difference::Lower => ("lower", said(words::difference(ratio, low, high))),
        Difference::Higher => ("higher", said(words::difference(ratio, low, high))),
        Difference::NotShown => {
            let between = words::undecided(low, high);
            let words = format!(
                "no difference shown: {other} uses {about}{between} energy per {unit} {} {baseline}",
                than(&between)
            );
            ("not shown", words)
        }
    }
}

fn qualified(worse: Level) -> String {
    match worse {
        Level::C => "(level C, on the same sensors)".to_owned(),
        level => format!("(level {})", words::level(level)),
    }
}

/// Why nothing may be claimed; `None`: something may.
fn refusal(
    (a, baseline): (&str, &Checked),
    (b, other): (&str, &Checked),
    sensors: Sensors,
) -> Option<String> {
    let level = |one: &Checked| one.derived.level.level;
    let of_level = |wanted: Level| {
        let with = [(a, baseline), (b, other)].into_iter().filter(|(_, one)| level(one) == wanted);
        with.map(|(letter, one)| (letter.to_owned(), one)).collect::<Vec<_>>()
    };
    let named = |found: &[(String, &Checked)], level: &str| {
        let letters: Vec<&str> = found.iter().map(|(letter, _)| letter.as_str()).collect();
        let verb = if letters.len() == 1 { "is" } else { "are" };
        format!("{} {verb} of level {level}", letters.join(" and "))
    };
    let estimates = of_level(Level::D);
    if !estimates.is_empty() {
        let reasons: Vec<String> =
            estimates.iter().map(|(letter, one)| format!("{letter}: {}", why_d(one))).collect();
        return Some(format!("{} ({})", named(&estimates, "D"), reasons.join("; ")));
    }
    let (one, two) = (counted(baseline), counted(other));
    if one != two {
        return Some(format!(
            "{a} counts {}, {b} counts {}",
            words::kinds(&one),
            words::kinds(&two)
        ));
    }
    let partly = of_level(Level::C);
    if !partly.is_empty() && sensors == Sensors::Different {
        return Some(format!(
            "{}, which allows a difference on the same sensors only, and these are others",
            named(&partly, "C")
        ));
    }
    None
}

/// The conditions that hold a record at level D.
fn why_d(one: &Checked) -> String {
    if one.record.campaign.origin == Origin::Literature {
        return "put together from a publication".to_owned();
    }
    let unmet = one.derived.level.unmet.iter().filter(|unmet| unmet.allows == Level::D);
    let words: Vec<String> =
        unmet.map(|unmet| format!("{} {}", unmet.condition, unmet.found)).collect();
    words.join(", ")
}
