// SPDX-License-Identifier: Apache-2.0
//! Comparison of benchmark records against a baseline, the first of them.
//!
//! Energy per unit comes first and by itself, so that a clean grid cannot hide waste;
//! then the intensities; SCI only where both are of the same kind. What may be said
//! hangs on the worse level of the two, by the table of claims in `docs/benchmark.md`.
//! Records of different functional units are refused. Pure.

mod claim;
mod facts;
mod grid;

use std::collections::BTreeSet;

use serde::Serialize;

use super::checked::Checked;
use super::record::{BenchmarkDomain, Level, UnitPart};
use super::statistics::{self, Ratio, Sensors, confidence};
use super::words;
use crate::record::text;

pub use claim::{Claim, claim};
pub use facts::Difference;
pub use grid::{OneGrid, Score, ScoreKind, place};

/// Why records cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotComparable {
    /// One is no comparison.
    #[error("one record is nothing to compare; name a second one")]
    Alone,
    /// The same campaign twice.
    #[error("{one} and {other} are records of the same campaign")]
    Same {
        /// The letter of the one.
        one: String,
        /// The letter of the other.
        other: String,
    },
    /// Another functional unit.
    #[error(
        "{letter} is of another functional unit than A, and joules of different units have no \
         ratio: {reason}"
    )]
    Unit {
        /// The record's letter.
        letter: String,
        /// What differs.
        reason: String,
    },
}

/// Records against the first of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Of all of them.
    pub unit: UnitPart,
    /// The records, the baseline first.
    pub records: Vec<Side>,
    /// Each other one against the baseline.
    pub pairs: Vec<Pair>,
    /// The level of each ratio's interval, percent: 95 for all of them together.
    pub confidence_percent: f64,
    /// Remarks on all of it.
    pub notes: Vec<String>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// `A` for the baseline, then `B`, ….
    pub letter: String,
    /// The file.
    pub file: String,
    /// The campaign's id.
    pub campaign: String,
    /// The campaign's name.
    pub name: String,
    /// The machine's name; null: not told.
    pub machine: Option<String>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// Its level.
    pub level: Level,
    /// Kinds of domains in the energy.
    pub counted: Vec<String>,
    /// E / R of the machines, without PUE.
    pub joules_per_unit: f64,
    /// Low end of its 95 % interval.
    pub low: f64,
    /// High end.
    pub high: f64,
    /// Where its electricity came from.
    pub zone: Option<String>,
    /// I; null: unknown.
    pub grams_per_kwh: Option<f64>,
    /// `average` or `marginal`; `mixed`.
    pub signal: Option<String>,
    /// `direct` or `lifecycle`; `mixed`.
    pub boundary: Option<String>,
    /// E × I / R, with PUE where one is stated.
    pub operational_grams_per_unit: Option<f64>,
    /// M / R.
    pub embodied_grams_per_unit: Option<f64>,
    /// SCI.
    pub sci_grams_per_unit: Option<f64>,
}

/// A record against the baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// The record's letter.
    pub letter: String,
    /// Energy per unit over the baseline's; null where one of them was not repeated.
    pub energy: Option<EnergyRatio>,
    /// What may be said of it.
    pub claim: Claim,
    /// The record's mean intensity over the baseline's; null: one is not known.
    pub intensity_ratio: Option<f64>,
    /// Grams.
    pub score: Score,
    /// The electricity of both on one grid.
    pub one_grid: Vec<OneGrid>,
    /// What the grid hides; null: nothing.
    pub hidden: Option<String>,
    /// What is not the same, in order.
    pub differences: Vec<Difference>,
}

/// A ratio of energies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EnergyRatio {
    /// The record's over the baseline's.
    pub ratio: f64,
    /// Low end of its interval.
    pub low: f64,
    /// High end.
    pub high: f64,
    /// Whether both were read by the same sensors, whose common error cancels.
    pub same_sensors: bool,
}

/// Compares each record with the first.
///
/// # Errors
/// [`NotComparable`].
pub fn compare(records: &[Checked]) -> Result<Comparison, NotComparable> {
    let (baseline, others) = match records {
        [baseline, others @ ..] if !others.is_empty() => (baseline, others),
        _ => return Err(NotComparable::Alone),
    };
    check(records)?;
    let pair = |(index, other)| pair(baseline, other, &words::letter(index), others.len());
    Ok(Comparison {
        unit: baseline.record.unit.clone(),
        records: (0..).zip(records).map(|(index, one)| side(one, words::letter(index))).collect(),
        pairs: (1..).zip(others).map(pair).collect(),
        confidence_percent: confidence(others.len()) * 100.0,
        notes: notes(others.len()),
    })
}

fn check(records: &[Checked]) -> Result<(), NotComparable> {
    for (index, one) in records.iter().enumerate().skip(1) {
        let letter = words::letter(index);
        let same = |other: &Checked| other.record.campaign.id == one.record.campaign.id;
        if let Some(other) = records.iter().take(index).position(same) {
            return Err(NotComparable::Same { one: words::letter(other), other: letter });
        }
        if let Some(reason) = other_unit(&records[0].record.unit, &one.record.unit) {
            return Err(NotComparable::Unit { letter, reason });
        }
    }
    Ok(())
}

