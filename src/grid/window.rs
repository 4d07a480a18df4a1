// SPDX-License-Identifier: Apache-2.0
//! The best time of a forecast: when to start so that the hours of a job have the
//! least mean intensity.
//!
//! Pure: a forecast, the moment, the length and the limit come in, the choice goes
//! out. Figures hold in half-open intervals of UTC; a gap between them is never
//! bridged: no window that touches one is chosen. The mean is over time, as for a
//! job of constant power.

use jiff::{SignedDuration, Timestamp};

use crate::ledger::IntensityFact;
use crate::units::Intensity;

/// A stretch of time and its mean intensity by the forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From here …
    pub from: Timestamp,
    /// … to before here.
    pub to: Timestamp,
    /// Mean over time, rounded to a milligram per kWh.
    pub mean: Intensity,
}

/// What starting at once and the best start are forecast to cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Beginning now.
    pub now: Window,
    /// The least, the earliest of equal ones; [`Choice::now`] where nothing is less.
    pub best: Window,
}

impl Choice {
    /// Whether waiting gains anything.
    pub fn is_now(&self) -> bool {
        self.best.from == self.now.from
    }
}

/// How much less `chosen` is than `other`, in percent of `other`; 0 where that is 0.
pub fn saving_percent(other: f64, chosen: f64) -> f64 {
    if other > 0.0 { (other - chosen) / other * 100.0 } else { 0.0 }
}

/// The best window of length `needs` that begins at `now` or later and ends by
/// `until`; beginning now is always among them. `None` where the facts do not
/// cover that without a gap, or `needs` is not positive. Of two facts for one
/// moment the one that begins earlier holds.
pub fn choose(
    facts: &[IntensityFact],
    now: Timestamp,
    needs: SignedDuration,
    until: Timestamp,
) -> Option<Choice> {
    let mut facts: Vec<Piece> = facts.iter().map(Piece::of).collect();
    facts.sort_unstable_by_key(|piece| (piece.from, piece.to));
    let length = i64::try_from(needs.as_micros()).ok().filter(|length| *length > 0)?;
    let (now, until) = (now.as_microsecond(), until.as_microsecond());
    let at_once = (weight(&facts, now, length)?, now);
    // The mean as a function of the start is a straight line between the starts at
    // which either end meets an edge: the least is at one of them.
    let last = until.saturating_sub(length);
    let best = facts
        .iter()
        .flat_map(|piece| [piece.from, piece.to])
        .flat_map(|edge| [edge, edge.saturating_sub(length)])
        .chain([last])
        .filter(|start| now < *start && *start <= last)
        .filter_map(|start| Some((weight(&facts, start, length)?, start)))
        .min()
        .map_or(at_once, |best| best.min(at_once));
    Some(Choice { now: window(at_once, length)?, best: window(best, length)? })
}

/// A fact in microseconds and milligrams per kWh.
struct Piece {
    from: i64,
    to: i64,
    milligrams: u32,
}

impl Piece {
    fn of(fact: &IntensityFact) -> Piece {
        Piece {
            from: fact.from.as_microsecond(),
            to: fact.to.as_microsecond(),
            milligrams: fact.intensity.milligrams_per_kwh(),
        }
    }
}

/// Milligrams per kWh × microseconds of a window; `None` where a part is not covered.
fn weight(pieces: &[Piece], start: i64, length: i64) -> Option<u128> {
    let end = start.checked_add(length)?;
    let (mut covered, mut sum) = (start, 0);
    for piece in pieces.iter().filter(|piece| piece.to > start) {
        if piece.from > covered {
            return None;
        }
        let to = piece.to.min(end);
        sum += u128::from(to.saturating_sub(covered).max(0).unsigned_abs())
            * u128::from(piece.milligrams);
        covered = covered.max(to);
        if covered == end {
            return Some(sum);
        }
    }
    None
}

