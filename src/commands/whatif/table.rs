// SPDX-License-Identifier: Apache-2.0
//! The rows of `aimeter whatif` as people read them.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

use crate::commands::intensity::minute;
use crate::record::text as figures;

use super::{Row, Source};

/// The table, the credits and the remarks.
pub fn text(rows: &[Row], attribution: &[String], notes: &[String]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "ZONE", "FROM", "PUE", "g/kWh", "CO2e", "CHANGE", "", "INTENSITY"]);
    for row in rows {
        table.add_row([
            row.what.clone(),
            row.zone.clone(),
            minute(row.from),
            row.pue.map_or("-".into(), |pue| {
                format!("{:.3}", pue).trim_end_matches('0').trim_end_matches('.').to_owned()
            }),
            figures::number(row.mean_grams_per_kwh),
            figures::emissions(row.grams),
            row.difference_percent.map_or(String::new(), change),
            if row.comparable { String::new() } else { "*".to_owned() },
            intensity(row),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for index in 3..7 {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    if let Some(column) = table.column_mut(6) {
        column.set_padding((0, 0));
    }
    let mut text = format!("{}\n", table.trim_fmt());
    for note in notes {
        let indent = if note.starts_with('*') { "" } else { "  " };
        _ = writeln!(text, "{indent}{note}");
    }
    for credit in attribution {
        _ = writeln!(text, "  credit: {credit}");
    }
    text
}

/// A difference with its sign.
fn change(percent: f64) -> String {
    let sign = match percent {
        _ if percent.abs() < 0.05 => "",
        _ if percent < 0.0 => "-",
        _ => "+",
    };
    if sign.is_empty() {
        "0 %".to_owned()
    } else {
        format!("{sign}{}", figures::percent(percent.abs()))
    }
}

fn intensity(row: &Row) -> String {
    let source = |Source { source, kind }: &Source| match source.strip_prefix("table:") {
        Some(table) => format!("yearly mean by {}", figures::line(table)),
        None => format!("{} ({kind})", figures::line(source)),
    };
    let sources: Vec<String> = row.sources.iter().map(source).collect();
    format!("{}, {}: {}", row.signal, row.boundary, sources.join(", "))
}
