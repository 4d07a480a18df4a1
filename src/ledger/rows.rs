// SPDX-License-Identifier: Apache-2.0
//! Rows of the ledger as our types.
//!
//! SQLite's integers are signed 64 bit. An energy that does not fit (more than
//! 9.2e12 J) is refused, never cut; a mere property of a domain is held at the
//! largest value.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Error, Result, Row};

use super::{
    Amount, Booking, DomainKey, IntensityFact, IntensityKind, JobKey, JobRow, PueFact, Uncertainty,
};
use crate::jobs::{Exit, JobId, JobSpec, JobState};
use crate::sensors::{Domain, DomainId, Kind, Method};
use crate::units::{BootTime, Energy, Intensity, Power};

/// The columns that [`domain`] reads, from its first on.
pub const DOMAIN: &str = "domain.id, domain.kind, domain.source, domain.method, \
     domain.resolution_uj, domain.range_uj, domain.update_period_ns, domain.max_power_uw, \
     domain.overlap, domain.gain_percent, domain.model_percent, domain.device, \
     domain.driver, domain.power_limit_uw";

/// The columns that [`job`] reads.
pub const JOB: &str = "job.key, job.id, job.name, job.user, job.uid, job.project, job.labels, \
     job.command, job.pid, job.wrapper_pid, job.gpus, job.asked_zone, job.asked_pue_thousandths, \
     job.parent, job.reserved_cores, job.origin, job.state, job.exit, job.exit_value, \
     job.started_ns, job.started_at_ns, job.ended_ns, job.duration_ns, job.boot, job.claim, \
     job.zone, job.pue_thousandths, job.timing";

/// The columns that [`line`] reads.
pub const LINE: &str = "job, domain, from_us, to_us, energy_uj, edge_uj, split_uj, gap_uj, \
     resolution_uj, gap_ns";

/// A value that a column cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no {1}")]
struct Unfit(String, &'static str);

/// What makes a row unreadable: column, found text, wanted thing.
fn unfit(column: usize, found: impl ToString, wanted: &'static str) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, Box::new(Unfit(found.to_string(), wanted)))
}

/// A quantity that must not be cut, as SQLite's integer.
pub fn exact(value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|cause| Error::ToSqlConversionFailure(Box::new(cause)))
}

/// A property, held at the largest value.
pub fn held(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A duration in nanoseconds, held at 292 years.
pub fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// A wall-clock time in nanoseconds since 1970, held at the years 1677 and 2262.
pub fn wall_nanoseconds(time: Timestamp) -> i64 {
    time.as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// An unsigned column.
pub fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| unfit(column, value, "amount"))
}

/// An energy column.
pub fn energy(row: &Row<'_>, column: usize) -> Result<Energy> {
    unsigned(row, column).map(Energy::from_microjoules)
}

/// A wall-clock column.
pub fn timestamp(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    let value: i64 = row.get(column)?;
    Timestamp::from_nanosecond(value.into()).map_err(|_| unfit(column, value, "time"))
}

/// A wall-clock column that may be empty.
pub fn optional_timestamp(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>> {
    match row.get::<_, Option<i64>>(column)? {
        None => Ok(None),
        Some(_) => timestamp(row, column).map(Some),
    }
}

/// A text column that holds JSON.
fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|cause| Error::FromSqlConversionFailure(column, Type::Text, Box::new(cause)))
}

/// A value as JSON text.
pub fn to_json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|cause| Error::ToSqlConversionFailure(Box::new(cause)))
}

/// A domain from [`DOMAIN`] beginning at `first`.
pub fn domain(row: &Row<'_>, first: usize) -> Result<Domain> {
    let kind: String = row.get(first + 1)?;
    let method: String = row.get(first + 3)?;
    let range: Option<i64> = row.get(first + 5)?;
    let power_limit: Option<i64> = row.get(first + 13)?;
    Ok(Domain {
        id: DomainId::new(row.get_ref(first)?.as_str()?),
        kind: Kind::from_word(&kind).ok_or_else(|| unfit(first + 1, kind, "kind"))?,
        source: row.get(first + 2)?,
        method: Method::from_word(&method).ok_or_else(|| unfit(first + 3, method, "method"))?,
        resolution: energy(row, first + 4)?,
        range: range.map(|_| energy(row, first + 5)).transpose()?,
        update_period: Duration::from_nanos(unsigned(row, first + 6)?),
        max_power: Power::from_microwatts(unsigned(row, first + 7)?),
        overlap: row.get(first + 8)?,
        gain_percent: row.get(first + 9)?,
        model_percent: row.get(first + 10)?,
        device: row.get(first + 11)?,
        driver: row.get(first + 12)?,
        power_limit: power_limit.map(|limit| Power::from_microwatts(limit.unsigned_abs())),
    })
}

