// SPDX-License-Identifier: Apache-2.0
//! Carbon: emissions, derived from energy by interval and facts of intensity.
//!
//! Emissions = Σ energy × intensity × PUE over the stretches in which one fact
//! holds, with the power taken as constant inside an interval. All in integers
//! (µJ × mg/kWh × thousandths of PUE), divided once, when shown. Nothing here is
//! stored: when a better fact comes, the same call gives the better figure. Only
//! `average` facts count: a marginal figure is for decisions, not for inventories
//! (GHG Protocol, Scope 2). Formulas and their test oracle: `docs/carbon.md`.

pub mod cooling;
pub mod embodied;
pub mod equivalents;
pub mod known;
pub mod pue;
pub mod resources;
pub mod settled;

use jiff::Timestamp;

use crate::grid::facts::rank;
use crate::ledger::{IntensityFact, IntervalEnergy};
use crate::units::{Emissions, Energy};
use pue::PueByTime;

pub use known::Known;
pub use settled::settled;

/// A stretch of time, half open, and the fact that holds in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch<'a> {
    /// Microseconds since 1970 UTC.
    pub from_microseconds: i64,
    /// Microseconds since 1970 UTC.
    pub to_microseconds: i64,
    /// `None`: no fact covers it.
    pub fact: Option<&'a IntensityFact>,
}

/// A fact as it was used, in order of time: for how long, and on how much energy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use<'a> {
    /// The fact.
    pub fact: &'a IntensityFact,
    /// Microseconds since 1970 UTC.
    pub from_microseconds: i64,
    /// Microseconds since 1970 UTC.
    pub to_microseconds: i64,
    /// The energy it was used on, without PUE.
    pub energy: Energy,
    /// Its emissions, with PUE.
    pub emissions: Emissions,
}

/// The operational emissions of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operational<'a> {
    /// The facts used.
    pub uses: Vec<Use<'a>>,
    /// Energy for whose time there is no fact. Its emissions are unknown.
    pub uncovered: Energy,
    /// Emissions of the energy that is covered, with PUE.
    pub emissions: Emissions,
}

impl Operational<'_> {
    /// The energy-weighted mean intensity in grams per kWh (not the mean over
    /// time: that is wrong by the covariance of power and intensity). Without any
    /// energy, the mean over time. `None` where no fact was used.
    pub fn mean_grams_per_kwh(&self) -> Option<f64> {
        let energy = |used: &Use| u128::from(used.energy.microjoules());
        let time = |used: &Use| (used.to_microseconds - used.from_microseconds).max(1) as u128;
        let mean = |weight: &dyn Fn(&Use) -> u128| {
            let whole: u128 = self.uses.iter().map(weight).sum();
            let milligrams = |used: &Use| u128::from(used.fact.intensity.milligrams_per_kwh());
            let sum: u128 = self.uses.iter().map(|used| weight(used) * milligrams(used)).sum();
            (whole > 0).then(|| sum as f64 / whole as f64 / 1_000.0)
        };
        mean(&energy).or_else(|| mean(&time))
    }

    /// Whether no better figure is expected: every fact is final ([`settled()`]).
    pub fn settled(&self, now: Timestamp) -> bool {
        self.uncovered == Energy::ZERO && self.uses.iter().all(|used| settled(used.fact, now))
    }

    /// The part of the emissions that rests on facts which are not final.
    pub fn unsettled(&self, now: Timestamp) -> Emissions {
        let open = self.uses.iter().filter(|used| !settled(used.fact, now));
        open.fold(Emissions::ZERO, |sum, used| sum.saturating_add(used.emissions))
    }

    /// `lifecycle` or `direct`, or `mixed` where facts of both were used.
    /// `None` where no fact was used.
    pub fn boundary(&self) -> Option<&str> {
        let first = self.uses.first()?.fact.boundary.as_str();
        let same = self.uses.iter().all(|used| used.fact.boundary == first);
        Some(if same { first } else { "mixed" })
    }
}

/// Emissions of energies by interval under facts of one zone; `pue` by time, or one in
/// thousandths (1000: none). Intervals may come in any order.
pub fn operational<'a>(
    intervals: &[IntervalEnergy],
    facts: &'a [IntensityFact],
    pue: impl Into<PueByTime>,
) -> Operational<'a> {
    let pue = pue.into();
    let mut intervals = intervals.to_vec();
    intervals.sort_by_key(|interval| interval.from_microseconds);
    let mut facts: Vec<&IntensityFact> = facts.iter().collect();
    facts.sort_by_key(|fact| span(fact).0);
    let mut coming = facts.into_iter().peekable();
    // Those that may touch an interval from here on, not all of a year.
    let mut near: Vec<&IntensityFact> = Vec::new();
    let mut result = Operational::default();
    for interval in &intervals {
        let (from, to) = (interval.from_microseconds, interval.to_microseconds);
        while let Some(fact) = coming.next_if(|fact| span(fact).0 <= to) {
            near.push(fact);
        }
        near.retain(|fact| span(fact).1 > from);
        let stretches = cut_by_pue(cut(&near, from, to), &pue);
        for (stretch, energy) in stretches.iter().zip(split(interval.energy, &stretches)) {
            match stretch.fact {
                Some(fact) => {
                    result.add(stretch, fact, energy, pue.at(stretch.from_microseconds));
                }
                None => result.uncovered = result.uncovered.saturating_add(energy),
            }
        }
    }
    result
}

