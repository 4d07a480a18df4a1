// SPDX-License-Identifier: Apache-2.0
//! `aimeter show JOB`: one job in full, for people or as its record.
//!
//! Loading the job and its intensity facts is the caller's: from the ledger's
//! file or from the running daemon, in the same shape. Nothing here computes a
//! figure that is not in the record or in the books.

use std::io::Write;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;

use crate::carbon::Known;
use crate::carbon::equivalents::{self, Equivalent};
use crate::carbon::resources::Accounting;
use crate::jobs::JobId;
use crate::ledger::{IntervalEnergy, JobReport};
use crate::record::summary::{Style, summary};
use crate::record::{
    DomainPart, HostPart, IntensityUse, PhasePart, Record, WorkPart, account, build, text,
};
use crate::units::Energy;

use super::changes;

/// The longest list of intervals; a longer one is shown by several in a row.
const MOST_INTERVALS: usize = 24;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Which job.
    pub job: JobId,
    /// The record instead of a text.
    pub json: bool,
    /// How the text looks.
    pub style: Style,
    /// What the configuration adds to its account.
    pub accounting: Accounting,
}

/// Shows a job on `out`. `load` finds it with what is known of its grid; `host` is where
/// it ran.
///
/// # Errors
/// That of `load` (no such job), or of writing.
pub fn show(
    options: &Options,
    host: &HostPart,
    load: impl FnOnce(&JobId) -> anyhow::Result<(JobReport, Known)>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let (report, known) = load(&options.job)?;
    let mut record = build(&report, host, &known);
    account(&mut record, &report, &options.accounting);
    let text = if options.json {
        let mut json = serde_json::to_string_pretty(&record).context("cannot write the record")?;
        json.push('\n');
        json
    } else {
        full_text(&report, &record, options.style)
    };
    out.write_all(text.as_bytes())?;
    Ok(())
}

fn full_text(report: &JobReport, record: &Record, style: Style) -> String {
    let mut out = summary(record, style);
    out.push_str(&section("domains", domain_table(&record.energy.domains)));
    out.push_str(&section("phases", phase_table(&record.phases)));
    out.push_str(&section("work", work_table(&record.work)));
    out.push_str(&section("energy over time", interval_table(&report.intervals)));
    let parts = record.emissions.intensity.as_ref().map(|intensity| intensity.parts.as_slice());
    out.push_str(&section("carbon intensity", intensity_table(parts.unwrap_or_default())));
    out.push_str(&changes::text(record));
    out.push_str(&section("the same as", equivalent_table(record)));
    out
}

/// A title and a table; nothing for an empty table.
pub(super) fn section(title: &str, table: Table) -> String {
    if table.is_empty() {
        return String::new();
    }
    format!("\n{title}\n{}\n", table.trim_fmt())
}

