// SPDX-License-Identifier: Apache-2.0
//! UK Carbon Intensity (NESO): Great Britain and its 17 regions, by half hour.
//!
//! `api.carbonintensity.org.uk`, no key. Direct emissions of what is consumed,
//! imports and losses included. The nation has a forecast and, half an hour to an
//! hour later, an actual figure (null before); a region has its forecast alone.
//! Documented at carbon-intensity.github.io/api-definitions.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Ask, Boundary, Feed, FeedError, Figure, Figures, Provider, Request, Signal, Want};
use crate::ledger::IntensityKind;

/// The feed.
pub const PROVIDER: Provider = Provider {
    name: "uk-carbon-intensity",
    address: Some("https://api.carbonintensity.org.uk"),
    attribution: "Carbon Intensity API, NESO with the University of Oxford / WWF, CC BY 4.0",
    signal: Signal::Average,
    boundary: Boundary::Direct,
    both_boundaries: false,
    // 14 days are allowed, both ends included.
    longest: SignedDuration::from_hours(13 * 24),
    request,
    parse,
    locate: None,
};

#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
}

#[derive(Deserialize)]
struct Region {
    regionid: Option<u32>,
    postcode: Option<String>,
    data: Vec<Slot>,
}

#[derive(Deserialize)]
struct Slot {
    from: String,
    to: String,
    intensity: Values,
}

#[derive(Deserialize)]
struct Values {
    forecast: Option<f64>,
    actual: Option<f64>,
}

/// Of the nation, or of the feed's `place`: a region's number or an outward postcode.
fn request(feed: &Feed, ask: &Ask) -> Result<Request, FeedError> {
    if ask.zone != "GB" {
        return Err(FeedError::NotCovered { zone: ask.zone.clone(), hint: ", only GB" });
    }
    let times = match ask.want {
        Want::Now => String::new(),
        Want::Range { from, to } => format!("/{}/{}", minute(from), minute(to)),
        Want::Forecast => format!("/{}/fw48h", minute(ask.now)),
    };
    let path = match (feed.place.as_deref(), times.as_str()) {
        (None, times) => format!("/intensity{times}"),
        (Some(place), "") => format!("/regional/{}", region_path(place)?),
        (Some(place), times) => format!("/regional/intensity{times}/{}", region_path(place)?),
    };
    feed.address(&path, &[])
}

fn region_path(place: &str) -> Result<String, FeedError> {
    if let Ok(1..=17) = place.parse::<u32>() {
        return Ok(format!("regionid/{place}"));
    }
    let outward = (2..=4).contains(&place.len())
        && place.starts_with(|first: char| first.is_ascii_alphabetic())
        && place.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if outward {
        return Ok(format!("postcode/{place}"));
    }
    let hint = ": write a region from 1 to 17, or the first half of a postcode";
    Err(FeedError::NotCovered { zone: place.to_owned(), hint })
}

fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

fn parse(feed: &Feed, ask: &Ask, body: &[u8]) -> Figures {
    let slots = match (&feed.place, ask.want) {
        (None, _) => super::decode::<Envelope<Vec<Slot>>>(body)?.data,
        (Some(place), Want::Now) => {
            let regions = super::decode::<Envelope<Vec<Region>>>(body)?.data.unwrap_or_default();
            regions.into_iter().next().map(|region| region.slots(place)).transpose()?
        }
        (Some(place), _) => super::decode::<Envelope<Region>>(body)?
            .data
            .map(|region| region.slots(place))
            .transpose()?,
    };
    // During an outage the service answers 200 and `{}`.
    let slots = slots.ok_or(FeedError::Nothing)?;
    slots.iter().filter_map(|slot| figure(slot).transpose()).collect()
}

impl Region {
    /// Its slots, if it is the region that was asked for. Its name is not compared:
    /// names and numbers are known to disagree.
    fn slots(self, place: &str) -> Result<Vec<Slot>, FeedError> {
        let number = self.regionid.map(|id| id.to_string()).unwrap_or_default();
        let postcode = self.postcode.unwrap_or_default();
        let same = match place.parse::<u32>() {
            Ok(_) => number == place,
            Err(_) => postcode.eq_ignore_ascii_case(place),
        };
        if !same {
            let answered = super::super::http::clean(&format!("region {number} {postcode}"));
            return Err(FeedError::Other { asked: place.to_owned(), answered });
        }
        Ok(self.data)
    }
}

fn figure(slot: &Slot) -> Result<Option<Figure>, FeedError> {
    let (grams, kind) = match (slot.intensity.actual, slot.intensity.forecast) {
        (Some(actual), _) => (actual, IntensityKind::Actual),
        (None, Some(forecast)) => (forecast, IntensityKind::Forecast),
        (None, None) => return Ok(None),
    };
    let (from, to) = (super::moment(&slot.from)?, super::moment(&slot.to)?);
    Ok(Some(Figure { from, to, grams, kind, updated: None }))
}
