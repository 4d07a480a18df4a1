// SPDX-License-Identifier: Apache-2.0
//! A job's phases and units of work: what its marks say, and the energy of each phase.
//!
//! Each booking of a job, nested jobs included, is split over its phases by the time that
//! the energy was used in; what is in no phase is the job's energy less theirs. At a change
//! of phase the counters are read, now and then, so that the cut is a reading and not a
//! guess. A job without marks has none of this.

use std::sync::Arc;
use std::time::Duration;

use crate::attribution::phases::{OUTSIDE, Timeline};
use crate::clock;
use crate::jobs::marks::{Count, Mark, OTHER};
use crate::ledger::books::Slot;
use crate::ledger::{JobKey, PhaseMark, PhaseReport, UnitMark, UnitReport};
use crate::units::{BootTime, Energy};

use super::core::Engine;
use super::snapshot::{PhaseView, UnitView, WorkView};

/// Phases of a job by name; a further one is `other`.
const MOST_PHASES: usize = 64;
/// Units of a job by name; a further one is `other`.
const MOST_UNITS: usize = 32;
/// Counters are read for a change of phase at most this often; energy around the changes
/// between is cut by time.
const READ_PERIOD: Duration = Duration::from_millis(250);
/// The ledger is told of changes of phase at most this often, beside its batches.
const TELL_PERIOD: Duration = Duration::from_millis(100);

/// A job's phases and units.
#[derive(Debug, Default)]
pub(super) struct Work {
    timeline: Timeline,
    /// By number, from 1 on.
    phases: Vec<Phase>,
    units: Vec<Unit>,
    /// Up to when the time of the present phase is counted.
    until: BootTime,
}

#[derive(Debug)]
struct Phase {
    name: Arc<str>,
    times: u64,
    time: Duration,
    energy: Energy,
    /// Whether the ledger is still to be told.
    grown: bool,
}

/// Units of one name counted in one phase.
#[derive(Debug)]
struct Unit {
    name: Arc<str>,
    phase: usize,
    count: Count,
    grown: bool,
}

impl Work {
    /// As the ledger knows it.
    pub fn recovered(phases: &[PhaseMark], units: &[UnitMark]) -> Option<Box<Work>> {
        if phases.is_empty() && units.is_empty() {
            return None;
        }
        let mut work = Work::default();
        let stay = |(place, mark): (usize, &PhaseMark)| Some((mark.began?, mark.ended, place + 1));
        work.timeline = Timeline::of_stays(phases.iter().enumerate().filter_map(stay).collect());
        for (place, mark) in phases.iter().enumerate() {
            if let Some(until) = mark.until {
                work.until = until;
                if mark.began.is_none() {
                    work.timeline = Timeline::within(place + 1);
                }
            }
            work.phases.push(Phase {
                name: Arc::clone(&mark.phase),
                times: mark.times,
                time: Duration::from_nanos(mark.nanoseconds),
                energy: mark.energy,
                grown: false,
            });
        }
        for mark in units {
            let phase = work.phases.iter().position(|phase| phase.name == mark.phase);
            work.units.push(Unit {
                name: Arc::clone(&mark.unit),
                phase: phase.map_or(OUTSIDE, |place| place + 1),
                count: mark.count,
                grown: false,
            });
        }
        Some(Box::new(work))
    }

    /// Takes a mark in; true where it goes to `other`.
    fn take(&mut self, at: BootTime, mark: Mark) -> bool {
        match mark {
            Mark::Phase(name) => {
                let (phase, other) = self.phase_number(name.shared());
                self.change(at, phase);
                self.phases[phase - 1].times += 1;
                other
            }
            Mark::End => {
                self.change(at, OUTSIDE);
                false
            }
            Mark::Count(name, count) => self.count(name.shared(), count),
        }
    }

    /// Another phase from a moment on.
    pub fn change(&mut self, at: BootTime, phase: usize) {
        self.count_time(at);
        self.timeline.change(at, phase);
        // Told that it is current, or no more.
        self.phase_mut(phase, |phase| phase.grown = true);
    }

    fn count_time(&mut self, at: BootTime) {
        let time = at.since(self.until);
        self.until = self.until.max(at);
        self.phase_mut(self.timeline.current(), |phase| {
            phase.time += time;
            phase.grown = true;
        });
    }

