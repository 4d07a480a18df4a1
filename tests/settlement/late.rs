// SPDX-License-Identifier: Apache-2.0
//! Facts that arrive late.

use aimeter::ledger::IntensityKind::{Actual, Forecast};
use aimeter::ledger::query::{Filter, Reader};
use aimeter::ledger::{Event, IntensityFact, Told};
use aimeter::settlement::of_listed;
use aimeter::units::Intensity;
use jiff::Timestamp;

use crate::support::*;

/// What `aimeter jobs` lists: grams and the grams of them that are open.
fn listed(directory: &std::path::Path, now: Timestamp) -> (f64, f64) {
    let reader = Reader::open(directory).unwrap();
    let jobs = reader.jobs(&Filter::default()).unwrap();
    let figure = of_listed(&reader, &jobs[0], now).unwrap().unwrap();
    (figure.emissions.grams(), figure.unsettled.grams())
}

#[test]
fn the_view_follows_and_what_was_told_and_measured_stays() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    // An hour, 12 kWh: two half hours of 6 kWh.
    let row = steady(directory, 1, "late", 2 * HALF_HOUR);
    let first = [
        table(-1, 300),
        fact(Forecast, 0, HALF_HOUR, -60, 100),
        fact(Forecast, HALF_HOUR, 2 * HALF_HOUR, -60, 200),
    ];
    let told = Told {
        at: at(3_601),
        micrograms: 1_800_000_000,
        mean: Intensity::from_milligrams_per_kwh(150_000),
    };
    let mut events = facts(&first);
    events.push(Event::Told { job: row.key, told });
    write(directory, events, vec![]);

    let at_end = record(directory, "late", at(3_601));
    let before = report(directory, "late");
    assert_eq!(at_end.emissions.operational_grams, Some(1_800.0));
    assert_eq!(at_end.emissions.unsettled_grams, Some(1_800.0));
    assert!(!at_end.emissions.intensity.as_ref().unwrap().settled);
    assert_eq!(listed(directory, at(3_601)), (1_800.0, 1_800.0));

    // The first half hour was measured: 110 g.
    let measured = fact(Actual, 0, HALF_HOUR, 4_000, 110);
    // Whoever tells it again does not change what was told first.
    let again = Told { at: at(9_000), micrograms: 5, ..told };
    let mut events = facts(std::slice::from_ref(&measured));
    events.push(Event::Told { job: row.key, told: again });
    write(directory, events, vec![]);
    let half = record(directory, "late", at(4_000));
    assert_eq!(half.emissions.operational_grams, Some(1_860.0));
    assert_eq!(half.emissions.unsettled_grams, Some(1_200.0));
    assert_eq!(listed(directory, at(4_000)), (1_860.0, 1_200.0));
    let first_told = half.emissions.first_told.unwrap();
    assert_eq!(first_told.operational_grams, 1_800.0);
    assert_eq!(first_told.parts, at_end.emissions.intensity.unwrap().parts);

    write(directory, facts(&[fact(Actual, HALF_HOUR, 2 * HALF_HOUR, 6_000, 190)]), vec![]);
    let whole = record(directory, "late", at(6_000));
    assert_eq!(whole.emissions.operational_grams, Some(1_800.0));
    assert_eq!(whole.emissions.unsettled_grams, Some(0.0));
    assert!(whole.emissions.intensity.unwrap().settled);
    assert_eq!(listed(directory, at(6_000)), (1_800.0, 0.0));

    assert_eq!(report(directory, "late"), before, "no energy and no interval has changed");
    let all = Reader::open(directory).unwrap().intensities("GB", at(0), at(3_600)).unwrap();
    for old in first.iter().filter(|fact| fact.kind != aimeter::ledger::IntensityKind::Table) {
        assert!(all.contains(old), "facts are kept: {old:?}");
    }
    assert_eq!(all.len(), 5);
}

