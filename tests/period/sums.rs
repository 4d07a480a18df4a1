// SPDX-License-Identifier: Apache-2.0
//! Every joule of a period is in one place: sums against those made by hand, and for
//! books and periods at random.

use std::path::Path;

use aimeter::carbon::embodied::EmbodiedSettings;
use aimeter::ledger::{Booking, JobKey};
use aimeter::record::report::period::{By, Statement};
use aimeter::settlement::period::{ByTime, Period, Wanted};
use proptest::prelude::*;

use crate::support::*;

const ALL: [By; 5] = [By::User, By::Project, By::Model, By::Gpu, By::Day];

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{found}, not {expected}");
}

/// Groups, other jobs and nobody make up the machine; the trend does, too.
fn balances(statement: &Statement) {
    let groups: f64 = statement.groups.iter().map(|group| group.figures.joules).sum();
    close(groups, statement.total.joules);
    let rest = statement.other_jobs_joules + statement.unattributed_joules;
    close(groups + rest, statement.machine_joules);
    let trend = statement.trend.iter();
    let of_trend: f64 =
        trend.map(|one| one.figures.joules + one.other_jobs_joules + one.unattributed_joules).sum();
    close(of_trend, statement.machine_joules);
    for (of, whole) in [
        (
            statement.groups.iter().map(|group| group.figures.operational_grams).sum(),
            statement.total.operational_grams,
        ),
        (
            statement.groups.iter().map(|group| group.figures.embodied_grams).sum(),
            statement.total.embodied_grams,
        ),
    ] {
        match (of, whole) {
            (Some(of), Some(whole)) => close(of, whole),
            (of, whole) => assert_eq!((of, whole), (None, None)),
        }
    }
}

#[test]
fn the_groups_and_what_was_nobodys_make_up_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    two_days(folder.path());
    let all = wanted(&[0, 24 * HOUR, 48 * HOUR]);
    let (one, nested, two) = (40 * ONE, 10 * NESTED, 18 * TWO);
    let nobody = 48 * (NOBODY[0] + NOBODY[1]);
    for by in ALL {
        let statement = stated(folder.path(), &all, by);
        balances(&statement);
        assert_eq!(statement.total.jobs, 3);
        close(statement.total.joules, (one + nested + two) as f64);
        close(statement.unattributed_joules, nobody as f64);
        let keys: Vec<(Option<&str>, u64, f64)> = statement
            .groups
            .iter()
            .map(|group| (group.key.as_deref(), group.figures.jobs, group.figures.joules))
            .collect();
        let expected: Vec<(Option<&str>, u64, u64)> = match by {
            By::User => vec![(Some("ada"), 2, one + nested), (Some(HOSTILE), 1, two)],
            By::Project => vec![(Some("vision"), 2, one + nested), (None, 1, two)],
            By::Model => vec![(Some("resnet"), 1, one), (None, 2, nested + two)],
            By::Gpu => vec![
                (Some("NVIDIA H100"), 1, one),
                (Some("NVIDIA A100"), 1, two),
                (None, 1, nested),
            ],
            By::Day => vec![
                (Some("2026-09-21"), 2, 24 * ONE + nested),
                (Some("2026-09-22"), 2, 16 * ONE + two),
            ],
        };
        assert_eq!(keys.len(), expected.len(), "{keys:?}");
        for (found, expected) in keys.into_iter().zip(expected) {
            assert_eq!((found.0, found.1), (expected.0, expected.1), "{by:?}");
            close(found.2, expected.2 as f64);
        }
    }
}

#[test]
fn lines_at_the_edges_count_by_time() {
    let folder = tempfile::tempdir().unwrap();
    two_days(folder.path());
    // From a quarter past the 38th hour to half past the 40th.
    let part = wanted(&[38 * HOUR + HOUR / 4, 40 * HOUR + HOUR / 2]);
    let statement = stated(folder.path(), &part, By::Project);
    balances(&statement);
    close(statement.groups[0].figures.joules, ONE as f64 * 1.75);
    close(statement.groups[1].figures.joules, TWO as f64 * 2.25);
    let nobody = (NOBODY[0] + NOBODY[1]) as f64 * 2.25;
    close(statement.unattributed_joules, nobody);
    close(statement.unattributed_share.unwrap(), nobody / statement.machine_joules);
    // What crosses: the first three quarters and the last half hour of each account.
    let cut = ONE as f64 * 0.75 + (TWO + NOBODY[0] + NOBODY[1]) as f64 * 1.25;
    let told = format!("{} of the energy is of intervals", aimeter::record::text::energy(cut));
    assert!(statement.notes.iter().any(|note| note.starts_with(&told)), "{:?}", statement.notes);
}

