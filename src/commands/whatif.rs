// SPDX-License-Identifier: Apache-2.0
//! `aimeter whatif JOB`: the same energy elsewhere, at another time, in a better
//! building.
//!
//! The first row is the job as it was. Each change that is asked for has a row, and
//! where several kinds are, each zone has one with all of them. The energy of the
//! machines and its course over time stay; nothing here touches the books. A row of
//! another boundary or signal than the first is marked: the two are no one quantity.

pub mod facts;
mod table;

use std::io::Write;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::carbon::cooling::cooled;
use crate::carbon::{Operational, operational, shifted};
use crate::clock;
use crate::config::Options;
use crate::grid::WORLD;
use crate::ledger::{IntervalEnergy, JobReport};
use crate::record::Record;
use crate::units::Energy;

use super::cli::WhatifArgs;
use super::exit::{Code, Failure};
use facts::Sources;

/// The job as it was.
pub struct Base {
    /// Its record.
    record: Record,
    /// Its energy over time.
    intervals: Vec<IntervalEnergy>,
}

impl Base {
    /// From the books.
    pub fn of_report(report: &JobReport, record: Record) -> Base {
        Base { record, intervals: report.intervals.clone() }
    }

    /// From a record's file, which does not tell the course of power: it is taken as
    /// constant.
    ///
    /// # Errors
    /// Where the file cannot be read or holds no finished job's record.
    pub fn of_file(path: &Path) -> Result<Base, Failure> {
        let record = super::report::of_file(path)?;
        let time = |text: &str| text.parse::<Timestamp>().map(Timestamp::as_microsecond).ok();
        let ended = record.job.ended_at.as_deref().and_then(time);
        let span = time(&record.job.started_at).zip(ended).zip(record.energy.total_joules);
        let Some(((from, to), joules)) = span else {
            let message =
                format!("cannot use {}: it has no energy, or no start and end", path.display());
            return Err(Failure::new(Code::Failed, message));
        };
        let energy = Energy::from_microjoules((joules.max(0.0) * 1e6).round() as u64);
        let intervals =
            vec![IntervalEnergy { from_microseconds: from, to_microseconds: to, energy }];
        Ok(Base { record, intervals })
    }

    /// The zone by which it was counted; `None`: it has none, and the world's mean stands in.
    fn zone(&self) -> Option<&str> {
        let zone = self.record.emissions.intensity.as_ref()?.zone.as_str();
        (zone != WORLD).then_some(zone)
    }

    fn pue(&self) -> Option<f64> {
        self.record.energy.pue.as_ref().map(|pue| pue.value)
    }

    /// The first moment of its energy and the end of the last.
    fn span(&self) -> Option<(i64, i64)> {
        let from = self.intervals.iter().map(|interval| interval.from_microseconds).min()?;
        let to = self.intervals.iter().map(|interval| interval.to_microseconds).max()?;
        Some((from, to.max(from + 1)))
    }
}

/// What is different in a row.
#[derive(Clone, Debug, Default, PartialEq)]
struct Change {
    zone: Option<String>,
    start: Option<Timestamp>,
    pue: Option<f64>,
    cooling_percent: Option<f64>,
}

impl Change {
    fn label(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.zone.as_ref().map(|zone| format!("in {zone}")));
        words.extend(self.start.map(|start| format!("from {}", super::intensity::minute(start))));
        words.extend(self.pue.map(|pue| format!("PUE {pue}")));
        words.extend(self.cooling_percent.map(|percent| format!("{percent} % less cooling")));
        words.join(", ")
    }

    fn pue_of(&self, base: &Base) -> Option<f64> {
        let pue = self.pue.or(base.pue());
        match self.cooling_percent {
            Some(percent) => pue.map(|pue| cooled(pue, percent)),
            None => pue,
        }
    }
}

/// Each change alone; then, where several kinds are asked for, all of them in each zone.
fn changes(args: &WhatifArgs, has_pue: bool, now: Timestamp) -> Vec<Change> {
    let start = args.start.map(|start| start.resolve(now));
    let (pue, cooling_percent) = (args.pue, args.cooling_saving);
    let mut changes: Vec<Change> = args
        .zone
        .iter()
        .map(|zone| Change { zone: Some(zone.clone()), ..Change::default() })
        .collect();
    changes.extend(start.map(|_| Change { start, ..Change::default() }));
    changes.extend(pue.map(|_| Change { pue, ..Change::default() }));
    if has_pue {
        changes.extend(cooling_percent.map(|_| Change { cooling_percent, ..Change::default() }));
    }
    let all = |zone| Change { zone, start, pue, cooling_percent };
    let zones: Vec<Option<String>> = match args.zone.as_slice() {
        [] => vec![None],
        zones => zones.iter().cloned().map(Some).collect(),
    };
    for change in zones.into_iter().map(all) {
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    changes
}

/// One row of the table, and of `--json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    what: String,
    zone: String,
    from: Timestamp,
    to: Timestamp,
    pue: Option<f64>,
    mean_grams_per_kwh: f64,
    signal: String,
    boundary: String,
    sources: Vec<Source>,
    grams: f64,
    difference_percent: Option<f64>,
    comparable: bool,
}

/// Whose figures a row rests on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Source {
    source: String,
    kind: String,
}

#[derive(Serialize)]
struct Document<'a> {
    job: &'a str,
    total_joules: f64,
    rows: &'a [Row],
    attribution: &'a [String],
    notes: &'a [String],
}

