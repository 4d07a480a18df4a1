// SPDX-License-Identifier: Apache-2.0
//! A value within one interval of a counter, and how far off it may be.
//! The formulas are in [`super`].

use std::time::Duration;

use crate::meter::Point;
use crate::units::{BootTime, Energy, Power};

/// NVML's unit, 1 mJ.
const UNIT: u64 = 1_000;

/// Two steps of a counter, and what is known of the time between.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    pub(super) start: BootTime,
    pub(super) end: BootTime,
    pub(super) from: Energy,
    pub(super) to: Energy,
    /// Half the time between the readings around the end.
    pub(super) half_bracket: Duration,
    /// How far the start may be off, given the end.
    pub(super) period_error: Duration,
    /// How far power may swing within.
    pub(super) swing: Power,
}

/// The interval's energy by the shape of power samples.
struct Shaped {
    /// Before the moment, and in all, by the samples (µJ × 1e9).
    before: u128,
    whole: u128,
    /// The sample that holds the moment: its length, and the time of it after the moment.
    length: Duration,
    rest: Duration,
    least: Power,
    most: Power,
}

impl Interval {
    fn length(&self) -> Duration {
        self.end.since(self.start)
    }

    fn height(&self) -> Energy {
        self.to.saturating_sub(self.from)
    }

    /// The mean power.
    pub(super) fn power(&self) -> Power {
        self.height().over(self.length())
    }

    /// The value at a moment of the interval; by time alone, or by the shape of
    /// the samples where at least two of them end within.
    pub(super) fn point(&self, at: BootTime, samples: &[(BootTime, Power)]) -> Point {
        match self.shape(at, samples) {
            Some(shaped) => self.by_shape(at, &shaped),
            None => self.by_time(at),
        }
    }

    fn by_time(&self, at: BootTime) -> Point {
        let (length, rest) = (self.length(), self.end.since(at));
        let part = nanoseconds(at.since(self.start).min(length));
        let energy = self.height().portion(part, nanoseconds(length));
        let shape = swing_error(self.swing, length, rest);
        self.finish(at, energy, self.power(), shape)
    }

    fn by_shape(&self, at: BootTime, shaped: &Shaped) -> Point {
        let height = self.height();
        let energy = u128::from(height.microjoules()) * shaped.before / shaped.whole;
        let energy =
            Energy::from_microjoules(u64::try_from(energy).unwrap_or(u64::MAX)).min(height);
        let seen = u64::try_from(shaped.whole / 1_000_000_000).unwrap_or(u64::MAX);
        let disagreement = seen.abs_diff(height.microjoules()) / 2;
        let swing = shaped.most.microwatts() - shaped.least.microwatts();
        let swing = (swing / 2 * 3).max(shaped.most.microwatts() / 4);
        let within = swing_error(Power::from_microwatts(swing), shaped.length, shaped.rest);
        self.finish(at, energy, shaped.most, within.saturating_add(disagreement))
    }

    /// Adds the errors; `shape` in microjoules.
    fn finish(&self, at: BootTime, energy: Energy, power: Power, shape: u64) -> Point {
        let length = nanoseconds(self.length()).max(1);
        let rest = nanoseconds(self.end.since(at)).min(length);
        let period_error = u128::from(nanoseconds(self.period_error)) * u128::from(rest);
        let start = Duration::from_nanos((period_error / u128::from(length)) as u64);
        let bracket = power.during(self.half_bracket).microjoules();
        let start = power.during(start).microjoules();
        let squares = [bracket, start, shape, UNIT].map(|error| u128::from(error).pow(2));
        let uncertainty = squares.into_iter().fold(0u128, u128::saturating_add).isqrt();
        Point {
            at,
            value: self.from.saturating_add(energy),
            uncertainty: Energy::from_microjoules(uncertainty.min(u128::from(u64::MAX)) as u64),
        }
    }

