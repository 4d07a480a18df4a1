// SPDX-License-Identifier: Apache-2.0
//! Energinet (Energi Data Service): the two zones of Denmark, every 5 minutes.
//!
//! `api.energidataservice.dk`, no key. Direct emissions of what is consumed,
//! imports included; still revised. Times are written without their zone: columns
//! named UTC are UTC, while `start` and `end` are Danish local time unless they
//! count from `utcnow`, which they do here. West (DK1) and east (DK2) are
//! different grids: a mean of both is nobody's figure.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Ask, Boundary, Feed, FeedError, Figure, Figures, Provider, Request, Signal, Want};
use crate::ledger::IntensityKind;

/// The feed.
pub const PROVIDER: Provider = Provider {
    name: "energinet",
    address: Some("https://api.energidataservice.dk"),
    attribution: "Source: Energinet (www.energidataservice.dk), CC BY 4.0",
    signal: Signal::Average,
    boundary: Boundary::Direct,
    both_boundaries: false,
    longest: SignedDuration::from_hours(24),
    request,
    parse,
    locate: None,
};

/// More rows than a day has; without a limit there are 100, with 0 all of them.
const ROWS: &str = "400";
/// The interval of a row.
const STEP: SignedDuration = SignedDuration::from_mins(5);

#[derive(Deserialize)]
struct Document {
    records: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(rename = "Minutes5UTC")]
    minutes5_utc: String,
    price_area: String,
    #[serde(rename = "CO2Emission")]
    co2_emission: Option<f64>,
}

/// `DK1` or `DK2`.
fn area(feed: &Feed, ask: &Ask) -> Result<&'static str, FeedError> {
    if ask.zone != "DK" {
        return Err(FeedError::NotCovered { zone: ask.zone.clone(), hint: ", only DK" });
    }
    match feed.place.as_deref() {
        Some("DK1") => Ok("DK1"),
        Some("DK2") => Ok("DK2"),
        other => {
            let hint = " as one: set its `place` to DK1 (west) or DK2 (east of the Great Belt)";
            Err(FeedError::NotCovered { zone: other.unwrap_or("DK").to_owned(), hint })
        }
    }
}

fn request(feed: &Feed, ask: &Ask) -> Result<Request, FeedError> {
    let filter = format!("{{\"PriceArea\":[\"{}\"]}}", area(feed, ask)?);
    let (set, start, end) = match ask.want {
        Want::Now => ("CO2Emis", "utcnow-PT30M".to_owned(), None),
        // The minute that has begun is left out on neither side.
        Want::Range { from, to } => {
            ("CO2Emis", relative(from, ask.now, -1), Some(relative(to, ask.now, 1)))
        }
        Want::Forecast => ("CO2EmisProg", "utcnow".to_owned(), None),
    };
    let mut query = vec![("start", start.as_str())];
    if let Some(end) = &end {
        query.push(("end", end));
    }
    query.extend([("sort", "Minutes5UTC"), ("filter", filter.as_str()), ("limit", ROWS)]);
    feed.address(&format!("/dataset/{set}"), &query)
}

/// A moment as minutes from `utcnow`, which no daylight saving moves.
fn relative(time: Timestamp, now: Timestamp, margin: i64) -> String {
    let minutes = time.duration_since(now).as_mins() + margin;
    let sign = if minutes < 0 { '-' } else { '+' };
    format!("utcnow{sign}PT{}M", minutes.unsigned_abs())
}

fn parse(feed: &Feed, ask: &Ask, body: &[u8]) -> Figures {
    let area = area(feed, ask)?;
    let kind = match ask.want {
        Want::Forecast => IntensityKind::Forecast,
        _ => IntensityKind::Provisional,
    };
    let rows = super::decode::<Document>(body)?.records;
    if let Some(other) = rows.first().filter(|_| rows.iter().all(|row| row.price_area != area)) {
        let answered = super::super::http::clean(&other.price_area);
        return Err(FeedError::Other { asked: area.to_owned(), answered });
    }
    let mut figures = Vec::with_capacity(rows.len());
    for row in rows.iter().filter(|row| row.price_area == area) {
        let Some(grams) = row.co2_emission else { continue };
        let from = row
            .minutes5_utc
            .parse::<DateTime>()
            .ok()
            .and_then(|time| time.to_zoned_datetime(TimeZone::UTC).ok())
            .ok_or_else(|| super::not_a_time(&row.minutes5_utc))?
            .timestamp();
        let to = super::after(from, STEP)?;
        figures.push(Figure { from, to, grams, kind, updated: None });
    }
    Ok(figures)
}
