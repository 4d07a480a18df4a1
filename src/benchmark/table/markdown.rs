// SPDX-License-Identifier: Apache-2.0
//! The leaderboard in Markdown, for a repository's page.

use std::fmt::Write;

use super::{
    Board, COLUMNS, REFERENCE_COLUMNS, REFERENCE_HEADING, REMARK, reference_cells, shortened,
};
use crate::record::text::line;

/// Tables, each under a heading.
pub fn markdown(board: &Board) -> String {
    let mut out = String::from("# Energy per unit of work\n");
    for group in &board.groups {
        _ = writeln!(out, "\n## {}\n", escaped(&group.heading()));
        let columns: Vec<(&str, bool)> =
            COLUMNS.into_iter().chain([("SIGNATURE", false)]).collect();
        head(&mut out, &columns);
        for row in &group.rows {
            let signature = row.told_signature();
            let cells = row.cells().map(|cell| shortened(&cell));
            cells_of(&mut out, cells.iter().map(String::as_str).chain([signature.as_str()]));
        }
        out.push('\n');
        for remark in group.remarks() {
            _ = writeln!(out, "- {}", escaped(&remark));
        }
    }
    if !board.groups.is_empty() {
        _ = writeln!(out, "\n{}.", escaped(REMARK));
    }
    if !board.references.is_empty() {
        _ = writeln!(out, "\n## {REFERENCE_HEADING}\n");
        head(&mut out, &REFERENCE_COLUMNS);
        for one in &board.references {
            cells_of(&mut out, reference_cells(one).iter().map(String::as_str));
        }
        _ = writeln!(out, "\nSource: {}.", escaped(&board.references[0].source));
    }
    if !board.invalid.is_empty() {
        out.push_str("\n## Not valid, not ranked\n\n");
        for one in &board.invalid {
            _ = writeln!(out, "- {}: {}", escaped(&one.file), escaped(&one.reason));
        }
    }
    out
}

fn head(out: &mut String, columns: &[(&str, bool)]) {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let rules: Vec<&str> =
        columns.iter().map(|(_, figure)| if *figure { "---:" } else { "---" }).collect();
    _ = writeln!(out, "| {} |\n| {} |", names.join(" | "), rules.join(" | "));
}

fn cells_of<'a>(out: &mut String, cells: impl Iterator<Item = &'a str>) {
    let cells: Vec<String> = cells.map(escaped).collect();
    _ = writeln!(out, "| {} |", cells.join(" | "));
}

/// What Markdown and the HTML within it would take as more than text.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for sign in line(text).chars() {
        match sign {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '!' | '~' => out.extend(['\\', sign]),
            other => out.push(other),
        }
    }
    // A bare address becomes a link of its own.
    out.replace("://", ":&#47;&#47;").replace("www.", "www&#46;").replace('@', "&#64;")
}
