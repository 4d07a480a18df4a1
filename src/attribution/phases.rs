// SPDX-License-Identifier: Apache-2.0
//! The split of a job's energy over its phases, by time.
//!
//! A timeline knows which phase a job was in, for some time back, since energy is booked
//! later than it is used. A split gives each microjoule once; it allocates nothing. What
//! lies before all that is remembered is of the phase that was forgotten last.

use std::collections::VecDeque;
use std::time::Duration;

use crate::units::{BootTime, Energy};

/// The number of no phase.
pub const OUTSIDE: usize = 0;

/// How long a change is remembered: far longer than the longest tick.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Changes remembered at most.
const MOST: usize = 4_096;

/// A time in one phase, or the last of several: from when, until when (`None`: it goes on),
/// and the phase.
pub type Stay = (BootTime, Option<BootTime>, usize);

/// A job's phases by time, each by its number.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// The phase before the first change that is remembered.
    first: usize,
    changes: VecDeque<(BootTime, usize)>,
}

impl Timeline {
    /// A timeline that was always in this phase.
    pub fn within(phase: usize) -> Timeline {
        Timeline { first: phase, changes: VecDeque::new() }
    }

    /// A timeline of the last stay in each phase. Between two that do not touch it was in no
    /// phase, or in an earlier stay that nothing tells of.
    pub fn of_stays(mut stays: Vec<Stay>) -> Timeline {
        stays.sort_unstable();
        let mut timeline = Timeline::default();
        let mut last_end = None;
        for (began, ended, phase) in stays {
            if let Some(end) = last_end.filter(|end| *end < began) {
                timeline.change(end, OUTSIDE);
            }
            timeline.change(began, phase);
            last_end = ended;
        }
        if let Some(end) = last_end {
            timeline.change(end, OUTSIDE);
        }
        timeline
    }

    /// The last stay in a phase, as far as it is remembered.
    pub fn last_stay(&self, phase: usize) -> Option<Stay> {
        let last = self.changes.iter().rposition(|change| change.1 == phase)?;
        let ended = self.changes.get(last + 1).map(|change| change.0);
        // It may have begun anew while it lasted.
        let others = self.changes.range(..last).rposition(|change| change.1 != phase);
        let first = others.map_or(0, |place| place + 1);
        self.changes.get(first).map(|change| (change.0, ended, phase))
    }

    /// When the phase of now began, and which one was before.
    pub fn last_change(&self) -> Option<(BootTime, usize)> {
        let (began, ..) = self.last_stay(self.current())?;
        let before = self.changes.iter().rev().find(|change| change.0 < began);
        Some((began, before.map_or(self.first, |change| change.1)))
    }

    /// The phase of now.
    pub fn current(&self) -> usize {
        self.changes.back().map_or(self.first, |change| change.1)
    }

    /// From a moment on it is another phase; a moment before the last change is taken
    /// as that of the last change.
    pub fn change(&mut self, at: BootTime, phase: usize) {
        let at = self.changes.back().map_or(at, |last| last.0.max(at));
        let old = |timeline: &Timeline| {
            let second = timeline.changes.get(1).map_or(at, |second| second.0);
            timeline.changes.len() >= MOST || at.since(second) > REMEMBERED
        };
        while old(self)
            && let Some((_, phase)) = self.changes.pop_front()
        {
            self.first = phase;
        }
        self.changes.push_back((at, phase));
    }