/// Why two functional units are not the same; `None`: they are.
pub fn other_unit(baseline: &UnitPart, other: &UnitPart) -> Option<String> {
    let differs = |what: &str, one: &str, other: &str| {
        (one != other).then(|| {
            format!("its {what} is `{}`, that of A `{}`", text::line(other), text::line(one))
        })
    };
    let target = |unit: &UnitPart| match &unit.quality {
        Some(_) => words::unit(unit),
        None => "none".to_owned(),
    };
    differs("kind", words::unit_kind(baseline.kind), words::unit_kind(other.kind))
        .or_else(|| differs("role", words::role(baseline.role), words::role(other.role)))
        .or_else(|| differs("name", &baseline.name, &other.name))
        .or_else(|| differs("quality", &target(baseline), &target(other)))
}

/// Whether two records come from the very same sensors: the same summed domains of the
/// same machine.
pub fn sensors(one: &Checked, other: &Checked) -> Sensors {
    let machine = |one: &Checked| one.record.machine.host.machine_id_hash.clone();
    let ids = |one: &Checked| -> BTreeSet<String> {
        summed(one).map(|domain| domain.id.clone()).collect()
    };
    let same = machine(one).is_some() && machine(one) == machine(other) && ids(one) == ids(other);
    if same { Sensors::Same } else { Sensors::Different }
}

fn summed(one: &Checked) -> impl Iterator<Item = &BenchmarkDomain> {
    let domains = one.record.repetitions.iter().flat_map(|repetition| &repetition.domains);
    domains.filter(|domain| domain.summed)
}

/// The kinds of domains in a record's energy, in order.
pub fn counted(one: &Checked) -> Vec<String> {
    let kinds: BTreeSet<&str> = summed(one).map(|domain| domain.kind.as_str()).collect();
    let first = ["gpu", "cpu", "dram"].into_iter().filter(|kind| kinds.contains(kind));
    let others = kinds.iter().copied().filter(|kind| !["gpu", "cpu", "dram"].contains(kind));
    first.chain(others).map(str::to_owned).collect()
}

fn side(one: &Checked, letter: String) -> Side {
    let (campaign, derived) = (&one.record.campaign, &one.derived);
    let place = place(one);
    Side {
        letter,
        file: one.file.clone(),
        campaign: campaign.id.clone(),
        name: campaign.name.clone(),
        machine: one.record.machine.host.name.clone(),
        started_at: campaign.started_at.clone(),
        level: derived.level.level,
        counted: counted(one),
        joules_per_unit: derived.score.joules_per_unit,
        low: derived.statistics.low,
        high: derived.statistics.high,
        zone: place.as_ref().map(|place| place.zone.clone()),
        grams_per_kwh: derived.score.grams_per_kwh,
        signal: place.as_ref().map(|place| place.signal.clone()),
        boundary: place.as_ref().map(|place| place.boundary.clone()),
        operational_grams_per_unit: derived.score.operational_grams_per_unit,
        embodied_grams_per_unit: derived.score.embodied_grams_per_unit,
        sci_grams_per_unit: derived.score.sci_grams_per_unit,
    }
}

fn pair(baseline: &Checked, other: &Checked, letter: &str, comparisons: usize) -> Pair {
    let sensors = sensors(baseline, other);
    let ratio = statistics::ratio_of(&other.summary, &baseline.summary, sensors, comparisons);
    let claim = claim(("A", baseline), (letter, other), ratio, sensors);
    let energy = ratio.map(|Ratio { ratio, low, high }| EnergyRatio {
        ratio,
        low,
        high,
        same_sensors: sensors == Sensors::Same,
    });
    let score = grid::score(baseline, other, letter, &claim);
    let hidden = grid::hidden(baseline, other, letter, &claim);
    let intensity = |one: &Checked| one.derived.score.grams_per_kwh;
    let intensities = intensity(other).zip(intensity(baseline));
    Pair {
        letter: letter.to_owned(),
        energy,
        claim,
        intensity_ratio: intensities.filter(|(_, of)| *of > 0.0).map(|(one, of)| one / of),
        score,
        one_grid: grid::one_grid(baseline, other, letter),
        hidden,
        differences: facts::differences(baseline, other),
    }
}

fn notes(comparisons: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if comparisons > 1 {
        notes.push(format!(
            "{comparisons} comparisons: each interval is at {} % (Bonferroni), so that all of \
             them together hold at 95 %; B, C, … are compared with A only, not with each other",
            text::number(confidence(comparisons) * 100.0)
        ));
    }
    notes.push(
        "the intervals are of the energy; none is stated of the grid's intensity, the PUE and \
         the embodied carbon"
            .to_owned(),
    );
    notes
}
