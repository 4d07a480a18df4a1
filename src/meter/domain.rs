// SPDX-License-Identifier: Apache-2.0
//! One domain's meter: readings in, deltas out, whatever the sensor is.
//!
//! A counter's differences and a power sensor's integral look the same from here
//! on: energy between two moments, and how much more it may have been. It never
//! makes energy of a failed read: the next good reading of a counter covers the
//! time, the next sample of a power sensor does not.

use std::time::Duration;

use super::counter::{CounterTracker, Movement};
use super::integrate::{Integrated, Integrator};
use crate::sensors::{Domain, Method, Reading, Value};
use crate::units::{BootTime, Energy};

/// Gaps up to so many periods are bridged by a power sensor's trapezoid.
const BRIDGED_PERIODS: u32 = 3;

/// Energy between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// The earlier reading.
    pub from: BootTime,
    /// The later one.
    pub to: BootTime,
    /// What was certainly used.
    pub energy: Energy,
    /// How much more it may have been.
    pub more: Energy,
    /// How far off it may be either way, where power was sampled.
    pub error: Energy,
    /// Whether readings are missing between.
    pub gap: bool,
    /// Whether the counter started anew between.
    pub reset: bool,
}

/// What a reading brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metered {
    /// The first one: nothing to compare with.
    First,
    /// A delta, of zero length at the least.
    Delta(Delta),
    /// A value that cannot be; counted, not used.
    Refused(&'static str),
    /// The counter has stood at 0 for too long; said once.
    Dead(Delta),
}

/// The meter of one domain.
#[derive(Clone, Debug)]
pub enum Meter {
    /// A hardware counter.
    Counter(CounterTracker),
    /// A power sensor.
    Power(Integrator),
}

impl Meter {
    /// A meter for a domain that is read every `period`.
    pub fn new(domain: &Domain, period: Duration) -> Self {
        match domain.method {
            Method::Counter | Method::Estimate => Meter::Counter(CounterTracker::new(domain)),
            Method::Power => {
                Meter::Power(Integrator::new(domain.max_power, bridged(domain, period)))
            }
        }
    }

    /// The domain is read every `period` from now on.
    pub fn set_period(&mut self, domain: &Domain, period: Duration) {
        if let Meter::Power(integrator) = self {
            integrator.set_limit(bridged(domain, period));
        }
    }

    /// Goes on from a reading of earlier in this boot. A power sensor starts anew:
    /// what was drawn meanwhile, nothing has counted.
    pub fn resume(&mut self, domain: &Domain, at: BootTime, value: Energy) {
        if let Meter::Counter(tracker) = self {
            *tracker = CounterTracker::resume(domain, at, value);
        }
    }

    /// The counter's life may have ended: the next reading is a new start.
    pub fn start_epoch(&mut self) {
        if let Meter::Counter(tracker) = self {
            tracker.start_epoch();
        }
    }

    /// The last good reading of a counter: where a restarted daemon reads on.
    pub fn mark(&self) -> Option<(BootTime, Energy)> {
        match self {
            Meter::Counter(tracker) => tracker.last(),
            Meter::Power(_) => None,
        }
    }

    /// Takes a reading.
    pub fn feed(&mut self, reading: Reading, period: Duration) -> Metered {
        match (self, reading.value) {
            (Meter::Counter(tracker), Value::Counter(value)) => {
                let step = tracker.feed(reading.at, value, period);
                let Some(from) = step.since else {
                    return refused(step.movement).map_or(Metered::First, Metered::Refused);
                };
                let delta = Delta {
                    from,
                    to: reading.at,
                    energy: step.movement.energy(),
                    more: Energy::ZERO,
                    error: Energy::ZERO,
                    gap: step.gap,
                    reset: matches!(step.movement, Movement::Reset { .. }),
                };
                match step.movement {
                    Movement::Refused { why } => Metered::Refused(why),
                    Movement::StuckAtZero => Metered::Dead(delta),
                    Movement::Ambiguous { least, most } => Metered::Delta(Delta {
                        more: most.saturating_sub(least),
                        gap: true,
                        ..delta
                    }),
                    Movement::Reset { energy, most } => {
                        Metered::Delta(Delta { more: most.saturating_sub(energy), ..delta })
                    }
                    _ => Metered::Delta(delta),
                }
            }
            (Meter::Power(integrator), Value::Power(power)) => {
                let from = integrator.last().map(|(at, _)| at);
                let delta = |energy| {
                    let from = from.unwrap_or(reading.at);
                    Delta { from, to: reading.at, energy, ..Delta::default() }
                };
                match integrator.feed(reading.at, power) {
                    Integrated::First => Metered::First,
                    Integrated::Moved { energy, error } => {
                        Metered::Delta(Delta { error, ..delta(energy) })
                    }
                    Integrated::Gap { most } => {
                        Metered::Delta(Delta { more: most, gap: true, ..delta(Energy::ZERO) })
                    }
                    Integrated::Refused { why } => Metered::Refused(why),
                }
            }
            _ => Metered::Refused("a counter's value from a power sensor, or the reverse"),
        }
    }
}

/// The longest gap between two power readings that is no gap.
fn bridged(domain: &Domain, period: Duration) -> Duration {
    period.max(domain.update_period) * BRIDGED_PERIODS
}

fn refused(movement: Movement) -> Option<&'static str> {
    match movement {
        Movement::Refused { why } => Some(why),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensors::{DomainId, Kind};
    use crate::units::Power;

    #[test]
    fn a_longer_period_is_no_gap_of_a_power_sensor() {
        let domain = Domain {
            id: DomainId::new("test:0"),
            kind: Kind::Cpu,
            source: "test".into(),
            method: Method::Power,
            resolution: Energy::from_microjoules(1),
            range: None,
            update_period: Duration::from_millis(1),
            max_power: Power::from_watts(100),
            overlap: None,
            gain_percent: None,
            model_percent: None,
            device: "test".into(),
            driver: None,
            power_limit: None,
        };
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(10));
        let mut meter = Meter::new(&domain, short);
        let joules = |meter: &mut Meter, second: u64, period| {
            let at = BootTime::from_nanoseconds(second * 1_000_000_000);
            let reading = Reading { at, value: Value::Power(Power::from_watts(10)) };
            match meter.feed(reading, period) {
                Metered::Delta(delta) => delta.energy.joules(),
                _ => 0.0,
            }
        };
        assert_eq!(joules(&mut meter, 1, short), 0.0);
        assert_eq!(joules(&mut meter, 2, short), 10.0);
        assert_eq!(joules(&mut meter, 12, long), 0.0);
        meter.set_period(&domain, long);
        assert_eq!(joules(&mut meter, 22, long), 100.0);
    }
}
