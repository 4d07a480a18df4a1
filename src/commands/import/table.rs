// SPDX-License-Identifier: Apache-2.0
//! What `aimeter import` says to people: what was read, its sums, and what was not.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::record::Record;
use crate::record::import::{Import, Remark};
use crate::record::text as figures;

/// The longest name in the table, in characters.
const LONGEST: usize = 32;

/// The columns that stand right.
const FIGURES: std::ops::RangeInclusive<usize> = 5..=7;

const UNKNOWN: &str = "not known";

/// The records with their sums, then what is left out and what is refused.
pub fn text(file: &str, found: &Import, remarks: &[String]) -> String {
    let mut text = String::new();
    if !found.records.is_empty() {
        _ = writeln!(text, "{}", records(&found.records).trim_fmt());
    }
    for remark in remarks {
        _ = writeln!(text, "  {}", figures::line(remark));
    }
    for (title, refused) in [("left out", false), ("refused", true)] {
        let of_kind: Vec<&Remark> =
            found.remarks.iter().filter(|one| one.refused == refused).collect();
        if !of_kind.is_empty() {
            _ = writeln!(text, "{title} ({}):", of_kind.len());
        }
        for one in of_kind {
            _ = writeln!(text, "  {}", remark(file, one));
        }
    }
    if text.is_empty() {
        _ = writeln!(text, "{} has no rows", figures::line(file));
    }
    text
}

/// A remark in one line: file, place, field, reason.
pub fn remark(file: &str, remark: &Remark) -> String {
    figures::line(&format!("{file}: {}: {}: {}", remark.place, remark.field, remark.why))
}

fn records(records: &[Record]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "JOB",
        "NAME",
        "USER",
        "PROJECT",
        "STARTED",
        "DURATION",
        "ENERGY",
        "CO2e",
        "ENERGY IS",
    ]);
    for record in records {
        let job = &record.job;
        table.add_row([
            job.id.clone(),
            short(&job.name),
            short(&job.user),
            job.project.as_deref().map_or("-".to_owned(), short),
            job.started_at.clone(),
            known(job.duration_seconds, figures::duration),
            known(record.energy.total_joules, figures::energy),
            known(record.emissions.operational_grams, figures::emissions),
            record.energy.provenance.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    let empty = String::new;
    table.add_row([
        format!("{} in all", records.len()),
        empty(),
        empty(),
        empty(),
        empty(),
        empty(),
        sum(records, |record| record.energy.total_joules, figures::energy),
        sum(records, |record| record.emissions.operational_grams, figures::emissions),
        empty(),
    ]);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for index in FIGURES {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn known(figure: Option<f64>, written: impl Fn(f64) -> String) -> String {
    figure.map_or_else(|| UNKNOWN.to_owned(), written)
}

/// The sum of what is known, marked where it is not all.
fn sum(
    records: &[Record],
    figure: impl Fn(&Record) -> Option<f64>,
    written: impl Fn(f64) -> String,
) -> String {
    let all: Vec<f64> = records.iter().filter_map(figure).collect();
    match records.len() - all.len() {
        0 => written(all.iter().sum()),
        _ if all.is_empty() => UNKNOWN.to_owned(),
        missing => format!("{} of {}", written(all.iter().sum()), records.len() - missing),
    }
}

fn short(text: &str) -> String {
    let line = figures::line(text);
    if line.chars().count() <= LONGEST {
        return line;
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}
