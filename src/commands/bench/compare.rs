// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench compare A B…`: records against the first of them.
//!
//! Energy per unit first, then the intensities, then SCI where it may be compared, then
//! both energies on one grid, then what else differs. Nothing here computes a figure.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};

use super::files::named;
use crate::benchmark::compare::{
    Comparison, Difference, EnergyRatio, NotComparable, OneGrid, Pair, ScoreKind, Side, compare,
};
use crate::benchmark::record::Level;
use crate::benchmark::words;
use crate::commands::cli::CompareArgs;
use crate::commands::exit::{Code, Failure};
use crate::record::text;

/// Characters of a difference's value that are shown at most.
const LONGEST: usize = 60;

/// Writes the comparison.
///
/// # Errors
/// Where a record is not valid, the units are not the same, or the output fails.
pub fn run(args: &CompareArgs) -> Result<ExitCode, Failure> {
    let records =
        args.record.iter().map(|path| named(path)).collect::<Result<Vec<_>, Failure>>()?;
    let comparison = compare(&records).map_err(|error| {
        let code = match error {
            NotComparable::Unit { .. } => Code::NotComparable,
            NotComparable::Alone | NotComparable::Same { .. } => Code::Usage,
        };
        Failure::new(code, error.to_string())
    })?;
    let told = if args.json {
        serde_json::to_string_pretty(&comparison).map_err(anyhow::Error::from)? + "\n"
    } else {
        told(&comparison)
    };
    let mut out = io::stdout().lock();
    out.write_all(told.as_bytes()).and_then(|()| out.flush()).map_err(Failure::of_output)?;
    Ok(Code::Success.into())
}

/// The comparison for people.
fn told(comparison: &Comparison) -> String {
    let mut out = format!("{}\n", words::heading(&comparison.unit));
    for line in sides(&comparison.records) {
        _ = writeln!(out, "{line}");
    }
    let unit = words::unit(&comparison.unit);
    for pair in &comparison.pairs {
        let sides = [Some(&comparison.records[0]), side(comparison, &pair.letter)];
        if let [Some(baseline), Some(other)] = sides {
            out.push('\n');
            of_pair(&mut out, pair, baseline, other, &unit);
        }
    }
    out.push('\n');
    for note in &comparison.notes {
        _ = writeln!(out, "note: {note}");
    }
    out
}

fn side<'a>(comparison: &'a Comparison, letter: &str) -> Option<&'a Side> {
    comparison.records.iter().find(|side| side.letter == letter)
}

fn sides(sides: &[Side]) -> Vec<String> {
    let mut table = new();
    for side in sides {
        let estimated = if side.level == Level::D { "~ " } else { "" };
        let half = (side.high - side.low) / 2.0 / side.joules_per_unit * 100.0;
        table.add_row([
            side.letter.clone(),
            shortened(&side.name),
            format!("level {}", words::level(side.level)),
            format!("{estimated}{}", text::energy(side.joules_per_unit)),
            format!("± {}", text::percent(half)),
            format!("on {}", shortened(side.machine.as_deref().unwrap_or("a machine unnamed"))),
            text::line(&side.started_at).chars().take(10).collect(),
            shortened(&side.file),
        ]);
    }
    lines(table, &[3, 4])
}

fn of_pair(out: &mut String, pair: &Pair, baseline: &Side, other: &Side, unit: &str) {
    let letter = &pair.letter;
    _ = writeln!(out, "{letter} against A: {}", pair.claim.words);
    let mut table = new();
    table.add_row(["energy".to_owned(), energy(pair, unit)]);
    table.add_row(["intensity".to_owned(), intensity(pair, baseline, other)]);
    table.add_row(["CO2e".to_owned(), parts(letter, baseline, other, unit)]);
    table.add_row([score_name(pair).to_owned(), score(pair, unit)]);
    for grid in &pair.one_grid {
        table.add_row(["one grid".to_owned(), one_grid(grid, letter, unit)]);
    }
    if let Some(hidden) = &pair.hidden {
        table.add_row(["waste".to_owned(), hidden.clone()]);
    }
    for line in lines(table, &[]) {
        _ = writeln!(out, "{line}");
    }
    differences(out, pair);
}

