// SPDX-License-Identifier: Apache-2.0
//! ENTSO-E Transparency Platform: the generation of European zones by kind of plant,
//! from which the intensity is computed. XML, with a key in the address.
//!
//! `web-api.tp.entsoe.eu`, document A75. Lifecycle by the factors of [`super::mix`],
//! of production (imports are not in it). Two to sixteen hours late: a feed to settle
//! with, seldom one of now. A series under `outBiddingZone` is consumption (pumping)
//! and is left out. With curve type A03 a point holds until the next one, or the
//! period's end. "No data" comes with status 200 and is no figure.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::mix::Mix;
use super::{
    Ask, Boundary, Feed, FeedError, Figure, Figures, KeyUse, Provider, Request, Signal, Want,
};
use crate::grid::xml::{self, Element};

/// The feed.
pub const PROVIDER: Provider = Provider {
    name: "entsoe",
    address: Some("https://web-api.tp.entsoe.eu"),
    attribution: "Source: ENTSO-E Transparency Platform; computed by aimeter",
    signal: Signal::Average,
    boundary: Boundary::Lifecycle,
    both_boundaries: false,
    longest: SignedDuration::from_hours(7 * 24),
    request,
    parse,
    locate: None,
};

/// Until a figure is no longer corrected, in practice.
const SETTLES: SignedDuration = SignedDuration::from_hours(24);
/// What a figure of now is looked for in: publication is up to 16 h late.
const BACK: SignedDuration = SignedDuration::from_hours(24);
/// The unit of time of a mix, in seconds: the shortest step that there is.
const SLOT: i64 = 900;
/// Most slots of all series of an answer: a week of 20 kinds of plant has 13 440.
const MOST_SLOTS: i64 = 100_000;

static ZONES: LazyLock<Vec<Zone>> = LazyLock::new(|| {
    let text = include_str!("entsoe_zones.csv");
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
    reader.deserialize().filter_map(Result::ok).collect()
});

#[derive(Deserialize)]
struct Zone {
    zone: String,
    eic: String,
}

/// The EIC code of the place: its own, or of our zone.
fn area<'a>(feed: &'a Feed, ask: &Ask) -> Result<&'a str, FeedError> {
    let own = feed.place.as_deref().filter(|place| place.len() == 16);
    let known = || {
        let of_table = ZONES.iter().find(|zone| zone.zone == ask.zone);
        of_table.map(|zone| zone.eic.as_str()).filter(|_| feed.place.is_none())
    };
    own.or_else(known).ok_or_else(|| FeedError::NotCovered {
        zone: ask.zone.clone(),
        hint: "; `place` takes the EIC code of a zone, of 16 characters",
    })
}

fn request(feed: &Feed, ask: &Ask) -> Result<Request, FeedError> {
    if feed.token.is_none() {
        return Err(FeedError::Unset("token_file"));
    }
    let (from, to) = match ask.want {
        Want::Now => (super::after(ask.now, -BACK)?, ask.now),
        Want::Range { from, to } => (from, to),
        Want::Forecast => return Err(FeedError::Unsupported("forecast")),
    };
    let hour = |time: Timestamp, up: i64| {
        let hours = (time.as_second() + up).div_euclid(3_600);
        let time = Timestamp::from_second(hours * 3_600).unwrap_or(time);
        time.strftime("%Y%m%d%H%M").to_string()
    };
    let query = [
        ("documentType", "A75"),
        ("processType", "A16"),
        ("in_Domain", area(feed, ask)?),
        ("periodStart", &*hour(from, 0)),
        ("periodEnd", &hour(to, 3_599)),
    ];
    feed.address_with("/api", &query, KeyUse::Parameter("securityToken"))
}

