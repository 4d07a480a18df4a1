// SPDX-License-Identifier: Apache-2.0
//! `aimeter grid check`: asks each feed of the chain once, and says what works.
//!
//! One row a feed, the shipped table last. A failure is told in the provider's own
//! words where it has some, and which of the two it is. A feed is asked about the zone
//! that this command line names, else the one that it is set up for, else the
//! machine's; how that one came about is told.

use std::fmt::Write as _;
use std::future::Future;
use std::io::Write;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use crate::clock;
use crate::config::{Options, Origin};
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
    pub(super) zone: String,
    pub(super) outcome: Result<IntensityFact, FeedError>,
    attribution: String,
}

/// Asks and shows.
///
/// # Errors
/// Where there is no zone to ask about, a feed fails (after all are shown), or `out`
/// fails.
pub fn check(json: bool, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let own = options.zone.as_deref();
    let feeds = options.grid.every_feed(own.unwrap_or_default());
    if own.is_none() && feeds.iter().all(|feed| feed.zone.is_none()) {
        let what = "no zone is set: use `--zone`, or `carbon.zone` in the config";
        return Err(Failure::new(Code::Usage, what));
    }
    let mut rows = wait_for(ask_all(&feeds, options))?;
    let failed = rows.iter().filter(|row| row.outcome.is_err()).count();
    let table = fact_for(own, clock::wall());
    let attribution = table_attribution(&table.fact);
    let zone = table.fact.zone.clone();
    rows.push(Row { feed: "table".into(), zone, outcome: Ok(table.fact), attribution });
    let now = clock::wall();
    let text = if json { as_json(&rows, options, now)? } else { people(&rows, options, now) };
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::of_output)?;
    if let Some(warning) = table.warning {
        super::complain(&warning);
    }
    if feeds.is_empty() {
        super::complain(&chain::key_hint(own.unwrap_or_default()));
    }
    if failed > 0 {
        let message = format!("{failed} of {} feeds did not answer", feeds.len());
        return Err(Failure::new(Code::Failed, message));
    }
    Ok(())
}

/// The zone to ask a feed about.
fn zone_of<'a>(feed: &'a Feed, options: &'a Options) -> Option<&'a str> {
    let named = matches!(options.origin("carbon", "zone"), Origin::Flag(_));
    let (own, machine) = (feed.zone.as_deref(), options.zone.as_deref());
    if named { machine } else { own.or(machine) }
}

/// Asks each feed once about now.
pub(super) async fn ask_all(feeds: &[Feed], options: &Options) -> Vec<Row> {
    let environment = |name: &str| std::env::var(name).ok();
    let mut rows = Vec::with_capacity(feeds.len());
    for feed in feeds {
        let zone = zone_of(feed, options).unwrap_or_default().to_owned();
        let outcome = if zone.is_empty() {
            Err(FeedError::Unset("zone"))
        } else {
            let ask = Ask { zone: zone.clone(), want: Want::Now, now: clock::wall() };
            let facts = ask_feed(feed, &ask, &options.grid.network, &environment).await;
            facts
                .and_then(|facts| current(&facts, clock::wall(), options.grid.stale_after).cloned())
        };
        let shown = outcome.as_ref().map(std::slice::from_ref).unwrap_or_default();
        let attribution = feed.attribution(shown);
        rows.push(Row { feed: feed.source(), zone, outcome, attribution });
    }
    rows
}

/// How the machine's zone came about, in a line.
fn about_zone(options: &Options) -> Option<String> {
    options.zone.as_ref().map(|zone| format!("zone {zone}: {}", options.zone_by))
}

#[derive(Serialize)]
struct JsonRow<'a> {
    feed: &'a str,
    zone: &'a str,
    /// How the machine's zone came about; null where there is none.
    machine_zone_by: Option<String>,
    works: bool,
    fact: Option<FactRow<'a>>,
    error: Option<String>,
    providers_word: Option<bool>,
    attribution: &'a str,
}

fn as_json(rows: &[Row], options: &Options, now: Timestamp) -> Result<String, Failure> {
    let rows: Vec<JsonRow<'_>> = rows
        .iter()
        .map(|row| JsonRow {
            feed: &row.feed,
            zone: &row.zone,
            machine_zone_by: about_zone(options),
            works: row.outcome.is_ok(),
            fact: row.outcome.as_ref().ok().map(|fact| FactRow::of(fact, now)),
            error: row.outcome.as_ref().err().map(FeedError::to_string),
            providers_word: row.outcome.as_ref().err().map(FeedError::is_providers_word),
            attribution: &row.attribution,
        })
        .collect();
    Ok(serde_json::to_string_pretty(&rows).map_err(anyhow::Error::from)? + "\n")
}

fn people(rows: &[Row], options: &Options, now: Timestamp) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["FEED", "ZONE", "WORKS", "g/kWh", "AGE", "QUANTITY", "QUALITY OR FAILURE"]);
    for row in rows {
        match &row.outcome {
            Ok(fact) => table.add_row([
                row.feed.clone(),
                row.zone.clone(),
                "yes".into(),
                fact.intensity.grams_per_kwh().to_string(),
                age(fact, now).map_or("-".into(), age_text),
                format!("{}, {}", fact.signal, fact.boundary),
                quality(fact).into(),
            ]),
            Err(error) => table.add_row([
                row.feed.clone(),
                row.zone.clone(),
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
    for index in [3, 4] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = format!("{}\n", table.trim_fmt());
    if let Some(about) = about_zone(options) {
        _ = writeln!(text, "{about}");
    }
    for row in rows.iter().filter(|row| row.outcome.is_ok()) {
        _ = writeln!(text, "{}: {}", row.feed, row.attribution);
    }
    text
}
