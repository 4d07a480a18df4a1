// SPDX-License-Identifier: Apache-2.0
//! The settled view by user and project: the sum of the jobs, old ones too.

use std::path::Path;

use aimeter::jobs::{Exit, JobState};
use aimeter::ledger::IntensityKind::{Actual, Forecast};
use aimeter::ledger::query::Reader;
use aimeter::ledger::{JobKey, JobRow};
use aimeter::settlement::{Settlement, Settler};

use crate::support::*;

const DAY: i64 = 86_400;

/// A job of half an hour and 6 kWh that begins at a second.
fn half_hour(
    directory: &Path,
    key: i64,
    who: (&str, Option<&str>),
    start: i64,
    parent: Option<&str>,
) -> JobRow {
    let mut row = job(key, &format!("job{key}"), parent);
    row.spec.user = who.0.into();
    row.spec.project = who.1.map(Into::into);
    (row.started, row.ended) = (at(start), Some(at(start + HALF_HOUR)));
    (row.state, row.exit) = (JobState::Finished, Some(Exit::Code(0)));
    let lines =
        (0..6).map(|number| line(key, 1, start / 300 + number, 3_600_000_000_000)).collect();
    write(directory, vec![job_event(&row)], lines);
    row
}

/// (settled, unsettled) grams of a user or a project.
fn grams(view: &Settlement, user: Option<&str>, project: Option<&str>) -> (f64, f64) {
    let figure = user.map_or_else(|| view.projects[project.unwrap()], |user| view.users[user]);
    (figure.settled_grams(), figure.unsettled.grams())
}

#[test]
fn each_joule_counts_once_whoever_is_nested_and_however_old() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    write(directory, domains(), vec![]);
    half_hour(directory, 1, ("ada", Some("vision")), 0, None);
    half_hour(directory, 2, ("ada", None), 20 * DAY, None);
    half_hour(directory, 3, ("bob", Some("vision")), 20 * DAY, Some("job2"));
    // Old: measured. Young: the yearly mean, of which a forecast covers half.
    let young = 20 * DAY;
    write(
        directory,
        facts(&[
            table(-1, 300),
            fact(Actual, 0, HALF_HOUR, 4_000, 100),
            fact(Forecast, young, young + HALF_HOUR / 2, young - 60, 200),
        ]),
        vec![],
    );
    let mut settler = Settler::default();
    let reader = Reader::open(directory).unwrap();
    let shown = ["job2".parse().unwrap(), "none".parse().unwrap()];
    let now = at(young + 2 * HALF_HOUR);
    let view = settler.look(&reader, shown.iter(), now).unwrap();
    let open = 3.0 * 200.0 + 3.0 * 300.0;
    assert_eq!(grams(&view, Some("ada"), None), (600.0, open));
    assert_eq!(grams(&view, Some("bob"), None), (0.0, open));
    assert_eq!(grams(&view, None, Some("vision")), (600.0, open));
    assert_eq!(view.jobs.len(), 1);
    // A job that is shown has what is nested in it.
    assert_eq!(view.jobs[&shown[0]].emissions.grams(), 2.0 * open);
    assert_eq!(view.at, Some(now));

    // It is measured later: only the open part moves, and no counter is needed for it.
    let measured = fact(Actual, young, young + HALF_HOUR, young + 3_600, 110);
    write(directory, facts(&[measured]), vec![]);
    let reader = Reader::open(directory).unwrap();
    let view = settler.look(&reader, shown.iter(), now).unwrap();
    assert_eq!(grams(&view, Some("ada"), None), (600.0 + 660.0, 0.0));
    assert_eq!(grams(&view, Some("bob"), None), (660.0, 0.0));

    // What comes late for an old job is seen within a day.
    write(directory, facts(&[fact(Actual, 0, HALF_HOUR, young, 50)]), vec![]);
    let reader = Reader::open(directory).unwrap();
    let view = settler.look(&reader, shown.iter(), now).unwrap();
    assert_eq!(grams(&view, Some("ada"), None), (1_260.0, 0.0));
    let view = settler.look(&reader, shown.iter(), at(young + 2 * HALF_HOUR + DAY)).unwrap();
    assert_eq!(grams(&view, Some("ada"), None), (300.0 + 660.0, 0.0));
}

#[test]
fn jobs_of_which_nothing_was_said_are_found_once() {
    let folder = tempfile::tempdir().unwrap();
    let row = steady(folder.path(), 1, "quiet", HALF_HOUR);
    let untold = |since| {
        let reader = Reader::open(folder.path()).unwrap();
        let jobs = reader.untold(at(since)).unwrap();
        jobs.iter().map(|job| job.row.key).collect::<Vec<JobKey>>()
    };
    assert_eq!(untold(0), [row.key]);
    assert_eq!(untold(HALF_HOUR + 1), []);
    let told = aimeter::ledger::Told {
        at: at(2_000),
        micrograms: 7,
        mean: aimeter::units::Intensity::from_milligrams_per_kwh(8),
    };
    write(folder.path(), vec![aimeter::ledger::Event::Told { job: row.key, told }], vec![]);
    assert_eq!(untold(0), []);
    assert_eq!(Reader::open(folder.path()).unwrap().first_told(row.key).unwrap(), Some(told));
}