/// Computes and shows.
///
/// # Errors
/// Where nothing or something impossible is asked, the job's emissions are not known,
/// or `out` fails.
pub fn run(
    args: &WhatifArgs,
    base: &Base,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if args.zone.is_empty()
        && args.start.is_none()
        && args.pue.is_none()
        && args.cooling_saving.is_none()
    {
        let message = "nothing is asked: add --zone, --start, --pue or --cooling-saving";
        return Err(Failure::new(Code::Usage, message));
    }
    if args.cooling_saving.is_some() && args.pue.is_none() && base.pue().is_none() {
        let message = "--cooling-saving is of what the building uses beside the machines, \
             and the job has no PUE that says how much: add --pue";
        return Err(Failure::new(Code::Usage, message));
    }
    let now = clock::wall();
    let first = as_it_was(base)?;
    let mut sources = Sources::new(options, now);
    let mut rows = vec![first];
    for change in changes(args, base.pue().is_some(), now) {
        let row = row(base, &change, &rows[0], &mut sources)?;
        rows.push(row);
    }
    let notes = notes(base, &rows, &sources);
    let text = if args.json {
        let document = Document {
            job: &base.record.job.id,
            total_joules: base.record.energy.total_joules.unwrap_or(0.0),
            rows: &rows,
            attribution: &sources.attribution,
            notes: &notes,
        };
        serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)? + "\n"
    } else {
        table::text(&rows, &sources.attribution, &notes)
    };
    out.write_all(text.as_bytes()).map_err(Failure::of_output)
}

/// The job by its record.
fn as_it_was(base: &Base) -> Result<Row, Failure> {
    let emissions = &base.record.emissions;
    let known = emissions.operational_grams.zip(emissions.intensity.as_ref()).zip(base.span());
    let Some(((grams, intensity), span)) = known else {
        let message =
            "the job has no energy, or what it emitted is not known; `aimeter show` says why";
        return Err(Failure::new(Code::Failed, message));
    };
    let mut sources: Vec<Source> = intensity
        .parts
        .iter()
        .map(|part| Source { source: part.source.clone(), kind: part.kind.clone() })
        .collect();
    sources.sort();
    sources.dedup();
    let (from, to) = moments(span)?;
    Ok(Row {
        what: "as it was".to_owned(),
        zone: intensity.zone.clone(),
        from,
        to,
        pue: base.pue(),
        mean_grams_per_kwh: intensity.mean_grams_per_kwh,
        signal: intensity.signal.clone(),
        boundary: intensity.boundary.clone(),
        sources,
        grams,
        difference_percent: None,
        comparable: true,
    })
}

fn moments((from, to): (i64, i64)) -> Result<(Timestamp, Timestamp), Failure> {
    let time = |microseconds| Timestamp::from_microsecond(microseconds);
    let out_of_range = |error: jiff::Error| Failure::new(Code::Usage, error.to_string());
    Ok((time(from).map_err(out_of_range)?, time(to).map_err(out_of_range)?))
}

fn row(base: &Base, change: &Change, first: &Row, sources: &mut Sources) -> Result<Row, Failure> {
    let pue = change.pue_of(base);
    let mut row = Row { what: change.label(), pue, ..first.clone() };
    if change.zone.is_some() || change.start.is_some() {
        let span = base.span().unwrap_or_default();
        let shift = change.start.map_or(0, |start| start.as_microsecond().saturating_sub(span.0));
        let (from, to) = moments((span.0.saturating_add(shift), span.1.saturating_add(shift)))?;
        let zone = change.zone.as_deref().or(base.zone());
        let facts = sources.facts(zone, from, to)?;
        let intervals = shifted(&base.intervals, shift);
        let carbon = operational(&intervals, facts, 1_000);
        let Some(mean) = carbon.mean_grams_per_kwh().filter(|_| carbon.uncovered == Energy::ZERO)
        else {
            let message = format!("no carbon intensity of {} is known", change.label());
            return Err(Failure::new(Code::Failed, message));
        };
        row = Row {
            zone: carbon.uses[0].fact.zone.clone(),
            from,
            to,
            mean_grams_per_kwh: mean,
            signal: carbon.uses[0].fact.signal.clone(),
            boundary: carbon.boundary().unwrap_or("mixed").to_owned(),
            sources: sources_of(&carbon),
            grams: carbon.emissions.grams() * pue.unwrap_or(1.0),
            ..row
        };
    } else {
        row.grams = first.grams / first.pue.unwrap_or(1.0) * pue.unwrap_or(1.0);
    }
    row.comparable = row.boundary == first.boundary && row.signal == first.signal;
    row.difference_percent = (first.grams > 0.0).then(|| (row.grams / first.grams - 1.0) * 100.0);
    Ok(row)
}

fn sources_of(carbon: &Operational) -> Vec<Source> {
    let source = |used: &crate::carbon::Use| Source {
        source: used.fact.source.clone(),
        kind: used.fact.kind.as_str().to_owned(),
    };
    let mut sources: Vec<Source> = carbon.uses.iter().map(source).collect();
    sources.sort();
    sources.dedup();
    sources
}

fn notes(base: &Base, rows: &[Row], sources: &Sources) -> Vec<String> {
    let mut notes = sources.notes.clone();
    if rows.iter().any(|row| !row.comparable) {
        notes.push(
            "* another boundary or signal than the first row: a part of the difference is in \
             what is counted"
                .to_owned(),
        );
    }
    if base.pue().is_none() && rows.iter().any(|row| row.pue.is_some()) {
        notes.push("the job has no PUE: its figure is of the machines alone".to_owned());
    }
    if rows.iter().any(|row| row.what.contains("less cooling")) {
        notes.push(
            "all that the building uses beside the machines (PUE - 1) is taken as cooling: \
             the saving is at most this"
                .to_owned(),
        );
    }
    notes
}

/// A length of time that feeds are asked for at most, politely.
const LONGEST: SignedDuration = SignedDuration::from_hours(31 * 24);

#[cfg(test)]
mod tests;
