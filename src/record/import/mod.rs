// SPDX-License-Identifier: Apache-2.0
//! Records of what other tools have counted: `docs/import.md`.
//!
//! Pure: bytes come in, records and remarks go out. A figure keeps what its file says
//! of it and gains nothing: no uncertainty, no domain, no zone that is not there. These
//! records are for reports beside aimeter's own and never enter the ledger's books.

pub mod codecarbon;
pub mod slurm;
mod table;

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::build::{emissions_part, rfc3339, settled_notes};
use super::{EmissionsPart, EnergyPart, HostPart, JobPart, PuePart, QualityPart, Record, SCHEMA};
use crate::carbon::operational;
use crate::jobs::JobId;
use crate::ledger::{IntensityFact, IntervalEnergy};
use crate::units::Energy;

use table::short;

/// More than any machine draws, in watts: above it a figure is a counter's mistake.
const MOST_WATTS: f64 = 100_000.0;

/// More than the books could hold, in joules.
const MOST_JOULES: f64 = 1.8e13;

/// A project is a label of metrics elsewhere: so many bytes at most.
const LONGEST_PROJECT: usize = 128;

/// A user of whom the file says nothing.
const UNKNOWN: &str = "unknown";

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Import {
    /// In the order of the file.
    pub records: Vec<Record>,
    /// What is not among them, and why.
    pub remarks: Vec<Remark>,
}

/// A row or a job that became no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Where it stands.
    pub place: Place,
    /// The column or field.
    pub field: String,
    /// Why.
    pub why: String,
    /// Whether something is wrong with it; else it is rightly left out.
    pub refused: bool,
}

/// A place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line, from 1 on.
    Line(u64),
    /// A job of a JSON list, from 1 on.
    Job(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "line {line}"),
            Place::Job(job) => write!(f, "job {job}"),
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    field: String,
    why: String,
}

impl Wrong {
    fn new(field: &str, why: impl Into<String>) -> Wrong {
        Wrong { field: field.to_owned(), why: why.into() }
    }
}

impl Remark {
    fn refused(place: Place, wrong: Wrong) -> Remark {
        Remark { place, field: wrong.field, why: wrong.why, refused: true }
    }

    fn left_out(place: Place, field: &str, why: impl Into<String>) -> Remark {
        Remark { place, field: field.to_owned(), why: why.into(), refused: false }
    }
}

/// Why a file is none of the expected form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Columns that are missing.
    #[error("it has no column {0}")]
    Columns(String),
    /// A column whose name stands twice.
    #[error("its column {0} stands twice")]
    Twice(String),
    /// No JSON, or another.
    #[error("it is no output of `sacct --json`: {0}")]
    Json(String),
}

/// The time zone in which a file's times are taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock {
    /// The zone.
    pub zone: TimeZone,
    /// Whether the user named it; else it is UTC for want of a better one.
    pub named: bool,
}

impl Clock {
    /// The zone that the user named, else UTC.
    pub fn of(named: Option<TimeZone>) -> Clock {
        Clock { named: named.is_some(), zone: named.unwrap_or(TimeZone::UTC) }
    }

    /// A time as the file has it, and a remark where it could be another.
    fn moment(&self, field: &str, text: &str) -> Result<(Timestamp, Option<String>), Wrong> {
        let wrong = || Wrong::new(field, format!("`{}` is no time", short(text)));
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok((plausible(field, moment)?, None));
        }
        let civil: DateTime = text.parse().map_err(|_| wrong())?;
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        let note = ambiguous.is_ambiguous().then(|| {
            format!("{field} {civil} stands twice or never in its time zone: one hour is uncertain")
        });
        let moment = ambiguous.compatible().map_err(|_| wrong())?;
        Ok((plausible(field, moment)?, note))
    }

    /// What is to be said of times that name no zone.
    fn note(&self) -> String {
        match self.zone.iana_name() {
            _ if !self.named => "the file's times name no zone and are taken as UTC: they may be \
                 hours off; --timezone says which they are of"
                .to_owned(),
            Some(name) => {
                format!("the file's times name no zone and are taken as {name}, as asked")
            }
            None => {
                "the file's times name no zone and are taken at the offset asked for".to_owned()
            }
        }
    }
}

/// A moment of which there can be figures.
fn plausible(field: &str, moment: Timestamp) -> Result<Timestamp, Wrong> {
    let year = TimeZone::UTC.to_datetime(moment).year();
    if !(2000..=2200).contains(&year) {
        return Err(Wrong::new(field, format!("the year {year} is out of range")));
    }
    Ok(moment)
}