    /// Gives the energy of a time to the phases of that time, by how long each was.
    pub fn split(
        &self,
        from: BootTime,
        to: BootTime,
        energy: Energy,
        mut give: impl FnMut(usize, Energy),
    ) {
        let next = self.changes.partition_point(|change| change.0 <= from);
        let before = next.checked_sub(1).and_then(|last| self.changes.get(last));
        let mut phase = before.map_or(self.first, |change| change.1);
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let whole = nanoseconds(to.since(from));
        let mut given = Energy::ZERO;
        for &(at, following) in self.changes.range(next..) {
            if at >= to {
                break;
            }
            let so_far = energy.portion(nanoseconds(at.since(from)), whole);
            give(phase, so_far.saturating_sub(given));
            (given, phase) = (so_far, following);
        }
        give(phase, energy.saturating_sub(given));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(nanoseconds: u64) -> BootTime {
        BootTime::from_nanoseconds(nanoseconds)
    }

    fn parts(timeline: &Timeline, from: u64, to: u64, microjoules: u64) -> Vec<(usize, u64)> {
        let mut parts = Vec::new();
        let energy = Energy::from_microjoules(microjoules);
        timeline.split(at(from), at(to), energy, |phase, part| {
            parts.push((phase, part.microjoules()));
        });
        parts
    }

    #[test]
    fn energy_goes_to_the_phases_of_its_own_time() {
        let mut timeline = Timeline::default();
        timeline.change(at(100), 1);
        timeline.change(at(200), 2);
        timeline.change(at(300), OUTSIDE);
        assert_eq!(parts(&timeline, 0, 400, 400), [(0, 100), (1, 100), (2, 100), (0, 100)]);
        assert_eq!(parts(&timeline, 100, 200, 7), [(1, 7)]);
        assert_eq!(parts(&timeline, 150, 250, 3), [(1, 1), (2, 2)]);
        // A booking without a length is of its moment.
        assert_eq!(parts(&timeline, 200, 200, 5), [(2, 5)]);
        assert_eq!(timeline.current(), OUTSIDE);
    }

    #[test]
    fn the_last_stays_tell_the_phases_of_the_last_while() {
        let mut timeline = Timeline::default();
        for (moment, phase) in [(100, 1), (150, 2), (200, 2), (300, 1), (400, OUTSIDE), (500, 3)] {
            timeline.change(at(moment), phase);
        }
        let stays: Vec<Stay> = [3, 2, 1].iter().filter_map(|p| timeline.last_stay(*p)).collect();
        assert_eq!(
            stays,
            [(at(500), None, 3), (at(150), Some(at(300)), 2), (at(300), Some(at(400)), 1),]
        );
        assert_eq!(timeline.last_stay(4), None);
        assert_eq!(timeline.last_change(), Some((at(500), OUTSIDE)));
        let recalled = Timeline::of_stays(stays);
        assert_eq!(recalled.current(), 3);
        for timeline in [&timeline, &recalled] {
            let of = |phase| {
                let parts = parts(timeline, 150, 600, 450);
                parts.iter().filter(|part| part.0 == phase).map(|part| part.1).sum::<u64>()
            };
            assert_eq!([of(OUTSIDE), of(1), of(2), of(3)], [100, 100, 150, 100]);
        }
        // Of the first stay in phase 1 nothing is known any more.
        assert_eq!(parts(&recalled, 0, 150, 15), [(OUTSIDE, 15)]);
        let ended = Timeline::of_stays(vec![(at(1), Some(at(5)), 1)]);
        assert_eq!(parts(&ended, 0, 10, 10), [(OUTSIDE, 1), (1, 4), (OUTSIDE, 5)]);
        assert_eq!(ended.last_change(), Some((at(5), 1)));
    }

    #[test]
    fn what_is_forgotten_leaves_its_phase_behind() {
        let mut timeline = Timeline::default();
        for change in 0..2 * MOST {
            timeline.change(at(10 * change as u64), 1 + change);
        }
        assert!(timeline.changes.len() <= MOST);
        assert_eq!(parts(&timeline, 0, 1, 9), [(MOST, 9)]);
        let hour = 3_600_000_000_000;
        timeline.change(at(hour), 5);
        timeline.change(at(2 * hour), 6);
        assert!(timeline.changes.len() <= 2);
        assert_eq!(parts(&timeline, hour + 1, 2 * hour, 8), [(5, 8)]);
    }

    proptest! {
        /// No microjoule is lost or made, and each part is as long as its phase was.
        #[test]
        fn a_split_is_exact(
            mut changes in prop::collection::vec((0u64..2_000, 0usize..5), 0..20),
            from in 0u64..1_000, length in 0u64..1_000, microjoules in 0u64..u64::MAX / 2,
        ) {
            changes.sort_unstable();
            let mut timeline = Timeline::default();
            for (moment, phase) in &changes {
                timeline.change(at(*moment), *phase);
            }
            let parts = parts(&timeline, from, from + length, microjoules);
            prop_assert_eq!(parts.iter().map(|part| part.1).sum::<u64>(), microjoules);
            let phase_of = |moment: u64| {
                changes.iter().rev().find(|change| change.0 <= moment).map_or(0, |change| change.1)
            };
            for phase in 0..5 {
                let got: u64 = parts.iter().filter(|part| part.0 == phase).map(|part| part.1).sum();
                let time = (from..from + length).filter(|t| phase_of(*t) == phase).count();
                let due = (u128::from(microjoules) * time as u128)
                    .checked_div(u128::from(length))
                    .unwrap_or(got.into());
                prop_assert!(due.abs_diff(got.into()) <= changes.len() as u128 + 1);
            }
        }
    }
}
