// SPDX-License-Identifier: Apache-2.0
//! Rows to write, and waiting for a fact rather than for a time.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aimeter::jobs::{Exit, GpuRequest, JobSpec, JobState};
use aimeter::ledger::recover::Recovered;
use aimeter::ledger::schema::LedgerError;
use aimeter::ledger::writer::Writer;
use aimeter::ledger::{
    Amount, Batch, Booking, CounterMark, CpuMark, DomainKey, Event, JobKey, JobRow, Uncertainty,
};
use aimeter::sensors::{Domain, DomainId, Kind, Method};
use aimeter::units::{BootTime, Energy, Power};
use jiff::Timestamp;

pub const BOOT: &str = "e732b0ec-98bd-4576-9cc6-af36d16b383d";

/// Microseconds since 1970 of the first interval in these tests.
pub const T0: i64 = 1_790_000_000_000_000;

pub fn uj(microjoules: u64) -> Energy {
    Energy::from_microjoules(microjoules)
}

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_microsecond(T0 + seconds * 1_000_000).unwrap()
}

pub fn domain(id: &str, kind: Kind) -> Domain {
    Domain {
        id: DomainId::new(id),
        kind,
        source: id.split(':').next().unwrap().to_owned(),
        method: if id.starts_with("estimate") { Method::Estimate } else { Method::Counter },
        resolution: uj(61),
        range: Some(uj(262_143_328_850)),
        update_period: Duration::from_millis(1),
        max_power: Power::from_watts(700),
        overlap: (kind == Kind::Node).then(|| "contains the others".to_owned()),
        gain_percent: Some(7.5),
        model_percent: None,
        driver: None,
        power_limit: None,
        device: "device".to_owned(),
    }
}

pub fn domain_event(key: i64, id: &str, kind: Kind) -> Event {
    Event::Domain { key: DomainKey(key), domain: domain(id, kind), epoch: format!("{BOOT} 1") }
}

pub fn job(key: i64, id: &str, parent: Option<&str>) -> JobRow {
    JobRow {
        key: JobKey(key),
        spec: JobSpec {
            id: id.parse().unwrap(),
            name: format!("name of {id}"),
            user: "ada".to_owned(),
            uid: 1000,
            project: Some("vision".to_owned()),
            labels: BTreeMap::from([("team".to_owned(), "b\"l\\ue".to_owned())]),
            command: vec!["python3".to_owned(), "train.py".to_owned(), "--x=\u{e9}".to_owned()],
            pid: 4242,
            wrapper_pid: 4241,
            gpus: GpuRequest::List(vec!["0".to_owned()]),
            zone: Some("GB".to_owned()),
            pue_thousandths: Some(1_200),
            parent: parent.map(|id| id.parse().unwrap()),
            reserved_cores: 8,
            timing: None,
        },
        origin: "run".to_owned(),
        state: JobState::Running,
        exit: None,
        started: at(key),
        started_at: BootTime::from_nanoseconds(5_000_000_000),
        ended: None,
        duration: None,
        boot_id: BOOT.to_owned(),
        claim: Some("aimeter/job".to_owned()),
        zone: Some("GB".to_owned()),
        pue_thousandths: Some(1_200),
    }
}

pub fn ended(mut row: JobRow, exit: Exit) -> JobRow {
    row.state = JobState::Finished;
    row.exit = Some(exit);
    row.ended = Some(at(row.key.0 + 60));
    row.duration = Some(Duration::from_secs(60));
    row
}

pub fn job_event(row: &JobRow) -> Event {
    Event::Job(Box::new(row.clone()))
}

pub fn line(job: i64, domain: i64, interval: i64, microjoules: u64) -> Booking {
    Booking {
        job: JobKey(job),
        domain: DomainKey(domain),
        from_microseconds: T0 + interval * 300_000_000,
        to_microseconds: T0 + (interval + 1) * 300_000_000,
        amount: Amount {
            energy: uj(microjoules),
            uncertainty: Uncertainty { edge: uj(3), split: uj(4), gap: uj(5), resolution: uj(6) },
            gap_nanoseconds: 7,
        },
    }
}

pub fn mark(domain: i64, value: u64) -> CounterMark {
    CounterMark {
        domain: DomainKey(domain),
        at: BootTime::from_nanoseconds(6_000_000_000),
        value: uj(value),
    }
}

pub fn cpu(job: i64, used: u64) -> CpuMark {
    CpuMark { job: JobKey(job), used_microseconds: used }
}

/// Opens it for writing. A process that another test has just forked holds our lock of
/// a moment ago until it execs.
pub fn open(directory: &Path) -> (Writer, Recovered) {
    let mut opened = None;
    until("the lock of a writer that is closed is free", || {
        match Writer::open(directory, BOOT, at(0)) {
            Err(LedgerError::Locked { holder, .. }) if holder == std::process::id().to_string() => {
                false
            }
            other => {
                opened = Some(other.unwrap());
                true
            }
        }
    });
    opened.unwrap()
}

/// Opens, writes one batch, closes.
pub fn write(directory: &Path, events: Vec<Event>, bookings: Vec<Booking>) {
    let (writer, _) = open(directory);
    writer.submit(&mut Batch { events, bookings, ..Batch::default() });
    writer.close().unwrap();
}

/// Two GPUs, a package, and the node around them.
pub fn domains() -> Vec<Event> {
    vec![
        domain_event(1, "nvml:GPU-1", Kind::Gpu),
        domain_event(2, "nvml:GPU-2", Kind::Gpu),
        domain_event(3, "rapl:package-0", Kind::Cpu),
        domain_event(4, "hwmon:node", Kind::Node),
    ]
}

/// Waits for a fact; the limit is only there so that a failure ends.
pub fn until(what: &str, mut fact: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if fact() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("never: {what}");
}

/// SQLite's own check of a file, and that the tally agrees with the lines.
pub fn check_sound(directory: &Path) {
    let file = rusqlite::Connection::open(directory.join("ledger.db")).unwrap();
    let verdict: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let differing: i64 = file
        .query_row(
            "SELECT count(*) FROM (SELECT job, domain, sum(energy_uj) AS sum FROM booking
             GROUP BY job, domain) FULL JOIN tally USING (job, domain)
             WHERE sum IS NOT energy_uj",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(differing, 0, "the tally is the sum of the closed lines");
}