/// From when a thing was that took so many seconds and ended then.
fn begin(field: &str, ended: Timestamp, seconds: f64) -> Result<Timestamp, Wrong> {
    let begun = SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|time| ended.checked_sub(time).ok())
        .ok_or_else(|| Wrong::new(field, format!("{seconds} s is too long a time")))?;
    plausible(field, begun)
}

/// An id that can name a file.
fn job_id(field: &str, text: &str) -> Result<String, Wrong> {
    let id: Result<JobId, _> = text.parse();
    id.map(String::from)
        .map_err(|_| Wrong::new(field, format!("`{}` cannot be a job's id", short(text))))
}

fn project(field: &str, name: Option<String>) -> Result<Option<String>, Wrong> {
    match name {
        Some(name) if name.len() > LONGEST_PROJECT => {
            let bytes = name.len();
            let why = format!("it has {bytes} bytes, at most {LONGEST_PROJECT} are possible");
            Err(Wrong::new(field, why))
        }
        other => Ok(other),
    }
}

/// A record of which nothing but the job is known.
fn bare(job: JobPart) -> Record {
    Record {
        schema: SCHEMA.to_owned(),
        job,
        host: HostPart::default(),
        energy: EnergyPart {
            total_joules: None,
            uncertainty_joules: None,
            sensor_gain_percent: None,
            provenance: None,
            domains: Vec::new(),
            pue: None,
            facility_joules: None,
        },
        emissions: EmissionsPart {
            total_grams: None,
            operational_grams: None,
            embodied_grams: None,
            unsettled_grams: None,
            embodied: None,
            market_based: None,
            intensity: None,
            timing: None,
            first_told: None,
        },
        water: None,
        cost: None,
        phases: Vec::new(),
        work: Vec::new(),
        quality: QualityPart::default(),
    }
}

/// The span of a record that has energy, in microseconds since 1970 UTC.
pub fn span(record: &Record) -> Option<(i64, i64)> {
    record.energy.total_joules?;
    let time = |text: &str| text.parse::<Timestamp>().map(Timestamp::as_microsecond).ok();
    Some((time(&record.job.started_at)?, time(record.job.ended_at.as_deref()?)?))
}

/// Adds the emissions of a record's energy by facts of one zone, its power taken as
/// constant; `pue` in thousandths. Nothing where its energy is not known.
pub fn add_emissions(
    record: &mut Record,
    facts: &[IntensityFact],
    pue: Option<u32>,
    at: Timestamp,
) {
    let Some(((from, to), joules)) = span(record).zip(record.energy.total_joules) else { return };
    let energy = Energy::from_microjoules((joules * 1e6).round() as u64);
    let interval = IntervalEnergy { from_microseconds: from, to_microseconds: to, energy };
    // Of perhaps years of facts.
    let near = |fact: &&IntensityFact| {
        fact.from.as_microsecond() <= to && fact.to.as_microsecond() >= from
    };
    let facts: Vec<IntensityFact> = facts.iter().filter(near).cloned().collect();
    let carbon = operational(&[interval], &facts, pue.unwrap_or(1_000));
    record.emissions = emissions_part(&carbon, true, energy == Energy::ZERO, at);
    record.energy.pue = pue.map(|thousandths| PuePart {
        value: f64::from(thousandths) / 1e3,
        source: "flag".to_owned(),
    });
    let pue = record.energy.pue.as_ref();
    record.energy.facility_joules = pue.map(|pue| micro(joules * pue.value));
    let notes = &mut record.quality.notes;
    if record.emissions.operational_grams.is_some() {
        notes.push("the course of its power is not known: it is taken as constant".to_owned());
        notes.extend(settled_notes(&carbon, at));
    } else {
        notes.push("emissions are not known: no carbon intensity of all of its time".to_owned());
    }
}

/// Whose figures a record of this origin holds, for people; `None`: aimeter's own.
pub fn counted_by(origin: &str) -> Option<&'static str> {
    match origin {
        codecarbon::ORIGIN => Some("CodeCarbon"),
        slurm::ORIGIN => Some("Slurm's accounting"),
        _ => None,
    }
}

/// To a millionth of the unit: more is noise of a conversion.
fn micro(value: f64) -> f64 {
    let rounded = (value * 1e6).round() / 1e6;
    if rounded.is_finite() { rounded } else { value }
}

/// A moment as records have it.
fn written(moment: Timestamp) -> String {
    rfc3339(moment)
}

#[cfg(test)]
mod tests;