#[test]
fn emissions_follow_the_grid_the_pue_and_what_is_final() {
    let folder = tempfile::tempdir().unwrap();
    two_days(folder.path());
    let statement = stated(folder.path(), &wanted(&[0, 24 * HOUR, 48 * HOUR]), By::Day);
    let kwh = |joules: u64| joules as f64 / 3.6e6;
    // Job one and the nested one have a PUE of 1.2, job two has none.
    let first = kwh(24 * ONE + 10 * NESTED) * 1.2 * 100.0;
    let second = (kwh(16 * ONE) * 1.2 + kwh(18 * TWO)) * 300.0;
    let [one, two] = &statement.trend[..] else { panic!("{:?}", statement.trend) };
    close(one.figures.operational_grams.unwrap(), first);
    close(two.figures.operational_grams.unwrap(), second);
    let total = &statement.total;
    close(total.operational_grams.unwrap(), first + second);
    // The second day's figures are estimates two hours old.
    close(total.unsettled_grams.unwrap(), second);
    close(total.settled_grams.unwrap(), first);
    let facility = (40 * ONE + 10 * NESTED) as f64 * 1.2 + (18 * TWO) as f64;
    close(total.facility_joules, facility);
    let embodied = |folder: &Path, hours: i64| {
        stated(folder, &wanted(&[0, hours * HOUR]), By::Day).total.embodied_grams
    };
    // Up to the tenth hour job one is alone.
    let (ten, five) = (embodied(folder.path(), 10).unwrap(), embodied(folder.path(), 5).unwrap());
    close(ten, 2.0 * five);
    let server = EmbodiedSettings::default().server().unwrap().nanograms_per_hour as f64;
    let gpu = EmbodiedSettings::default().gpu("NVIDIA H100").unwrap().nanograms_per_hour as f64;
    close(five, (server + gpu) * 5.0 / 1e9);
    close(total.embodied_grams.unwrap(), (server * 68.0 + gpu * 40.0) / 1e9);
    let other = tempfile::tempdir().unwrap();
    held_by(other.path(), &[1]);
    assert!(embodied(other.path(), 5).is_some());
    assert_eq!(embodied(other.path(), 48), None, "the nested job noted nothing");
}

#[test]
fn jobs_that_were_not_asked_for_stand_beside() {
    let folder = tempfile::tempdir().unwrap();
    two_days(folder.path());
    let all = wanted(&[0, 48 * HOUR]);
    for (wanted, joules) in [
        (Wanted { user: Some("ada".into()), ..all.clone() }, 40 * ONE + 10 * NESTED),
        (Wanted { project: Some("vision".into()), ..all.clone() }, 40 * ONE + 10 * NESTED),
        (Wanted { user: Some(HOSTILE.into()), ..all.clone() }, 18 * TWO),
        (Wanted { project: Some("none".into()), ..all.clone() }, 0),
    ] {
        let statement = stated(folder.path(), &wanted, By::Model);
        balances(&statement);
        close(statement.total.joules, joules as f64);
        close(statement.other_jobs_joules, (40 * ONE + 10 * NESTED + 18 * TWO - joules) as f64);
    }
}

/// Microjoules of an account.
fn of(by_time: &ByTime) -> u128 {
    by_time.values().map(|booked| u128::from(booked.energy().microjoules())).sum()
}

fn all(period: &Period) -> u128 {
    let jobs: u128 = period.jobs.iter().map(|job| of(&job.booked)).sum();
    jobs + of(&period.others) + of(&period.unattributed)
}

/// Lines of three accounts on two domains, one after the other, of any length.
fn books() -> impl Strategy<Value = Vec<Booking>> {
    let lines = prop::collection::vec((0i64..4_000_000_000, 0u64..1_000_000_000_000), 0..12);
    prop::collection::vec(lines, 6).prop_map(|accounts| {
        let mut books = Vec::new();
        for (place, lines) in accounts.into_iter().enumerate() {
            let mut from = T0;
            for (length, energy) in lines {
                let mut booking = line(place as i64 % 3, 1 + place as i64 / 3, 0, energy);
                (booking.from_microseconds, booking.to_microseconds) = (from, from + length);
                // The key of a line is its start.
                from += length.max(1);
                books.push(booking);
            }
        }
        books
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the books and the edges: no microjoule is lost, made or counted twice.
    #[test]
    fn neighbouring_periods_add_up_to_the_books(
        books in books(),
        inner in prop::collection::btree_set(1i64..49_000, 0..5),
        asked in prop::option::of(Just("vision".to_owned())),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut events = domains();
        let (start, end) = (at(0), at(50_000));
        for (key, id) in [(1, "one"), (2, "two")] {
            let mut row = finished(row(key, id, None, (0, 0)), start, end);
            row.spec.project = (key == 1).then(|| "vision".to_owned());
            events.push(job_event(&row));
        }
        write(folder.path(), events, books.clone());
        let booked: u128 =
            books.iter().map(|line| u128::from(line.amount.energy.microjoules())).sum();
        let mine = |period: &Period| period.jobs.iter().map(|job| of(&job.booked)).sum::<u128>();
        let mut edges = vec![0];
        edges.extend(inner);
        edges.push(50_000);
        let whole = wanted(&edges);
        let whole = Wanted { project: asked.clone(), ..whole };
        let together = period(folder.path(), &whole);
        prop_assert_eq!(all(&together), booked);
        let unattributed = |line: &&Booking| line.job == JobKey::UNATTRIBUTED;
        let nobody: u128 = books.iter().filter(unattributed)
            .map(|line| u128::from(line.amount.energy.microjoules())).sum();
        prop_assert_eq!(of(&together.unattributed), nobody);
        let (mut sum, mut of_jobs) = (0, 0);
        for pair in edges.windows(2) {
            let one = Wanted { project: asked.clone(), ..wanted(pair) };
            let one = period(folder.path(), &one);
            sum += all(&one);
            of_jobs += mine(&one);
        }
        prop_assert_eq!(sum, booked);
        prop_assert_eq!(of_jobs, mine(&together));
    }
}
