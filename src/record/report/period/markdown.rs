// SPDX-License-Identifier: Apache-2.0
//! A statement in Markdown: a paragraph of totals, the tables, the notes.

use std::fmt::Write;

use super::Statement;
use super::rows::{self, FIGURES, Row, TREND, key_name, known, title, unattributed};
use crate::record::report::statement::cell;
use crate::record::text;

/// The text.
pub fn markdown(statement: &Statement) -> String {
    let total = &statement.total;
    let mut out = format!("## Energy and carbon emissions: {}\n\n", cell(&title(statement)));
    _ = writeln!(
        out,
        "{} jobs used {} ± {} (95 %{}), {} with the power usage effectiveness where it is \
         known. Emissions of the electricity are {}, of which {} rest on figures that are not \
         final; those of making the hardware, by the time held, are {}. {} of energy was no \
         job's: {}.\n",
        total.jobs,
        text::energy(total.joules),
        text::uncertainty(total.uncertainty_joules),
        total.provenance.map_or_else(String::new, |word| format!("; {word}")),
        text::energy(total.facility_joules),
        known(total.operational_grams.map(text::emissions)),
        known(total.unsettled_grams.map(text::emissions)),
        known(total.embodied_grams.map(text::emissions)),
        text::energy(statement.unattributed_joules),
        unattributed(statement),
    );
    out.push_str(&table(key_name(statement.by), &FIGURES, &rows::groups(statement)));
    _ = writeln!(out, "\n### By {}\n", statement.trend_by);
    let name = statement.trend_by.to_uppercase();
    out.push_str(&table(&name, &TREND, &rows::trend(statement)));
    out.push_str("\n### Method\n\n");
    for note in &statement.notes {
        _ = writeln!(out, "- {}", cell(note));
    }
    out
}

fn table<const CELLS: usize>(name: &str, columns: &[&str; CELLS], rows: &[Row<CELLS>]) -> String {
    let mut out =
        format!("| {name} | {} |\n| --- |{}\n", columns.join(" | "), " ---: |".repeat(CELLS));
    for row in rows {
        _ = writeln!(out, "| {} | {} |", cell(&row.name), row.cells.join(" | "));
    }
    out
}
