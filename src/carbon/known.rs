// SPDX-License-Identifier: Apache-2.0
//! What is known of a job's grid: the facts that may be used for it.
//!
//! All facts of the job's zone and time, and behind them one yearly mean. A yearly
//! mean has no time of its own: the one that was at hand at the job's end is its
//! for good, so that a later release's table changes no old job in silence. Nothing
//! here takes a figure of another place.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::grid::{self, WORLD};
use crate::ledger::{IntensityFact, IntensityKind, Told};

/// What is known of a job's grid, at a moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// The facts of its zone, or of the world where there is none.
    pub facts: Vec<IntensityFact>,
    /// What was first said of its emissions.
    pub told: Option<Told>,
    /// The moment: what is final depends on it.
    pub at: Timestamp,
}

impl Known {
    /// What is known of a job in a zone, of these facts. Without any, and for times
    /// that none covers, a yearly mean holds: `ended` says which, where it has.
    pub fn of(
        zone: Option<&str>,
        ended: Option<Timestamp>,
        mut facts: Vec<IntensityFact>,
        at: Timestamp,
    ) -> Known {
        let table = table_of(&facts, ended.unwrap_or(at)).cloned();
        let table = table.unwrap_or_else(|| grid::fact_for(zone, at).fact);
        // Marginal figures are kept in the ledger too; none of them counts.
        let counts = |fact: &IntensityFact| fact.signal == "average";
        facts.retain(|fact| fact.kind != IntensityKind::Table && counts(fact));
        // The world's is for a zone of which nothing is known, never for its gaps.
        if facts.is_empty() || facts.iter().any(|fact| fact.zone == table.zone) {
            facts.push(table);
        }
        Known { facts, told: None, at }
    }

    /// The yearly mean, where there is nothing else: then the whole energy is enough to
    /// tell the emissions.
    pub fn only_table(&self) -> Option<&IntensityFact> {
        match self.facts.as_slice() {
            [fact] if fact.kind == IntensityKind::Table => Some(fact),
            _ => None,
        }
    }
}

/// The names under which the facts of a job in a zone are kept: the zone's, and the
/// world's where the shipped table does not know the zone.
pub fn zones_of(zone: Option<&str>) -> Vec<String> {
    let own = zone.map(str::to_ascii_uppercase);
    let world = zone.is_none_or(|zone| grid::intensity_of(zone).is_none());
    own.into_iter().chain(world.then(|| WORLD.to_owned())).collect()
}

/// Of yearly means the last that was at hand at a job's end; else the first one after.
fn table_of(facts: &[IntensityFact], ended: Timestamp) -> Option<&IntensityFact> {
    let tables = || facts.iter().filter(|fact| fact.kind == IntensityKind::Table);
    let before = tables().filter(|fact| fact.fetched_at <= ended);
    before
        .max_by_key(|fact| fact.fetched_at)
        .or_else(|| tables().min_by_key(|fact| fact.fetched_at))
}
