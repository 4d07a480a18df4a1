// SPDX-License-Identifier: Apache-2.0
//! The only place that reads a clock.
//!
//! Everything else takes its times as arguments, so that it is tested without
//! one (`clippy.toml` bans the standard clocks elsewhere). Durations are never
//! computed from the wall clock: it may be set while a job runs.

use jiff::Timestamp;
use nix::libc;
use rustix::time::{ClockId, clock_gettime};

use crate::units::BootTime;

/// Now, on `CLOCK_BOOTTIME`.
pub fn now() -> BootTime {
    let time = clock_gettime(ClockId::Boottime);
    BootTime::from_nanoseconds(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Now, on the wall clock (UTC).
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// The wall-clock time of a moment of this boot, by the clock's setting of now.
pub fn wall_at(moment: BootTime) -> Timestamp {
    let (boot, wall) = (now(), wall());
    let shift = moment.nanoseconds() as i128 - boot.nanoseconds() as i128;
    Timestamp::from_nanosecond(wall.as_nanosecond() + shift).unwrap_or(wall)
}

/// The moment of this boot that the wall clock called `time`, by its setting of now.
pub fn moment_of(time: Timestamp) -> BootTime {
    let (boot, wall) = (now(), wall());
    let moment = boot.nanoseconds() as i128 + (time.as_nanosecond() - wall.as_nanosecond());
    BootTime::from_nanoseconds(u64::try_from(moment).unwrap_or(0))
}

/// Whether something such as NTP keeps the wall clock right, by the kernel's word
/// (adjtimex(2)); `None` where it does not say.
pub fn synchronised() -> Option<bool> {
    // SAFETY: all zero is a `timex` that changes nothing and only asks.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `state` is ours and whole.
    let answer = unsafe { libc::adjtimex(&mut state) };
    (answer >= 0).then_some(answer != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}

/// What must be added to a moment's microseconds since boot to get microseconds
/// since 1970 UTC, by the wall clock's setting of now.
pub fn wall_minus_boot_microseconds() -> i64 {
    let boot = i64::try_from(now().nanoseconds() / 1_000).unwrap_or(i64::MAX);
    wall().as_microsecond().saturating_sub(boot)
}

/// The CPU time that the calling thread has used.
pub fn thread_cpu() -> std::time::Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
