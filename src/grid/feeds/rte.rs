// SPDX-License-Identifier: Apache-2.0
//! RTE éCO2mix through ODRÉ: France, by quarter of an hour.
//!
//! `odre.opendatasoft.com`, no key. Direct CO2 of what France generates (imports
//! are not in it), less than half an hour late, consolidated a month later: so
//! `provisional`. The set is filled with nulls to the end of the day.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Ask, Boundary, Feed, FeedError, Figure, Figures, Provider, Request, Signal, Want};
use crate::ledger::IntensityKind;

/// The feed.
pub const PROVIDER: Provider = Provider {
    name: "rte",
    address: Some("https://odre.opendatasoft.com/api/explore/v2.1"),
    attribution: "RTE éCO2mix via ODRÉ, Licence Ouverte 2.0, data of <date>",
    signal: Signal::Average,
    boundary: Boundary::Direct,
    both_boundaries: false,
    // 96 rows; at most 100 are given.
    longest: SignedDuration::from_hours(24),
    request,
    parse,
    locate: None,
};

const RECORDS: &str = "/catalog/datasets/eco2mix-national-tr/records";
/// The interval of a row.
const STEP: SignedDuration = SignedDuration::from_mins(15);

#[derive(Deserialize)]
struct Document {
    results: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    taux_co2: Option<f64>,
    date_heure: String,
}

fn request(feed: &Feed, ask: &Ask) -> Result<Request, FeedError> {
    if ask.zone != "FR" {
        return Err(FeedError::NotCovered { zone: ask.zone.clone(), hint: ", only FR" });
    }
    let given = "taux_co2 is not null";
    let (condition, order, rows) = match ask.want {
        Want::Now => (given.to_owned(), "date_heure desc", "1"),
        Want::Range { from, to } => {
            let (from, to) = (second(from), second(to));
            let within = format!("date_heure >= date'{from}' and date_heure < date'{to}'");
            (format!("{given} and {within}"), "date_heure", "100")
        }
        Want::Forecast => return Err(FeedError::Unsupported("forecast")),
    };
    let query = [
        ("select", "taux_co2,date_heure"),
        ("where", condition.as_str()),
        ("order_by", order),
        ("limit", rows),
    ];
    feed.address(RECORDS, &query)
}

fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn parse(_: &Feed, _: &Ask, body: &[u8]) -> Figures {
    let rows = super::decode::<Document>(body)?.results;
    let mut figures = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(grams) = row.taux_co2 else { continue };
        let from = super::moment(&row.date_heure)?;
        let to = super::after(from, STEP)?;
        figures.push(Figure { from, to, grams, kind: IntensityKind::Provisional, updated: None });
    }
    Ok(figures)
}
