// SPDX-License-Identifier: Apache-2.0
//! From samples of power to energy, for a sensor that has no counter.
//!
//! Trapezoids between samples, in integers: the part of a microjoule that does
//! not fit is carried, so that rounding loses nothing over time. A gap longer
//! than the given limit is never interpolated: what was drawn in it is only
//! known to lie between nothing and the highest power.

use std::time::Duration;

use crate::units::{BootTime, Energy, Power};

/// Twice a microjoule in µW·ns: a trapezoid is half of the sum of its sides.
const TWO_MICROJOULES: u128 = 2_000_000_000;

/// What one more sample adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrated {
    /// The first sample: nothing to integrate yet.
    First,
    /// This much since the last sample.
    Moved {
        /// The trapezoid.
        energy: Energy,
        /// Its 95 % half-width: power may have stepped from the one sample to the
        /// other anywhere between, and may have swung by what no sample shows.
        error: Energy,
    },
    /// The last sample is too old: between 0 and this much.
    Gap {
        /// The highest power over the whole gap.
        most: Energy,
    },
    /// A power above what the device can draw, or a time that went back; the
    /// earlier sample is kept.
    Refused {
        /// Why.
        why: &'static str,
    },
}

/// The last sample, the carried remainder and the energy so far.
#[derive(Clone, Debug)]
pub struct Integrator {
    max_power: Power,
    limit: Duration,
    last: Option<(BootTime, Power)>,
    remainder: u128,
    total: Energy,
}

impl Integrator {
    /// An integrator for a device that draws at most `max_power`, which bridges
    /// gaps up to `limit`.
    pub fn new(max_power: Power, limit: Duration) -> Self {
        Integrator { max_power, limit, last: None, remainder: 0, total: Energy::ZERO }
    }

    /// Interpolates over gaps up to another limit from now on.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// The energy so far, gaps not counted: a counter made by us.
    pub fn total(&self) -> Energy {
        self.total
    }

    /// The last good sample.
    pub fn last(&self) -> Option<(BootTime, Power)> {
        self.last
    }

    /// Takes a sample.
    pub fn feed(&mut self, at: BootTime, power: Power) -> Integrated {
        if power > self.max_power {
            return Integrated::Refused { why: "a power above what the device can draw" };
        }
        let Some((then, before)) = self.last else {
            self.last = Some((at, power));
            return Integrated::First;
        };
        if at < then {
            return Integrated::Refused { why: "older than the last sample" };
        }
        self.last = Some((at, power));
        let time = at.since(then);
        if time > self.limit {
            return Integrated::Gap { most: self.max_power.during(time) };
        }
        let sides = u128::from(before.microwatts()) + u128::from(power.microwatts());
        let area = self.remainder + sides * time.as_nanos();
        self.remainder = area % TWO_MICROJOULES;
        let whole = u64::try_from(area / TWO_MICROJOULES).unwrap_or(u64::MAX);
        let energy = Energy::from_microjoules(whole);
        self.total = self.total.saturating_add(energy);
        Integrated::Moved { energy, error: error(before, power, time) }
    }
}

/// `T · max(|ΔP| / 2, P / 8)`, with `P` the higher of the two powers.
fn error(before: Power, after: Power, time: Duration) -> Energy {
    let step = before.microwatts().abs_diff(after.microwatts()) / 2;
    let unseen = before.max(after).microwatts() / 8;
    Power::from_microwatts(step.max(unseen)).during(time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(nanoseconds: u64) -> BootTime {
        BootTime::from_nanoseconds(nanoseconds)
    }

    fn integrator() -> Integrator {
        Integrator::new(Power::from_watts(1_000), Duration::from_secs(5))
    }

    #[test]
    fn a_ramp_is_its_mean_times_its_time() {
        let mut integrator = integrator();
        assert_eq!(integrator.feed(at(0), Power::from_watts(100)), Integrated::First);
        let moved = integrator.feed(at(2_000_000_000), Power::from_watts(300));
        let energy = Energy::from_microjoules(400_000_000);
        assert_eq!(
            moved,
            Integrated::Moved { energy, error: Energy::from_microjoules(200_000_000) }
        );
    }

    #[test]
    fn a_long_gap_is_a_bracket_and_never_interpolated() {
        let mut integrator = integrator();
        integrator.feed(at(0), Power::from_watts(100));
        let gap = integrator.feed(at(10_000_000_000), Power::from_watts(100));
        assert_eq!(gap, Integrated::Gap { most: Energy::from_microjoules(10_000_000_000) });
        assert_eq!(integrator.total(), Energy::ZERO);
        let moved = integrator.feed(at(11_000_000_000), Power::from_watts(100));
        let (energy, error) =
            (Energy::from_microjoules(100_000_000), Energy::from_microjoules(12_500_000));
        assert_eq!(moved, Integrated::Moved { energy, error });
    }

    #[test]
    fn keplers_trap_a_hundred_and_sixty_kilowatts_by_acpi_are_refused() {
        let mut integrator = integrator();
        integrator.feed(at(0), Power::from_watts(100));
        let refused = integrator.feed(at(1_000_000_000), Power::from_watts(160_000));
        assert!(matches!(refused, Integrated::Refused { .. }));
        let moved = integrator.feed(at(2_000_000_000), Power::from_watts(100));
        let (energy, error) =
            (Energy::from_microjoules(200_000_000), Energy::from_microjoules(25_000_000));
        assert_eq!(moved, Integrated::Moved { energy, error });
    }

    proptest! {
        #[test]
        fn rounding_loses_less_than_a_microjoule_over_any_number_of_samples(
            samples in prop::collection::vec((1u64..2_000_000_000, 0u64..1_000_000_000), 2..200),
        ) {
            let mut integrator = integrator();
            let (mut now, mut area, mut sum) = (0, 0u128, 0);
            let mut last: Option<u64> = None;
            for (nanoseconds, microwatts) in samples {
                now += nanoseconds;
                if let Some(before) = last {
                    area += u128::from(before + microwatts) * u128::from(nanoseconds);
                }
                last = Some(microwatts);
                let moved = integrator.feed(at(now), Power::from_microwatts(microwatts));
                if let Integrated::Moved { energy, .. } = moved {
                    sum += energy.microjoules();
                }
            }
            prop_assert_eq!(u128::from(sum), area / TWO_MICROJOULES);
            prop_assert_eq!(integrator.total().microjoules(), sum);
        }
    }
}
