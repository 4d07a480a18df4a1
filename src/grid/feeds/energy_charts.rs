// SPDX-License-Identifier: Apache-2.0
//! Energy-Charts (Fraunhofer ISE): continental Europe, by quarter of an hour.
//!
//! `api.energy-charts.info`, no key. Lifecycle emissions. One document holds two
//! lists beside the times: what was measured, one to two hours late, and the
//! forecast to the end of the day. A null is a missing figure in both.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Ask, Boundary, Feed, FeedError, Figure, Figures, Provider, Request, Signal, Want};
use crate::ledger::IntensityKind;

/// The feed.
pub const PROVIDER: Provider = Provider {
    name: "energy-charts",
    address: Some("https://api.energy-charts.info"),
    attribution: "Energy-Charts (energy-charts.info), Fraunhofer ISE, CC BY 4.0",
    signal: Signal::Average,
    boundary: Boundary::Lifecycle,
    both_boundaries: false,
    longest: SignedDuration::from_hours(7 * 24),
    request,
    parse,
    locate: None,
};

/// The countries that are asked for by our own zone. Another name may be set.
pub const COUNTRIES: [&str; 27] = [
    "AT", "BE", "BG", "CH", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT",
    "LT", "LU", "LV", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK",
];

/// The step of a document with a single time.
const STEP: Duration = Duration::from_secs(900);
/// The longest step that is one interval and not a gap.
const LONGEST_STEP: i64 = 3_600;

#[derive(Deserialize)]
struct Document {
    unix_seconds: Vec<i64>,
    #[serde(default)]
    co2eq: Vec<Option<f64>>,
    #[serde(default)]
    co2eq_forecast: Vec<Option<f64>>,
}

fn request(feed: &Feed, ask: &Ask) -> Result<Request, FeedError> {
    let country = match &feed.place {
        Some(place) => place.to_lowercase(),
        None if COUNTRIES.contains(&ask.zone.as_str()) => ask.zone.to_lowercase(),
        None => return Err(FeedError::NotCovered { zone: ask.zone.clone(), hint: "" }),
    };
    let mut query = vec![("country", country)];
    if let Want::Range { from, to } = ask.want {
        query.push(("start", minute(from)));
        query.push(("end", minute(to)));
    }
    let query: Vec<(&str, &str)> =
        query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    feed.address("/co2eq", &query)
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

fn parse(_: &Feed, _: &Ask, body: &[u8]) -> Figures {
    let document: Document = super::decode(body)?;
    let times = &document.unix_seconds;
    for (name, list) in [("co2eq", &document.co2eq), ("co2eq_forecast", &document.co2eq_forecast)] {
        if !list.is_empty() && list.len() != times.len() {
            let what = format!("{} times, {} values in `{name}`", times.len(), list.len());
            return Err(FeedError::NotUnderstood(what));
        }
    }
    if times.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(FeedError::NotUnderstood("its times do not rise".into()));
    }
    let step = step_of(times)?;
    let mut figures = Vec::with_capacity(times.len());
    for (place, seconds) in times.iter().enumerate() {
        let value = |list: &[Option<f64>]| list.get(place).copied().flatten();
        let (grams, kind) = match (value(&document.co2eq), value(&document.co2eq_forecast)) {
            (Some(measured), _) => (measured, IntensityKind::Actual),
            (None, Some(forecast)) => (forecast, IntensityKind::Forecast),
            (None, None) => continue,
        };
        let from = Timestamp::from_second(*seconds)
            .map_err(|_| FeedError::NotUnderstood(format!("`{seconds}` is no time")))?;
        let to = super::after(from, step)?;
        figures.push(Figure { from, to, grams, kind, updated: None });
    }
    Ok(figures)
}

/// The interval's length: the smallest step. A larger one is a gap and stays one.
fn step_of(times: &[i64]) -> Result<SignedDuration, FeedError> {
    let smallest = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).min();
    match smallest {
        None => Ok(SignedDuration::try_from(STEP).unwrap_or(SignedDuration::ZERO)),
        Some(step) if step <= LONGEST_STEP => Ok(SignedDuration::from_secs(step)),
        Some(step) => Err(FeedError::NotUnderstood(format!("its times are {step} s apart"))),
    }
}
