// SPDX-License-Identifier: Apache-2.0
//! `aimeter grid check`: asks each feed of the chain once, and says what works.
//!
//! One row a feed, the shipped table last. A failure is told in the provider's own
//! words where it has some, and which of the two it is.

use std::fmt::Write as _;
use std::future::Future;
use std::io::Write;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use crate::clock;
use crate::config::Options;
use crate::grid::chain::{self, age_text, ask_feed, current, table_attribution};
use crate::grid::fact_for;
use crate::grid::feeds::{Ask, Feed, FeedError, Want};
use crate::ledger::IntensityFact;

use super::exit::{Code, Failure};
use super::intensity::{FactRow, age, quality};

/// Waits for something of the network, on this thread.
///
/// # Errors
/// Where the system gives no event queue.
pub fn wait_for<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot wait for the network")?;
    Ok(runtime.block_on(work))
}

/// What one feed did.
pub(super) struct Row {
    pub(super) feed: String,
    pub(super) outcome: Result<IntensityFact, FeedError>,
    attribution: String,
}

/// Asks and shows.
///
/// # Errors
/// Where no zone is set, a feed fails (after all are shown), or `out` fails.
pub fn check(json: bool, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let zone = options.zone.as_deref().ok_or_else(|| {
        Failure::new(Code::Usage, "no zone is set: use `--zone`, or `carbon.zone` in the config")
    })?;
    let feeds = options.grid.feeds(zone);
    let mut rows = wait_for(ask_all(&feeds, zone, options))?;
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    let table = fact_for(Some(zone), clock::wall());
    let attribution = table_attribution(&table.fact);
    rows.push(Row { feed: "table".into(), outcome: Ok(table.fact), attribution });
    let now = clock::wall();
    let text = if json { as_json(&rows, now)? } else { people(&rows, now) };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::of_output)?;
    if let Some(warning) = table.warning {
        super::complain(&warning);
    }
    if feeds.is_empty() {
        super::complain(&chain::key_hint(zone));
    }
    if failed > 0 {
        let message = format!("{failed} of {} feeds did not answer", feeds.len());
        return Err(Failure::new(Code::Failed, message));
    }
    Ok(())
}

/// Asks each feed once about now.
pub(super) async fn ask_all(feeds: &[Feed], zone: &str, options: &Options) -> Vec<Row> {
    let environment = |name: &str| std::env::var(name).ok();
    let mut rows = Vec::with_capacity(feeds.len());
    for feed in feeds {
        let ask = Ask { zone: zone.to_owned(), want: Want::Now, now: clock::wall() };
        let facts = ask_feed(feed, &ask, &options.grid.network, &environment).await;
        let outcome = facts
            .and_then(|facts| current(&facts, clock::wall(), options.grid.stale_after).cloned());
        let shown = outcome.as_ref().map(std::slice::from_ref).unwrap_or_default();
        let attribution = feed.attribution(shown);
        rows.push(Row { feed: feed.source(), outcome, attribution });
    }
    rows
}

#[derive(Serialize)]
struct JsonRow<'a> {
    feed: &'a str,
    works: bool,
    fact: Option<FactRow<'a>>,
    error: Option<String>,
    providers_word: Option<bool>,
    attribution: &'a str,
}

fn as_json(rows: &[Row], now: Timestamp) -> Result<String, Failure> {
    let rows: Vec<JsonRow<'_>> = rows
        .iter()
        .map(|row| JsonRow {
            feed: &row.feed,
            works: row.outcome.is_ok(),
            fact: row.outcome.as_ref().ok().map(|fact| FactRow::of(fact, now)),
            error: row.outcome.as_ref().err().map(FeedError::to_string),
            providers_word: row.outcome.as_ref().err().map(FeedError::is_providers_word),
            attribution: &row.attribution,
        })
        .collect();
    Ok(serde_json::to_string_pretty(&rows).map_err(anyhow::Error::from)? + "\n")
}

fn people(rows: &[Row], now: Timestamp) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["FEED", "WORKS", "g/kWh", "AGE", "QUANTITY", "QUALITY OR FAILURE"]);
    for row in rows {
        match &row.outcome {
            Ok(fact) => table.add_row([
                row.feed.clone(),
                "yes".into(),
                fact.intensity.grams_per_kwh().to_string(),
                age(fact, now).map_or("-".into(), age_text),
                format!("{}, {}", fact.signal, fact.boundary),
                quality(fact).into(),
            ]),
            Err(error) => table.add_row([
                row.feed.clone(),
                "no".into(),
                "-".into(),
                "-".into(),
                "-".into(),
                super::without_error_numbers(&error.to_string()),
            ]),
        };
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    // Figures are read by their ends.
    for index in [2, 3] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{}\n", table.trim_fmt());
    for row in rows.iter().filter(|row| row.outcome.is_ok()) {
        _ = writeln!(text, "{}: {}", row.feed, row.attribution);
    }
    text
}
