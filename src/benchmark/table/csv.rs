// SPDX-License-Identifier: Apache-2.0
//! The leaderboard as CSV: plain numbers in joules and grams, a row for each record.
//!
//! A spreadsheet takes a cell that begins with `=`, `+`, `-` or `@` for a formula.
//! Foreign texts that do are led by an apostrophe (OWASP, CSV injection).

use super::super::record::Role;
use super::super::words;
use super::{Board, Group, Row};
use crate::record::text::line;

/// The columns.
pub const COLUMNS: [&str; 34] = [
    "status",
    "rank",
    "shared",
    "unit",
    "unit_name",
    "role",
    "quality",
    "counted",
    "name",
    "work",
    "level",
    "origin",
    "joules_per_unit",
    "low",
    "high",
    "ratio_to_best",
    "ratio_low",
    "ratio_high",
    "ratio_confidence_percent",
    "grams_per_kwh",
    "zone",
    "signal",
    "boundary",
    "pue",
    "operational_grams_per_unit",
    "embodied_grams_per_unit",
    "machine",
    "started_at",
    "signature",
    "signature_key",
    "campaign",
    "file",
    "source",
    "remark",
];

/// The file.
///
/// # Errors
/// Where it cannot be written as CSV.
pub fn csv(board: &Board) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for group in &board.groups {
        for row in &group.rows {
            writer.write_record(COLUMNS.map(|column| measured(group, row, column)))?;
        }
    }
    for one in &board.references {
        let cell = |column: &str| match column {
            "status" => "reference".to_owned(),
            "unit" => "run".to_owned(),
            "role" => "provider".to_owned(),
            "name" => safe(&one.name),
            "level" => words::level(one.level).to_owned(),
            "origin" => "literature".to_owned(),
            "joules_per_unit" => one.joules_per_run.to_string(),
            "grams_per_kwh" => one.grams_per_kwh.to_string(),
            "pue" => one.pue.to_string(),
            "operational_grams_per_unit" => one.operational_grams_per_run.to_string(),
            "embodied_grams_per_unit" => number(one.embodied_grams_per_run),
            "source" => safe(&one.source),
            "remark" => safe(&one.note),
            _ => String::new(),
        };
        writer.write_record(COLUMNS.map(cell))?;
    }
    for one in &board.invalid {
        let cell = |column: &str| match column {
            "status" => "invalid".to_owned(),
            "file" => safe(&one.file),
            "remark" => safe(&one.reason),
            _ => String::new(),
        };
        writer.write_record(COLUMNS.map(cell))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn measured(group: &Group, row: &Row, column: &str) -> String {
    let ratio = row.to_best;
    let known = |text: &Option<String>| text.as_deref().map(safe).unwrap_or_default();
    match column {
        "status" => if row.rank.is_some() { "ranked" } else { "unranked" }.to_owned(),
        "rank" => row.rank.map(|rank| rank.to_string()).unwrap_or_default(),
        "shared" => row.rank.map(|_| row.shared.to_string()).unwrap_or_default(),
        "unit" => words::unit_kind(group.unit.kind).to_owned(),
        "unit_name" => safe(&group.unit.name),
        "role" => match group.unit.role {
            Role::Provider => "provider".to_owned(),
            Role::Consumer => "consumer".to_owned(),
        },
        "quality" => match &group.unit.quality {
            Some(_) => safe(&words::unit(&group.unit)),
            None => String::new(),
        },
        "counted" => safe(&group.counted.join(" ")),
        "name" => safe(&row.name),
        "work" => known(&row.work),
        "level" => words::level(row.level).to_owned(),
        "origin" => "measured".to_owned(),
        "joules_per_unit" => row.joules_per_unit.to_string(),
        "low" => row.low.to_string(),
        "high" => row.high.to_string(),
        "ratio_to_best" => number(ratio.map(|ratio| ratio.ratio)),
        "ratio_low" => number(ratio.map(|ratio| ratio.low)),
        "ratio_high" => number(ratio.map(|ratio| ratio.high)),
        "ratio_confidence_percent" => number(ratio.map(|_| group.confidence_percent)),
        "grams_per_kwh" => number(row.grams_per_kwh),
        "zone" => known(&row.zone),
        "signal" => known(&row.signal),
        "boundary" => known(&row.boundary),
        "pue" => number(row.pue),
        "operational_grams_per_unit" => number(row.operational_grams_per_unit),
        "embodied_grams_per_unit" => number(row.embodied_grams_per_unit),
        "machine" => known(&row.machine),
        "started_at" => safe(&row.started_at),
        "signature" => row.signature.to_owned(),
        "signature_key" => row.signature_key.clone().unwrap_or_default(),
        "campaign" => safe(&row.campaign),
        "file" => safe(&row.file),
        "remark" => row.unranked.clone().unwrap_or_default(),
        _ => String::new(),
    }
}

fn number(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn safe(foreign: &str) -> String {
    let text = line(foreign);
    if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text }
}