fn parse(feed: &Feed, ask: &Ask, body: &[u8]) -> Figures {
    let root = xml::parse(body).map_err(wrong)?;
    match &*root.name {
        "GL_MarketDocument" => {}
        "Acknowledgement_MarketDocument" => return Err(acknowledged(&root)),
        other => return Err(wrong(format!("its document is a {other}"))),
    }
    super::same("A75", root.text_of("type").unwrap_or_default())?;
    let area = area(feed, ask)?;
    let (mut mix, mut slots, mut widest) = (Mix::of(PROVIDER.name), 0, 1);
    for series in root.all("TimeSeries") {
        // Consumption of plants that also generate.
        if series.child("outBiddingZone_Domain.mRID").is_some() {
            continue;
        }
        super::same(area, series.text_of("inBiddingZone_Domain.mRID").unwrap_or_default())?;
        super::same("MAW", series.text_of("quantity_Measure_Unit.name").unwrap_or_default())?;
        let fill = match series.text_of("curveType") {
            Some("A03") => true,
            Some("A01") | None => false,
            Some(other) => return Err(wrong(format!("its curve is of type {other}"))),
        };
        let plant = series.child("MktPSRType").and_then(|plant| plant.text_of("psrType"));
        let plant = plant.ok_or_else(|| wrong("a series names no kind of plant".into()))?;
        for period in series.all("Period") {
            let period = Period::of(period)?;
            slots += period.count * period.width;
            if slots > MOST_SLOTS {
                return Err(wrong("it is longer than what was asked for".into()));
            }
            widest = widest.max(period.width);
            period.add_to(&mut mix, plant, fill).map_err(wrong)?;
        }
    }
    let time = SignedDuration::from_secs(widest * SLOT);
    let figure = |(slot, grams): (i64, f64)| {
        let from = Timestamp::from_second(slot * SLOT).map_err(|_| FeedError::Nothing)?;
        let to = super::after(from, time)?;
        let kind = super::settling(to, ask.now, SETTLES);
        Ok(Figure { from, to, grams, kind, updated: None })
    };
    mix.intensities(widest).into_iter().map(figure).collect()
}

fn wrong(what: String) -> FeedError {
    FeedError::NotUnderstood(crate::grid::http::clean(&what))
}

/// An acknowledgement is no data, or a refusal in its own words.
fn acknowledged(root: &Element) -> FeedError {
    let words = root.child("Reason").and_then(|reason| reason.text_of("text")).unwrap_or_default();
    if words.starts_with("No matching data") {
        return FeedError::Nothing;
    }
    let words = crate::grid::http::clean(words);
    FeedError::Refused { status: 200, words, retry_after: None }
}

/// A time with one step.
struct Period<'a> {
    /// Its first slot.
    start: i64,
    /// How many steps it has.
    count: i64,
    /// Slots of a step.
    width: i64,
    points: Vec<(i64, &'a str)>,
}

impl Period<'_> {
    fn of(element: &Element) -> Result<Period<'_>, FeedError> {
        let width = match element.text_of("resolution") {
            Some("PT15M") => 1,
            Some("PT30M") => 2,
            Some("PT60M" | "PT1H") => 4,
            other => return Err(wrong(format!("its step is {}", other.unwrap_or("not told")))),
        };
        let interval = element.child("timeInterval");
        let edge = |name| {
            let text = interval.and_then(|interval| interval.text_of(name)).unwrap_or_default();
            let time = super::moment(text)?.as_second();
            if time % (SLOT * width) == 0 { Ok(time / SLOT) } else { Err(super::not_a_time(text)) }
        };
        let (start, end) = (edge("start")?, edge("end")?);
        let count = (end - start) / width;
        if count <= 0 {
            return Err(wrong("a period ends before it starts".into()));
        }
        let mut points = Vec::new();
        for point in element.all("Point") {
            let position = point.text_of("position").and_then(|text| text.parse().ok());
            let position: i64 = position.unwrap_or(0);
            let after = points.last().map_or(0, |(before, _)| *before);
            if position <= after || position > count {
                return Err(wrong(format!("point {position} of {count} after point {after}")));
            }
            points.push((position, point.text_of("quantity").unwrap_or_default()));
        }
        Ok(Period { start, count, width, points })
    }

    fn add_to(&self, mix: &mut Mix, plant: &str, fill: bool) -> Result<(), String> {
        for (place, (position, text)) in self.points.iter().enumerate() {
            let power: f64 = text.parse().map_err(|_| format!("`{text}` is no power"))?;
            if !power.is_finite() {
                return Err(format!("`{text}` is no power"));
            }
            let next = self.points.get(place + 1).map_or(self.count + 1, |(next, _)| *next);
            let end = if fill { next } else { position + 1 };
            let slot = |position: i64| self.start + (position - 1) * self.width;
            for slot in slot(*position)..slot(end) {
                mix.add(plant, slot, Some(power))?;
            }
        }
        Ok(())
    }
}