/// The same energies in the same course, so many microseconds later (negative: earlier).
pub fn shifted(intervals: &[IntervalEnergy], microseconds: i64) -> Vec<IntervalEnergy> {
    let shift = |interval: &IntervalEnergy| IntervalEnergy {
        from_microseconds: interval.from_microseconds.saturating_add(microseconds),
        to_microseconds: interval.to_microseconds.saturating_add(microseconds),
        energy: interval.energy,
    };
    intervals.iter().map(shift).collect()
}

impl<'a> Operational<'a> {
    fn add(&mut self, stretch: &Stretch, fact: &'a IntensityFact, energy: Energy, pue: u32) {
        let emissions = Emissions::of(energy, fact.intensity, pue);
        self.emissions = self.emissions.saturating_add(emissions);
        match self.uses.last_mut().filter(|last| std::ptr::eq(last.fact, fact)) {
            Some(last) => {
                last.to_microseconds = last.to_microseconds.max(stretch.to_microseconds);
                last.energy = last.energy.saturating_add(energy);
                last.emissions = last.emissions.saturating_add(emissions);
            }
            None => self.uses.push(Use {
                fact,
                from_microseconds: stretch.from_microseconds,
                to_microseconds: stretch.to_microseconds,
                energy,
                emissions,
            }),
        }
    }
}

/// Cuts an interval into stretches in which one fact holds: of those that cover a
/// moment the best kind, then the latest fetched, then the shorter one. A pure
/// function of the facts, whatever their order. An interval without length is one
/// stretch.
pub fn choose(facts: &[IntensityFact], from: i64, to: i64) -> Vec<Stretch<'_>> {
    cut(&facts.iter().collect::<Vec<_>>(), from, to)
}

fn cut<'a>(facts: &[&'a IntensityFact], from: i64, to: i64) -> Vec<Stretch<'a>> {
    let overlaps = |fact: &&IntensityFact| {
        let (start, end) = span(fact);
        fact.signal == "average" && start <= to && end > from
    };
    let near: Vec<&IntensityFact> = facts.iter().copied().filter(overlaps).collect();
    let mut cuts: Vec<i64> = near.iter().flat_map(|fact| <[i64; 2]>::from(span(fact))).collect();
    cuts.retain(|cut| from < *cut && *cut < to);
    cuts.extend([from, to.max(from)]);
    cuts.sort_unstable();
    if to > from {
        cuts.dedup();
    }
    let mut stretches: Vec<Stretch> = Vec::new();
    for pair in cuts.windows(2) {
        let fact = best(&near, pair[0]);
        match stretches.last_mut().filter(|last| last.fact == fact) {
            Some(last) => last.to_microseconds = pair[1],
            None => stretches.push(Stretch {
                from_microseconds: pair[0],
                to_microseconds: pair[1],
                fact,
            }),
        }
    }
    stretches
}

fn best<'a>(facts: &[&'a IntensityFact], moment: i64) -> Option<&'a IntensityFact> {
    let covers = |fact: &&&IntensityFact| {
        let (start, end) = span(fact);
        start <= moment && moment < end
    };
    facts.iter().filter(covers).copied().min_by(|one, other| rank(one).cmp(&rank(other)))
}

fn span(fact: &IntensityFact) -> (i64, i64) {
    (fact.from.as_microsecond(), fact.to.as_microsecond())
}

/// Cuts stretches further, where the PUE changes.
fn cut_by_pue<'a>(stretches: Vec<Stretch<'a>>, pue: &PueByTime) -> Vec<Stretch<'a>> {
    let mut parts = Vec::with_capacity(stretches.len());
    for mut rest in stretches {
        for change in pue.changes(rest.from_microseconds, rest.to_microseconds) {
            parts.push(Stretch { to_microseconds: change, ..rest });
            rest.from_microseconds = change;
        }
        parts.push(rest);
    }
    parts
}

/// Splits an interval's energy over its stretches by their time, as for constant
/// power: integers whose sum is the energy, to the microjoule.
fn split(energy: Energy, stretches: &[Stretch]) -> Vec<Energy> {
    let start = stretches.first().map_or(0, |stretch| stretch.from_microseconds);
    let end = stretches.last().map_or(0, |stretch| stretch.to_microseconds);
    let whole = end.abs_diff(start);
    let mut given = Energy::ZERO;
    let part = |stretch: &Stretch| {
        // What is due up to the stretch's end, less what was given: no rounding is lost.
        let until = stretch.to_microseconds.abs_diff(start);
        let due = if until == whole { energy } else { energy.portion(until, whole) };
        let part = due.saturating_sub(given);
        given = due;
        part
    };
    stretches.iter().map(part).collect()
}

#[cfg(test)]
mod tests;
