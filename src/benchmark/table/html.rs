// SPDX-License-Identifier: Apache-2.0
//! The leaderboard as one HTML file that stands alone.
//!
//! Each group has its ranks, its energies as bars with their intervals, then the grid's
//! part in a table of its own. Others' names go through [`foreign`].

use jiff::tz::TimeZone;

use super::super::record::Level;
use super::super::reference::Reference;
use super::super::words;
use super::{Board, Group, REFERENCE_HEADING, REMARK, Row, shortened};
use crate::html::plot::{Bar, Colour, Drawing, PlotError, Shape, unit};
use crate::html::{Markup, Table, document, figure, foreign, html, remarks};
use crate::record::text as figures;

const TITLE: &str = "Energy per unit of work";

/// Bars in a plot at most.
const MOST: usize = 60;

/// The file.
///
/// # Errors
/// Where a plot cannot be drawn.
pub fn html(board: &Board) -> Result<String, PlotError> {
    let groups: Vec<Markup> = board.groups.iter().map(group).collect::<Result<_, _>>()?;
    let references = if board.references.is_empty() {
        html! {}
    } else {
        literature(&board.references)?
    };
    let invalid: Vec<String> =
        board.invalid.iter().map(|one| format!("{}: {}", one.file, one.reason)).collect();
    let body = html! {
        h1 { (TITLE) }
        p.lead {
            "Benchmark records by functional unit. Energy ranks, not emissions, so that a clean "
            "grid hides no waste. " (REMARK) ". Green is ranked, grey is not, orange is estimated."
        }
        @if board.groups.is_empty() { p { "There is no valid record." } }
        @for group in &groups { (group) }
        (references)
        @if !invalid.is_empty() {
            section {
                h2 { "Not valid, not ranked" }
                (remarks(&invalid))
            }
        }
    };
    Ok(document(TITLE, &body))
}

fn group(group: &Group) -> Result<Markup, PlotError> {
    Ok(html! {
        section {
            h2 { (group.heading()) }
            (ranks(group))
            (energies(group)?)
            (grid(group))
            (remarks(&group.remarks()))
        }
    })
}

/// Who ranks where.
fn ranks(group: &Group) -> Markup {
    let mut table = Table::new("Ranks by energy; ± is the half-width at 95 %")
        .left("Name")
        .right("Rank")
        .left("Level")
        .right("Energy")
        .right("±")
        .right("Of the best")
        .left("Work")
        .left("Machine");
    for row in &group.rows {
        let [rank, name, work, level, energy, width, to_best, _, _, _, _, machine, _] = row.cells();
        table.row([
            foreign(&name),
            html! { (rank) },
            html! { (level) },
            html! { (energy) },
            html! { (width) },
            html! { (to_best) },
            word(&work),
            word(&machine),
        ]);
    }
    table.html()
}

/// A short text of others', in one piece.
fn word(text: &str) -> Markup {
    html! { span style="white-space:nowrap" { (foreign(&shortened(text))) } }
}

/// The energies with their intervals.
fn energies(group: &Group) -> Result<Markup, PlotError> {
    let of = words::unit(&group.unit);
    let shown: Vec<&Row> = group.rows.iter().take(MOST).collect();
    let bars: Vec<Bar> = shown.iter().map(|row| bar(row)).collect();
    let mut description = format!(
        "A bar for each record, the least energy first; the least is {}.",
        shown.first().map_or_else(String::new, |row| figures::energy(row.joules_per_unit))
    );
    if shown.len() < group.rows.len() {
        description.push_str(&format!(" The first {MOST} of {} records.", group.rows.len()));
    }
    let most = group.rows.iter().map(|row| row.high).fold(0.0, f64::max);
    let units = [(1e-6, "µJ"), (1e-3, "mJ"), (1.0, "J"), (1e3, "kJ"), (1e6, "MJ"), (1e9, "GJ")];
    let (size, name) = unit(most, &units);
    let mut table = Table::new(&format!("{name} per {of}; the interval is at 95 %"))
        .left("Name")
        .right("Low")
        .right("Mean")
        .right("High")
        .left("Date")
        .left("Signature")
        .left("File");
    for row in &group.rows {
        let figure = |joules: f64| html! { (figures::number(joules / size)) };
        let end = |joules: f64| {
            let estimated = row.level == Level::D;
            if estimated {
                html! { "-" }
            } else {
                figure(joules)
            }
        };
        let date: String = row.started_at.chars().take(10).collect();
        table.row([
            foreign(&row.name),
            end(row.low),
            figure(row.joules_per_unit),
            end(row.high),
            word(&date),
            html! { (row.told_signature()) },
            word(&row.file),
        ]);
    }
    let drawing = Drawing {
        title: format!("Energy per {of}, with its 95 % interval"),
        description,
        axis: String::new(),
        zone: TimeZone::UTC,
        shape: Shape::Bars(bars),
    };
    figure(&drawing, &table)
}

