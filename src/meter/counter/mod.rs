// SPDX-License-Identifier: Apache-2.0
//! From two readings of one counter to what it moved.
//!
//! Pure: times and values come in, a [`Movement`] goes out, in integer µJ. It
//! must never turn a failed read, a restart or a sentinel into energy: a fall is
//! a wrap only for a counter with a known range whose implied power the device
//! can draw; any other fall is a restart, of which only the new value is known.
//! A failed read is not fed at all; the next movement covers the longer time.
//! The rules and their reasons are in `docs/sensors.md`.

use std::time::Duration;

use crate::sensors::Domain;
use crate::units::{BootTime, Energy, Power};

/// Values that drivers give for "no value", in µJ as read: the 32-bit and 64-bit
/// all-ones (in µJ, and in mJ scaled to µJ) and DCGM's blank for 64-bit integers
/// (`DCGM_INT64_BLANK + 2`, not supported).
const SENTINELS: [u64; 4] =
    [0xFFFF_FFFF, 0xFFFF_FFFF * 1_000, 0xFFFF_FFFF_FFFF_FFFF, 9_223_372_036_854_775_794];
/// So many refused readings in a row that agree with one another are believed.
const AGREEING: u32 = 3;
/// A counter that shows 0 for so long is dead: no device draws nothing.
const DEAD_AFTER: Duration = Duration::from_secs(10);
/// A gap is worth a flag when it is longer than so many sampling periods.
const GAP_PERIODS: u32 = 3;
/// Allowed beside two update periods for the time a reading is off its stamp.
const TIMING_SLACK: Duration = Duration::from_millis(100);

/// What a counter did between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// The first reading: nothing to compare with.
    First,
    /// It rose.
    Moved {
        /// By this much.
        energy: Energy,
    },
    /// It passed its range once.
    Wrapped {
        /// By this much, over the wrap.
        energy: Energy,
    },
    /// It started anew.
    Reset {
        /// At least this much since the last reading; what came before the
        /// restart is lost.
        energy: Energy,
        /// At most this much, at the device's highest power.
        most: Energy,
    },
    /// It may have passed its range without anyone seeing it: the gap is too long.
    Ambiguous {
        /// At least this much.
        least: Energy,
        /// At most this much, at the device's highest power.
        most: Energy,
    },
    /// A value that cannot be; the earlier reading is kept.
    Refused {
        /// Why.
        why: &'static str,
    },
    /// It has shown 0 for 10 s: dead, not idle. Said once.
    StuckAtZero,
}

impl Movement {
    /// What is certain to have been used: 0 where nothing is known.
    pub const fn energy(self) -> Energy {
        match self {
            Movement::Moved { energy }
            | Movement::Wrapped { energy }
            | Movement::Reset { energy, .. } => energy,
            Movement::Ambiguous { least, .. } => least,
            Movement::First | Movement::Refused { .. } | Movement::StuckAtZero => Energy::ZERO,
        }
    }
}

/// A movement and the time it covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What the counter did.
    pub movement: Movement,
    /// Since this reading; `None` at the first.
    pub since: Option<BootTime>,
    /// Whether readings are missing between: longer than three periods.
    pub gap: bool,
}

/// The last good reading of one counter, and its rules. Allocates nothing.
#[derive(Clone, Debug)]
pub struct CounterTracker {
    modulus: Option<u64>,
    resolution: u64,
    max_power: Power,
    slack: Duration,
    last: Option<(BootTime, u64)>,
    new_epoch: bool,
    refused: Option<Candidate>,
    zero_since: Option<BootTime>,
    dead: bool,
}

/// Refused readings that agree with one another so far.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    at: BootTime,
    raw: u64,
    count: u32,
}

impl CounterTracker {
    /// A tracker with the domain's range, resolution and highest power.
    ///
    /// The modulus is the range plus one counter unit: the counter shows its
    /// range before it shows 0.
    pub fn new(domain: &Domain) -> Self {
        let resolution = domain.resolution.microjoules().max(1);
        let modulus = domain.range.map(|range| range.microjoules().saturating_add(resolution));
        CounterTracker {
            modulus,
            resolution,
            max_power: domain.max_power,
            slack: domain.update_period.saturating_mul(2).saturating_add(TIMING_SLACK),
            last: None,
            new_epoch: false,
            refused: None,
            zero_since: None,
            dead: false,
        }
    }

    /// A tracker that goes on from a reading of earlier in this boot, as the
    /// ledger keeps it.
    pub fn resume(domain: &Domain, at: BootTime, value: Energy) -> Self {
        let mut tracker = CounterTracker::new(domain);
        tracker.last = Some((at, value.microjoules()));
        tracker
    }

    /// Says that the counter's life may have ended ([`crate::sensors::Source::epoch`]
    /// changed): the next reading is a [`Movement::Reset`].
    pub fn start_epoch(&mut self) {
        self.new_epoch = self.last.is_some();
    }

    /// The last good reading.
    pub fn last(&self) -> Option<(BootTime, Energy)> {
        self.last.map(|(at, raw)| (at, Energy::from_microjoules(raw)))
    }

    /// Whether the counter has shown nothing but 0 for 10 s or longer.
    pub fn is_dead(&self) -> bool {
        self.dead
    }

