// SPDX-License-Identifier: Apache-2.0
//! A statement for the terminal: the totals, the groups, the trend with a bar for each
//! day or week, the notes.

use comfy_table::{CellAlignment, Table, presets};

use super::rows::{self, FIGURES, Row, TREND, key_name, known, title, unattributed};
use super::{By, Statement};
use crate::record::summary::Style;
use crate::record::text;

/// Characters of the longest bar.
const BAR: usize = 24;
/// The longest name of a group, in characters.
const LONGEST: usize = 40;

/// The text.
pub fn text(statement: &Statement, style: Style) -> String {
    let (bold, reset) = if style.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let total = &statement.total;
    let jobs = if total.jobs == 1 { "1 job".to_owned() } else { format!("{} jobs", total.jobs) };
    let mut out = format!("{bold}aimeter: {}: {jobs}{reset}\n", title(statement));
    let mut line = |name: &str, what: String| out.push_str(&format!("  {name:<12}  {what}\n"));
    let hours = text::watt_hours(total.joules).map_or_else(String::new, |h| format!(" ({h})"));
    let width = text::uncertainty(total.uncertainty_joules);
    let provenance = total.provenance.map_or_else(String::new, |word| format!(", {word}"));
    line("energy", format!("{}{hours} ± {width}{provenance}", text::energy(total.joules)));
    line(
        "facility",
        format!("{}, with the PUE where it is known", text::energy(total.facility_joules)),
    );
    let settled = match (total.settled_grams, total.unsettled_grams) {
        (Some(settled), Some(open)) if open > 0.0 => {
            format!(": {} settled, {} not final", text::emissions(settled), text::emissions(open))
        }
        (Some(_), _) => ": settled".to_owned(),
        (None, _) => String::new(),
    };
    let grams = known(total.operational_grams.map(text::emissions));
    line("CO2e", format!("{grams} of the electricity{settled}"));
    let embodied = total.embodied_grams.map_or_else(
        || "not known: it is switched off, or nobody noted what some of the jobs held".to_owned(),
        |grams| format!("{} of the hardware, by the time held", text::emissions(grams)),
    );
    line("embodied", embodied);
    line(
        "unattributed",
        format!("{}, {}", text::energy(statement.unattributed_joules), unattributed(statement)),
    );
    out.push('\n');
    out.push_str(&table(key_name(statement.by), &FIGURES, rows::groups(statement), None));
    if statement.by != By::Day || statement.trend_by != "day" {
        let name = statement.trend_by.to_uppercase();
        let bars = Some(bars(statement));
        out.push('\n');
        out.push_str(&table(&name, &TREND, rows::trend(statement), bars));
    }
    out.push('\n');
    for note in &statement.notes {
        out.push_str(&format!("  note  {}\n", text::line(note)));
    }
    out
}

fn table<const CELLS: usize>(
    name: &str,
    columns: &[&str; CELLS],
    rows: Vec<Row<CELLS>>,
    bars: Option<Vec<String>>,
) -> String {
    let mut table = Table::new();
    let header = std::iter::once(name).chain(columns.iter().copied());
    table.load_style(presets::NOTHING).set_header(header);
    let mut bars = bars.unwrap_or_default().into_iter();
    for row in rows {
        let cells = std::iter::once(shortened(&row.name)).chain(row.cells).chain(bars.next());
        table.add_row(cells);
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if (1..=CELLS).contains(&place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| format!("  {}\n", line.trim_end())).collect();
    lines.concat()
}

/// A bar for each day or week, of the energy of the jobs.
fn bars(statement: &Statement) -> Vec<String> {
    let of = |stretch: &super::Stretch| stretch.figures.joules;
    let most = statement.trend.iter().map(of).fold(0.0, f64::max);
    statement.trend.iter().map(|stretch| bar(of(stretch), most)).collect()
}

/// In eighths of a character.
fn bar(value: f64, most: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = if most > 0.0 { value / most * (BAR * 8) as f64 } else { 0.0 };
    let eighths = eighths.round().clamp(0.0, (BAR * 8) as f64) as usize;
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(LONGEST) {
        None => name.to_owned(),
        Some(_) => name.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_value() {
        assert_eq!(bar(0.0, 8.0), "");
        assert_eq!(bar(8.0, 8.0), "█".repeat(24));
        assert_eq!(bar(4.0, 8.0), "█".repeat(12));
        assert_eq!(bar(1.0, 48.0), "▌");
        assert_eq!(bar(1.0, 0.0), "");
    }
}
