// SPDX-License-Identifier: Apache-2.0
//! What is remembered between two looks at the snapshot.

use crate::engine::snapshot::{SensorState, Snapshot};
use crate::sensors::DomainId;

use super::history::{Baseline, History};

/// The last hour, and what no job uses now.
#[derive(Debug, Default)]
pub struct Live {
    /// The last hour.
    pub history: History,
    ticks: u64,
    counted: Vec<Unattributed>,
}

/// A counted domain.
#[derive(Debug)]
struct Unattributed {
    domain: DomainId,
    read: Baseline,
    watts: Option<f64>,
}

impl Live {
    /// Takes up the books as they were published; true where a slot of the history has
    /// ended.
    pub fn observe(&mut self, snapshot: &Snapshot) -> bool {
        if snapshot.ticks != self.ticks {
            self.ticks = snapshot.ticks;
            self.take_unattributed(snapshot);
        }
        self.history.observe(snapshot)
    }

    fn take_unattributed(&mut self, snapshot: &Snapshot) {
        let counted = snapshot.domains.iter().filter(|view| view.domain.counted());
        let mut before = std::mem::take(&mut self.counted);
        self.counted = counted
            .map(|view| {
                let known = before.iter().position(|one| one.domain == view.domain.id);
                let watts = known.and_then(|place| before[place].read.watts(view));
                match known.map(|place| before.swap_remove(place)) {
                    // Not read since: what was said of it stands, unless it fails.
                    Some(known) if known.read.is_of(view) && view.state == SensorState::Ok => known,
                    _ => Unattributed {
                        domain: view.domain.id.clone(),
                        read: Baseline::of(view),
                        watts: watts.map(|(_, unattributed)| unattributed),
                    },
                }
            })
            .collect();
    }

    /// What no job used, in watts over the last ticks; `None`: not known yet.
    pub fn unattributed_watts(&self) -> Option<f64> {
        self.counted.iter().filter_map(|one| one.watts).reduce(|sum, watts| sum + watts)
    }
}
