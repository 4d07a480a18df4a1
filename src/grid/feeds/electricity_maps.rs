// SPDX-License-Identifier: Apache-2.0
//! Electricity Maps v4: most of the world, by the hour, with a key.
//!
//! `api.electricitymaps.com`, header `auth-token`. Flow-traced consumption,
//! lifecycle or direct by `boundary`. The latest figure is an estimate first and
//! is measured later; a range mixes both. `disableCallerLookup` keeps the service
//! from answering for where the caller's address seems to be; the answer's zone is
//! compared with the one asked for all the same.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{
    Ask, Boundary, Coordinates, Feed, FeedError, Figure, Figures, KeyUse, Locate, Provider,
    Request, Signal, Want,
};
use crate::ledger::IntensityKind;

/// The feed.
pub const PROVIDER: Provider = Provider {
    name: "electricity-maps",
    address: Some("https://api.electricitymaps.com/v4"),
    attribution: "Electricity Maps (electricitymaps.com)",
    signal: Signal::Average,
    boundary: Boundary::Lifecycle,
    both_boundaries: true,
    // By the hour, 10 days are allowed.
    longest: SignedDuration::from_hours(9 * 24),
    request,
    parse,
    locate: Some(Locate { request: where_is, parse: place_of }),
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    zone: Option<String>,
    carbon_intensity: Option<f64>,
    datetime: String,
    updated_at: Option<String>,
    emission_factor_type: Option<String>,
    is_estimated: Option<bool>,
    temporal_granularity: Option<String>,
}

/// An answer with a list of rows, in one field or the other.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rows {
    zone: String,
    data: Option<Vec<Row>>,
    forecast: Option<Vec<Row>>,
    updated_at: Option<String>,
    temporal_granularity: Option<String>,
}

fn place<'a>(feed: &'a Feed, ask: &'a Ask) -> &'a str {
    feed.place.as_deref().unwrap_or(&ask.zone)
}

fn request(feed: &Feed, ask: &Ask) -> Result<Request, FeedError> {
    if feed.token.is_none() {
        return Err(FeedError::Unset("token_file"));
    }
    let mut query = vec![
        ("zone", place(feed, ask).to_owned()),
        ("emissionFactorType", feed.boundary.as_str().to_owned()),
        ("disableCallerLookup", "true".to_owned()),
    ];
    let path = match ask.want {
        Want::Now => "latest",
        Want::Range { from, to } => {
            query.push(("start", from.to_string()));
            query.push(("end", to.to_string()));
            "past-range"
        }
        Want::Forecast => {
            query.push(("horizonHours", "24".to_owned()));
            "forecast"
        }
    };
    let query: Vec<(&str, &str)> =
        query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    feed.address_with(&format!("/carbon-intensity/{path}"), &query, key())
}

fn key() -> KeyUse {
    KeyUse::Header("auth-token".to_owned())
}

/// The latest figure of some coordinates names the zone that they are in. Without
/// `disableCallerLookup` a place that is not covered would be the caller's own.
fn where_is(feed: &Feed, place: Coordinates) -> Result<Request, FeedError> {
    let (latitude, longitude) = place.degrees();
    let query = [("lat", &*latitude), ("lon", &*longitude), ("disableCallerLookup", "true")];
    feed.address_with("/carbon-intensity/latest", &query, key())
}

fn place_of(body: &[u8]) -> Result<String, FeedError> {
    super::decode::<Row>(body)?.zone.ok_or(FeedError::Nothing)
}

fn parse(feed: &Feed, ask: &Ask, body: &[u8]) -> Figures {
    if ask.want == Want::Now {
        let row: Row = super::decode(body)?;
        super::same(place(feed, ask), row.zone.as_deref().unwrap_or_default())?;
        return Ok(figure(feed, ask, &row, None, None)?.into_iter().collect());
    }
    let rows: Rows = super::decode(body)?;
    super::same(place(feed, ask), &rows.zone)?;
    let list = match ask.want {
        Want::Forecast => rows.forecast,
        _ => rows.data,
    };
    let updated = rows.updated_at.as_deref();
    let step = rows.temporal_granularity.as_deref();
    let list = list.ok_or(FeedError::Nothing)?;
    list.iter().filter_map(|row| figure(feed, ask, row, updated, step).transpose()).collect()
}

fn figure(
    feed: &Feed,
    ask: &Ask,
    row: &Row,
    updated: Option<&str>,
    step: Option<&str>,
) -> Result<Option<Figure>, FeedError> {
    let Some(grams) = row.carbon_intensity else { return Ok(None) };
    if let Some(zone) = &row.zone {
        super::same(place(feed, ask), zone)?;
    }
    if let Some(boundary) = &row.emission_factor_type {
        super::same(feed.boundary.as_str(), boundary)?;
    }
    let from = super::moment(&row.datetime)?;
    let to = super::after(from, step_of(row.temporal_granularity.as_deref().or(step))?)?;
    let kind = match (ask.want, row.is_estimated) {
        (Want::Forecast, _) => IntensityKind::Forecast,
        (_, Some(false)) => IntensityKind::Actual,
        // Not said: the weaker of the two.
        (_, Some(true) | None) => IntensityKind::Estimated,
    };
    let updated: Option<Timestamp> =
        row.updated_at.as_deref().or(updated).map(super::moment).transpose()?;
    Ok(Some(Figure { from, to, grams, kind, updated }))
}

/// The interval of a granularity; older answers name none and are by the hour.
fn step_of(granularity: Option<&str>) -> Result<SignedDuration, FeedError> {
    match granularity {
        None | Some("hourly") => Ok(SignedDuration::from_hours(1)),
        Some("15_minutes") => Ok(SignedDuration::from_mins(15)),
        Some("5_minutes") => Ok(SignedDuration::from_mins(5)),
        Some(other) => {
            let what = super::super::http::clean(&format!("its granularity is `{other}`"));
            Err(FeedError::NotUnderstood(what))
        }
    }
}
