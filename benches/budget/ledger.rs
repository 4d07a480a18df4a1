// SPDX-License-Identifier: Apache-2.0
//! `aimeter jobs` on a ledger of a million bookings.

#[path = "../../tests/ledger/support.rs"]
#[allow(dead_code)]
mod support;

use std::process::Stdio;
use std::time::Duration;

use aimeter::jobs::Exit;
use aimeter::ledger::writer::Writer;
use aimeter::ledger::{Batch, Event};
use aimeter::sensors::Kind;

use crate::machine::Machine;
use crate::process::{median_and_p95, timed};
use crate::table::{Table, Unit};
use support::{domain_event, ended, job, job_event, line, open};

/// A million lines: jobs, and lines of each.
const JOBS: i64 = 10_000;
const LINES: i64 = 100;
const DOMAINS: i64 = 5;
/// Jobs that one batch holds.
const BATCH: i64 = 100;

const RUNS: usize = 30;

/// The command as a user runs it.
pub fn measure(table: &mut Table) {
    let machine = Machine::new(0);
    fill(&machine.state());
    let list = || {
        let mut jobs = machine.aimeter("jobs");
        let output = jobs.stderr(Stdio::inherit()).output().expect("the release binary");
        assert!(output.status.success() && !output.stdout.is_empty());
    };
    let (median, p95) = median_and_p95((0..RUNS).map(|_| timed(list).1).collect());
    let how = format!("median of {RUNS} runs of `aimeter jobs` (19 of 20: {p95:.2} ms)");
    table.judge("list of 1,000,000 bookings", median, 100.0, Unit::Milliseconds, &how);
}

fn fill(folder: &std::path::Path) {
    std::fs::create_dir(folder).expect("a folder");
    let (writer, _) = open(folder);
    let domain = |key| domain_event(key, &format!("nvml:GPU-{key}"), Kind::Gpu);
    let events: Vec<Event> = (1..=DOMAINS).map(domain).collect();
    let mut batch = Batch { events, ..Batch::default() };
    for key in 1..=JOBS {
        batch.events.push(job_event(&ended(job(key, &format!("old{key}"), None), Exit::Code(0))));
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
