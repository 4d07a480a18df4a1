// SPDX-License-Identifier: Apache-2.0
//! What a stepping counter would have shown at a moment between its steps.
//!
//! NVML's counter is refreshed about every 0.1 s, so that the start and the end
//! of a job fall between two steps. [`EdgeFinder`] is told readings, says when to
//! read next, and finds the steps around the moment: between them the energy is
//! shared by time, or by the shape of the driver's power samples where these are
//! finer than a step (a sample between its neighbours holds the turn from one to
//! the other, which is exact for loads that switch). A value lies always between
//! the two steps' values, so that no later reading seems to fall. Pure: it reads no
//! clock and no sensor.
//!
//! The 95 % half-width is the root of the sum of squares of
//!
//! - time: `P·√(b² + (u·r)²)`, with `P` the interval's power, `b` half the time
//!   between the two readings around the step, `u` the period's error and `r` the
//!   part of the interval after the moment;
//! - shape: `D·L·f·(1−f)`, the most by which power that stays within a swing of
//!   `D` can leave the straight line at the fraction `f` of an interval of length
//!   `L`. `D` is three times the spread of the mean powers seen lately, and for
//!   what is faster than any step shows at least one and a half times the
//!   interval's own power, or twice where fewer than four mean powers were seen;
//!   with power samples `L` and `f` are a sample's, `D` is half as much again as
//!   their spread and at least a quarter of the highest, and half of what they and
//!   the counter disagree by is added;
//! - the counter's own unit.

mod period;
mod shape;

use std::collections::VecDeque;
use std::time::Duration;

use crate::meter::Point;
use crate::units::{BootTime, Energy, Power};
use period::Period;
use shape::Interval;

/// Between two readings of a burst.
const BURST: Duration = Duration::from_millis(2);

/// Between two readings while a slow counter's period is being learned.
const SLOW_BURST: Duration = Duration::from_millis(10);

/// How long a period is learned by [`BURST`], then by [`SLOW_BURST`].
const LEARN: Duration = Duration::from_millis(700);
const LEARN_SLOWLY: Duration = Duration::from_secs(5);

/// A job's end is never delayed by more than this, however slow the counter.
const LONGEST_BURST: Duration = Duration::from_millis(300);

/// So many mean powers show how far power swings.
const ENOUGH_POWERS: usize = 4;

/// How many values of the counter, and how many mean powers, are remembered.
const REMEMBERED: usize = 12;

/// One value of the counter and the readings that showed it.
#[derive(Clone, Copy, Debug)]
struct Plateau {
    first: BootTime,
    last: BootTime,
    value: Energy,
}

/// A moment asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: BootTime,
    /// When to give up looking for the step after it.
    until: BootTime,
}

/// An edge that has been found, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The moment as it was asked.
    pub asked: BootTime,
    /// The counter there; `None`: it restarted, or was never read.
    pub point: Option<Point>,
}

/// Finds the counter's value at moments between its steps; one a counter.
pub struct EdgeFinder {
    period: Period,
    max_power: Power,
    plateaus: VecDeque<Plateau>,
    /// Mean powers between steps, newest last.
    powers: VecDeque<Power>,
    asked: Vec<Asked>,
    done: VecDeque<Edge>,
    /// The value of the last answer: a later one is never lower.
    answered: Energy,
    /// When a power sample is due that the next answer is worth waiting for.
    sample_due: Option<BootTime>,
    opened: Option<BootTime>,
}

impl EdgeFinder {
    /// For a counter refreshed about every `update_period`, of a device that
    /// draws at most `max_power`.
    pub fn new(update_period: Duration, max_power: Power) -> Self {
        EdgeFinder {
            period: Period::assumed(update_period),
            max_power,
            plateaus: VecDeque::with_capacity(REMEMBERED + 1),
            powers: VecDeque::with_capacity(REMEMBERED + 1),
            asked: Vec::with_capacity(16),
            done: VecDeque::with_capacity(16),
            answered: Energy::ZERO,
            sample_due: None,
            opened: None,
        }
    }

    /// Takes a reading. Readings come in order of time.
    pub fn observe(&mut self, at: BootTime, value: Energy) {
        self.opened.get_or_insert(at);
        match self.plateaus.back_mut() {
            Some(current) if current.value == value => current.last = current.last.max(at),
            Some(current) if current.value > value => {
                self.restart();
                self.push(Plateau { first: at, last: at, value });
            }
            Some(current) => {
                let before = *current;
                self.push(Plateau { first: at, last: at, value });
                self.learn_step(before.last, at);
            }
            None => self.push(Plateau { first: at, last: at, value }),
        }
    }

    /// The counter fell: nothing before has to do with what comes after.
    fn restart(&mut self) {
        self.plateaus.clear();
        self.powers.clear();
        self.period.forget_phase();
        self.sample_due = None;
        self.answered = Energy::ZERO;
        for asked in self.asked.drain(..) {
            self.done.push_back(Edge { asked: asked.at, point: None });
        }
    }