/// A job from [`JOB`] beginning at column 0.
pub fn job(row: &Row<'_>) -> Result<JobRow> {
    let state: String = row.get(16)?;
    let duration: Option<i64> = row.get(22)?;
    Ok(JobRow {
        key: JobKey(row.get(0)?),
        spec: spec(row)?,
        origin: row.get(15)?,
        state: state_of(&state).ok_or_else(|| unfit(16, state, "state"))?,
        exit: exit(row)?,
        started: timestamp(row, 19)?,
        started_at: BootTime::from_nanoseconds(unsigned(row, 20)?),
        ended: optional_timestamp(row, 21)?,
        duration: duration.map(|_| unsigned(row, 22).map(Duration::from_nanos)).transpose()?,
        boot_id: row.get(23)?,
        claim: row.get(24)?,
        zone: row.get(25)?,
        pue_thousandths: row.get(26)?,
    })
}

fn spec(row: &Row<'_>) -> Result<JobSpec> {
    let parent: Option<String> = row.get(13)?;
    let timing: Option<String> = row.get(27)?;
    Ok(JobSpec {
        id: job_id(1, row.get(1)?)?,
        name: row.get(2)?,
        user: row.get(3)?,
        uid: row.get(4)?,
        project: row.get(5)?,
        labels: json(row, 6)?,
        command: json(row, 7)?,
        pid: row.get(8)?,
        wrapper_pid: row.get(9)?,
        gpus: json(row, 10)?,
        zone: row.get(11)?,
        pue_thousandths: row.get(12)?,
        parent: parent.map(|text| job_id(13, text)).transpose()?,
        reserved_cores: row.get(14)?,
        timing: timing.map(|_| json(row, 27)).transpose()?,
    })
}

fn job_id(column: usize, text: String) -> Result<JobId> {
    JobId::try_from(text).map_err(|cause| unfit(column, cause.0, "job id"))
}

fn state_of(word: &str) -> Option<JobState> {
    [JobState::Running, JobState::Finished, JobState::Lost]
        .into_iter()
        .find(|state| state.as_str() == word)
}

fn exit(row: &Row<'_>) -> Result<Option<Exit>> {
    let Some(word) = row.get::<_, Option<String>>(17)? else { return Ok(None) };
    Ok(Some(match word.as_str() {
        "code" => Exit::Code(row.get(18)?),
        "signal" => Exit::Signal(row.get(18)?),
        _ => Exit::Unknown,
    }))
}

/// The two columns of an exit.
pub fn exit_columns(exit: Option<Exit>) -> (Option<&'static str>, Option<i32>) {
    match exit {
        None => (None, None),
        Some(Exit::Code(code)) => (Some("code"), Some(code)),
        Some(Exit::Signal(signal)) => (Some("signal"), Some(signal)),
        Some(Exit::Unknown) => (Some("unknown"), None),
    }
}

/// A line from [`LINE`] beginning at column 0.
pub fn line(row: &Row<'_>) -> Result<Booking> {
    Ok(Booking {
        job: JobKey(row.get(0)?),
        domain: DomainKey(row.get(1)?),
        from_microseconds: row.get(2)?,
        to_microseconds: row.get(3)?,
        amount: Amount {
            energy: energy(row, 4)?,
            uncertainty: Uncertainty {
                edge: energy(row, 5)?,
                split: energy(row, 6)?,
                gap: energy(row, 7)?,
                resolution: energy(row, 8)?,
            },
            gap_nanoseconds: unsigned(row, 9)?,
        },
    })
}

/// A fact from all columns of `pue`.
pub fn pue(row: &Row<'_>) -> Result<PueFact> {
    let from: i64 = row.get(0)?;
    Ok(PueFact {
        from: Timestamp::from_microsecond(from).map_err(|_| unfit(0, from, "time"))?,
        thousandths: row.get(1)?,
        source: row.get(2)?,
    })
}

/// A fact from all columns of `intensity`.
pub fn intensity(row: &Row<'_>) -> Result<IntensityFact> {
    let word: String = row.get(7)?;
    let kind =
        IntensityKind::from_word(&word).ok_or_else(|| unfit(7, word, "kind of intensity"))?;
    Ok(IntensityFact {
        zone: row.get(0)?,
        from: timestamp(row, 1)?,
        to: timestamp(row, 2)?,
        intensity: Intensity::from_milligrams_per_kwh(row.get(3)?),
        signal: row.get(4)?,
        boundary: row.get(5)?,
        source: row.get(6)?,
        kind,
        fetched_at: timestamp(row, 8)?,
        provider_updated_at: optional_timestamp(row, 9)?,
    })
}