    fn phase_mut(&mut self, number: usize, change: impl FnOnce(&mut Phase)) {
        let phase = number.checked_sub(1).and_then(|place| self.phases.get_mut(place));
        if let Some(phase) = phase {
            change(phase);
        }
    }

    fn phase_number(&mut self, name: Arc<str>) -> (usize, bool) {
        let place = |phases: &[Phase], name: &str| phases.iter().position(|p| *p.name == *name);
        if let Some(place) = place(&self.phases, &name) {
            return (place + 1, false);
        }
        let full = self.phases.len() >= MOST_PHASES;
        let name = if full { OTHER.into() } else { name };
        let place = place(&self.phases, &name).unwrap_or_else(|| {
            let (time, energy) = (Duration::ZERO, Energy::ZERO);
            self.phases.push(Phase { name, times: 0, time, energy, grown: true });
            self.phases.len() - 1
        });
        (place + 1, full)
    }

    fn count(&mut self, name: Arc<str>, more: Count) -> bool {
        let mut names: Vec<&str> = self.units.iter().map(|unit| &*unit.name).collect();
        names.sort_unstable();
        names.dedup();
        let other = names.len() >= MOST_UNITS && !names.contains(&&*name);
        let name = if other { OTHER.into() } else { name };
        let phase = self.timeline.current();
        let known = |unit: &&mut Unit| unit.name == name && unit.phase == phase;
        match self.units.iter_mut().find(known) {
            Some(unit) => {
                unit.count = unit.count.saturating_add(more);
                unit.grown = true;
            }
            None => self.units.push(Unit { name, phase, count: more, grown: true }),
        }
        other
    }

    /// Books energy that was used between two moments.
    pub fn book(&mut self, from: BootTime, to: BootTime, energy: Energy) {
        let phases = &mut self.phases;
        self.timeline.split(from, to, energy, |phase, part| {
            if part > Energy::ZERO
                && let Some(phase) = phase.checked_sub(1).and_then(|place| phases.get_mut(place))
            {
                phase.energy = phase.energy.saturating_add(part);
                phase.grown = true;
            }
        });
    }

    /// Hands over what has grown since the last call.
    pub fn drain(
        &mut self,
        job: JobKey,
        now: Option<BootTime>,
        phases: &mut Vec<PhaseMark>,
        units: &mut Vec<UnitMark>,
    ) {
        if let Some(now) = now {
            self.count_time(now);
        }
        let current = self.timeline.current();
        let timeline = &self.timeline;
        for (place, phase) in self.phases.iter_mut().enumerate() {
            if std::mem::take(&mut phase.grown) {
                let stay = timeline.last_stay(place + 1);
                phases.push(PhaseMark {
                    job,
                    place: place as u32,
                    phase: Arc::clone(&phase.name),
                    times: phase.times,
                    nanoseconds: u64::try_from(phase.time.as_nanos()).unwrap_or(u64::MAX),
                    energy: phase.energy,
                    until: (current == place + 1).then_some(self.until),
                    began: stay.map(|stay| stay.0),
                    ended: stay.and_then(|stay| stay.1),
                });
            }
        }
        for unit in self.units.iter_mut().filter(|unit| unit.grown) {
            unit.grown = false;
            let phase = unit.phase.checked_sub(1).and_then(|place| self.phases.get(place));
            units.push(UnitMark {
                job,
                unit: Arc::clone(&unit.name),
                phase: phase.map_or_else(|| "".into(), |phase| Arc::clone(&phase.name)),
                count: unit.count,
            });
        }
    }

    /// Since when a recovered job has been in the phase that it is in, as people are told:
    /// that phase, and the one before.
    pub fn since(&self) -> Option<(BootTime, String, String)> {
        let name = |phase: usize| {
            let phase = phase.checked_sub(1).and_then(|place| self.phases.get(place));
            phase.map_or_else(|| "no phase".to_owned(), |phase| format!("phase `{}`", phase.name))
        };
        let (began, before) = self.timeline.last_change()?;
        Some((began, name(self.timeline.current()), name(before)))
    }

    /// The phases as they stand at a moment.
    pub fn phase_reports(&self, now: BootTime) -> Vec<PhaseReport> {
        let current = self.timeline.current();
        let report = |(place, phase): (usize, &Phase)| {
            let more = if current == place + 1 { now.since(self.until) } else { Duration::ZERO };
            PhaseReport {
                name: phase.name.to_string(),
                times: phase.times,
                time: phase.time + more,
                energy: phase.energy,
            }
        };
        self.phases.iter().enumerate().map(report).collect()
    }

