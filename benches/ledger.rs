// SPDX-License-Identifier: Apache-2.0
//! What the ledger costs: CPU time of the writer for a second's batch, and the
//! time of `aimeter jobs` on a ledger of a million lines.
//!
//! `cargo bench --bench ledger`. Prints a table; judges nothing.

#[path = "../tests/ledger/support.rs"]
#[allow(dead_code)]
mod support;

use std::time::Duration;

use aimeter::clock;
use aimeter::jobs::Exit;
use aimeter::ledger::query::{Filter, Reader};
use aimeter::ledger::writer::Writer;
use aimeter::ledger::{Batch, Event};
use aimeter::sensors::Kind;
use support::*;

/// The stress of the budget: running jobs, and the domains each uses.
const JOBS: i64 = 20;
const DOMAINS: i64 = 5;
const ALL_DOMAINS: i64 = 12;
const SECONDS: i64 = 600;

/// The ledger of the list: jobs, and lines of each.
const OLD_JOBS: i64 = 10_000;
const LINES: i64 = 100;

fn main() {
    let folder =
        tempfile::tempdir_in(std::env::var_os("AIMETER_BENCH_DIR").unwrap_or("/var/tmp".into()))
            .expect("a scratch folder");
    fill(folder.path());
    println!("jobs_list_ms          {:.2}", list(folder.path()) * 1e3);
    let (writer, spent) =
        timed(|| Writer::open(folder.path(), BOOT, at(1_000_000)).expect("a ledger").0);
    println!("open_ms               {:.2}", spent * 1e3);
    let mut batch = Batch { events: all_domains(), ..Batch::default() };
    for key in 1..=JOBS {
        batch.events.push(job_event(&job(OLD_JOBS + key, &format!("run{key}"), None)));
    }
    commit(&writer, &mut batch);
    let before = cpu_seconds();
    for second in 0..SECONDS {
        fill_second(&mut batch, second);
        commit(&writer, &mut batch);
    }
    let spent = cpu_seconds() - before;
    println!("writer_cpu_ms_per_s   {:.3}", spent / SECONDS as f64 * 1e3);
    writer.close().expect("a last write");
}

/// One batch as the engine makes it each second, with intervals of 5 minutes.
fn fill_second(batch: &mut Batch, second: i64) {
    let interval = 1_000 + second / 300;
    let energy = 300_000_000 * (second % 300 + 1) as u64;
    for domain in 1..=ALL_DOMAINS {
        batch.bookings.push(line(0, domain, interval, energy));
        batch.counters.push(mark(domain, energy));
    }
    for key in OLD_JOBS + 1..=OLD_JOBS + JOBS {
        batch.cpu.push(cpu(key, energy));
        for domain in 1..=DOMAINS {
            batch.bookings.push(line(key, domain, interval, energy));
        }
    }
}

/// Submits and waits (asleep) until it is written.
fn commit(writer: &Writer, batch: &mut Batch) {
    let before = writer.health().last_write;
    writer.submit(batch);
    while writer.health().last_write == before {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn all_domains() -> Vec<Event> {
    (1..=ALL_DOMAINS).map(|key| domain_event(key, &format!("nvml:GPU-{key}"), Kind::Gpu)).collect()
}

fn fill(folder: &std::path::Path) {
    let (writer, _) = open(folder);
    let mut batch = Batch { events: all_domains(), ..Batch::default() };
    for key in 1..=OLD_JOBS {
        batch.events.push(job_event(&ended(job(key, &format!("old{key}"), None), Exit::Code(0))));
        for number in 0..LINES {
            batch.bookings.push(line(key, number % DOMAINS + 1, number / DOMAINS, 1_000_000));
        }
        if key % 100 == 0 {
            commit(&writer, &mut batch);
        }
    }
    writer.close().expect("a last write");
}

fn list(folder: &std::path::Path) -> f64 {
    let read = || {
        let reader = Reader::open(folder).expect("a ledger");
        let jobs = reader.jobs(&Filter::default()).expect("jobs");
        assert_eq!(jobs.len(), 50);
    };
    timed(read).1
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = clock::now();
    let made = work();
    (made, clock::now().since(start).as_secs_f64())
}

/// CPU time of the thread `ledger`, from the kernel's scheduler.
fn cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this process's threads");
    let own = tasks.map(|task| task.expect("a thread").path()).find(|path| {
        std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "ledger")
    });
    let text = std::fs::read_to_string(own.expect("the writer").join("schedstat"));
    let text = text.expect("the kernel's scheduler statistics");
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
    nanoseconds.expect("nanoseconds on the CPU") as f64 / 1e9
}