fn energy(pair: &Pair, unit: &str) -> String {
    let letter = &pair.letter;
    let Some(EnergyRatio { ratio, low, high, same_sensors }) = pair.energy else {
        return format!("per {unit}, {letter} / A is not known: one was not repeated");
    };
    let sensors = if same_sensors { "the same sensors" } else { "other sensors" };
    let [ratio, low, high] = [ratio, low, high].map(text::number);
    format!("per {unit}, {letter} / A = {ratio} ({low} to {high}), {sensors}")
}

fn intensity(pair: &Pair, baseline: &Side, other: &Side) -> String {
    let of = |side: &Side| match side.grams_per_kwh {
        Some(grams) => format!(
            "{} {} {} g/kWh ({}, {})",
            side.letter,
            foreign(&side.zone),
            text::number(grams),
            foreign(&side.signal),
            foreign(&side.boundary),
        ),
        None => format!("{} not known", side.letter),
    };
    let ratio = pair.intensity_ratio.map_or_else(String::new, |ratio| {
        format!("; {} / A = {}", pair.letter, text::number(ratio))
    });
    format!("{}, {}{ratio}", of(baseline), of(other))
}

fn foreign(text: &Option<String>) -> String {
    text.as_deref().map_or_else(|| "unknown".to_owned(), text::line)
}

fn parts(letter: &str, baseline: &Side, other: &Side, unit: &str) -> String {
    let grams = |grams: Option<f64>| grams.map_or_else(|| "not known".to_owned(), text::emissions);
    format!(
        "per {unit}, electricity: A {}, {letter} {}; hardware: A {}, {letter} {}",
        grams(baseline.operational_grams_per_unit),
        grams(other.operational_grams_per_unit),
        grams(baseline.embodied_grams_per_unit),
        grams(other.embodied_grams_per_unit),
    )
}

fn score_name(pair: &Pair) -> &'static str {
    match (pair.score.kind, pair.claim.level) {
        (ScoreKind::Operational, _) => "operational",
        (ScoreKind::Sci, Level::C | Level::D) => "SCI, estimated",
        (ScoreKind::Sci, _) => "SCI",
    }
}

fn score(pair: &Pair, unit: &str) -> String {
    let score = &pair.score;
    let grams = |grams: Option<f64>| grams.map_or_else(|| "not known".to_owned(), text::emissions);
    let mut words = match score.kind {
        ScoreKind::Operational => "not SCI, embodied carbon is not known; ".to_owned(),
        ScoreKind::Sci => String::new(),
    };
    let (one, two) = (grams(score.baseline), grams(score.other));
    _ = write!(words, "per {unit}, A {one}, {} {two}", pair.letter);
    match (&score.ratio, &score.not_compared) {
        (_, Some(reason)) => _ = write!(words, "; not compared: {reason}"),
        (Some(ratio), None) => {
            _ = write!(words, "; {} / A = {}", pair.letter, text::number(*ratio))
        }
        (None, None) => {}
    }
    words
}

fn one_grid(grid: &OneGrid, letter: &str, unit: &str) -> String {
    format!(
        "on that of {} ({}, {} g/kWh), machines only: A {}, {letter} {} per {unit}",
        grid.grid_of,
        text::line(&grid.zone),
        text::number(grid.grams_per_kwh),
        text::emissions(grid.baseline_grams),
        text::emissions(grid.other_grams),
    )
}

fn differences(out: &mut String, pair: &Pair) {
    if pair.differences.is_empty() {
        _ = writeln!(out, "  nothing else differs in what they tell of work, machine and protocol");
        return;
    }
    let mut table = new();
    table.set_header(["differs", "", "A", &pair.letter]);
    let mut part = "";
    for Difference { part: of, what, baseline, other } in &pair.differences {
        let told = if *of == part { "" } else { *of };
        part = of;
        let value = |value: &Option<String>| value.as_deref().map_or("-".to_owned(), cut);
        table.add_row([told.to_owned(), cut(what), value(baseline), value(other)]);
    }
    for line in lines(table, &[]) {
        _ = writeln!(out, "{line}");
    }
}

fn new() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn lines(mut table: Table, figures: &[usize]) -> Vec<String> {
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if figures.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("  {}", line.trim_end())).collect()
}

fn shortened(foreign: &str) -> String {
    cut(&text::line(foreign))
}

/// At most so many characters of a line.
fn cut(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        None if line.is_empty() => "-".to_owned(),
        None => line.to_owned(),
        Some(_) => line.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}
