// SPDX-License-Identifier: Apache-2.0
//! A statement as one HTML file that stands alone, with its groups and its trend as
//! plots.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::rows::{self, FIGURES, TREND, known, title, unattributed};
use super::{By, Statement, Stretch};
use crate::html::plot::{Bar, Colour, Drawing, PlotError, Series, Shape, Step, unit};
use crate::html::{Markup, Table, Tile, document, figure, foreign, html, remarks, tiles};
use crate::record::text;

/// Groups drawn at most; the table has all.
const MOST: usize = 25;

const ENERGY: [(f64, &str); 4] = [(3.6e3, "Wh"), (3.6e6, "kWh"), (3.6e9, "MWh"), (3.6e12, "GWh")];

/// The file; its times are those of the zone.
///
/// # Errors
/// Where a plot cannot be drawn.
pub fn file(statement: &Statement, zone: &TimeZone) -> Result<String, PlotError> {
    let title = title(statement);
    let host = statement.host.as_deref().map(text::line);
    let body = html! {
        h1 { "Energy and carbon emissions of a period" }
        p.lead {
            (foreign(&title))
            @if let Some(host) = host { " on " (foreign(&host)) }
            "; emissions as known at " (statement.known_at.replacen('T', " ", 1).chars().take(16).collect::<String>()) " UTC"
        }
        (tiles(&main_figures(statement)))
        (groups(statement)?)
        (trend(statement, zone)?)
        h2 { "Method" }
        (remarks(&statement.notes))
    };
    Ok(document(&format!("Energy and carbon emissions, {title}"), &body))
}

fn main_figures(statement: &Statement) -> [Tile; 5] {
    let total = &statement.total;
    let tile =
        |name: &str, value: String, remark: String| Tile { name: name.to_owned(), value, remark };
    let jobs = if total.jobs == 1 { "1 job".to_owned() } else { format!("{} jobs", total.jobs) };
    let energy = format!(
        "± {} (95 %), {jobs}{}",
        text::uncertainty(total.uncertainty_joules),
        total.provenance.map_or_else(String::new, |word| format!(", {word}")),
    );
    let settled = match total.unsettled_grams {
        Some(0.0) => "settled".to_owned(),
        Some(open) => {
            let settled = known(total.settled_grams.map(text::emissions));
            format!("{settled} settled, {} not final", text::emissions(open))
        }
        None => String::new(),
    };
    let grams = |grams: Option<f64>| known(grams.map(text::emissions));
    [
        tile("Energy of the jobs", text::energy(total.joules), energy),
        tile(
            "With the building",
            text::energy(total.facility_joules),
            "with the PUE where it is known".to_owned(),
        ),
        tile("CO2e of the electricity", grams(total.operational_grams), settled),
        tile("CO2e of the hardware", grams(total.embodied_grams), "by the time held".to_owned()),
        tile("Unattributed", text::energy(statement.unattributed_joules), unattributed(statement)),
    ]
}

fn groups(statement: &Statement) -> Result<Markup, PlotError> {
    let by = rows::key_name(statement.by);
    let title = match statement.by {
        By::Gpu => "Energy by GPU".to_owned(),
        _ => format!("Energy by {}", by.to_lowercase()),
    };
    let mut table =
        Table::new("The groups, other jobs and what was no job's make up the machine").left(by);
    for column in FIGURES {
        table = table.right(column);
    }
    for row in rows::groups(statement) {
        let name = if row.foreign {
            foreign(&row.name)
        } else {
            html! { (row.name) }
        };
        table.row(std::iter::once(name).chain(row.cells.iter().map(|cell| html! { (cell) })));
    }
    let bar = |name: String, joules: f64, width: Option<f64>, colour| Bar {
        name,
        value: joules,
        interval: width.map(|width| (joules - width, joules + width)),
        told: text::energy(joules),
        colour,
    };
    let mut bars: Vec<Bar> = statement
        .groups
        .iter()
        .take(MOST)
        .map(|group| {
            let name = group.key.clone().unwrap_or_else(|| rows::no_key(statement.by).to_owned());
            let colour = match group.figures.provenance {
                Some("estimated") => Colour::Estimated,
                _ => Colour::Main,
            };
            bar(name, group.figures.joules, Some(group.figures.uncertainty_joules), colour)
        })
        .collect();
    let left = statement.groups.iter().skip(MOST);
    let others: f64 = left.map(|group| group.figures.joules).sum();
    if statement.groups.len() > MOST {
        let name = format!("{} more", statement.groups.len() - MOST);
        bars.push(bar(name, others, None, Colour::Main));
    }
    let rest = [
        ("other jobs", statement.other_jobs_joules),
        ("unattributed", statement.unattributed_joules),
    ];
    for (name, joules) in rest.into_iter().filter(|(_, joules)| *joules > 0.0) {
        bars.push(bar(name.to_owned(), joules, None, Colour::Beside));
    }
    let told = bars.iter().map(|bar| format!("{} {}", text::line(&bar.name), bar.told));
    let description = told.collect::<Vec<_>>().join(", ");
    let shape = Shape::Bars(bars);
    let drawing = Drawing { title, description, axis: String::new(), zone: TimeZone::UTC, shape };
    figure(&drawing, &table)
}

fn trend(statement: &Statement, zone: &TimeZone) -> Result<Markup, PlotError> {
    let whole =
        |one: &Stretch| one.figures.joules + one.other_jobs_joules + one.unattributed_joules;
    let most = statement.trend.iter().map(whole).fold(0.0, f64::max);
    let (size, word) = unit(most, &ENERGY);
    let seconds = |text: &str| {
        text.parse::<Timestamp>().map_or(f64::NAN, |time| time.as_duration().as_secs_f64())
    };
    let series = |name: &str, colour, of: &dyn Fn(&Stretch) -> f64| Series {
        name: name.to_owned(),
        colour,
        steps: statement
            .trend
            .iter()
            .map(|one| Step {
                from: seconds(&one.from),
                to: seconds(&one.to),
                value: of(one) / size,
            })
            .collect(),
    };
    let beside = |one: &Stretch| one.other_jobs_joules + one.unattributed_joules;
    let name = match statement.other_jobs_joules {
        0.0 => "unattributed",
        _ => "other jobs and unattributed",
    };
    let shape = Shape::Columns(vec![
        series("these jobs", Colour::Main, &|one| one.figures.joules),
        series(name, Colour::Beside, &beside),
    ]);
    let title = format!("Energy by {} ({})", statement.trend_by, statement.time_zone);
    let told = statement
        .trend
        .iter()
        .map(|one| format!("{} {} {word}", one.day, text::number(one.figures.joules / size)));
    let description = format!("Of the jobs: {}", told.collect::<Vec<_>>().join(", "));
    let mut table = Table::new(&title).left(&statement.trend_by.to_uppercase());
    for column in TREND {
        table = table.right(column);
    }
    for row in rows::trend(statement) {
        let name = std::iter::once(html! { (row.name) });
        table.row(name.chain(row.cells.iter().map(|cell| html! { (cell) })));
    }
    let drawing = Drawing { title, description, axis: word.to_owned(), zone: zone.clone(), shape };
    figure(&drawing, &table)
}
