// SPDX-License-Identifier: Apache-2.0
//! WattTime v3: marginal emissions by five minutes, most of the world, with a login.
//!
//! `api.watttime.org`. `GET /login` with name and password answers a token of half an
//! hour. Figures are pounds of CO2 (direct, CO2 alone) per MWh, and other signals
//! have other units: unit, region and signal of an answer are compared with what was
//! asked. The signal index is a percentile and is never asked for. The average
//! (`co2_aoer`) has a past alone. Figures are a model's and are revised for two days.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{
    Ask, Boundary, Coordinates, Feed, FeedError, Figure, Figures, KeyUse, Locate, Provider,
    Request, Signal, Want, json,
};
use crate::ledger::IntensityKind;

/// The feed.
pub const PROVIDER: Provider = Provider {
    name: "watttime",
    address: Some("https://api.watttime.org"),
    attribution: "WattTime (watttime.org); not for redistribution",
    signal: Signal::Marginal,
    boundary: Boundary::Direct,
    both_boundaries: false,
    longest: SignedDuration::from_hours(30 * 24),
    request,
    parse,
    locate: Some(Locate { request: where_is, parse: place_of }),
};

/// The unit of intensities.
const UNIT: &str = "lbs_co2_per_mwh";
/// Until a past figure is no longer revised.
const SETTLES: SignedDuration = SignedDuration::from_hours(48);
/// Hours of a forecast; 72 is the most.
const HORIZON: &str = "24";

#[derive(Deserialize)]
struct Document {
    data: Vec<Point>,
    meta: Meta,
}

#[derive(Deserialize)]
struct Point {
    point_time: String,
    value: Option<f64>,
    last_updated: Option<String>,
    imputed_data_used: Option<bool>,
}

#[derive(Deserialize)]
struct Meta {
    data_point_period_seconds: u32,
    region: String,
    signal_type: String,
    units: String,
}

#[derive(Deserialize)]
struct Place {
    region: String,
}

fn signal_of(feed: &Feed) -> &'static str {
    match feed.signal {
        Signal::Marginal => "co2_moer",
        Signal::Average => "co2_aoer",
    }
}

fn request(feed: &Feed, ask: &Ask) -> Result<Request, FeedError> {
    let region = feed.place.as_deref().ok_or(FeedError::Unset("place"))?;
    let mut query = vec![("region", region.to_owned()), ("signal_type", signal_of(feed).into())];
    let path = match (ask.want, feed.signal) {
        (Want::Range { from, to }, _) => {
            query.push(("start", from.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()));
            query.push(("end", to.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()));
            query.push(("include_imputed_marker", "true".into()));
            "/v3/historical"
        }
        (Want::Now, Signal::Average) => return Err(FeedError::Unsupported("average of now")),
        (Want::Forecast, Signal::Average) => {
            return Err(FeedError::Unsupported("forecast of the average"));
        }
        // The first figure of the forecast is that of now.
        (Want::Now, Signal::Marginal) => {
            query.push(("horizon_hours", "0".into()));
            "/v3/forecast"
        }
        (Want::Forecast, Signal::Marginal) => {
            query.push(("horizon_hours", HORIZON.into()));
            "/v3/forecast"
        }
    };
    let query: Vec<(&str, &str)> =
        query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    feed.address_with(path, &query, login(feed)?)
}

fn login(feed: &Feed) -> Result<KeyUse, FeedError> {
    match feed.address("/login", &[])? {
        Request::Http { url, .. } => Ok(KeyUse::Login(url)),
        Request::File(_) => Err(FeedError::Unset("url")),
    }
}

fn where_is(feed: &Feed, place: Coordinates) -> Result<Request, FeedError> {
    let (latitude, longitude) = place.degrees();
    let query =
        [("latitude", &*latitude), ("longitude", &*longitude), ("signal_type", signal_of(feed))];
    feed.address_with("/v3/region-from-loc", &query, login(feed)?)
}

fn place_of(body: &[u8]) -> Result<String, FeedError> {
    Ok(super::decode::<Place>(body)?.region)
}

fn parse(feed: &Feed, ask: &Ask, body: &[u8]) -> Figures {
    let document: Document = super::decode(body)?;
    let meta = &document.meta;
    super::same(UNIT, &meta.units)?;
    super::same(signal_of(feed), &meta.signal_type)?;
    super::same(feed.place.as_deref().unwrap_or_default(), &meta.region)?;
    let step = SignedDuration::from_secs(meta.data_point_period_seconds.into());
    let points = match ask.want {
        Want::Now => document.data.get(..1).unwrap_or_default(),
        _ => &document.data,
    };
    points.iter().filter_map(|point| figure(ask, point, step).transpose()).collect()
}

fn figure(ask: &Ask, point: &Point, step: SignedDuration) -> Result<Option<Figure>, FeedError> {
    let Some(pounds) = point.value else { return Ok(None) };
    let from = super::moment(&point.point_time)?;
    let to = super::after(from, step)?;
    let kind = match ask.want {
        Want::Now | Want::Forecast => IntensityKind::Forecast,
        Want::Range { .. } if point.imputed_data_used == Some(true) => IntensityKind::Estimated,
        Want::Range { .. } => super::settling(to, ask.now, SETTLES),
    };
    let updated: Option<Timestamp> =
        point.last_updated.as_deref().map(super::moment).transpose()?;
    let grams = json::Unit::PoundsPerMwh.to_grams_per_kwh(pounds);
    Ok(Some(Figure { from, to, grams, kind, updated }))
}
