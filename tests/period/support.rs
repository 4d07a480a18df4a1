// SPDX-License-Identifier: Apache-2.0
//! A ledger of two days with three jobs, one of them nested, and what was nobody's.

#[path = "../ledger/support.rs"]
#[allow(dead_code, reason = "the ledger's tests use more of it")]
mod ledger;

use std::path::Path;
use std::time::Duration;

use aimeter::carbon::embodied::EmbodiedSettings;
use aimeter::jobs::{Exit, JobState};
use aimeter::ledger::query::Reader;
use aimeter::ledger::{
    Batch, Booking, DomainKey, Event, HeldMark, IntensityFact, IntensityKind, JobKey, JobRow,
};
use aimeter::record::report::period::{Asked, By, Statement, statement};
use aimeter::settlement::period::{Period, Wanted, read};
use aimeter::units::{BootTime, Intensity};
use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use ledger::{T0, at, domains, job_event, line, uj, write};

pub const HOUR: i64 = 3_600;

/// A name that would do harm where it is not taken as text.
pub const HOSTILE: &str = "<script>alert(1)</script>|*\u{1b}[2J";

/// Joules in an hour: of job one on its GPU, of the job nested in it on the CPU, of job
/// two on its GPU, and of nobody on the first GPU and the CPU.
pub const ONE: u64 = 720_000;
pub const NESTED: u64 = 36_000;
pub const TWO: u64 = 360_000;
pub const NOBODY: [u64; 2] = [100_000, 44_000];

/// A line of the books of one hour.
pub fn hour(job: i64, domain: i64, hour: i64, joules: u64) -> Booking {
    let mut booking = line(job, domain, 0, joules * 1_000_000);
    booking.from_microseconds = T0 + hour * HOUR * 1_000_000;
    booking.to_microseconds = booking.from_microseconds + HOUR * 1_000_000;
    // A hundredth may be another job's; a counter's edge is a second of its power.
    booking.amount.uncertainty.split = uj(joules * 10_000);
    booking.amount.uncertainty.edge = uj(joules * 1_000_000 / 3_600);
    booking
}

pub fn row(key: i64, id: &str, parent: Option<&str>, hours: (i64, i64)) -> JobRow {
    let mut row = ledger::ended(ledger::job(key, id, parent), Exit::Code(0));
    row.started = at(hours.0 * HOUR);
    row.ended = Some(at(hours.1 * HOUR));
    row.duration = Some(Duration::from_secs((hours.1 - hours.0).unsigned_abs() * 3_600));
    row
}

/// The intensity of Great Britain from an hour to another.
pub fn fact(kind: IntensityKind, hours: (i64, i64), grams: u32) -> IntensityFact {
    IntensityFact {
        zone: "GB".into(),
        from: at(hours.0 * HOUR),
        to: at(hours.1 * HOUR),
        intensity: Intensity::from_milligrams_per_kwh(grams * 1_000),
        signal: "average".into(),
        boundary: "direct".into(),
        source: "uk-carbon-intensity".into(),
        kind,
        fetched_at: at(hours.1 * HOUR),
        provider_updated_at: None,
    }
}

/// Job one (Ada, vision, resnet) runs for 40 hours on the H100 and holds it; a job nested
/// in it, from the 10th hour to the 20th, on the CPU; job two (of no project) from the
/// 30th to the 48th on the A100. All hours have what was nobody's.
pub fn two_days(folder: &Path) {
    held_by(folder, &[1, 2, 3]);
}

/// The same, where only these jobs noted what they held: the machine, and job one its GPU.
pub fn held_by(folder: &Path, holders: &[i64]) {
    let mut events = domains();
    for event in &mut events {
        let Event::Domain { domain, .. } = event else { continue };
        domain.device = match domain.id.as_str() {
            "nvml:GPU-1" => "NVIDIA H100".to_owned(),
            "nvml:GPU-2" => "NVIDIA A100".to_owned(),
            _ => "CPU".to_owned(),
        };
    }
    let mut one = row(1, "one", None, (0, 40));
    one.spec.labels.insert("model".to_owned(), "resnet".to_owned());
    let nested = row(2, "nested", Some("one"), (10, 20));
    let mut two = row(3, "two", None, (30, 48));
    (two.spec.user, two.spec.project) = (HOSTILE.to_owned(), None);
    (two.spec.pue_thousandths, two.pue_thousandths) = (None, None);
    events.extend([&one, &nested, &two].map(job_event));
    events.push(Event::Intensity(fact(IntensityKind::Actual, (0, 24), 100)));
    events.push(Event::Intensity(fact(IntensityKind::Estimated, (24, 48), 300)));
    let held = |(key, domain, hours): &(i64, DomainKey, u64)| HeldMark {
        job: JobKey(*key),
        domain: *domain,
        microseconds: hours * 3_600_000_000,
        until: BootTime::default(),
    };
    let machine = DomainKey::MACHINE;
    let all = [(1, machine, 40), (1, DomainKey(1), 40), (2, machine, 10), (3, machine, 18)];
    let held = all.iter().filter(|one| holders.contains(&one.0)).map(held).collect();
    let mut lines = Vec::new();
    lines.extend((0..40).map(|at| hour(1, 1, at, ONE)));
    lines.extend((10..20).map(|at| hour(2, 3, at, NESTED)));
    lines.extend((30..48).map(|at| hour(3, 2, at, TWO)));
    lines.extend((0..48).map(|at| hour(0, 1, at, NOBODY[0])));
    lines.extend((0..48).map(|at| hour(0, 3, at, NOBODY[1])));
    // The node's own meter overlaps all of them.
    lines.extend((0..48).map(|at| hour(1, 4, at, 9_000_000)));
    let (writer, _) = ledger::open(folder);
    writer.submit(&mut Batch { events, bookings: lines, held, ..Batch::default() });
    writer.close().unwrap();
}

pub fn wanted(edges: &[i64]) -> Wanted {
    let edges = edges.iter().map(|second| at(*second)).collect();
    Wanted { user: None, project: None, edges, at: at(50 * HOUR) }
}

pub fn period(folder: &Path, wanted: &Wanted) -> Period {
    read(&Reader::open(folder).unwrap(), wanted, &EmbodiedSettings::default()).unwrap()
}

pub fn stated(folder: &Path, wanted: &Wanted, by: By) -> Statement {
    let asked = Asked { by, zone: TimeZone::UTC, weeks: false, host: None };
    statement(&asked, wanted, &period(folder, wanted))
}

pub fn finished(mut row: JobRow, started: Timestamp, ended: Timestamp) -> JobRow {
    row.state = JobState::Finished;
    (row.started, row.ended) = (started, Some(ended));
    row
}
