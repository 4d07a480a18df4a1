// SPDX-License-Identifier: Apache-2.0
//! Emissions against figures computed elsewhere, and the books of a split.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::ledger::IntensityKind;
use crate::units::{Intensity, MICROJOULES_PER_KWH};

const HOUR: i64 = 3_600_000_000;

fn moment(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap()
}

fn fact(kind: IntensityKind, from: i64, to: i64, grams: u32) -> IntensityFact {
    IntensityFact {
        zone: "GB".into(),
        from: moment(from),
        to: moment(to),
        intensity: Intensity::from_milligrams_per_kwh(grams * 1_000),
        signal: "average".into(),
        boundary: "direct".into(),
        source: "feed".into(),
        kind,
        fetched_at: moment(0),
        provider_updated_at: None,
    }
}

fn interval(from: i64, to: i64, microjoules: u64) -> IntervalEnergy {
    IntervalEnergy {
        from_microseconds: from,
        to_microseconds: to,
        energy: Energy::from_microjoules(microjoules),
    }
}

/// Hourly gCO2e/kWh of US-MIDW-MISO from 2024-11-30 06:00 UTC, recorded from
/// Electricity Maps by the Zeus project (Apache-2.0), `em_history_us_midw_miso.json`.
const MISO: [u32; 24] = [
    501, 419, 416, 419, 431, 439, 447, 456, 444, 427, 427, 429, 430, 426, 426, 444, 476, 479, 532,
    530, 524, 515, 507, 494,
];

#[test]
fn power_that_moves_with_the_grid_is_not_the_mean_of_the_day() {
    let facts: Vec<_> = (0..24)
        .map(|hour| {
            let from = i64::from(hour) * HOUR;
            fact(IntensityKind::Actual, from, from + HOUR, MISO[hour as usize])
        })
        .collect();
    // 5.6 kW in the hours 06 to 11 UTC and 1.4 kW else, as two bookings.
    let intervals = [
        interval(6 * HOUR, 24 * HOUR, MICROJOULES_PER_KWH * 14 / 10 * 18),
        interval(0, 6 * HOUR, MICROJOULES_PER_KWH * 56 / 10 * 6),
    ];
    let result = operational(&intervals, &facts, 1_000);
    let energy = 58.8;
    assert!((result.emissions.grams() - 26_478.2).abs() < 0.05, "{}", result.emissions.grams());
    let naive = f64::from(MISO.iter().sum::<u32>()) / 24.0 * energy;
    assert!((naive - 27_043.1).abs() < 0.05);
    let mean = result.mean_grams_per_kwh().unwrap();
    assert!((mean * energy - result.emissions.grams()).abs() < 1e-6);
    assert_eq!(result.uses.len(), 24);
    assert!(result.settled(moment(0)));
    let with_pue = operational(&intervals, &facts, 1_500);
    assert!((with_pue.emissions.grams() - 1.5 * 26_478.2).abs() < 0.1);
    assert_eq!(with_pue.mean_grams_per_kwh(), Some(mean));
}

#[test]
fn the_best_fact_holds_where_it_is_and_the_table_elsewhere() {
    let facts = [
        fact(IntensityKind::Table, 0, 100 * HOUR, 200),
        fact(IntensityKind::Forecast, HOUR, 3 * HOUR, 90),
        fact(IntensityKind::Actual, 2 * HOUR, 3 * HOUR, 100),
    ];
    let chosen: Vec<_> = choose(&facts, 0, 4 * HOUR)
        .iter()
        .map(|stretch| {
            let grams = stretch.fact.unwrap().intensity.milligrams_per_kwh() / 1_000;
            (stretch.from_microseconds / HOUR, stretch.to_microseconds / HOUR, grams)
        })
        .collect();
    assert_eq!(chosen, [(0, 1, 200), (1, 2, 90), (2, 3, 100), (3, 4, 200)]);
    assert!(!operational(&[interval(0, 4 * HOUR, 5)], &facts, 1_000).settled(moment(0)));
}

#[test]
fn the_latest_fetch_wins_whatever_the_order() {
    let older = fact(IntensityKind::Estimated, 0, HOUR, 300);
    let newer =
        IntensityFact { fetched_at: moment(5), ..fact(IntensityKind::Estimated, 0, HOUR, 310) };
    for facts in [[older.clone(), newer.clone()], [newer.clone(), older.clone()]] {
        assert_eq!(choose(&facts, 0, HOUR)[0].fact, Some(&newer));
    }
}

