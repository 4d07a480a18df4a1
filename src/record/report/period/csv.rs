// SPDX-License-Identifier: Apache-2.0
//! A statement as CSV: a row for the total, each group, other jobs, what is nobody's, the
//! machine, and each day or week. `row` says which. What is unknown is an empty cell.

use super::{Figures, Statement};

/// The columns.
pub const COLUMNS: [&str; 13] = [
    "row",
    "key",
    "from",
    "to",
    "jobs",
    "joules",
    "uncertainty_joules",
    "provenance",
    "facility_joules",
    "operational_grams",
    "settled_grams",
    "unsettled_grams",
    "embodied_grams",
];

/// The file.
///
/// # Errors
/// Where it cannot be written as CSV.
pub fn csv(statement: &Statement) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    let span = (statement.since.as_str(), statement.until.as_str());
    writer.write_record(cells("total", "", span, &statement.total))?;
    for group in &statement.groups {
        let key = group.key.as_deref().unwrap_or_default();
        writer.write_record(cells("group", key, span, &group.figures))?;
    }
    for (row, joules) in [
        ("other_jobs", statement.other_jobs_joules),
        ("unattributed", statement.unattributed_joules),
        ("machine", statement.machine_joules),
    ] {
        writer.write_record(energy(row, span, joules))?;
    }
    for stretch in &statement.trend {
        let span = (stretch.from.as_str(), stretch.to.as_str());
        writer.write_record(cells(statement.trend_by, &stretch.day, span, &stretch.figures))?;
        let name = format!("{}_unattributed", statement.trend_by);
        writer.write_record(energy(&name, span, stretch.unattributed_joules))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn cells(row: &str, key: &str, span: (&str, &str), figures: &Figures) -> [String; 13] {
    let number = |figure: Option<f64>| figure.map_or_else(String::new, |one| one.to_string());
    [
        row.to_owned(),
        key.to_owned(),
        span.0.to_owned(),
        span.1.to_owned(),
        figures.jobs.to_string(),
        figures.joules.to_string(),
        figures.uncertainty_joules.to_string(),
        figures.provenance.unwrap_or_default().to_owned(),
        figures.facility_joules.to_string(),
        number(figures.operational_grams),
        number(figures.settled_grams),
        number(figures.unsettled_grams),
        number(figures.embodied_grams),
    ]
}

fn energy(row: &str, span: (&str, &str), joules: f64) -> [String; 13] {
    let mut cells: [String; 13] = Default::default();
    cells[0] = row.to_owned();
    (cells[2], cells[3]) = (span.0.to_owned(), span.1.to_owned());
    cells[5] = joules.to_string();
    cells
}
