// SPDX-License-Identifier: Apache-2.0
//! `rate_limit`: a bucket of tokens, one more in every interval up to the burst; a
//! request takes one. Time is an argument.

use std::time::Duration;

use crate::units::BootTime;

/// How many requests are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time in which one more is allowed.
    pub interval: Duration,
    /// How many may come at once.
    pub burst: u32,
}

/// What has been taken: the moment at which the bucket would be full.
#[derive(Debug, Default)]
pub struct Bucket {
    full: BootTime,
}

impl Bucket {
    /// Takes a token, if there is one.
    pub fn take(&mut self, rate: Rate, now: BootTime) -> bool {
        let full = self.full.max(now).plus(rate.interval);
        let allowed = full.since(now) <= rate.interval * rate.burst;
        if allowed {
            self.full = full;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_in_every_interval() {
        let rate = Rate { interval: Duration::from_secs(1), burst: 3 };
        let mut bucket = Bucket::default();
        let at = |milliseconds: u64| BootTime::from_nanoseconds(milliseconds * 1_000_000);
        let taken: Vec<bool> = [5_000, 5_000, 5_000, 5_000, 5_999, 6_000, 6_500, 7_000]
            .map(|moment| bucket.take(rate, at(moment)))
            .to_vec();
        assert_eq!(taken, [true, true, true, false, false, true, false, true]);
        // After a rest it is full again, and not fuller.
        let taken = [60_000; 5].map(|moment| bucket.take(rate, at(moment)));
        assert_eq!(taken, [true, true, true, false, false]);
    }
}
