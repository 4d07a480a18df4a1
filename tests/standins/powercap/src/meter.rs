// SPDX-License-Identifier: Apache-2.0
//! One metered thing: its true trace, the counter that shows it, its faults.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::trace::Trace;

/// Now on `CLOCK_BOOTTIME`, ns: the clock of aimeter's readings.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What goes wrong at a read, until healed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EACCES, at open and at read.
    NotPermitted,
    /// EIO at read.
    Io,
    /// ENODEV at read.
    NoDevice,
    /// An empty file.
    Empty,
    /// This text in place of the number.
    Text(String),
}

/// How a counter shows energy.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// The counter's step in nJ.
    pub unit_nanojoules: u64,
    /// So many steps until it shows 0 again.
    pub steps: u64,
    /// Where it stood at the epoch, in steps.
    pub start: u64,
}

impl Scale {
    /// Intel's usual package counter: 2^32 steps of 61.035 µJ, 262 kJ.
    pub const INTEL: Scale = Scale { unit_nanojoules: 61_035, steps: 1 << 32, start: 0 };
    /// AMD's usual package counter: 2^32 steps of 15.258 µJ, 65.5 kJ.
    pub const AMD: Scale = Scale { unit_nanojoules: 15_258, steps: 1 << 32, start: 0 };
    /// Steps of 1 µJ that never wrap in a test, as hwmon's energy files have.
    pub const HWMON: Scale = Scale { unit_nanojoules: 1_000, steps: u64::MAX, start: 0 };

    /// A counter that wraps after so many joules, in steps of 1 µJ.
    pub const fn wrapping_after(joules: u64) -> Scale {
        Scale { unit_nanojoules: 1_000, steps: joules * 1_000_000, start: 0 }
    }

    /// `max_energy_range_uj`: the last value before 0.
    pub fn range_microjoules(&self) -> u64 {
        self.shown(self.steps - 1)
    }

    fn shown(&self, steps: u64) -> u64 {
        (u128::from(steps) * u128::from(self.unit_nanojoules) / 1_000) as u64
    }
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) scale: Scale,
    pub(crate) fault: Option<Fault>,
    pub(crate) frozen_at: Option<u64>,
    pub(crate) reset_at: Option<u64>,
    pub(crate) delay: Duration,
    pub(crate) gone: bool,
    /// Counts its re-creations: part of its inode numbers.
    pub(crate) life: u64,
    pub(crate) reads: u64,
}

/// A metered thing, by its key such as `package-0/dram`.
#[derive(Debug)]
pub struct Meter {
    pub(crate) key: String,
    pub(crate) trace: Trace,
    pub(crate) epoch: u64,
    pub(crate) parent: Option<usize>,
    state: Mutex<State>,
}

impl Meter {
    pub(crate) fn new(key: String, trace: Trace, scale: Scale, parent: Option<usize>) -> Self {
        let state = State {
            scale,
            fault: None,
            frozen_at: None,
            reset_at: None,
            delay: Duration::ZERO,
            gone: false,
            life: 0,
            reads: 0,
        };
        Meter { key, trace, epoch: now(), parent, state: Mutex::new(state) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the counter shows at a time, µJ.
    pub fn shown_at(&self, time: u64) -> u64 {
        let state = self.state();
        let time = state.frozen_at.map_or(time, |frozen| time.min(frozen));
        let steps = |time: u64| {
            // 1 nJ is 1e6 µW·ns.
            let step = u128::from(state.scale.unit_nanojoules) * 1_000_000;
            (self.trace.integral(time.saturating_sub(self.epoch)) / step) as u64
        };
        let steps = match state.reset_at.filter(|reset| *reset <= time) {
            Some(reset) => steps(time) - steps(reset),
            None => state.scale.start.wrapping_add(steps(time)),
        };
        state.scale.shown(steps % state.scale.steps)
    }

    /// What a power sensor shows at a time, µW.
    pub fn power_at(&self, time: u64) -> u64 {
        let frozen = self.state().frozen_at;
        let time = frozen.map_or(time, |frozen| time.min(frozen));
        self.trace.power(time.saturating_sub(self.epoch))
    }

    /// The true energy between two times, µJ, rounded down, whatever is shown.
    pub fn energy_between(&self, from: u64, to: u64) -> u64 {
        let since = |time: u64| self.trace.integral(time.saturating_sub(self.epoch));
        ((since(to) - since(from)) / 1_000_000_000) as u64
    }

    /// How often its value was read.
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// Makes reads fail from now on.
    pub fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// Ends a fault, a freeze and a delay.
    pub fn heal(&self) {
        let mut state = self.state();
        state.fault = None;
        state.frozen_at = None;
        state.delay = Duration::ZERO;
    }

    /// Takes it and what is in it out of the tree; open files give ENODEV.
    pub fn vanish(&self) {
        self.state().gone = true;
    }

    /// Puts it back as a new folder with new files; the counter ran on.
    pub fn reappear(&self) {
        let mut state = self.state();
        state.gone = false;
        state.life += 1;
    }

    /// Holds the shown value.
    pub fn freeze(&self) {
        let now = now();
        self.state().frozen_at = Some(now);
    }

    /// Starts the counter from 0 at a time, ns.
    pub fn reset_at(&self, time: u64) {
        self.state().reset_at = Some(time);
    }

    /// Makes each read take so long.
    pub fn delay(&self, time: Duration) {
        self.state().delay = time;
    }

    /// Moves the counter so that it wraps after so many more µJ.
    pub fn wrap_after(&self, microjoules: u64) {
        let shown = self.shown_at(now());
        let mut state = self.state();
        let unit = state.scale.unit_nanojoules;
        let steps = |microjoules: u64| microjoules * 1_000 / unit;
        let move_by = state.scale.steps - steps(shown) - steps(microjoules);
        state.scale.start = state.scale.start.wrapping_add(move_by) % state.scale.steps;
    }
}
