// SPDX-License-Identifier: Apache-2.0
//! A ledger with a job of known power, and facts of a zone.

#[path = "../ledger/support.rs"]
#[allow(dead_code, reason = "the ledger's tests use more of it")]
mod ledger;

use std::path::Path;

use aimeter::carbon::Known;
use aimeter::jobs::Exit;
use aimeter::ledger::query::Reader;
use aimeter::ledger::{Booking, Event, IntensityFact, IntensityKind, JobReport, JobRow};
use aimeter::record::{HostPart, Record, build};
use aimeter::settlement;
use aimeter::units::Intensity;
use jiff::Timestamp;

pub use ledger::{at, domains, job_event, line, write};

pub const HALF_HOUR: i64 = 1_800;

/// A fact of Great Britain from one second after the first interval to another.
pub fn fact(kind: IntensityKind, from: i64, to: i64, fetched: i64, grams: u32) -> IntensityFact {
    IntensityFact {
        zone: "GB".into(),
        from: at(from),
        to: at(to),
        intensity: Intensity::from_milligrams_per_kwh(grams * 1_000),
        signal: "average".into(),
        boundary: "direct".into(),
        source: "uk-carbon-intensity".into(),
        kind,
        fetched_at: at(fetched),
        provider_updated_at: None,
    }
}

/// The yearly mean as a daemon tells it at a moment.
pub fn table(fetched: i64, grams: u32) -> IntensityFact {
    IntensityFact {
        from: Timestamp::UNIX_EPOCH,
        to: Timestamp::MAX,
        source: "table:test 2024".into(),
        boundary: "lifecycle".into(),
        ..fact(IntensityKind::Table, 0, 1, fetched, grams)
    }
}

pub fn facts(facts: &[IntensityFact]) -> Vec<Event> {
    facts.iter().cloned().map(Event::Intensity).collect()
}

/// A job of which no PUE is known, so that its emissions are those of its machines.
pub fn job(key: i64, id: &str, parent: Option<&str>) -> JobRow {
    let mut row = ledger::job(key, id, parent);
    (row.pue_thousandths, row.spec.pue_thousandths) = (None, None);
    row
}

/// A job from 0 to `seconds` with one kilowatt-hour every 300 s on the first domain, and
/// 1 PUE.
pub fn steady(directory: &Path, key: i64, id: &str, seconds: i64) -> JobRow {
    let mut row = job(key, id, None);
    row.started = at(0);
    row.state = aimeter::jobs::JobState::Finished;
    row.exit = Some(Exit::Code(0));
    row.ended = Some(at(seconds));
    row.duration = Some(std::time::Duration::from_secs(seconds as u64));
    let lines: Vec<Booking> =
        (0..seconds / 300).map(|interval| line(key, 1, interval, 3_600_000_000_000)).collect();
    let mut events = domains();
    events.push(job_event(&row));
    write(directory, events, lines);
    row
}

pub fn report(directory: &Path, id: &str) -> JobReport {
    Reader::open(directory).unwrap().report(&id.parse().unwrap()).unwrap().unwrap()
}

pub fn known(directory: &Path, report: &JobReport, now: Timestamp) -> Known {
    settlement::known(&Reader::open(directory).unwrap(), &report.job, now).unwrap()
}

/// The job's record as the ledger gives it at a moment.
pub fn record(directory: &Path, id: &str, now: Timestamp) -> Record {
    let report = report(directory, id);
    build(&report, &HostPart::default(), &known(directory, &report, now))
}
