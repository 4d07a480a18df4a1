// SPDX-License-Identifier: Apache-2.0
//! Grid: how much carbon a kilowatt-hour costs, where and when.
//!
//! What leaves this room are facts: a figure for a zone and an interval, with its
//! source. Sources are the feeds ([`feeds`]), asked one after the other as the
//! [`chain`] says, and behind them the shipped table of yearly means ([`table`]).
//! Nothing here guesses a place: a zone that is not known is the world mean, marked
//! as the world's.

pub mod chain;
pub mod cloud;
pub mod facts;
pub mod feeds;
pub mod http;
pub mod live;
pub mod place;
pub mod plausible;
pub mod poller;
pub mod pue;
pub mod schedule;
pub mod secret;
pub mod session;
pub mod table;
pub mod window;
pub mod xml;

use jiff::Timestamp;

use crate::ledger::{IntensityFact, IntensityKind};
use crate::units::Intensity;

pub use table::{TableEntry, UnknownZone};

/// The zone of the world mean.
pub const WORLD: &str = "WORLD";

/// A fact of the shipped table, and what the user should know of how it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFact {
    /// The fact; it holds for every moment.
    pub fact: IntensityFact,
    /// Why it is the world mean although nobody asked for that.
    pub warning: Option<String>,
}

/// The shipped yearly figure for a zone: of the zone itself, or of the world with
/// a warning where no zone is set or the table does not know it. `at` is now.
pub fn fact_for(zone: Option<&str>, at: Timestamp) -> TableFact {
    match zone.map(table::find) {
        Some(Ok(entry)) => TableFact { fact: fact_of(entry, at), warning: None },
        _ => TableFact { fact: fact_of(table::world(), at), warning: Some(world_note(zone)) },
    }
}

/// Why the world mean is used although nobody asked for it, with what to do.
pub fn world_note(zone: Option<&str>) -> String {
    match zone.map(table::find) {
        None => NO_ZONE.to_owned(),
        Some(Err(unknown)) => format!("{unknown} (the world mean is used)"),
        Some(Ok(entry)) => {
            format!("no intensity of zone `{}` is at hand (the world mean is used)", entry.zone)
        }
    }
}

/// What is said where no zone is set.
const NO_ZONE: &str =
    "no zone is set: the world mean is used; set `--zone`, or `carbon.zone` in the config";

/// The yearly intensity of a zone; `None` where the table does not know it.
/// Does not allocate after its first call.
pub fn intensity_of(zone: &str) -> Option<Intensity> {
    table::lookup(zone).map(|entry| entry.intensity)
}

fn fact_of(entry: &TableEntry, at: Timestamp) -> IntensityFact {
    IntensityFact {
        zone: entry.zone.clone(),
        // A yearly mean is the default for any moment, not only for its own year.
        from: Timestamp::UNIX_EPOCH,
        to: Timestamp::MAX,
        intensity: entry.intensity,
        signal: "average".to_owned(),
        boundary: entry.boundary.clone(),
        source: format!("table:{} {}", entry.source, entry.year),
        kind: IntensityKind::Table,
        fetched_at: at,
        provider_updated_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-11-24T09:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_known_zone_is_its_own_figure_for_any_moment() {
        let chosen = fact_for(Some("gb"), at());
        assert_eq!(chosen.warning, None);
        assert_eq!(chosen.fact.zone, "GB");
        assert_eq!(chosen.fact.intensity.milligrams_per_kwh(), 210_900);
        assert_eq!(chosen.fact.source, "table:OWID/Ember 2024");
        assert_eq!(
            (chosen.fact.boundary.as_str(), chosen.fact.signal.as_str()),
            ("lifecycle", "average")
        );
        assert_eq!(chosen.fact.kind, IntensityKind::Table);
        assert_eq!(chosen.fact.fetched_at, at());
        assert!(chosen.fact.from <= at() && at() < chosen.fact.to);
    }

    #[test]
    fn no_zone_is_the_world_and_says_so() {
        let chosen = fact_for(None, at());
        assert_eq!(chosen.fact.zone, "WORLD");
        assert_eq!(chosen.fact.intensity.grams_per_kwh(), 473.0);
        assert!(chosen.warning.unwrap().contains("no zone is set"));
    }

    #[test]
    fn an_unknown_zone_is_the_world_and_never_its_neighbour() {
        let chosen = fact_for(Some("UK"), at());
        assert_eq!(chosen.fact.zone, "WORLD");
        assert_eq!(
            chosen.warning.as_deref(),
            Some("unknown zone `UK`; did you mean `GB`? (the world mean is used)")
        );
        assert_eq!(intensity_of("UK"), None);
        assert_eq!(fact_for(Some("DE-BY"), at()).fact.zone, "WORLD");
    }
}
