// SPDX-License-Identifier: Apache-2.0
//! What a scripted GPU's sensors show at a time (nanoseconds after the epoch).

use rustix::time::{ClockId, clock_gettime};

use crate::script::{Counter, Gpu, Process};

const MILLISECOND: u64 = 1_000_000;

/// Now on `CLOCK_BOOTTIME`, in nanoseconds.
pub fn now_ns() -> u64 {
    nanoseconds(ClockId::Boottime)
}

/// What to add to a moment of `CLOCK_BOOTTIME` for one of the wall clock.
pub(crate) fn wall_shift_ns() -> i64 {
    nanoseconds(ClockId::Realtime) as i64 - now_ns() as i64
}

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Counter {
    /// The last refresh at or before `t`; `None` before the first.
    fn last_step(&self, t: u64) -> Option<u64> {
        let step = (self.step_ms * 1e6) as u64;
        let phase = (self.phase_ms * 1e6) as u64;
        let moment = |k: u64| phase + k * step + self.lateness(k);
        let k = t.checked_sub(phase)? / step;
        if moment(k) <= t { Some(moment(k)) } else { k.checked_sub(1).map(moment) }
    }

    /// How late the `k`-th refresh is: splitmix64 of its number, below the jitter.
    fn lateness(&self, k: u64) -> u64 {
        let jitter = (self.jitter_ms * 1e6) as u64;
        let mut x = k.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % (jitter + 1)
    }
}

impl Gpu {
    /// The counter in millijoules at `t`.
    pub fn counter_mj(&self, t: u64) -> u64 {
        let step = self.counter.last_step(t).unwrap_or(0);
        let resets = self.counter.resets_ms.iter().map(|ms| ms * MILLISECOND);
        let (start, offset) = match resets.filter(|reset| *reset <= t).max() {
            Some(reset) => (reset, 0),
            None => (0, self.counter.offset_mj),
        };
        let picojoules = self.power.integral(step.max(start)) - self.power.integral(start);
        offset + (picojoules / 1_000_000_000) as u64
    }

    /// The power sensor in milliwatts at `t`.
    pub(crate) fn power_mw(&self, t: u64) -> u32 {
        let update = self.sensor.update_ms.max(1) * MILLISECOND;
        self.mean_mw(t / update * update, self.sensor.window_ms * MILLISECOND)
    }

    /// The mean power over `window` up to `t`, in milliwatts.
    pub(crate) fn mean_mw(&self, t: u64, window: u64) -> u32 {
        let from = t.saturating_sub(window.max(1));
        let (from, until) = if from == t { (t, t + 1) } else { (from, t) };
        let picojoules = self.power.integral(until) - self.power.integral(from);
        (picojoules / u128::from(until - from)) as u32
    }

    /// The samples in the driver's ring newer than `since` (both after the
    /// epoch): moment and milliwatts, oldest first.
    pub fn samples(&self, t: u64, since: u64) -> Vec<(u64, u32)> {
        let Some(buffer) = self.sensor.samples else { return Vec::new() };
        let every = buffer.every_ms.max(1) * MILLISECOND;
        let newest = t / every;
        let oldest = newest.saturating_sub(buffer.length as u64) + 1;
        (oldest..=newest)
            .map(|k| k * every)
            .filter(|moment| *moment > since)
            .map(|moment| (moment, self.mean_mw(moment, every)))
            .collect()
    }

    /// The processes of now, those of the file included.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let mut processes = self.processes.clone();
        let text = self.processes_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
        for line in text.iter().flat_map(|text| text.lines()) {
            let mut words = line.split_whitespace();
            let Some(pid) = words.next().and_then(|word| word.parse().ok()) else { continue };
            let used_memory = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            let sm_percent = words.next().and_then(|word| word.parse().ok());
            processes.push(Process { pid, used_memory, sm_percent, gpu_instance: None });
        }
        processes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    fn gpu() -> Gpu {
        Gpu::numbered(0, Trace::Constant { mw: 100_000 })
    }

    #[test]
    fn the_counter_moves_in_steps_and_shows_the_integral_of_the_last_one() {
        let mut gpu = gpu();
        gpu.counter.phase_ms = 30.0;
        gpu.counter.offset_mj = 5;
        assert_eq!(gpu.counter_mj(129 * MILLISECOND), 5 + 3_000);
        assert_eq!(gpu.counter_mj(130 * MILLISECOND), 5 + 13_000);
        assert_eq!(gpu.counter_mj(229 * MILLISECOND), 5 + 13_000);
    }

    #[test]
    fn a_reset_starts_the_counter_at_zero_and_forgets_the_offset() {
        let mut gpu = gpu();
        gpu.counter.offset_mj = 1_000_000;
        gpu.counter.resets_ms = vec![250];
        assert_eq!(gpu.counter_mj(249 * MILLISECOND), 1_020_000);
        assert_eq!(gpu.counter_mj(250 * MILLISECOND), 0);
        assert_eq!(gpu.counter_mj(300 * MILLISECOND), 5_000);
    }

    #[test]
    fn jitter_delays_a_step_but_never_drops_it() {
        let mut gpu = gpu();
        gpu.counter.jitter_ms = 20.0;
        for k in 1..200 {
            let value = gpu.counter_mj((k * 100 + 20) * MILLISECOND);
            assert!((k * 10_000..=k * 10_000 + 2_000).contains(&value), "step {k}: {value}");
        }
    }
}
