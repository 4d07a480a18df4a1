// SPDX-License-Identifier: Apache-2.0
//! When a fact is final: the provider's measurement at once, others once their feed's
//! settling time is over.
//!
//! A figure that a feed never measures (a region of the United Kingdom has its
//! forecast alone) or that it calls provisional for a month (RTE) would otherwise
//! stay open for good. After its feed's settling time it is taken as final, and a
//! record says so. A better fact that comes later is followed all the same.

use jiff::{SignedDuration, Timestamp};

use crate::ledger::{IntensityFact, IntensityKind};

/// A feed's figures that become final without a measurement, and how long after the
/// end of their interval.
struct Horizon {
    /// The feed's name in facts; with a colon at its end, of a place of its own.
    feed: &'static str,
    kind: IntensityKind,
    time: SignedDuration,
}

/// Sources: `docs/carbon.md`, "Settled".
const HORIZONS: [Horizon; 4] = [
    // A region has no measured figures.
    Horizon {
        feed: "uk-carbon-intensity:",
        kind: IntensityKind::Forecast,
        time: SignedDuration::from_hours(2),
    },
    // Measured at once, consolidated a month later.
    Horizon { feed: "rte", kind: IntensityKind::Provisional, time: SignedDuration::from_hours(2) },
    Horizon {
        feed: "energinet",
        kind: IntensityKind::Provisional,
        time: SignedDuration::from_hours(2),
    },
    // The document has the present figure alone: none of the past can be asked for.
    Horizon { feed: "json", kind: IntensityKind::Estimated, time: SignedDuration::from_hours(2) },
];

/// Where no shorter time is known: no feed is asked for the past for longer
/// (Electricity Maps replaces estimates within one or two days, at most a week).
pub const LONGEST_HORIZON: SignedDuration = SignedDuration::from_hours(8 * 24);

/// From when on a fact is final; `None`: never (a yearly mean is a default that any
/// feed's figure replaces).
pub fn settles_at(fact: &IntensityFact) -> Option<Timestamp> {
    match fact.kind {
        IntensityKind::Actual => Some(fact.fetched_at),
        IntensityKind::Table => None,
        // What was measured of a part of its interval is asked for again.
        IntensityKind::Provisional if fact.fetched_at < fact.to => after(fact, LONGEST_HORIZON),
        kind => {
            let horizon = HORIZONS.iter().find(|horizon| {
                let of_feed = match fact.source.strip_prefix(horizon.feed) {
                    Some(rest) => {
                        horizon.feed.ends_with(':') || rest.is_empty() || rest.starts_with(':')
                    }
                    None => false,
                };
                of_feed && horizon.kind == kind
            });
            after(fact, horizon.map_or(LONGEST_HORIZON, |horizon| horizon.time))
        }
    }
}

/// Whether a fact is final at a moment.
pub fn settled(fact: &IntensityFact, now: Timestamp) -> bool {
    fact.kind == IntensityKind::Actual || settles_at(fact).is_some_and(|at| at <= now)
}

fn after(fact: &IntensityFact, time: SignedDuration) -> Option<Timestamp> {
    fact.to.checked_add(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::feeds::{Feed, PROVIDERS};
    use crate::grid::schedule::rhythm;
    use crate::units::Intensity;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + minutes * 60).unwrap()
    }

    /// Of the half hour that begins at 0.
    fn fact(source: &str, kind: IntensityKind, fetched: i64) -> IntensityFact {
        IntensityFact {
            zone: "GB".into(),
            from: at(0),
            to: at(30),
            intensity: Intensity::from_milligrams_per_kwh(100_000),
            signal: "average".into(),
            boundary: "direct".into(),
            source: source.into(),
            kind,
            fetched_at: at(fetched),
            provider_updated_at: None,
        }
    }

    #[test]
    fn each_kind_settles_at_its_feeds_time() {
        use IntensityKind::{Actual, Estimated, Forecast, Provisional, Table};
        let last = 30 + 8 * 24 * 60;
        for (source, kind, fetched, settles) in [
            ("uk-carbon-intensity", Actual, 45, Some(45)),
            ("uk-carbon-intensity", Forecast, -5, Some(last)),
            ("uk-carbon-intensity:13", Forecast, -5, Some(150)),
            ("uk-carbon-intensity:13", Provisional, 10, Some(last)),
            ("rte", Provisional, 40, Some(150)),
            ("rte", Provisional, 20, Some(last)),
            ("rte-of-another", Provisional, 40, Some(last)),
            ("energinet:DK1", Provisional, 40, Some(150)),
            ("energinet:DK1", Forecast, -60, Some(last)),
            ("json", Estimated, 1, Some(150)),
            ("file", Estimated, 1, Some(last)),
            ("electricity-maps", Estimated, 1, Some(last)),
            ("table:OWID/Ember 2024", Table, 0, None),
        ] {
            let fact = fact(source, kind, fetched);
            assert_eq!(settles_at(&fact), settles.map(at), "{source} {kind:?}");
            for minutes in [-10, 29, 149, 150, last - 1, last, 100_000] {
                let due = kind == Actual || settles.is_some_and(|settles| settles <= minutes);
                assert_eq!(settled(&fact, at(minutes)), due, "{source} {kind:?} {minutes}");
            }
        }
    }

    #[test]
    fn nothing_is_final_as_long_as_a_feed_is_asked_for_better() {
        for provider in PROVIDERS {
            let feed = Feed::of(provider);
            let until = rhythm(&feed).measured.map(|measured| measured.until);
            let open = fact(&feed.source(), IntensityKind::Forecast, -5);
            let settles = settles_at(&open).unwrap();
            assert!(until.is_none_or(|until| open.to + until <= settles), "{provider:?}");
        }
    }
}