fn bar(row: &Row) -> Bar {
    let estimated = row.level == Level::D;
    let colour = match (row.rank, estimated) {
        (Some(_), _) => Colour::Main,
        (None, true) => Colour::Estimated,
        (None, false) => Colour::Beside,
    };
    let rank = match row.rank {
        Some(_) => row.told_rank(),
        None => format!("level {}:", words::level(row.level)),
    };
    Bar {
        name: format!("{rank}  {}", row.name),
        value: row.joules_per_unit,
        // An order of magnitude has no interval to be read.
        interval: (!estimated).then_some((row.low, row.high)),
        told: row.told_energy(),
        colour,
    }
}

/// What the grid and the hardware add, in no order of its own.
fn grid(group: &Group) -> Markup {
    let mut table = Table::new(&format!(
        "Grid and hardware apart, CO2e per {}; in the order of energy",
        words::unit(&group.unit)
    ))
    .left("Name")
    .left("Zone")
    .right("g/kWh")
    .left("Signal")
    .left("Boundary")
    .right("PUE")
    .right("Operational")
    .right("Embodied");
    let known = |text: &Option<String>| word(text.as_deref().unwrap_or("not known"));
    let figure = |figure: Option<f64>, told: fn(f64) -> String| {
        html! { (figure.map_or_else(|| "not known".to_owned(), told)) }
    };
    for row in &group.rows {
        table.row([
            foreign(&row.name),
            known(&row.zone),
            figure(row.grams_per_kwh, figures::number),
            known(&row.signal),
            known(&row.boundary),
            figure(row.pue, figures::number),
            figure(row.operational_grams_per_unit, figures::emissions),
            figure(row.embodied_grams_per_unit, figures::emissions),
        ]);
    }
    table.html()
}

fn literature(references: &[Reference]) -> Result<Markup, PlotError> {
    let megawatt_hours = |one: &Reference| one.joules_per_run / 3.6e9;
    let bar = |one: &Reference| Bar {
        name: format!("{} ({})", one.name, one.year),
        value: megawatt_hours(one),
        interval: None,
        told: format!("~ {} MWh", figures::number(megawatt_hours(one))),
        colour: Colour::Estimated,
    };
    let drawing = Drawing {
        title: "Energy of one training, reconstructed".to_owned(),
        description: "A bar for each model, the least energy first, without intervals.".to_owned(),
        axis: String::new(),
        zone: TimeZone::UTC,
        shape: Shape::Bars(references.iter().map(bar).collect()),
    };
    let mut table =
        Table::new("Of the machines without PUE; CO2e with PUE, computed and as printed")
            .left("Model")
            .left("Level")
            .right("MWh")
            .right("PUE")
            .right("g/kWh")
            .right("Operational")
            .right("As printed")
            .right("Embodied");
    for one in references {
        let embodied = one.embodied_grams_per_run;
        table.row([
            foreign(&one.name),
            html! { (words::level(one.level)) },
            html! { (figures::number(megawatt_hours(one))) },
            html! { (figures::number(one.pue)) },
            html! { (figures::number(one.grams_per_kwh)) },
            html! { (figures::emissions(one.operational_grams_per_run)) },
            html! { (figures::emissions(one.printed_grams_per_run)) },
            html! { (embodied.map_or_else(|| "not known".to_owned(), figures::emissions)) },
        ]);
    }
    let drawn = figure(&drawing, &table)?;
    let note = |one: &Reference| format!("{}: {}", one.name, one.note);
    let noted = references.iter().filter(|one| !one.note.is_empty());
    let notes: Vec<String> = noted.map(note).collect();
    let source = references.first().map_or("", |one| one.source.as_str());
    Ok(html! {
        section {
            h2 { (REFERENCE_HEADING) }
            (drawn)
            (remarks(&notes))
            p { "Source: " (source) "." }
        }
    })
}
