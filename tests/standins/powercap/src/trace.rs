// SPDX-License-Identifier: Apache-2.0
//! Power over time, whose integral is known exactly.

/// A scripted power, from its epoch on. Powers in µW, times in ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Always the same.
    Constant {
        /// The power.
        microwatts: u64,
    },
    /// `high` for the first half of each period, `low` for the second.
    Square {
        /// In the second half.
        low: u64,
        /// In the first half.
        high: u64,
        /// The whole period, not 0.
        period: u64,
    },
}

impl Trace {
    /// The same power always.
    pub const fn constant(watts: u64) -> Self {
        Trace::Constant { microwatts: watts * 1_000_000 }
    }

    /// A square wave between two powers, so many whole periods a second.
    pub const fn square(low_watts: u64, high_watts: u64, hertz: u64) -> Self {
        Trace::Square {
            low: low_watts * 1_000_000,
            high: high_watts * 1_000_000,
            period: 1_000_000_000 / hertz,
        }
    }

    /// The energy from the epoch to a time after it, in µW·ns (1e-15 J), exact.
    pub fn integral(&self, time: u64) -> u128 {
        let time = u128::from(time);
        match *self {
            Trace::Constant { microwatts } => u128::from(microwatts) * time,
            Trace::Square { low, high, period } => {
                let (low, high, period) = (u128::from(low), u128::from(high), u128::from(period));
                let half = period / 2;
                let (whole, part) = (time / period, time % period);
                let of_part = high * part.min(half) + low * part.saturating_sub(half);
                whole * (high * half + low * (period - half)) + of_part
            }
        }
    }

    /// The power at a time after the epoch, µW.
    pub fn power(&self, time: u64) -> u64 {
        match *self {
            Trace::Constant { microwatts } => microwatts,
            Trace::Square { low, high, period } => {
                if time % period < period / 2 {
                    high
                } else {
                    low
                }
            }
        }
    }

    /// The highest power, µW.
    pub fn peak(&self) -> u64 {
        match *self {
            Trace::Constant { microwatts } => microwatts,
            Trace::Square { low, high, .. } => low.max(high),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_integral_of_a_square_wave_is_its_area() {
        let wave = Trace::square(100, 300, 2);
        assert_eq!(wave.integral(0), 0);
        assert_eq!(wave.integral(250_000_000), 300_000_000 * 250_000_000);
        assert_eq!(wave.integral(1_000_000_000), 200_000_000 * 1_000_000_000);
        let small = Trace::Square { low: 1, high: 7, period: 5 };
        let slow = |time: u64| (0..time).map(|t| u128::from(small.power(t))).sum::<u128>();
        for time in 0..40 {
            assert_eq!(small.integral(time), slow(time), "at {time}");
        }
    }
}