    /// Power as the samples show it over the interval: each holds from the one
    /// before it, the first one for as long as the second; what the counter shows
    /// beyond them came after the last. `None` where they are no finer than the
    /// interval or do not reach its start.
    fn shape(&self, at: BootTime, samples: &[(BootTime, Power)]) -> Option<Shaped> {
        let inside = |moment: BootTime| moment > self.start && moment < self.end;
        let finer = samples.iter().filter(|(moment, _)| inside(*moment)).count() >= 2;
        let [first, second, ..] = samples else { return None };
        let head = first.0.minus(second.0.since(first.0));
        if !finer || head > self.start {
            return None;
        }
        let tail = self.tail(head, samples);
        let power = |i: usize| samples.get(i).map(|(_, power)| *power).or(tail);
        let mut shaped = Shaped {
            before: 0,
            whole: 0,
            length: Duration::ZERO,
            rest: Duration::ZERO,
            least: Power::from_microwatts(u64::MAX),
            most: Power::ZERO,
        };
        let mut from = head;
        let ends = samples.iter().map(|(moment, _)| *moment).chain([self.end]);
        for (i, until) in ends.enumerate() {
            let Some(own) = power(i) else { break };
            let neighbours = (i.checked_sub(1).and_then(power), power(i + 1));
            if from < until {
                let turn = turn(own, neighbours, until.since(from));
                shaped.add(self, at, (from, from.plus(turn.0)), turn.1);
                shaped.add(self, at, (from.plus(turn.0), until), turn.2);
                shaped.locate(at, (from, until));
            }
            from = from.max(until);
        }
        (shaped.whole > 0).then_some(shaped)
    }

    /// The power after the last sample: what is left of the interval's energy, or
    /// the last sample's where that would be more than any sample shows.
    fn tail(&self, head: BootTime, samples: &[(BootTime, Power)]) -> Option<Power> {
        let (last, last_power) = *samples.last()?;
        let mut sampled = Energy::ZERO;
        let mut from = head;
        for &(until, power) in samples {
            let part = until.min(self.end).since(from.max(self.start));
            sampled = sampled.saturating_add(power.during(part));
            from = until;
        }
        let rest = self.height().saturating_sub(sampled).over(self.end.since(last));
        let most = samples.iter().map(|(_, power)| *power).max()?;
        Some(if rest <= most { rest } else { last_power })
    }
}

/// A sample that lies between its neighbours holds the turn from one to the other:
/// how long the first level holds, and the two levels, with the sample's energy.
/// Else one level all along.
fn turn(
    own: Power,
    neighbours: (Option<Power>, Option<Power>),
    length: Duration,
) -> (Duration, Power, Power) {
    let (Some(before), Some(after)) = neighbours else { return (length, own, own) };
    let (low, high) = (before.min(after), before.max(after));
    if own <= low || own >= high {
        return (length, own, own);
    }
    // own·L = before·τ + after·(L − τ), solved for τ.
    let whole = high.microwatts() - low.microwatts();
    let part = own.microwatts().abs_diff(after.microwatts());
    let first = u128::from(nanoseconds(length)) * u128::from(part) / u128::from(whole);
    (Duration::from_nanos(first as u64), before, after)
}

impl Shaped {
    fn add(&mut self, of: &Interval, at: BootTime, part: (BootTime, BootTime), power: Power) {
        let (from, until) = (part.0.max(of.start), part.1.min(of.end));
        if from >= until {
            return;
        }
        let energy = |time: Duration| u128::from(power.microwatts()) * time.as_nanos();
        self.whole += energy(until.since(from));
        self.before += energy(until.min(at).since(from));
        self.least = self.least.min(power);
        self.most = self.most.max(power);
    }

    /// Keeps the sample that holds the moment.
    fn locate(&mut self, at: BootTime, sample: (BootTime, BootTime)) {
        if sample.0 <= at && at < sample.1 {
            self.length = sample.1.since(sample.0);
            self.rest = sample.1.since(at);
        }
    }
}

/// `D·L·f·(1−f)` in microjoules, with `rest = L·(1−f)`.
fn swing_error(swing: Power, length: Duration, rest: Duration) -> u64 {
    let (length, rest) = (nanoseconds(length).max(1), nanoseconds(rest));
    let rest = rest.min(length);
    let lever = u128::from(rest) * u128::from(length - rest) / u128::from(length);
    swing.during(Duration::from_nanos(lever as u64)).microjoules()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