#[test]
fn marginal_facts_are_no_inventory_and_what_no_fact_covers_is_unknown() {
    let marginal = IntensityFact {
        signal: "marginal".into(),
        ..fact(IntensityKind::Actual, 0, 9 * HOUR, 700)
    };
    let facts = [marginal, fact(IntensityKind::Actual, 0, HOUR, 100)];
    let result = operational(&[interval(0, 4 * HOUR, 1_000)], &facts, 1_000);
    assert_eq!(result.uncovered.microjoules(), 750);
    assert_eq!(result.uses.len(), 1);
    assert_eq!(result.uses[0].energy.microjoules(), 250);
    assert!(!result.settled(moment(0)));
}

#[test]
fn facts_of_two_boundaries_make_a_mixed_figure() {
    let table = IntensityFact {
        boundary: "lifecycle".into(),
        ..fact(IntensityKind::Table, 0, 100 * HOUR, 200)
    };
    let facts = [table, fact(IntensityKind::Actual, 0, HOUR, 100)];
    let boundary = |to| {
        let result = operational(&[interval(0, to, 10)], &facts, 1_000);
        result.boundary().map(str::to_owned)
    };
    assert_eq!(boundary(HOUR).as_deref(), Some("direct"));
    assert_eq!(boundary(2 * HOUR).as_deref(), Some("mixed"));
    assert_eq!(Operational::default().boundary(), None);
}

#[test]
fn intervals_without_length_or_energy_still_have_a_fact() {
    let facts = [fact(IntensityKind::Table, 0, 100 * HOUR, 200)];
    let at_once = operational(&[interval(HOUR, HOUR, 77)], &facts, 1_000);
    assert_eq!(at_once.uses[0].energy.microjoules(), 77);
    let nothing = operational(&[interval(0, HOUR, 0)], &facts, 1_000);
    assert_eq!(nothing.mean_grams_per_kwh(), Some(200.0));
    assert_eq!(nothing.emissions, Emissions::ZERO);
    assert_eq!(operational(&[], &facts, 1_000).mean_grams_per_kwh(), None);
}

#[test]
fn a_pue_that_changes_within_an_interval_cuts_it() {
    let facts = [fact(IntensityKind::Actual, 0, 10 * HOUR, 100)];
    let row: crate::ledger::PueFact = crate::ledger::PueFact {
        from: moment(HOUR),
        thousandths: Some(1_500),
        source: "file".into(),
    };
    let mut pue = PueByTime::from(1_000);
    pue.add(&row);
    // A kilowatt-hour in two hours, of which the second has the higher PUE.
    let result = operational(&[interval(0, 2 * HOUR, MICROJOULES_PER_KWH)], &facts, pue);
    assert_eq!(result.emissions.grams(), 125.0);
    assert_eq!(result.uses.len(), 1);
    assert_eq!(result.uses[0].energy.microjoules(), MICROJOULES_PER_KWH);
}

proptest! {
    #[test]
    fn a_split_loses_no_microjoule_and_takes_none_twice(
        spans in prop::collection::vec((0..50i64, 1..30i64, 0..4usize, 0..900u32), 0..12),
        intervals in prop::collection::vec((0..60i64, 0..40i64, any::<u32>()), 0..8),
    ) {
        use IntensityKind::{Actual, Estimated, Forecast, Table};
        let kinds = [Actual, Estimated, Forecast, Table];
        let facts: Vec<_> = spans
            .iter()
            .map(|&(from, length, kind, grams)| fact(kinds[kind], from, from + length, grams))
            .collect();
        let intervals: Vec<_> = intervals
            .iter()
            .map(|&(from, length, energy)| interval(from, from + length, energy.into()))
            .collect();
        let result = operational(&intervals, &facts, 1_000);
        let used: u64 = result.uses.iter().map(|used| used.energy.microjoules()).sum();
        let whole: u64 = intervals.iter().map(|interval| interval.energy.microjoules()).sum();
        prop_assert_eq!(used + result.uncovered.microjoules(), whole);
        for interval in &intervals {
            let (from, to) = (interval.from_microseconds, interval.to_microseconds);
            let stretches = choose(&facts, from, to);
            prop_assert_eq!(stretches[0].from_microseconds, from);
            prop_assert_eq!(stretches[stretches.len() - 1].to_microseconds, to);
            for pair in stretches.windows(2) {
                prop_assert_eq!(pair[0].to_microseconds, pair[1].from_microseconds);
            }
        }
    }
}
