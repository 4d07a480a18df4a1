// SPDX-License-Identifier: Apache-2.0
//! Emissions against an integral that is computed in another way: second by second, in
//! floating point, by looking at every fact there is.

use aimeter::carbon::operational;
use aimeter::ledger::{IntensityFact, IntensityKind, IntervalEnergy};
use aimeter::units::{Energy, MICROJOULES_PER_KWH};
use proptest::prelude::*;

use crate::support::*;

/// The rank of `docs/carbon.md`, as a number: kind, then the latest fetched, then the
/// shorter interval.
fn holds(facts: &[IntensityFact], second: i64) -> Option<&IntensityFact> {
    let mut best: Option<&IntensityFact> = None;
    for fact in facts.iter().filter(|fact| fact.from <= at(second) && at(second) < fact.to) {
        let length = |fact: &IntensityFact| fact.to.duration_since(fact.from);
        let better = best.is_none_or(|best| {
            let kind = |fact: &IntensityFact| {
                IntensityKind::ALL.iter().position(|kind| *kind == fact.kind).unwrap()
            };
            kind(fact) < kind(best)
                || kind(fact) == kind(best) && fact.fetched_at > best.fetched_at
                || kind(fact) == kind(best)
                    && fact.fetched_at == best.fetched_at
                    && length(fact) < length(best)
        });
        if better {
            best = Some(fact);
        }
    }
    best
}

fn interval(from: i64, to: i64, microjoules: u64) -> IntervalEnergy {
    IntervalEnergy {
        from_microseconds: at(from).as_microsecond(),
        to_microseconds: at(to).as_microsecond(),
        energy: Energy::from_microjoules(microjoules),
    }
}

proptest! {
    #[test]
    fn emissions_are_the_integral_of_power_times_intensity(
        // Distinct intensities, so that of two equal ranks either gives the same error.
        spans in prop::collection::vec((0..200i64, 1..90i64, 0..5usize, 0..50i64), 0..25),
        bookings in prop::collection::vec((0..250i64, 1..60i64, any::<u32>()), 0..25),
        pue in 1_000..2_500u32,
        covered in any::<bool>(),
    ) {
        let mut facts: Vec<IntensityFact> = spans
            .iter()
            .enumerate()
            .map(|(i, &(from, length, kind, fetched))| {
                // A fetch of its own each: no two are of one rank.
                let fetched = fetched * 100 + i as i64;
                fact(IntensityKind::ALL[kind], from, from + length, fetched, 1 + i as u32 * 37)
            })
            .collect();
        if covered {
            facts.push(table(0, 250));
        }
        let intervals: Vec<IntervalEnergy> = bookings
            .iter()
            .map(|&(from, length, energy)| interval(from, from + length, u64::from(energy)))
            .collect();
        let (mut grams, mut open, mut uncovered) = (0.0f64, 0.0f64, 0.0f64);
        // Each table fact's fetch is before the kinds' rank is asked: a plain sum.
        for &(from, length, energy) in &bookings {
            let a_second = f64::from(energy) / length as f64;
            for second in from..from + length {
                match holds(&facts, second) {
                    Some(fact) => {
                        let kwh = a_second * f64::from(pue) / 1e3 / MICROJOULES_PER_KWH as f64;
                        grams += kwh * fact.intensity.grams_per_kwh();
                        if fact.kind != IntensityKind::Actual {
                            open += kwh * fact.intensity.grams_per_kwh();
                        }
                    }
                    None => uncovered += a_second,
                }
            }
        }
        let result = operational(&intervals, &facts, pue);
        // The split is by whole microjoules: at most one for each cut.
        let cuts = (2 * facts.len() + 2) * (intervals.len() + 1);
        let slack = cuts as f64 * 1_000.0 * f64::from(pue) / 1e3 / MICROJOULES_PER_KWH as f64;
        let near = |ours: f64, exact: f64| (ours - exact).abs() <= slack + exact * 1e-9;
        prop_assert!(near(result.emissions.grams(), grams), "{} {}", result.emissions.grams(), grams);
        // Nothing but what was measured is final while it is still going on.
        let unsettled = result.unsettled(at(0)).grams();
        prop_assert!(near(unsettled, open), "{} {}", unsettled, open);
        let left = result.uncovered.microjoules() as f64;
        prop_assert!((left - uncovered).abs() <= cuts as f64, "{} {}", left, uncovered);
    }
}