fn window((weight, start): (u128, i64), length: i64) -> Option<Window> {
    let whole = u128::from(length.unsigned_abs());
    let mean = u32::try_from((weight + whole / 2) / whole).ok()?;
    Some(Window {
        from: Timestamp::from_microsecond(start).ok()?,
        to: Timestamp::from_microsecond(start.checked_add(length)?).ok()?,
        mean: Intensity::from_milligrams_per_kwh(mean),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::IntensityKind;

    fn minute(minutes: i64) -> Timestamp {
        Timestamp::from_second(minutes * 60).unwrap()
    }

    fn fact(from: i64, to: i64, grams: u32) -> IntensityFact {
        IntensityFact {
            zone: "GB".into(),
            from: minute(from),
            to: minute(to),
            intensity: Intensity::from_milligrams_per_kwh(grams * 1_000),
            signal: "average".into(),
            boundary: "direct".into(),
            source: "uk-carbon-intensity".into(),
            kind: IntensityKind::Forecast,
            fetched_at: minute(0),
            provider_updated_at: None,
        }
    }

    /// The figures of half hours from minute 0 on.
    fn forecast(grams: &[u32]) -> Vec<IntensityFact> {
        (0..).zip(grams).map(|(i, grams)| fact(i * 30, i * 30 + 30, *grams)).collect()
    }

    fn minutes(facts: &[IntensityFact], now: i64, needs: i64, until: i64) -> Option<(i64, f64)> {
        let needs = SignedDuration::from_mins(needs);
        let choice = choose(facts, minute(now), needs, minute(until))?;
        let start = choice.best.from.as_second();
        assert_eq!(start % 60, 0);
        Some((start / 60, choice.best.mean.grams_per_kwh()))
    }

    #[test]
    fn the_recorded_forecast_of_great_britain_gives_the_known_window() {
        #[derive(serde::Deserialize)]
        struct Answer {
            data: Vec<Slot>,
        }
        #[derive(serde::Deserialize)]
        struct Slot {
            from: Timestamp,
            to: Timestamp,
            intensity: Values,
        }
        #[derive(serde::Deserialize)]
        struct Values {
            forecast: u32,
            actual: u32,
        }
        let body = include_str!("../../tests/feeds/answers/uk_national_fw24h.json");
        let slots = serde_json::from_str::<Answer>(body).unwrap().data;
        let facts = |value: &dyn Fn(&Values) -> u32| -> Vec<IntensityFact> {
            let one = |slot: &Slot| IntensityFact {
                from: slot.from,
                to: slot.to,
                ..fact(0, 1, value(&slot.intensity))
            };
            slots.iter().map(one).collect()
        };
        let (now, needs) = (slots[0].from, SignedDuration::from_hours(3));
        let until = now + SignedDuration::from_hours(12);
        let choice = choose(&facts(&|values| values.forecast), now, needs, until).unwrap();
        assert_eq!(choice.best.from.to_string(), "2017-10-01T20:30:00Z");
        assert_eq!(choice.best.to.to_string(), "2017-10-01T23:30:00Z");
        let rounded = |window: Window| format!("{:.1}", window.mean.grams_per_kwh());
        assert_eq!((rounded(choice.now), rounded(choice.best)), ("153.7".into(), "142.0".into()));
        let saving = |now: Window, best: Window| {
            let percent = saving_percent(now.mean.grams_per_kwh(), best.mean.grams_per_kwh());
            format!("{percent:.1}")
        };
        assert_eq!(saving(choice.now, choice.best), "7.6");
        let actual = facts(&|values| values.actual);
        let of = |from| choose(&actual, from, needs, from).unwrap().now;
        let (at_once, chosen) = (of(choice.now.from), of(choice.best.from));
        assert_eq!((rounded(at_once), rounded(chosen)), ("141.8".into(), "108.8".into()));
        assert_eq!(saving(at_once, chosen), "23.3");
    }

    #[test]
    fn the_window_lies_in_the_limit_and_the_earliest_of_equal_ones_is_taken() {
        let facts = forecast(&[200, 100, 100, 300, 50, 50]);
        assert_eq!(minutes(&facts, 0, 30, 180), Some((120, 50.0)));
        assert_eq!(minutes(&facts, 0, 30, 149), Some((119, 58.333)));
        assert_eq!(minutes(&facts, 0, 30, 120), Some((30, 100.0)));
        assert_eq!(minutes(&facts, 0, 60, 120), Some((30, 100.0)));
        // Shorter than a step, and longer than the limit: now.
        assert_eq!(minutes(&facts, 10, 10, 60), Some((30, 100.0)));
        assert_eq!(minutes(&facts, 0, 90, 60), Some((0, 133.333)));
        assert_eq!(minutes(&forecast(&[7; 6]), 20, 60, 180), Some((20, 7.0)));
    }

    #[test]
    fn a_gap_is_never_bridged_and_what_is_not_forecast_is_not_chosen() {
        let mut facts = forecast(&[200, 100, 1, 100, 90, 80]);
        facts.remove(2);
        assert_eq!(minutes(&facts, 0, 30, 180), Some((150, 80.0)));
        assert_eq!(minutes(&facts, 0, 60, 180), Some((120, 85.0)));
        // Now is not covered: nothing to compare with.
        assert_eq!(minutes(&facts, 65, 30, 180), None);
        assert_eq!(minutes(&facts, 150, 60, 300), None);
        assert_eq!(minutes(&facts, 0, 0, 180), None);
        assert_eq!(minutes(&[], 0, 30, 180), None);
    }

    proptest! {
        /// Against every start to the minute, by the mean of the minutes.
        #[test]
        fn no_minute_of_the_limit_is_a_better_start(
            steps in prop::collection::vec((1_i64..5, prop::option::weighted(0.9, 0_u32..500)), 1..12),
            now in 0_i64..10,
            needs in 1_i64..12,
            within in 0_i64..40,
            shuffled in any::<bool>(),
        ) {
            let mut facts = Vec::new();
            let mut by_minute: Vec<Option<u32>> = Vec::new();
            for (length, grams) in steps {
                let from = by_minute.len() as i64;
                by_minute.extend((0..length).map(|_| grams));
                facts.extend(grams.map(|grams| fact(from, from + length, grams)));
            }
            if shuffled {
                facts.reverse();
            }
            let sum = |start: i64| -> Option<u64> {
                (start..start + needs)
                    .map(|at| by_minute.get(at as usize).copied().flatten().map(u64::from))
                    .sum()
            };
            let until = now + within;
            let least = (now..=(until - needs).max(now))
                .filter_map(|start| Some((sum(start)?, start)))
                .min()
                .filter(|_| sum(now).is_some());
            let chosen = choose(&facts, minute(now), SignedDuration::from_mins(needs), minute(until));
            prop_assert_eq!(chosen.is_some(), least.is_some());
            if let (Some(choice), Some((sum_of_best, start))) = (chosen, least) {
                prop_assert_eq!(choice.best.from, minute(start));
                prop_assert_eq!(choice.best.to, minute(start + needs));
                let mean = sum_of_best as f64 / needs as f64;
                prop_assert!((choice.best.mean.grams_per_kwh() - mean).abs() <= 0.000_51);
                prop_assert_eq!(choice.now.from, minute(now));
                prop_assert!(choice.best.mean <= choice.now.mean);
            }
        }
    }
}
