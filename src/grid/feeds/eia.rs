// SPDX-License-Identifier: Apache-2.0
//! EIA v2 (Form 930): the hourly generation of US balancing authorities by fuel, from
//! which the intensity is computed. The key goes into the address.
//!
//! `api.eia.gov`. Lifecycle by the factors of [`super::mix`], of production. About a
//! day late: a feed to settle with. A period is named by the end of its hour, in UTC.
//! An hour with a missing fuel has no figure: without its gas it would look clean.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::mix::Mix;
use super::{
    Ask, Boundary, Feed, FeedError, Figure, Figures, KeyUse, Provider, Request, Signal, Want,
};

/// The feed.
pub const PROVIDER: Provider = Provider {
    name: "eia",
    address: Some("https://api.eia.gov"),
    attribution: "Source: U.S. Energy Information Administration (<date>); computed by aimeter",
    signal: Signal::Average,
    boundary: Boundary::Lifecycle,
    both_boundaries: false,
    // Of 5000 rows, at some 16 fuels an hour.
    longest: SignedDuration::from_hours(7 * 24),
    request,
    parse,
    locate: None,
};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Until a figure is no longer corrected, in practice.
const SETTLES: SignedDuration = SignedDuration::from_hours(72);
/// What a figure of now is looked for in: it comes about a day late.
const BACK: SignedDuration = SignedDuration::from_hours(48);

#[derive(Deserialize)]
struct Document {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    total: Number,
    data: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    period: String,
    respondent: String,
    fueltype: String,
    value: Option<Number>,
    value_units: String,
}

/// A number, which is a string since API 2.1.6.
#[derive(Deserialize)]
#[serde(try_from = "serde_json::Value")]
struct Number(f64);

impl TryFrom<serde_json::Value> for Number {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Number, &'static str> {
        let number = match &value {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_f64(),
        };
        number.filter(|number: &f64| number.is_finite()).map(Number).ok_or("expected a number")
    }
}

fn request(feed: &Feed, ask: &Ask) -> Result<Request, FeedError> {
    if feed.token.is_none() {
        return Err(FeedError::Unset("token_file"));
    }
    let respondent = feed.place.as_deref().ok_or(FeedError::Unset("place"))?;
    let (from, to) = match ask.want {
        Want::Now => (super::after(ask.now, -BACK)?, ask.now),
        Want::Range { from, to } => (from, to),
        Want::Forecast => return Err(FeedError::Unsupported("forecast")),
    };
    // An hour is named by its end: the first is the one that `from` is in.
    let end_of_hour = |time: Timestamp, up: i64| {
        let hours = (time.as_second() + up).div_euclid(3_600);
        let time = Timestamp::from_second(hours * 3_600).unwrap_or(time);
        time.strftime("%Y-%m-%dT%H").to_string()
    };
    let query = [
        ("frequency", "hourly"),
        ("data[]", "value"),
        ("facets[respondent][]", respondent),
        ("start", &end_of_hour(from, 3_600)),
        ("end", &end_of_hour(to, 3_599)),
        ("sort[0][column]", "period"),
        ("sort[0][direction]", "desc"),
        ("length", "5000"),
    ];
    let path = "/v2/electricity/rto/fuel-type-data/data/";
    feed.address_with(path, &query, KeyUse::Parameter("api_key"))
}

fn parse(feed: &Feed, ask: &Ask, body: &[u8]) -> Figures {
    let Response { total, data } = super::decode::<Document>(body)?.response;
    if total.0 > data.len() as f64 {
        let what = format!("{} rows of {}", data.len(), total.0);
        return Err(FeedError::NotUnderstood(what));
    }
    let mut mix = Mix::of(PROVIDER.name);
    for row in &data {
        super::same(feed.place.as_deref().unwrap_or_default(), &row.respondent)?;
        super::same("megawatthours", &row.value_units)?;
        let hour = hour_of(&row.period)?;
        let amount = row.value.as_ref().map(|number| number.0);
        mix.add(&row.fueltype, hour, amount)
            .map_err(|what| FeedError::NotUnderstood(super::super::http::clean(&what)))?;
    }
    let figure = |(hour, grams): (i64, f64)| {
        let to = Timestamp::from_second(hour * 3_600).map_err(|_| FeedError::Nothing)?;
        let from = super::after(to, -HOUR)?;
        let kind = super::settling(to, ask.now, SETTLES);
        Ok(Figure { from, to, grams, kind, updated: None })
    };
    mix.intensities(1).into_iter().map(figure).collect()
}

/// The number of the hour that ends at a period's time, such as `2022-10-31T12`.
fn hour_of(period: &str) -> Result<i64, FeedError> {
    if period.len() != "2022-10-31T12".len() {
        return Err(super::not_a_time(period));
    }
    Ok(super::moment(&format!("{period}:00:00Z"))?.as_second().div_euclid(3_600))
}
