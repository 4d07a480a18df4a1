// SPDX-License-Identifier: Apache-2.0
//! The leaderboard for a terminal.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets};

use super::super::record::Level;
use super::{
    Board, COLUMNS, Group, REFERENCE_COLUMNS, REFERENCE_HEADING, REMARK, Row, SIGNED,
    reference_cells, shortened,
};
use crate::record::summary::Style;
use crate::record::text::line;

const BOLD: &str = "\x1b[1m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// Aligned columns; colours only by `style`.
pub fn text(board: &Board, style: Style) -> String {
    let mut out = String::new();
    for group in &board.groups {
        of_group(&mut out, group, style);
    }
    if !board.groups.is_empty() {
        _ = writeln!(out, "{REMARK}");
    }
    if !board.references.is_empty() {
        separate(&mut out);
        _ = writeln!(out, "{}", paint(REFERENCE_HEADING, BOLD, style));
        let mut table = new(&REFERENCE_COLUMNS);
        table.add_rows(board.references.iter().map(reference_cells));
        for line in finished(table, &REFERENCE_COLUMNS) {
            _ = writeln!(out, "{line}");
        }
        let sources: Vec<&str> = board.references.iter().map(|one| one.source.as_str()).collect();
        _ = writeln!(out, "  source: {}", sources[0]);
    }
    if !board.invalid.is_empty() {
        separate(&mut out);
        _ = writeln!(out, "{}", paint("Not valid, not ranked", BOLD, style));
        for one in &board.invalid {
            let told = format!("  {}: {}", line(&one.file), line(&one.reason));
            _ = writeln!(out, "{}", paint(&told, YELLOW, style));
        }
    }
    out
}

fn of_group(out: &mut String, group: &Group, style: Style) {
    separate(out);
    _ = writeln!(out, "{}", paint(&group.heading(), BOLD, style));
    let signed = group.rows.iter().any(Row::is_signed);
    let mut table = new(&COLUMNS);
    for row in &group.rows {
        let mut cells = row.cells().map(|cell| shortened(&cell));
        if row.is_signed() {
            cells[COLUMNS.len() - 1].push_str(" §");
        }
        table.add_row(cells);
    }
    let mut lines = finished(table, &COLUMNS).into_iter();
    _ = writeln!(out, "{}", lines.next().unwrap_or_default());
    for (told, row) in lines.zip(&group.rows) {
        let colour = match (row.rank, row.level) {
            (Some(1), _) => GREEN,
            (_, Level::D) => YELLOW,
            _ => "",
        };
        _ = writeln!(out, "{}", paint(&told, colour, style));
    }
    for remark in group.remarks() {
        _ = writeln!(out, "  {remark}");
    }
    if signed {
        _ = writeln!(out, "  § {SIGNED}");
    }
    out.push('\n');
}

fn separate(out: &mut String) {
    if !out.is_empty() && !out.ends_with("\n\n") {
        out.push('\n');
    }
}

fn new(columns: &[(&str, bool)]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(columns.iter().map(|(name, _)| *name));
    table
}

fn finished(mut table: Table, columns: &[(&str, bool)]) -> Vec<String> {
    for (column, (_, is_figure)) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if *is_figure {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("  {}", line.trim_end())).collect()
}

fn paint(text: &str, colour: &str, style: Style) -> String {
    if style.colour && !colour.is_empty() {
        format!("{colour}{text}{RESET}")
    } else {
        text.to_owned()
    }
}
