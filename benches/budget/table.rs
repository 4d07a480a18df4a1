// SPDX-License-Identifier: Apache-2.0
//! The table: what, measured, budget, whether it holds, how.

use std::fmt;

/// One row.
struct Row {
    what: String,
    measured: String,
    budget: String,
    holds: Option<bool>,
    how: String,
}

/// The rows, in the order in which they were measured.
#[derive(Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// A figure that may not exceed its budget.
    pub fn judge(&mut self, what: &str, measured: f64, budget: f64, unit: Unit, how: &str) {
        self.0.push(Row {
            what: what.into(),
            measured: unit.show(measured),
            budget: format!("≤ {}", unit.show(budget)),
            holds: Some(measured <= budget),
            how: how.into(),
        });
    }

    /// A figure without a budget, which explains another.
    pub fn tell(&mut self, what: &str, measured: String, how: &str) {
        self.0.push(Row {
            what: what.into(),
            measured,
            budget: String::new(),
            holds: None,
            how: how.into(),
        });
    }

    /// Whether every budget holds.
    pub fn holds(&self) -> bool {
        self.0.iter().all(|row| row.holds != Some(false))
    }
}

/// What a figure is counted in, and how finely it is shown.
#[derive(Clone, Copy)]
pub enum Unit {
    /// Percent of one core.
    Percent,
    /// Milliseconds.
    Milliseconds,
    /// Bytes, shown in MiB.
    Bytes,
    /// Bytes, shown in KiB.
    SmallBytes,
    /// A mean of counts.
    Count,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Percent => format!("{value:.3} %"),
            Unit::Milliseconds => format!("{value:.2} ms"),
            Unit::Bytes => format!("{:.2} MiB", value / 1024.0 / 1024.0),
            Unit::SmallBytes => format!("{:.0} KiB", value / 1024.0),
            Unit::Count => format!("{value:.1}"),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![["what", "measured", "budget", "holds", "how"].map(String::from)];
        lines.extend(self.0.iter().map(|row| {
            let holds = row.holds.map_or("", |holds| if holds { "yes" } else { "NO" });
            [&row.what, &row.measured, &row.budget, holds, &row.how].map(String::from)
        }));
        let width = |column: usize| {
            lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..5).map(width).collect();
        for [what, measured, budget, holds, how] in &lines {
            writeln!(
                f,
                "| {what:0$} | {measured:>1$} | {budget:>2$} | {holds:3$} | {how:4$} |",
                widths[0], widths[1], widths[2], widths[3], widths[4]
            )?;
            if what == "what" {
                let rule = |column: usize| "-".repeat(widths[column]);
                writeln!(
                    f,
                    "| {} | {}: | {}: | {} | {} |",
                    rule(0),
                    "-".repeat(widths[1] - 1),
                    "-".repeat(widths[2] - 1),
                    rule(3),
                    rule(4)
                )?;
            }
        }
        Ok(())
    }
}
