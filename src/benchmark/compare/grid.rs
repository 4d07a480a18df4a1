// SPDX-License-Identifier: Apache-2.0
//! The grid's part of a comparison, kept apart from the energy's: where SCI may be
//! compared, both energies on one grid, and waste that a clean grid hides.

use std::collections::BTreeSet;

use serde::Serialize;

use super::super::checked::Checked;
use super::super::record::{Level, WindowIntensity};
use super::super::words;
use super::claim::Claim;
use crate::record::text;

const JOULES_PER_KWH: f64 = 3.6e6;
const MIXED: &str = "mixed";

/// What stands for a record's intensity over all its windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The zone; `mixed`.
    pub zone: String,
    /// `average` or `marginal`; `mixed`.
    pub signal: String,
    /// `direct` or `lifecycle`; `mixed`.
    pub boundary: String,
}

/// Zone, signal and boundary of a record; `None` where a window has no intensity.
pub fn place(one: &Checked) -> Option<Place> {
    let windows: Option<Vec<&WindowIntensity>> =
        one.record.repetitions.iter().map(|window| window.intensity.as_ref()).collect();
    let windows = windows.filter(|windows| !windows.is_empty())?;
    let all = |word: fn(&WindowIntensity) -> &String| {
        let words: BTreeSet<&str> = windows.iter().map(|one| word(one).as_str()).collect();
        match words.first() {
            Some(word) if words.len() == 1 => (*word).to_owned(),
            _ => MIXED.to_owned(),
        }
    };
    Some(Place {
        zone: all(|one| &one.zone),
        signal: all(|one| &one.signal),
        boundary: all(|one| &one.boundary),
    })
}

/// Grams per unit of two records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// What the two figures are.
    pub kind: ScoreKind,
    /// The baseline's grams per unit.
    pub baseline: Option<f64>,
    /// The record's.
    pub other: Option<f64>,
    /// The record's over the baseline's; null where they may not be compared.
    pub ratio: Option<f64>,
    /// Why not.
    pub not_compared: Option<String>,
}

/// Which score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// Electricity and hardware.
    Sci,
    /// Electricity only: the embodied carbon of one is not known.
    Operational,
}

pub(super) fn score(baseline: &Checked, other: &Checked, letter: &str, claim: &Claim) -> Score {
    let sci = |one: &Checked| one.derived.score.sci_grams_per_unit;
    let operational = |one: &Checked| one.derived.score.operational_grams_per_unit;
    let kind = match (sci(baseline), sci(other)) {
        (Some(_), Some(_)) => ScoreKind::Sci,
        _ => ScoreKind::Operational,
    };
    let of = |one: &Checked| match kind {
        ScoreKind::Sci => sci(one),
        ScoreKind::Operational => operational(one),
    };
    let not_compared = not_compared(baseline, other, letter, claim);
    let ratio = of(other).zip(of(baseline)).filter(|(_, grams)| *grams > 0.0);
    Score {
        kind,
        baseline: of(baseline),
        other: of(other),
        ratio: ratio.filter(|_| not_compared.is_none()).map(|(one, other)| one / other),
        not_compared,
    }
}

/// Why grams of two records are not compared; `None`: they are.
fn not_compared(baseline: &Checked, other: &Checked, b: &str, claim: &Claim) -> Option<String> {
    let (one, two) = match (place(baseline), place(other)) {
        (Some(one), Some(two)) => (one, two),
        (one, two) => {
            let unknown = [("A", one.is_none()), (b, two.is_none())];
            let letters = unknown.into_iter().filter_map(|(letter, is)| is.then_some(letter));
            let letters: Vec<&str> = letters.collect();
            return Some(format!("the intensity of {} is not known", letters.join(" and ")));
        }
    };
    let differs = |what: &str, one: &str, two: &str| {
        let differs = one != two || one == MIXED;
        differs.then(|| {
            let (one, two) = (text::line(one), text::line(two));
            format!("the {what} of A is {one}, that of {b} {two}")
        })
    };
    let pue = |one: &Checked| if one.record.pue.is_some() { "in it" } else { "not in it" };
    differs("intensity's signal", &one.signal, &two.signal)
        .or_else(|| differs("intensity's boundary", &one.boundary, &two.boundary))
        .or_else(|| differs("PUE", pue(baseline), pue(other)))
        .or_else(|| (!claim.allowed).then(|| "no comparison may be claimed".to_owned()))
        .or_else(|| {
            let across = claim.level > Level::A && one.zone != two.zone;
            let level = words::level(claim.level);
            across.then(|| format!("level {level} allows no order by it across zones"))
        })
}

/// The electricity of both records' machines on one grid: energy alone decides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OneGrid {
    /// The letter of the record whose grid it is.
    pub grid_of: String,
    /// Its zone.
    pub zone: String,
    /// Its mean over that record's windows.
    pub grams_per_kwh: f64,
    /// The baseline's grams per unit on it, without PUE.
    pub baseline_grams: f64,
    /// The record's.
    pub other_grams: f64,
}

pub(super) fn one_grid(baseline: &Checked, other: &Checked, letter: &str) -> Vec<OneGrid> {
    let on = |(grid_of, of): (&str, &Checked)| {
        let grams_per_kwh = of.derived.score.grams_per_kwh?;
        let grams =
            |one: &Checked| one.derived.score.joules_per_unit * grams_per_kwh / JOULES_PER_KWH;
        Some(OneGrid {
            grid_of: grid_of.to_owned(),
            zone: place(of)?.zone,
            grams_per_kwh,
            baseline_grams: grams(baseline),
            other_grams: grams(other),
        })
    };
    [("A", baseline), (letter, other)].into_iter().filter_map(on).collect()
}

/// The sentence where the record that needs more energy emits less by its grid.
pub(super) fn hidden(
    baseline: &Checked,
    other: &Checked,
    letter: &str,
    claim: &Claim,
) -> Option<String> {
    let grams = |one: &Checked| one.derived.score.operational_grams_per_unit;
    let energy = |one: &Checked| one.derived.score.joules_per_unit;
    let (waste, frugal, low, high) = match claim.difference? {
        "higher" => (letter, "A", other, baseline),
        "lower" => ("A", letter, baseline, other),
        _ => return None,
    };
    (grams(low)? < grams(high)?).then(|| {
        format!(
            "the cleaner grid hides the higher energy: {waste} emits less than {frugal} by its \
             grid or building only, and on one grid {} times as much",
            text::number(energy(low) / energy(high))
        )
    })
}
