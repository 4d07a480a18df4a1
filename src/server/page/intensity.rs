// SPDX-License-Identifier: Apache-2.0
//! The day of the grid: what feeds say of the last 24 hours and of the next.
//!
//! Only what was said of a time is shown for it: no figure is held over, and no yearly
//! mean fills a gap.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::clock;
use crate::grid::facts::FactBook;
use crate::ledger::IntensityKind;
use crate::server::now::Intensity;

use super::{Shared, json, text};

/// To either side of now.
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Stretches that are shown at most: 48 hours of five minutes.
const MOST: usize = 576;

#[derive(Debug, Serialize)]
struct Day {
    now: Option<Intensity>,
    stretches: Vec<Stretch>,
}

/// A time in which one figure holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Stretch {
    /// RFC 3339, UTC.
    from: Timestamp,
    to: Timestamp,
    grams_per_kwh: f64,
    source: String,
    /// `actual`, `provisional`, `estimated`, `forecast`.
    quality: &'static str,
}

/// `/api/v1/intensity`.
pub async fn day(State(page): Shared) -> Response {
    let snapshot = page.engine.snapshot();
    let now = snapshot.zones.first();
    let zone = now.and_then(|view| view.asked.as_deref());
    let stretches = stretches(&page.sources.facts, zone, clock::wall());
    json(text(&Day { now: now.map(Intensity::of), stretches }))
}

fn stretches(facts: &FactBook, zone: Option<&str>, now: Timestamp) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    let (Ok(mut at), Ok(end)) = (now.checked_sub(DAY), now.checked_add(DAY)) else { return found };
    while at < end && found.len() < MOST {
        let present = facts.now(zone, at, Duration::ZERO);
        let to = present.until.min(end);
        let (quality, fact) = (present.quality(), present.fact);
        let grams_per_kwh = fact.intensity.grams_per_kwh();
        if fact.kind != IntensityKind::Table {
            match found.last_mut().filter(|last| {
                last.to == at && last.grams_per_kwh == grams_per_kwh && last.quality == quality
            }) {
                Some(last) if last.source == fact.source => last.to = to,
                _ => {
                    let source = fact.source;
                    found.push(Stretch { from: at, to, grams_per_kwh, source, quality });
                }
            }
        }
        at = to;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::IntensityFact;
    use crate::units;

    fn time(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + minutes * 60).unwrap()
    }

    fn fact(from: i64, to: i64, grams: u32, kind: IntensityKind) -> IntensityFact {
        IntensityFact {
            zone: "GB".into(),
            from: time(from),
            to: time(to),
            intensity: units::Intensity::from_milligrams_per_kwh(grams * 1_000),
            signal: "average".into(),
            boundary: "direct".into(),
            source: "uk".into(),
            kind,
            fetched_at: time(0),
            provider_updated_at: None,
        }
    }

    #[test]
    fn a_day_has_what_was_said_of_its_times_and_gaps_where_nothing_was() {
        let book = FactBook::of_facts([
            fact(-3_000, -2_000, 9, IntensityKind::Actual),
            fact(-90, -60, 100, IntensityKind::Actual),
            fact(-60, -30, 100, IntensityKind::Actual),
            fact(0, 30, 120, IntensityKind::Forecast),
            fact(1_430, 1_460, 130, IntensityKind::Forecast),
        ]);
        let shown: Vec<_> = stretches(&book, Some("GB"), time(0))
            .into_iter()
            .map(|one| (one.from, one.to, one.grams_per_kwh, one.quality))
            .collect();
        assert_eq!(
            shown,
            [
                (time(-90), time(-30), 100.0, "actual"),
                (time(0), time(30), 120.0, "forecast"),
                (time(1_430), time(1_440), 130.0, "forecast"),
            ]
        );
        assert_eq!(stretches(&book, Some("FR"), time(0)), []);
        assert_eq!(stretches(&book, None, time(0)), []);
    }
}
