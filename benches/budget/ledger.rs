// SPDX-License-Identifier: Apache-2.0
//! `aimeter jobs` on a ledger of a million bookings.

#[path = "../../tests/ledger/support.rs"]
#[allow(dead_code)]
mod support;

use std::process::Stdio;
use std::time::Duration;

use aimeter::jobs::Exit;
use aimeter::ledger::query::Reader;
use aimeter::ledger::writer::Writer;
use aimeter::ledger::{Batch, Event, IntensityFact, IntensityKind};
use aimeter::sensors::Kind;
use aimeter::settlement::Settler;
use aimeter::units::Intensity;

use crate::machine::Machine;
use crate::process::{median_and_p95, timed};
use crate::table::{Table, Unit};
use support::{at, domain_event, ended, job, job_event, line, open};

/// A million lines: jobs, and lines of each.
const JOBS: i64 = 10_000;
const LINES: i64 = 100;
const DOMAINS: i64 = 5;
/// Jobs that one batch holds.
const BATCH: i64 = 100;

const RUNS: usize = 30;

/// The command as a user runs it: under yearly means, then under facts of half hours.
pub fn measure(table: &mut Table) {
    let machine = Machine::new(0);
    fill(&machine.state());
    list(&machine, "list of 1,000,000 bookings", table);
    settle(&machine, "yearly means", table);
    tell_facts(&machine.state());
    list(&machine, "the same under a year of half-hourly facts", table);
    settle(&machine, "half-hourly facts", table);
}

fn list(machine: &Machine, what: &str, table: &mut Table) {
    let list = || {
        let mut jobs = machine.aimeter("jobs");
        let output = jobs.stderr(Stdio::inherit()).output().expect("the release binary");
        assert!(output.status.success() && !output.stdout.is_empty());
    };
    let (median, p95) = median_and_p95((0..RUNS).map(|_| timed(list).1).collect());
    let how = format!("median of {RUNS} runs of `aimeter jobs` (19 of 20: {p95:.2} ms)");
    table.judge(what, median, 100.0, Unit::Milliseconds, &how);
}

/// The settled view: of all jobs, as a daemon makes it at its start and once a day.
fn settle(machine: &Machine, under: &str, table: &mut Table) {
    let reader = Reader::open(&machine.state()).expect("the ledger");
    let mut settler = Settler::default();
    let mut look = || {
        let view = settler.look(&reader, std::iter::empty(), at(40 * 86_400)).expect("a look");
        assert_eq!(view.users.len(), 1);
    };
    let (first, next) = (timed(&mut look).1, timed(&mut look).1);
    let how = format!("settled view of {JOBS} jobs under {under}; the next look: {next:.2} ms");
    table.judge(&format!("first look, {under}"), first, 10_000.0, Unit::Milliseconds, &how);
}

/// A year around the jobs: of each half hour three forecasts and what was measured.
fn tell_facts(folder: &std::path::Path) {
    let (writer, _) = open(folder);
    let half = 1_800;
    for day in -180..180 {
        let mut batch = Batch::default();
        for number in 0..48 {
            let from = day * 86_400 + number * half;
            for (ahead, kind) in [
                (-86_400, IntensityKind::Forecast),
                (-43_200, IntensityKind::Forecast),
                (-600, IntensityKind::Forecast),
                (2 * half, IntensityKind::Actual),
            ] {
                batch.events.push(Event::Intensity(IntensityFact {
                    zone: "GB".to_owned(),
                    from: at(from),
                    to: at(from + half),
                    intensity: Intensity::from_milligrams_per_kwh(200_000),
                    signal: "average".to_owned(),
                    boundary: "direct".to_owned(),
                    source: "uk-carbon-intensity".to_owned(),
                    kind,
                    fetched_at: at(from + ahead),
                    provider_updated_at: None,
                }));
            }
        }
        commit(&writer, &mut batch);
    }
    writer.close().expect("a last write");
}

fn fill(folder: &std::path::Path) {
    std::fs::create_dir(folder).expect("a folder");
    let (writer, _) = open(folder);
    let domain = |key| domain_event(key, &format!("nvml:GPU-{key}"), Kind::Gpu);
    let events: Vec<Event> = (1..=DOMAINS).map(domain).collect();
    let mut batch = Batch { events, ..Batch::default() };
    for key in 1..=JOBS {
        let mut row = ended(job(key, &format!("old{key}"), None), Exit::Code(0));
        row.ended = Some(at(key + LINES / DOMAINS * 300));
        batch.events.push(job_event(&row));
        for number in 0..LINES {
            batch.bookings.push(line(key, number % DOMAINS + 1, number / DOMAINS, 1_000_000));
        }
        if key % BATCH == 0 {
            commit(&writer, &mut batch);
        }
    }
    writer.close().expect("a last write");
}

/// Submits and waits (asleep) until it is written.
fn commit(writer: &Writer, batch: &mut Batch) {
    let before = writer.health().last_write;
    writer.submit(batch);
    while writer.health().last_write == before {
        std::thread::sleep(Duration::from_millis(1));
    }
}
