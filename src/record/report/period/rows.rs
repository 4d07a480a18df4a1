// SPDX-License-Identifier: Apache-2.0
//! The rows of a statement's tables as people read them, before any form escapes them.

use super::{By, Figures, Statement};
use crate::record::text;

const UNKNOWN: &str = "not known";

/// The columns of figures; the key's is before them.
pub const FIGURES: [&str; 8] =
    ["JOBS", "ENERGY", "± (95 %)", "SHARE", "FACILITY", "CO2e", "NOT FINAL", "EMBODIED"];
/// The columns of the trend.
pub const TREND: [&str; 5] = ["JOBS", "ENERGY", "OTHER JOBS", "UNATTRIBUTED", "CO2e"];

/// A row: what it is of, whether somebody else chose that name, and its cells.
pub struct Row<const CELLS: usize> {
    pub name: String,
    pub foreign: bool,
    pub cells: [String; CELLS],
}

/// What the groups are, over their column.
pub fn key_name(by: By) -> &'static str {
    match by {
        By::User => "USER",
        By::Project => "PROJECT",
        By::Model => "MODEL",
        By::Gpu => "GPU",
        By::Day => "DAY",
    }
}

/// What stands for a key that a group does not have.
pub fn no_key(by: By) -> &'static str {
    match by {
        By::Model => "(no label model)",
        By::Gpu => "(no GPU)",
        By::Project => "(no project)",
        By::User | By::Day => "(none)",
    }
}

/// The groups, their sum, and what makes up the machine's energy with them.
pub fn groups(statement: &Statement) -> Vec<Row<8>> {
    let machine = statement.machine_joules;
    let own = |name: &str, cells| Row { name: name.to_owned(), foreign: false, cells };
    let mut rows: Vec<Row<8>> = statement
        .groups
        .iter()
        .map(|group| Row {
            name: text::line(group.key.as_deref().unwrap_or(no_key(statement.by))),
            foreign: group.key.is_some(),
            cells: figures(&group.figures, machine),
        })
        .collect();
    rows.push(own("all these jobs", figures(&statement.total, machine)));
    let energy = |joules: f64| {
        let mut cells: [String; 8] = Default::default();
        (cells[1], cells[3]) = (text::energy(joules), share(joules, machine));
        cells
    };
    if statement.user.is_some() || statement.project.is_some() {
        rows.push(own("other jobs", energy(statement.other_jobs_joules)));
    }
    rows.push(own("unattributed", energy(statement.unattributed_joules)));
    rows.push(own("the machine", energy(machine)));
    rows
}

/// The days or weeks.
pub fn trend(statement: &Statement) -> Vec<Row<5>> {
    let row = |stretch: &super::Stretch| Row {
        name: stretch.day.clone(),
        foreign: false,
        cells: [
            stretch.figures.jobs.to_string(),
            text::energy(stretch.figures.joules),
            text::energy(stretch.other_jobs_joules),
            text::energy(stretch.unattributed_joules),
            known(stretch.figures.operational_grams.map(text::emissions)),
        ],
    };
    statement.trend.iter().map(row).collect()
}

/// What the statement is of.
pub fn title(statement: &Statement) -> String {
    let of = |what: &str, name: &Option<String>| {
        name.as_ref().map_or_else(String::new, |name| format!(", {what} {}", text::line(name)))
    };
    let minute = |text: &str| text.replacen('T', " ", 1).chars().take(16).collect::<String>();
    format!(
        "{} to {} UTC{}{}",
        minute(&statement.since),
        minute(&statement.until),
        of("user", &statement.user),
        of("project", &statement.project),
    )
}

/// How much of the machine's energy was nobody's.
pub fn unattributed(statement: &Statement) -> String {
    let share = statement.unattributed_share.map(|share| text::percent(share * 100.0));
    format!(
        "{} of the machine's {}",
        share.unwrap_or_else(|| "no part".to_owned()),
        text::energy(statement.machine_joules)
    )
}

fn figures(figures: &Figures, machine: f64) -> [String; 8] {
    [
        figures.jobs.to_string(),
        text::energy(figures.joules),
        text::uncertainty(figures.uncertainty_joules),
        share(figures.joules, machine),
        text::energy(figures.facility_joules),
        known(figures.operational_grams.map(text::emissions)),
        known(figures.unsettled_grams.map(text::emissions)),
        known(figures.embodied_grams.map(text::emissions)),
    ]
}

fn share(joules: f64, machine: f64) -> String {
    if machine > 0.0 { text::percent(joules / machine * 100.0) } else { String::new() }
}

/// A figure, or that it is not known.
pub fn known(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| UNKNOWN.to_owned())
}