    /// The units.
    pub fn unit_reports(&self) -> Vec<UnitReport> {
        let report = |unit: &Unit| UnitReport {
            unit: unit.name.to_string(),
            phase: unit
                .phase
                .checked_sub(1)
                .and_then(|place| self.phases.get(place))
                .map(|phase| phase.name.to_string()),
            count: unit.count,
        };
        self.units.iter().map(report).collect()
    }

    /// What exporters see.
    pub fn view(&self, now: BootTime) -> Arc<WorkView> {
        let current = self.timeline.current();
        let phase = |(place, phase): (usize, &Phase)| {
            let more = if current == place + 1 { now.since(self.until) } else { Duration::ZERO };
            PhaseView {
                name: Arc::clone(&phase.name),
                energy: phase.energy,
                time: phase.time + more,
            }
        };
        let mut units: Vec<UnitView> = Vec::new();
        for unit in &self.units {
            match units.iter_mut().find(|known| known.name == unit.name) {
                Some(known) => known.count = known.count.saturating_add(unit.count),
                None => units.push(UnitView { name: Arc::clone(&unit.name), count: unit.count }),
            }
        }
        let phases = self.phases.iter().enumerate().map(phase).collect();
        let present = current.checked_sub(1).and_then(|place| self.phases.get(place));
        let current = present.map(|phase| Arc::clone(&phase.name));
        Arc::new(WorkView { phases, current, units })
    }
}

impl Engine {
    /// Takes the marks that have come since the last look. Allocates nothing where none has.
    pub(super) fn take_marks(&mut self) {
        let mut waiting = std::mem::take(&mut self.marks);
        self.inbox.take(&mut waiting);
        for mut of_job in waiting.drain(..) {
            let Some(slot) = self.slot_of(&of_job.job) else { continue };
            let ending = self.job(slot).is_some_and(super::job::Job::ending);
            if ending {
                continue;
            }
            let mut begun = None;
            let mut other = false;
            for (at, mark) in of_job.marks.drain(..) {
                if !matches!(mark, Mark::Count(..)) {
                    begun = Some(at);
                }
                if let Some(job) = self.job_mut(slot) {
                    other |= job.work.get_or_insert_default().take(at, mark);
                }
            }
            if other {
                let note = format!(
                    "the job marked more than {MOST_PHASES} phases or {MOST_UNITS} units: \
                     what is more is in the phase or unit `{OTHER}`"
                );
                self.note(slot, note);
            }
            if of_job.merged {
                let note = "marks came faster than they are taken: some short phases are part of \
                            the one after, some counts are in the next phase or in `other`";
                self.note(slot, note.to_owned());
            }
            if let Some(at) = begun {
                self.read_at_change(slot, at);
                self.tell_soon();
            }
        }
        self.marks = waiting;
    }

    /// Has the ledger told of a change of phase, or of the readings at it, without waiting
    /// for the next batch: a daemon that is killed would not know of the phase.
    pub(super) fn tell_soon(&mut self) {
        let due = self.work_told.plus(TELL_PERIOD);
        self.work_due = Some(self.work_due.map_or(due, |earlier| earlier.min(due)));
    }

    /// Tells the ledger of changes of phase whose time has come.
    pub(super) fn tell_changes(&mut self, now: BootTime) {
        if self.work_due.is_some_and(|due| due <= now) {
            self.work_told = now;
            self.submit(now);
        }
    }

    /// Reads the counters for a change of phase.
    fn read_at_change(&mut self, slot: Slot, at: BootTime) {
        let now = clock::now();
        if now.since(self.read_for_phase) < READ_PERIOD {
            return;
        }
        self.read_for_phase = now;
        self.read_local();
        for gpu in 0..self.gpus.len() {
            let of_job = |other: Slot| other == slot || self.is_inside(other, slot);
            if self.gpus[gpu].claims.iter().any(|claim| of_job(claim.slot)) {
                self.ask_phase_edge(gpu, at);
            }
        }
    }