    fn push(&mut self, plateau: Plateau) {
        self.plateaus.push_back(plateau);
        if self.plateaus.len() > REMEMBERED {
            self.plateaus.pop_front();
        }
    }

    /// A step between two readings: its time teaches the period, its height the power.
    fn learn_step(&mut self, earliest: BootTime, latest: BootTime) {
        self.period.step(earliest, latest);
        let count = self.plateaus.len();
        let [.., from, to] = self.plateaus.make_contiguous() else { return };
        let height = to.value.saturating_sub(from.value);
        let known_start = count > 2 && from.last.since(from.first) + BURST * 2 > self.period.mean();
        let time = if known_start && self.period.is_sharp(earliest, latest) {
            self.period.mean()
        } else {
            // Values lag by up to a period at both ends; over a tick that is little.
            to.first.since(from.last)
        };
        if time >= self.period.mean() {
            self.powers.push_back(height.over(time));
            if self.powers.len() > REMEMBERED {
                self.powers.pop_front();
            }
        }
    }

    /// Asks for the counter's value at `at`, at or shortly before `now`.
    pub fn ask(&mut self, at: BootTime, now: BootTime) {
        // One period brings the step, unless a late read leaves its time unknown: then
        // the next one tells it. Not learned, the assumed period may be short.
        let periods = if self.period.is_learned() { 2 } else { 3 };
        let patience = (self.period.mean() * periods + BURST * 2).min(LONGEST_BURST);
        let place = self.asked.partition_point(|other| other.at <= at);
        self.asked.insert(place, Asked { at, until: now.plus(patience) });
    }

