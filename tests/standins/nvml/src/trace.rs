// SPDX-License-Identifier: Apache-2.0
//! Power over time with a closed-form integral.
//!
//! Power in milliwatts, time in nanoseconds since the script's epoch, energy in
//! picojoules (mW × ns), all integers: the truth has no rounding but the last.

use serde::{Deserialize, Serialize};

/// One level of a piecewise trace: from `at_ms` on, `mw`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    /// Milliwatts from then on.
    pub mw: u64,
}

/// A power trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trace {
    /// The same power always.
    Constant {
        /// Milliwatts.
        mw: u64,
    },
    /// A square wave that starts high at phase 0.
    Square {
        /// Milliwatts in the low part.
        low_mw: u64,
        /// Milliwatts in the high part.
        high_mw: u64,
        /// Frequency; the period is rounded to a nanosecond.
        hz: f64,
        /// Where in the period the epoch falls, 0 to 1.
        #[serde(default)]
        phase: f64,
        /// The high part of the period, 0 to 1.
        #[serde(default = "half")]
        duty: f64,
    },
    /// Levels in order of time; the first holds before, the last holds on.
    Levels(Vec<Level>),
}

fn half() -> f64 {
    0.5
}

impl Trace {
    /// The energy from the epoch to `t` nanoseconds after it, in picojoules.
    pub fn integral(&self, t: u64) -> u128 {
        match self {
            Trace::Constant { mw } => u128::from(*mw) * u128::from(t),
            Trace::Square { low_mw, high_mw, hz, phase, duty } => {
                let period = (1e9 / hz).round().max(1.0) as u64;
                let high = (duty * period as f64).round() as u64;
                let shift = (phase * period as f64).round() as u64;
                let from_phase_zero = |x: u64| {
                    let (whole, part) = (x / period, x % period);
                    let high_time =
                        u128::from(whole) * u128::from(high) + u128::from(part.min(high));
                    high_time * u128::from(*high_mw)
                        + (u128::from(x) - high_time) * u128::from(*low_mw)
                };
                from_phase_zero(t + shift) - from_phase_zero(shift)
            }
            Trace::Levels(levels) => levels_integral(levels, t),
        }
    }
}

fn levels_integral(levels: &[Level], t: u64) -> u128 {
    let mut energy = 0u128;
    for (i, level) in levels.iter().enumerate() {
        let from = if i == 0 { 0 } else { level.at_ms * 1_000_000 };
        let until = levels.get(i + 1).map_or(u64::MAX, |next| next.at_ms * 1_000_000);
        let held = t.min(until).saturating_sub(from);
        energy += u128::from(level.mw) * u128::from(held);
    }
    energy
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_square_wave_has_its_mean_over_whole_periods_and_its_levels_within() {
        let square = Trace::Square { low_mw: 100, high_mw: 300, hz: 2.0, phase: 0.0, duty: 0.25 };
        assert_eq!(square.integral(SECOND), 150 * u128::from(SECOND));
        assert_eq!(square.integral(SECOND / 8), 300 * u128::from(SECOND / 8));
        let later = square.integral(SECOND / 2) - square.integral(SECOND / 8);
        assert_eq!(later, 100 * u128::from(SECOND / 8 * 3));
    }

    #[test]
    fn a_phase_shifts_the_wave() {
        let square = Trace::Square { low_mw: 0, high_mw: 8, hz: 1.0, phase: 0.75, duty: 0.5 };
        assert_eq!(square.integral(SECOND / 4), 0);
        assert_eq!(square.integral(SECOND / 2), 8 * u128::from(SECOND / 4));
    }

    #[test]
    fn levels_hold_until_the_next_one() {
        let trace = Trace::Levels(vec![
            Level { at_ms: 500, mw: 10 },
            Level { at_ms: 1_000, mw: 20 },
            Level { at_ms: 2_000, mw: 0 },
        ]);
        assert_eq!(trace.integral(SECOND), 10 * u128::from(SECOND));
        assert_eq!(trace.integral(5 * SECOND), 30 * u128::from(SECOND));
    }
}