    /// Hands the ledger what has grown of a job's phases and units. `now`: the time of the
    /// present phase counts up to then.
    pub(super) fn tell_work(&mut self, slot: Slot, now: Option<BootTime>) {
        let Some(job) = self.jobs.get_mut(slot.0).and_then(Option::as_mut) else { return };
        if let Some(work) = &mut job.work {
            work.drain(job.row.key, now, &mut self.batch.phases, &mut self.batch.units);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(milliseconds: u64) -> BootTime {
        BootTime::from_nanoseconds(milliseconds * 1_000_000)
    }

    fn phase(name: &str) -> Mark {
        Mark::Phase(name.parse().unwrap())
    }

    fn drained(work: &mut Work, now: u64) -> (Vec<PhaseMark>, Vec<UnitMark>) {
        let (mut phases, mut units) = (Vec::new(), Vec::new());
        work.drain(JobKey(1), Some(at(now)), &mut phases, &mut units);
        (phases, units)
    }

    #[test]
    fn a_restarted_daemon_goes_on_in_the_phase_that_was() {
        let mut work = Work::default();
        let count = |units: u64| {
            Mark::Count("tokens".parse().unwrap(), Count::from_thousandths(units * 1_000))
        };
        work.take(at(1_000), count(1));
        work.take(at(1_000), phase("epoch"));
        work.take(at(2_000), phase("eval"));
        work.take(at(2_500), count(2));
        work.book(at(1_500), at(2_500), Energy::from_microjoules(100));
        let (phases, units) = drained(&mut work, 3_000);
        let told: Vec<_> = phases
            .iter()
            .map(|mark| (&*mark.phase, mark.times, mark.nanoseconds / 1_000_000, mark.until))
            .collect();
        assert_eq!(told, [("epoch", 1, 1_000, None), ("eval", 1, 1_000, Some(at(3_000)))]);
        // What has not grown is not told again.
        let again = drained(&mut work, 3_100);
        assert_eq!(again.0.iter().map(|mark| &*mark.phase).collect::<Vec<_>>(), ["eval"]);
        assert!(again.1.is_empty());

        let mut resumed = Work::recovered(&phases, &units).unwrap();
        let since = resumed.since().unwrap();
        assert_eq!(since, (at(2_000), "phase `eval`".to_owned(), "phase `epoch`".to_owned()));
        // Not booked when it died: of this time, a microjoule belongs to the phase before.
        resumed.book(at(1_900), at(2_000), Energy::from_microjoules(1));
        resumed.book(at(2_500), at(4_000), Energy::from_microjoules(7));
        resumed.take(at(4_000), phase("epoch"));
        resumed.take(at(4_500), count(4));
        let reports = resumed.phase_reports(at(5_000));
        let figures: Vec<_> = reports
            .iter()
            .map(|one| {
                (one.name.as_str(), one.times, one.time.as_millis(), one.energy.microjoules())
            })
            .collect();
        assert_eq!(figures, [("epoch", 2, 2_000, 51), ("eval", 1, 2_000, 57)]);
        let units: Vec<_> = resumed
            .unit_reports()
            .into_iter()
            .map(|one| (one.phase, one.count.thousandths()))
            .collect();
        let named = |name: &str| Some(name.to_owned());
        assert_eq!(units, [(None, 1_000), (named("eval"), 2_000), (named("epoch"), 4_000)]);
    }

    proptest! {
        /// Whatever a job marks, its phases hold no more than was booked, and no less than
        /// what was booked after the first mark.
        #[test]
        fn phases_and_the_rest_are_what_was_booked(
            marks in prop::collection::vec((0u64..100, 0usize..100, any::<bool>()), 1..200),
            bookings in prop::collection::vec((0u64..20_000, 0u64..3_000, 0u64..1 << 50), 0..50),
        ) {
            let mut work = Work::default();
            let (mut now, mut booked, mut within) = (5_000, 0, 0);
            let first = now + marks[0].0;
            let mut ended = false;
            for (step, name, end) in marks {
                now += step;
                ended |= end && name < 10;
                let mark = if end && name < 10 { Mark::End } else { phase(&format!("p{name}")) };
                work.take(at(now), mark);
            }
            prop_assert!(work.phases.len() <= MOST_PHASES + 1);
            for (from, length, microjoules) in bookings {
                work.book(at(from), at(from + length), Energy::from_microjoules(microjoules));
                booked += microjoules;
                if from >= first && !ended {
                    within += microjoules;
                }
            }
            let sum: u64 = work.phases.iter().map(|phase| phase.energy.microjoules()).sum();
            prop_assert!(within <= sum && sum <= booked, "{within} <= {sum} <= {booked}");
        }
    }
}
