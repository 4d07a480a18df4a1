// SPDX-License-Identifier: Apache-2.0
//! What a job's record says of a sensor that failed it: a remark in words, and the
//! most that is missing as an uncertainty, so that the truth stays inside what is
//! stated. Nothing here books energy.

use crate::clock;
use crate::ledger::books::Slot;
use crate::ledger::{Amount, Uncertainty};
use crate::meter::domain::Delta;
use crate::units::{BootTime, Energy};

use super::core::Engine;
use super::snapshot::SensorState;

impl Engine {
    /// A counter restarted: says so to every job that has a part in it.
    pub(super) fn tell_reset(&mut self, place: usize) {
        let text = format!(
            "{}: its counter restarted at {}: what it counted since its reading before is not \
             known, and its uncertainty holds the most that it can be",
            self.domains[place].domain.id,
            second(),
        );
        for slot in (1..self.jobs.len()).map(Slot) {
            if self.job(slot).is_some_and(|job| job.before[place].is_some()) {
                self.note(slot, text.clone());
            }
        }
    }

    /// A GPU was opened while a job ran that may use it.
    pub(super) fn tell_late(&mut self, slot: Slot, gpu: usize) {
        let id = self.domains[self.gpus[gpu].place].domain.id.clone();
        let since = second();
        let text = format!("{id} is read only since {since}: what it used before is not known");
        self.note(slot, text);
    }

    /// What a domain used since its last reading is not in the job's figures: says so,
    /// and how much that can be at most.
    pub(super) fn tell_unread(&mut self, slot: Slot, place: usize, end: BootTime) {
        let Some(started) = self.job(slot).map(|job| job.row.started_at) else { return };
        let state = &self.domains[place];
        let since = state.last_read.unwrap_or(started).max(started).min(end);
        // The last value shown is as old as the counter's refresh.
        let time = end.since(since) + state.domain.update_period;
        let more = state.domain.max_power.during(time);
        let text = format!(
            "{} could not be read at the job's end: its energy of the last {:.1} s is not in the \
             figures",
            state.domain.id,
            end.since(since).as_secs_f64(),
        );
        self.note(slot, text);
        let delta = Delta { from: since, to: end, gap: true, more, ..Delta::default() };
        let bracket = Amount {
            uncertainty: Uncertainty { gap: more, ..Uncertainty::default() },
            gap_nanoseconds: u64::try_from(end.since(since).as_nanos()).unwrap_or(u64::MAX),
            ..Amount::default()
        };
        self.book(slot, place, delta, bracket);
    }

    /// Says at a job's end which of its domains split by CPU time were not read then,
    /// and which of all its domains are dead.
    pub(super) fn tell_unread_and_dead(&mut self, slot: Slot, end: BootTime) {
        for place in 0..self.domains.len() {
            if self.job(slot).is_none_or(|job| job.before[place].is_none()) {
                continue;
            }
            let state = &self.domains[place];
            if self.is_dead(place) {
                let id = &state.domain.id;
                let text = format!(
                    "{id}: its counter stays at 0: it is dead, not idle, and has no figure"
                );
                self.note(slot, text);
            } else if state.split_by_cpu() && state.state != SensorState::Ok {
                self.tell_unread(slot, place, end);
            }
        }
    }

    /// Whether a domain's counter shows 0, which no device that draws power does.
    pub(super) fn is_dead(&self, place: usize) -> bool {
        let state = &self.domains[place];
        let zero = state.meter.mark().is_some_and(|(_, value)| value == Energy::ZERO);
        state.state == SensorState::Dead || zero
    }
}

/// Now, to the second, in UTC.
fn second() -> String {
    clock::wall().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
