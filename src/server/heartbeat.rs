// SPDX-License-Identifier: Apache-2.0
//! Whether the sampler lives: its ticks move on.
//!
//! The daemon's main loop looks at the engine's tick count; the watchdog, READY
//! and `/healthz` follow from what it saw. Times are arguments.

use std::sync::Mutex;
use std::time::Duration;

use crate::units::BootTime;

/// The shortest time after which standing still is said so.
const LEAST_PATIENCE: Duration = Duration::from_secs(5);

/// The last movement seen.
#[derive(Debug, Default)]
pub struct Heartbeat {
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    ticks: u64,
    moved: BootTime,
    patience: Duration,
}

impl Heartbeat {
    /// Notes the engine's tick count; true where it has moved since the last call.
    /// `period` is the time between ticks.
    pub fn observe(&self, ticks: u64, now: BootTime, period: Duration) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let moved = ticks != seen.ticks;
        if moved {
            seen.moved = now;
            seen.ticks = ticks;
        }
        seen.patience = LEAST_PATIENCE.max(5 * period);
        moved
    }

    /// Ok while ticks move on; else in words why not.
    ///
    /// # Errors
    /// Before the first tick, and after five periods (at least 5 s) without one.
    pub fn check(&self, now: BootTime) -> Result<(), String> {
        let seen = *self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if seen.ticks == 0 {
            return Err("starting: no reading has been taken yet".into());
        }
        let still = now.since(seen.moved);
        if still > seen.patience {
            return Err(format!("the sampler stands still: no reading for {} s", still.as_secs()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_still_is_noticed_and_moving_on_forgiven() {
        let heartbeat = Heartbeat::default();
        let second = |n: u64| BootTime::from_nanoseconds(n * 1_000_000_000);
        let period = Duration::from_secs(1);
        assert!(heartbeat.check(second(1)).unwrap_err().starts_with("starting"));
        assert!(!heartbeat.observe(0, second(1), period));
        assert!(heartbeat.observe(1, second(2), period));
        assert!(!heartbeat.observe(1, second(3), period));
        assert_eq!(heartbeat.check(second(7)), Ok(()));
        assert!(
            heartbeat.check(second(9)).unwrap_err().contains("stands still: no reading for 7 s")
        );
        assert!(heartbeat.observe(2, second(9), period));
        assert_eq!(heartbeat.check(second(10)), Ok(()));
    }

    #[test]
    fn a_slow_period_is_given_its_time() {
        let heartbeat = Heartbeat::default();
        heartbeat.observe(1, BootTime::default(), Duration::from_secs(10));
        assert!(heartbeat.check(BootTime::from_nanoseconds(49_000_000_000)).is_ok());
        assert!(heartbeat.check(BootTime::from_nanoseconds(51_000_000_000)).is_err());
    }
}