    /// Takes a reading, at the sampling period `period`.
    pub fn feed(&mut self, at: BootTime, value: Energy, period: Duration) -> Step {
        let raw = value.microjoules();
        let since = self.last.map(|(then, _)| then);
        let gap = since.is_some_and(|then| at.since(then) > period.saturating_mul(GAP_PERIODS));
        let movement = self.movement(at, raw);
        let movement = match movement {
            Movement::Refused { .. } => self.consider(at, raw, movement),
            accepted => {
                self.accept(at, raw);
                self.watch_zero(at, raw, accepted)
            }
        };
        Step { movement, since, gap }
    }

    fn movement(&self, at: BootTime, raw: u64) -> Movement {
        if SENTINELS.contains(&raw) {
            return Movement::Refused { why: "a sentinel, not a value" };
        }
        if self.modulus.is_some_and(|modulus| raw >= modulus) {
            return Movement::Refused { why: "a value above the counter's range" };
        }
        let Some((then, before)) = self.last else {
            return Movement::First;
        };
        if at < then {
            return Movement::Refused { why: "older than the last reading" };
        }
        let allowed = self.allowed(at.since(then));
        if self.new_epoch {
            return reset_of_an_epoch(before, raw, allowed);
        }
        match raw.checked_sub(before) {
            Some(rise) => self.rise(rise, allowed),
            None => self.fall(before, raw, allowed),
        }
    }

    /// A rise that the device can have drawn; with enough time for a whole
    /// range on top of it, the number of wraps is unknown.
    fn rise(&self, rise: u64, allowed: u64) -> Movement {
        if rise > allowed {
            return Movement::Refused { why: "a jump above what the device can draw" };
        }
        match self.modulus {
            Some(modulus) if rise.saturating_add(modulus) <= allowed => Movement::Ambiguous {
                least: Energy::from_microjoules(rise),
                most: Energy::from_microjoules(most_wraps(rise, modulus, allowed)),
            },
            _ => Movement::Moved { energy: Energy::from_microjoules(rise) },
        }
    }

    /// A fall: a wrap where the range is known and the power fits; in a gap of
    /// more than half the wrap time it may be either; else a restart.
    fn fall(&self, before: u64, raw: u64, allowed: u64) -> Movement {
        let over_the_wrap = self
            .modulus
            .filter(|modulus| before < *modulus)
            .map(|modulus| (modulus, modulus - before + raw))
            .filter(|(_, energy)| *energy <= allowed);
        match over_the_wrap {
            Some((modulus, energy)) if allowed > modulus / 2 => Movement::Ambiguous {
                least: Energy::from_microjoules(raw.min(energy)),
                most: Energy::from_microjoules(most_wraps(energy, modulus, allowed)),
            },
            Some((_, energy)) => Movement::Wrapped { energy: Energy::from_microjoules(energy) },
            None if raw <= allowed => reset(raw, allowed),
            None => Movement::Refused { why: "a fall that is neither a wrap nor a restart" },
        }
    }

    /// The most energy that the device can have drawn in a time, µJ.
    fn allowed(&self, time: Duration) -> u64 {
        let drawn = self.max_power.during(time.saturating_add(self.slack)).microjoules();
        drawn.saturating_add(self.resolution)
    }

    /// Counts refused readings; believes them when several agree, because then
    /// it is the earlier reading that was wrong. What was used between is lost.
    fn consider(&mut self, at: BootTime, raw: u64, refused: Movement) -> Movement {
        if SENTINELS.contains(&raw) || self.modulus.is_some_and(|modulus| raw >= modulus) {
            return refused;
        }
        let agrees = |earlier: &Candidate| {
            raw.checked_sub(earlier.raw)
                .is_some_and(|rise| rise <= self.allowed(at.since(earlier.at)))
        };
        let count = self.refused.filter(agrees).map_or(1, |earlier| earlier.count + 1);
        if count < AGREEING {
            self.refused = Some(Candidate { at, raw, count });
            return refused;
        }
        let allowed = self.last.map_or(0, |(then, _)| self.allowed(at.since(then)));
        self.accept(at, raw);
        reset(0, allowed)
    }

    fn accept(&mut self, at: BootTime, raw: u64) {
        self.last = Some((at, raw));
        self.new_epoch = false;
        self.refused = None;
    }

    fn watch_zero(&mut self, at: BootTime, raw: u64, movement: Movement) -> Movement {
        if raw != 0 {
            self.zero_since = None;
            self.dead = false;
            return movement;
        }
        let since = *self.zero_since.get_or_insert(at);
        if self.dead || at.since(since) < DEAD_AFTER {
            return movement;
        }
        self.dead = true;
        Movement::StuckAtZero
    }
}

/// Over a new epoch the counter may have restarted, or have run on (RAPL's
/// hardware does when only its module is loaded anew). Both are bounded below:
/// by the rise where there is one, by the new value where there is a fall.
fn reset_of_an_epoch(before: u64, raw: u64, allowed: u64) -> Movement {
    let least = raw.checked_sub(before).unwrap_or(raw);
    reset(if least <= allowed { least } else { 0 }, allowed)
}

fn reset(least: u64, most: u64) -> Movement {
    Movement::Reset {
        energy: Energy::from_microjoules(least),
        most: Energy::from_microjoules(most),
    }
}

/// `once` and as many whole ranges on top as fit into `allowed`.
fn most_wraps(once: u64, modulus: u64, allowed: u64) -> u64 {
    let more = allowed.saturating_sub(once) / modulus.max(1);
    once.saturating_add(more.saturating_mul(modulus))
}

#[cfg(test)]
mod tests;