#[test]
fn what_no_feed_covers_is_the_yearly_mean_of_that_time_alone() {
    let folder = tempfile::tempdir().unwrap();
    steady(folder.path(), 1, "gap", 2 * HALF_HOUR);
    write(folder.path(), facts(&[table(-1, 300), fact(Actual, 0, HALF_HOUR, 4_000, 100)]), vec![]);
    let record = record(folder.path(), "gap", at(9_000));
    assert_eq!(record.emissions.operational_grams, Some(600.0 + 1_800.0));
    assert_eq!(record.emissions.unsettled_grams, Some(1_800.0));
    assert_eq!(record.emissions.intensity.unwrap().boundary, "mixed");
}

/// A new release with another table changed the figures of all old jobs.
#[test]
fn a_later_table_does_not_change_an_old_job_and_a_better_kind_does() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    steady(directory, 1, "old", HALF_HOUR);
    // Told by a daemon before, at the job's start, and by a later release.
    let tables = [table(-90_000, 999), table(1, 300), table(90_000, 150)];
    write(directory, facts(&tables), vec![]);
    let now = at(100_000);
    assert_eq!(record(directory, "old", now).emissions.operational_grams, Some(1_800.0));
    assert_eq!(listed(directory, now), (1_800.0, 1_800.0));
    // A job that runs since before the later release ends with the later table.
    let mut runs = job(1, "old", None);
    runs.started = at(0);
    write(directory, vec![job_event(&runs)], vec![]);
    assert_eq!(record(directory, "old", now).emissions.operational_grams, Some(900.0));

    let folder = tempfile::tempdir().unwrap();
    steady(folder.path(), 1, "old", HALF_HOUR);
    write(
        folder.path(),
        facts(&[table(90_000, 150), fact(Actual, 0, HALF_HOUR, 90_001, 10)]),
        vec![],
    );
    assert_eq!(record(folder.path(), "old", now).emissions.operational_grams, Some(60.0));
}

#[test]
fn a_region_that_is_never_measured_settles_as_its_forecast_with_a_remark() {
    let folder = tempfile::tempdir().unwrap();
    steady(folder.path(), 1, "region", HALF_HOUR);
    let forecast = IntensityFact {
        source: "uk-carbon-intensity:13".into(),
        ..fact(Forecast, 0, HALF_HOUR, -60, 100)
    };
    write(folder.path(), facts(&[forecast]), vec![]);
    let settles = HALF_HOUR + 2 * 3_600;
    let before = record(folder.path(), "region", at(settles - 1));
    assert_eq!(before.emissions.unsettled_grams, Some(600.0));
    assert_eq!(before.quality.notes, [] as [&str; 0]);
    let after = record(folder.path(), "region", at(settles));
    assert_eq!(after.emissions.unsettled_grams, Some(0.0));
    assert!(after.emissions.intensity.unwrap().settled);
    let note = after.quality.notes.concat();
    assert!(
        note.contains("forecast figures of uk-carbon-intensity:13 are taken as final"),
        "{note}"
    );
}

#[test]
fn facts_of_years_are_found_by_their_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut all: Vec<_> = (-40..40)
        .map(|half| fact(Actual, half * HALF_HOUR, (half + 1) * HALF_HOUR, 9_000, 100))
        .collect();
    // Two days, and a year: longer than what is looked for by its start.
    all.push(fact(Forecast, -100_000, 100_000, 1, 1));
    all.push(fact(Forecast, -20_000_000, 10_000_000, 2, 2));
    all.push(table(0, 3));
    write(folder.path(), facts(&all), vec![]);
    let reader = Reader::open(folder.path()).unwrap();
    for (since, until) in [(0, 1), (-1, 1), (0, HALF_HOUR), (-86_500, 86_500), (5_000, 70_000)] {
        let mut found = reader.intensities("GB", at(since), at(until)).unwrap();
        let mut expected: Vec<_> = all
            .iter()
            .filter(|fact| fact.from < at(until) && fact.to > at(since))
            .cloned()
            .collect();
        // What the ledger cannot hold of a yearly mean's end is cut.
        found
            .iter_mut()
            .filter(|fact| fact.to > at(100_000_000))
            .for_each(|fact| fact.to = Timestamp::MAX);
        expected.sort_by_key(|fact| (fact.from, fact.fetched_at));
        assert_eq!(found, expected, "{since} to {until}");
    }
    assert_eq!(reader.intensities("FR", at(-1), at(1)).unwrap(), []);
}
