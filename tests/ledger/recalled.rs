// SPDX-License-Identifier: Apache-2.0
//! What a starting daemon recalls of the grid: the facts of the last days, and the
//! zones in which jobs used energy then.

use aimeter::clock;
use aimeter::jobs::Exit;
use aimeter::ledger::{Event, IntensityFact, IntensityKind, ZoneUse};
use aimeter::units::Intensity;
use jiff::{SignedDuration, Timestamp};

use crate::support::{ended, job, job_event, open, write};

/// A fact of the half hour that began so many hours ago.
fn fact(zone: &str, now: Timestamp, hours: i64, kind: IntensityKind) -> IntensityFact {
    let from = now - SignedDuration::from_hours(hours);
    IntensityFact {
        zone: zone.into(),
        from,
        to: from + SignedDuration::from_mins(30),
        intensity: Intensity::from_milligrams_per_kwh(209_000),
        signal: "average".into(),
        boundary: "direct".into(),
        source: "uk-carbon-intensity".into(),
        kind,
        fetched_at: from,
        provider_updated_at: None,
    }
}

#[test]
fn facts_of_the_last_days_of_every_zone_come_back_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let now = clock::wall();
    let wanted = [
        fact("FR", now, 8 * 24, IntensityKind::Forecast),
        fact("GB", now, 5, IntensityKind::Actual),
        fact("DE", now, 1, IntensityKind::Estimated),
        fact("GB", now, -20, IntensityKind::Forecast),
    ];
    let unwanted = [
        fact("GB", now, 10 * 24, IntensityKind::Actual),
        fact("AT", now, 300 * 24, IntensityKind::Actual),
        fact("GB", now, 2, IntensityKind::Table),
    ];
    let events = wanted.iter().chain(&unwanted).cloned().map(Event::Intensity).collect();
    write(folder.path(), events, vec![]);
    let (_writer, recovered) = open(folder.path());
    assert_eq!(recovered.facts, wanted);
}

#[test]
fn zones_come_back_with_the_time_in_which_jobs_used_them() {
    let folder = tempfile::tempdir().unwrap();
    let now = clock::wall();
    let hours = |count: i64| now - SignedDuration::from_hours(count);
    let row = |key, id: &str, zone: Option<&str>, started: i64| {
        let mut row = job(key, id, None);
        row.zone = zone.map(str::to_owned);
        row.started = hours(started);
        row
    };
    let over = |mut row: aimeter::ledger::JobRow, hours_ago| {
        row = ended(row, Exit::Code(0));
        row.ended = Some(hours(hours_ago));
        row
    };
    let rows = [
        over(row(1, "a", Some("GB"), 50), 48),
        over(row(2, "b", Some("GB"), 30), 20),
        row(3, "c", Some("FR"), 400),
        over(row(4, "d", Some("DE"), 400), 300),
        row(5, "e", None, 1),
    ];
    write(folder.path(), rows.iter().map(job_event).collect(), vec![]);
    let (_writer, recovered) = open(folder.path());
    let [france, britain] = recovered.zones.as_slice() else { panic!("{:?}", recovered.zones) };
    assert_eq!((france.zone.as_str(), france.from), ("FR", hours(400)));
    assert!(france.to >= now);
    let expected = ZoneUse { zone: "GB".into(), from: hours(50), to: hours(20) };
    assert_eq!(*britain, expected);
}