    /// Gives up on all moments asked for: the device cannot be read.
    pub fn abandon(&mut self) -> impl Iterator<Item = BootTime> + '_ {
        self.sample_due = None;
        self.asked.drain(..).map(|asked| asked.at)
    }

    /// Whether moments are still asked for.
    pub fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The start of the time whose power samples help with the next answer.
    pub fn samples_since(&self) -> Option<BootTime> {
        let first = self.asked.first()?;
        Some(first.at.minus(self.period.mean() * 2))
    }

    /// When to read next; `None`: no burst is under way.
    ///
    /// Where the phase is known, the counter is left alone until shortly before
    /// its next step.
    pub fn next_read(&self, now: BootTime) -> Option<BootTime> {
        if let Some(first) = self.asked.first() {
            if self.sample_due.is_some() {
                return self.sample_due;
            }
            let read_since = self.plateaus.back().is_some_and(|current| current.last >= first.at);
            let expected = self.period.next_step(now).map(|step| step.minus(BURST));
            return match expected {
                Some(moment) if read_since => Some(moment.max(now.plus(BURST))),
                _ if read_since => Some(now.plus(BURST)),
                _ => Some(now),
            };
        }
        let Some(opened) = self.opened else { return Some(now) };
        let learning = now.since(opened);
        match self.period.is_well_learned() {
            true => None,
            false if learning < LEARN => Some(now.plus(BURST)),
            false if learning < LEARN_SLOWLY => Some(now.plus(SLOW_BURST)),
            false => None,
        }
    }

    /// Whether an answer is ready, or due; then [`EdgeFinder::take`] gives it.
    pub fn is_ready(&self, now: BootTime) -> bool {
        let Some(first) = self.asked.first() else { return !self.done.is_empty() };
        let sampled = self.sample_due.is_none_or(|due| now >= due);
        let found = || self.step_after(first.at, self.period.sharp()).is_some();
        !self.done.is_empty()
            || now >= first.until
            || (sampled && self.period.is_learned() && found())
    }

    /// The next answer, in order of the moments. `samples`: the driver's power
    /// samples since [`EdgeFinder::samples_since`], each the mean power since the
    /// one before it; none is fine. `None` also where a sample that is due before
    /// a step's time has passed will make the answer better.
    pub fn take(&mut self, now: BootTime, samples: &[(BootTime, Power)]) -> Option<Edge> {
        if let Some(edge) = self.done.pop_front() {
            return Some(edge);
        }
        if !self.is_ready(now) {
            return None;
        }
        let first = *self.asked.first()?;
        let step = self.step_after(first.at, self.period.sharp());
        self.sample_due = step.and_then(|step| self.sample_due(first, step, now, samples));
        if self.sample_due.is_some() {
            return None;
        }
        let asked = self.asked.remove(0).at;
        // Time is up: a step whose time is poorly known is better than none.
        let step = step.or_else(|| self.step_after(asked, self.period.mean()));
        let mut point = match step {
            Some(step) => Some(self.between_steps(asked, step, samples)),
            None => self.without_step(asked),
        };
        if let Some(point) = &mut point {
            point.value = point.value.max(self.answered);
            self.answered = point.value;
        }
        Some(Edge { asked, point })
    }

    /// When the sample comes that reaches over the step, where there is time for it.
    fn sample_due(
        &self,
        asked: Asked,
        plateau: usize,
        now: BootTime,
        samples: &[(BootTime, Power)],
    ) -> Option<BootTime> {
        let [.., (before, _), (last, _)] = samples else { return None };
        let end = middle(self.plateaus[plateau].last, self.plateaus[plateau + 1].first);
        let due = last.plus(last.since(*before)).max(now).plus(BURST / 2);
        let latest = asked.at.plus(self.period.mean()).min(asked.until);
        (*last < end && due <= latest).then_some(due)
    }

    /// The first plateau whose end is after `moment` and known to within `bracket`.
    fn step_after(&self, moment: BootTime, bracket: Duration) -> Option<usize> {
        (0..self.plateaus.len().saturating_sub(1)).find(|&i| {
            let (from, to) = (self.plateaus[i].last, self.plateaus[i + 1].first);
            middle(from, to) > moment && to.since(from) <= bracket
        })
    }

    fn between_steps(&self, at: BootTime, plateau: usize, samples: &[(BootTime, Power)]) -> Point {
        let (current, next) = (self.plateaus[plateau], self.plateaus[plateau + 1]);
        let end = middle(current.last, next.first);
        let start = self.start_of(plateau, end);
        let half_bracket = next.first.since(current.last) / 2;
        let mut interval = Interval {
            start,
            end,
            from: current.value,
            to: next.value,
            half_bracket,
            period_error: self.period.error(),
            swing: Power::ZERO,
        };
        if at < start {
            interval = self.interval_before(plateau, interval);
        }
        interval.swing = self.swing(interval.power());
        let mut point = interval.point(at, samples);
        if at < start && plateau == 0 {
            // Only one end of the interval was seen: the other is as far off as power.
            let unseen = interval.swing.during(start.since(at));
            point.uncertainty = point.uncertainty.saturating_add(unseen);
        }
        point
    }

    /// When the counter stepped to a plateau's value, given when it stepped on.
    fn start_of(&self, plateau: usize, end: BootTime) -> BootTime {
        let current = self.plateaus[plateau];
        let one_period_before = end.minus(self.period.mean());
        match plateau.checked_sub(1).map(|before| self.plateaus[before].last) {
            Some(earliest) if self.period.is_sharp(earliest, current.first) => {
                middle(earliest, current.first)
            }
            Some(earliest) => one_period_before.max(earliest).min(current.first),
            None => one_period_before.min(current.first),
        }
    }

    /// The interval that ends where `later`, of that plateau, starts.
    fn interval_before(&self, plateau: usize, later: Interval) -> Interval {
        let period = self.period.mean();
        let Some(before) = plateau.checked_sub(1).map(|before| self.plateaus[before]) else {
            // Nothing was read before: as much power as after.
            let height = later.to.saturating_sub(later.from);
            let (start, end) = (later.start.minus(period), later.start);
            return Interval {
                start,
                end,
                from: later.from.saturating_sub(height),
                to: later.from,
                ..later
            };
        };
        let apart = later.start.since(before.last).as_nanos();
        let steps = apart.div_ceil(period.as_nanos().max(1)).max(1);
        let length = period * u32::try_from(steps).unwrap_or(u32::MAX);
        let start = later.start.minus(length).min(before.last);
        Interval { start, end: later.start, from: before.value, to: later.from, ..later }
    }

    /// How far power may swing within a step, from what was seen between steps.
    fn swing(&self, power: Power) -> Power {
        let all = || self.powers.iter().copied().chain([power]);
        let (least, most) = (all().min().unwrap_or(power), all().max().unwrap_or(power));
        let spread = (most.microwatts() - least.microwatts()).saturating_mul(3);
        // With little seen, power may swing from nothing to twice what it is.
        let halves = if self.powers.len() >= ENOUGH_POWERS { 3 } else { 4 };
        let least_swing = power.microwatts().saturating_mul(halves) / 2;
        Power::from_microwatts(spread.max(least_swing).min(self.max_power.microwatts()))
    }

    /// The counter did not step in time: it stands as read nearest to the moment,
    /// and that may be a period late.
    fn without_step(&self, at: BootTime) -> Option<Point> {
        let away = |plateau: &&Plateau| plateau.first.since(at).max(at.since(plateau.last));
        let nearest = self.plateaus.iter().min_by_key(away)?;
        let power = self.powers.iter().copied().max().unwrap_or(self.max_power);
        let late = self.period.mean() + away(&nearest);
        Some(Point { at, value: nearest.value, uncertainty: power.during(late) })
    }
}

/// The middle of two moments.
fn middle(earlier: BootTime, later: BootTime) -> BootTime {
    earlier.plus(later.since(earlier) / 2)
}

#[cfg(test)]
mod tests;
