// SPDX-License-Identifier: Apache-2.0
//! Days of 23 and of 25 hours: all is half-open intervals of UTC, so that no hour is
//! counted twice and none is lost.

use aimeter::carbon::operational;
use aimeter::ledger::{IntensityFact, IntensityKind, IntervalEnergy};
use aimeter::units::{Energy, Intensity, MICROJOULES_PER_KWH};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::support;

/// The beginning of a local day and of the next one, in UTC.
fn day(zone: &str, date: &str) -> (Timestamp, Timestamp) {
    let date: Date = date.parse().unwrap();
    let zone = TimeZone::get(zone).expect("the system's time zones: install tzdata");
    let start = |date: Date| {
        date.to_datetime(jiff::civil::Time::midnight())
            .to_zoned_datetime(zone.clone())
            .unwrap()
            .timestamp()
    };
    (start(date), start(date.tomorrow().unwrap()))
}

#[test]
fn a_local_day_of_23_or_25_hours_has_so_many_hours_of_emissions() {
    for (zone, date, hours) in [
        ("Europe/London", "2026-03-29", 23),
        ("Europe/London", "2026-10-25", 25),
        ("Europe/Copenhagen", "2026-03-29", 23),
        ("Europe/Copenhagen", "2026-10-25", 25),
        ("Europe/Copenhagen", "2026-11-24", 24),
    ] {
        let (start, end) = day(zone, date);
        // Half hours of UTC from the day before to the day after, each with its own
        // figure: 1, 2, 3, … g.
        let half = SignedDuration::from_mins(30);
        let first = start - SignedDuration::from_hours(24);
        let facts: Vec<IntensityFact> = (0..146)
            .map(|number| IntensityFact {
                from: first + half * number,
                to: first + half * (number + 1),
                intensity: Intensity::from_milligrams_per_kwh(1_000 * (number as u32 + 1)),
                ..support::fact(IntensityKind::Actual, 0, 1, 0, 1)
            })
            .collect();
        // One booking of the whole local day: a kilowatt.
        let whole = IntervalEnergy {
            from_microseconds: start.as_microsecond(),
            to_microseconds: end.as_microsecond(),
            energy: Energy::from_microjoules(hours * MICROJOULES_PER_KWH),
        };
        let result = operational(&[whole], &facts, 1_000);
        assert_eq!(result.uncovered, Energy::ZERO);
        assert_eq!(result.uses.len() as u64, 2 * hours, "{zone} {date}");
        // The 48 half hours of the day before come first.
        let exact: f64 = (0..2 * hours).map(|number| (48 + number + 1) as f64 / 2.0).sum();
        assert!((result.emissions.grams() - exact).abs() < 1e-6, "{zone} {date}");
        assert_eq!(result.uses[0].from_microseconds, start.as_microsecond());
        assert_eq!(result.uses.last().unwrap().to_microseconds, end.as_microsecond());
        for pair in result.uses.windows(2) {
            assert_eq!(pair[0].to_microseconds, pair[1].from_microseconds);
        }
    }
}
