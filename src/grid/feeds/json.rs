// SPDX-License-Identifier: Apache-2.0
//! Any JSON document that holds the figure of now: by address, pointer and unit.
//!
//! For one's own service, a building's meter, or a feed that aimeter does not
//! know. It gives no range and no forecast. What it says of itself is not known,
//! so its figures are `estimated`.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    Ask, Boundary, Feed, FeedError, Figure, Figures, KeyUse, Provider, Request, Signal, Want,
};
use crate::ledger::IntensityKind;

/// The feed.
pub const PROVIDER: Provider = Provider {
    name: "json",
    address: None,
    attribution: "own feed",
    signal: Signal::Average,
    boundary: Boundary::Lifecycle,
    both_boundaries: false,
    longest: SignedDuration::from_hours(366 * 24),
    request,
    parse,
    locate: None,
};

/// A unit of intensity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// g/kWh.
    GramsPerKwh,
    /// kg/MWh: the same number.
    KilogramsPerMwh,
    /// t/MWh.
    TonnesPerMwh,
    /// lb/MWh: the international pound of 0.45359237 kg.
    PoundsPerMwh,
}

impl Unit {
    /// The unit of a word.
    pub fn from_word(word: &str) -> Option<Unit> {
        match word {
            "g/kWh" => Some(Unit::GramsPerKwh),
            "kg/MWh" => Some(Unit::KilogramsPerMwh),
            "t/MWh" => Some(Unit::TonnesPerMwh),
            "lb/MWh" => Some(Unit::PoundsPerMwh),
            _ => None,
        }
    }

    /// So many of it in g/kWh.
    pub fn to_grams_per_kwh(self, number: f64) -> f64 {
        number
            * match self {
                Unit::GramsPerKwh | Unit::KilogramsPerMwh => 1.0,
                Unit::TonnesPerMwh => 1_000.0,
                Unit::PoundsPerMwh => 0.453_592_37,
            }
    }
}

fn request(feed: &Feed, ask: &Ask) -> Result<Request, FeedError> {
    match ask.want {
        Want::Now => {}
        Want::Range { .. } => return Err(FeedError::Unsupported("past figures")),
        Want::Forecast => return Err(FeedError::Unsupported("forecast")),
    }
    let url = feed.url.clone().ok_or(FeedError::Unset("url"))?;
    let header = feed.token_header.as_deref().unwrap_or("authorization");
    let key = match &feed.token {
        Some(_) => KeyUse::Header(header.to_owned()),
        None => KeyUse::None,
    };
    Ok(Request::Http { url, key })
}

fn parse(feed: &Feed, ask: &Ask, body: &[u8]) -> Figures {
    let document: Value = super::decode(body)?;
    let pointer = feed.pointer.as_deref().ok_or(FeedError::Unset("pointer"))?;
    let number = found(&document, pointer)?
        .as_f64()
        .ok_or_else(|| FeedError::NotUnderstood(format!("no number at `{pointer}`")))?;
    let from = match feed.time_pointer.as_deref() {
        None => ask.now,
        Some(pointer) => time(found(&document, pointer)?, pointer)?,
    };
    let length = SignedDuration::try_from(feed.interval).unwrap_or(SignedDuration::ZERO);
    Ok(vec![Figure {
        from,
        to: super::after(from, length)?,
        grams: feed.unit.to_grams_per_kwh(number),
        kind: IntensityKind::Estimated,
        updated: None,
    }])
}

fn found<'a>(document: &'a Value, pointer: &str) -> Result<&'a Value, FeedError> {
    document
        .pointer(pointer)
        .ok_or_else(|| FeedError::NotUnderstood(format!("nothing at `{pointer}`")))
}

/// RFC 3339, or seconds since 1970.
fn time(value: &Value, pointer: &str) -> Result<Timestamp, FeedError> {
    match value {
        Value::String(text) => super::moment(text),
        _ => value
            .as_i64()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or_else(|| FeedError::NotUnderstood(format!("no time at `{pointer}`"))),
    }
}
