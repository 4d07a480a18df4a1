// SPDX-License-Identifier: Apache-2.0
//! The intensity that the live counters use: of each zone in use, the figure of now.
//!
//! Looked up anew when the facts changed or the present one's time is over, which is
//! some times an hour; a tick between allocates nothing. What was emitted stays
//! emitted: a later figure changes what comes, never what was counted.

use std::sync::Arc;

use jiff::Timestamp;

use crate::clock;
use crate::grid::facts::Present;
use crate::ledger::Event;
use crate::ledger::books::Slot;
use crate::units::Intensity;

use super::core::Engine;
use super::snapshot::IntensityView;

/// What the engine has looked up.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// The book's version then.
    version: u64,
    /// When, and until when it holds; `None`: the zones in use have changed.
    holds: Option<(Timestamp, Timestamp)>,
    /// The zones in use.
    pub views: Arc<[IntensityView]>,
}

impl Engine {
    /// Takes up the figures of now where they may have changed.
    pub(super) fn follow_intensity(&mut self) {
        let version = self.settings.facts.version();
        let now = clock::wall();
        let holds = |(from, until): (Timestamp, Timestamp)| from <= now && now < until;
        if self.followed.version == version && self.followed.holds.is_some_and(holds) {
            return;
        }
        let mut zones: Vec<(Option<&str>, Timestamp)> = vec![(self.settings.zone.as_deref(), now)];
        for job in self.jobs.iter().flatten() {
            let zone = job.row.zone.as_deref();
            match zones.iter_mut().find(|(known, _)| *known == zone) {
                Some((_, since)) => *since = job.row.started.min(*since),
                None => zones.push((zone, job.row.started)),
            }
        }
        let mut until = Timestamp::MAX;
        let mut found = Vec::with_capacity(zones.len());
        for (zone, since) in zones {
            let present = self.present(zone, now);
            until = until.min(present.until);
            found.push((present.fact.intensity, view_of(zone, since, &present)));
        }
        for job in self.jobs.iter_mut().flatten() {
            let zone = job.row.zone.as_deref();
            if let Some((intensity, _)) =
                found.iter().find(|(_, view)| view.asked.as_deref() == zone)
            {
                job.intensity = *intensity;
            }
        }
        self.followed.version = version;
        self.followed.holds = Some((now, until));
        self.followed.views = found.into_iter().map(|(_, view)| view).collect();
    }

    /// The zones in use have changed: they are looked up at the next tick.
    pub(super) fn forget_intensity(&mut self) {
        self.followed.holds = None;
    }

    /// The intensity of a moment by the facts at hand.
    pub(super) fn intensity_at(&self, zone: Option<&str>, at: Timestamp) -> Intensity {
        self.present(zone, at).fact.intensity
    }

    fn present(&self, zone: Option<&str>, at: Timestamp) -> Present {
        self.settings.facts.now(zone, at, self.settings.stale_after)
    }

    /// Tells the ledger the yearly mean that a job's emissions rest on where nothing
    /// better is known.
    pub(super) fn tell_intensity(&mut self, slot: Slot) {
        let Some(job) = self.job(slot) else { return };
        let fact = crate::grid::fact_for(job.row.zone.as_deref(), clock::wall()).fact;
        if !self.told_zones.contains(&fact.zone) {
            self.told_zones.push(fact.zone.clone());
            self.batch.events.push(Event::Intensity(fact));
        }
    }
}

fn view_of(zone: Option<&str>, since: Timestamp, present: &Present) -> IntensityView {
    let fact = &present.fact;
    IntensityView {
        asked: zone.map(Into::into),
        since,
        zone: fact.zone.as_str().into(),
        grams_per_kwh: fact.intensity.grams_per_kwh(),
        source: fact.source.as_str().into(),
        signal: fact.signal.as_str().into(),
        quality: present.quality(),
        from: present.from(),
    }
}