/// A plain table; `right` are the columns of figures.
pub(super) fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec()).add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    for &index in right {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn domain_table(domains: &[DomainPart]) -> Table {
    let row = |domain: &DomainPart| {
        vec![
            text::line(&domain.id),
            domain.kind.clone(),
            // An estimate's source and method have one name.
            if domain.source == domain.method {
                domain.source.clone()
            } else {
                format!("{}, {}", domain.source, domain.method)
            },
            domain.provenance.clone(),
            text::energy(domain.joules),
            domain.uncertainty_joules.map_or("not known".into(), text::uncertainty),
            domain.sensor_gain_percent.map_or("not known".into(), text::percent),
            domain.share.map_or("not known".into(), |share| text::percent(share * 100.0)),
        ]
    };
    let header = ["domain", "kind", "read by", "figure is", "energy", "±", "gain ±", "share"];
    table(&header, &[4, 5, 6, 7], domains.iter().map(row).collect())
}

fn phase_table(phases: &[PhasePart]) -> Table {
    let row = |part: &PhasePart| {
        vec![
            part.name.as_deref().map_or_else(|| "(in none)".to_owned(), text::line),
            part.times.map_or_else(String::new, |times| times.to_string()),
            part.seconds.map_or_else(String::new, text::duration),
            text::energy(part.joules),
            part.grams.map_or_else(|| "not known".to_owned(), text::emissions),
        ]
    };
    let header = ["phase", "times", "time", "energy", "CO2e"];
    table(&header, &[1, 2, 3, 4], phases.iter().map(row).collect())
}

/// A row for each unit, and below it one for each phase that it was counted in.
fn work_table(work: &[WorkPart]) -> Table {
    let each = |joules: Option<f64>| joules.map_or_else(String::new, text::energy);
    let rows = work.iter().flat_map(|part| {
        let grams = part.grams_per_unit.map_or_else(String::new, text::emissions);
        let unit = text::line(&part.unit);
        let whole = vec![unit, part.count.to_string(), each(part.joules_per_unit), grams];
        let phases = part.phases.iter().map(move |phase| {
            let name = format!("  in {}", text::line(&phase.name));
            vec![name, phase.count.to_string(), each(phase.joules_per_unit), String::new()]
        });
        std::iter::once(whole).chain(phases)
    });
    table(&["unit", "count", "energy each", "CO2e each"], &[1, 2, 3], rows.collect())
}

fn interval_table(intervals: &[IntervalEnergy]) -> Table {
    let row = |interval: IntervalEnergy| {
        let microseconds = interval.from_microseconds.abs_diff(interval.to_microseconds);
        let mean = interval.energy.over(std::time::Duration::from_micros(microseconds));
        vec![
            moment(interval.from_microseconds),
            moment(interval.to_microseconds),
            text::energy(interval.energy.joules()),
            format!("{} W", text::number(mean.watts())),
        ]
    };
    let rows = condensed(intervals).into_iter().map(row).collect();
    table(&["from", "to", "energy", "mean power"], &[2, 3], rows)
}

/// At most [`MOST_INTERVALS`] intervals, each of several in a row.
fn condensed(intervals: &[IntervalEnergy]) -> Vec<IntervalEnergy> {
    let mut sorted = intervals.to_vec();
    sorted.sort_by_key(|interval| interval.from_microseconds);
    let together = sorted.len().div_ceil(MOST_INTERVALS).max(1);
    let join = |group: &[IntervalEnergy]| IntervalEnergy {
        from_microseconds: group.first().map_or(0, |first| first.from_microseconds),
        to_microseconds: group.iter().map(|one| one.to_microseconds).max().unwrap_or(0),
        energy: group.iter().fold(Energy::ZERO, |sum, one| sum.saturating_add(one.energy)),
    };
    sorted.chunks(together).map(join).collect()
}

fn intensity_table(parts: &[IntensityUse]) -> Table {
    let row = |part: &IntensityUse| {
        vec![
            part.from.clone(),
            part.to.clone(),
            text::number(part.grams_per_kwh),
            part.kind.clone(),
            text::line(&part.source),
        ]
    };
    table(&["from", "to", "g/kWh", "kind", "source"], &[2], parts.iter().map(row).collect())
}

/// What the emissions, or the energy, are in things that people know.
fn equivalent_table(record: &Record) -> Table {
    let joules = record.energy.facility_joules.or(record.energy.total_joules);
    let kwh = joules.map(|joules| joules / 3.6e6);
    let row = |one: &Equivalent| {
        let count = one.count(record.emissions.total_grams, kwh)?;
        let each = format!("{} {}", one.value, one.unit);
        let source = format!("{} {}", one.source, one.year);
        let number = if count < 1e-3 { format!("{count:.2e}") } else { text::number(count) };
        (count > 0.0).then(|| vec![number, one.text.clone(), each, source])
    };
    let rows = equivalents::all().iter().filter_map(row).collect();
    table(&["number", "of", "each", "source"], &[0, 2], rows)
}

fn moment(microseconds: i64) -> String {
    Timestamp::from_microsecond(microseconds).map(|at| format!("{at:.0}")).unwrap_or_default()
}
