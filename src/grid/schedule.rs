// SPDX-License-Identifier: Apache-2.0
//! When a feed is asked: polls, pauses after failures, and what is asked for again.
//!
//! Pure: the time, chance (a number from 0 to below 1) and what is known come in as
//! values, moments go out. The rules are those of `docs/grid.md`: polite to the feed,
//! and a measured figure for every interval in which energy was used, as soon as the
//! feed has one and for as long as it may still come.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::facts::is_measured;
use super::feeds::{Feed, FeedError, Want};
use crate::ledger::IntensityFact;

/// No feed is asked for now more often.
pub const SHORTEST_PERIOD: Duration = Duration::from_secs(300);
/// A forecast is asked for this often: so old may what an outage leaves at hand be.
pub const FORECAST_PERIOD: SignedDuration = SignedDuration::from_hours(6);
/// A feed without a forecast is asked again after this time.
pub const NO_FORECAST: SignedDuration = SignedDuration::from_hours(24);
/// The pause after a first failure; it doubles with each further one …
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// … up to this one, which is also the one after a refusal that will last.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// No pause is shorter.
const SHORTEST_PAUSE: Duration = Duration::from_secs(10);
/// The pause after "too many requests" without a hint.
const TOO_MANY: Duration = Duration::from_secs(600);
/// First polls of machines that start together are spread over this time.
const SPREAD: Duration = Duration::from_secs(60);
/// Between two requests for past figures: after one that brought something …
const SETTLE_PERIOD: SignedDuration = SignedDuration::from_hours(6);
/// … and after one that did not, doubling up to a day.
const FIRST_SETTLE_PAUSE: SignedDuration = SignedDuration::from_hours(1);
const LONGEST_SETTLE_PAUSE: SignedDuration = SignedDuration::from_hours(24);

/// How a feed publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// New figures come this often.
    pub step: SignedDuration,
    /// … and so long after a multiple of the step, where that is known.
    pub published: Option<SignedDuration>,
    /// How far back a poll asks, so that measured figures come with those of now.
    /// Zero: its answer of now is asked for, and is what there is.
    pub back: SignedDuration,
    /// When past figures are asked for; `None`: it has none, or never better ones.
    pub measured: Option<Measured>,
    /// Whether its answer of now holds the forecast, so that none is asked for.
    pub with_forecast: bool,
}

/// How late after its interval a measured figure …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// … is to be had, so that its absence is a reason to ask, and …
    pub after: SignedDuration,
    /// … is still asked for.
    pub until: SignedDuration,
}

/// The rhythm of a feed. Sources: `docs/grid.md`.
pub fn rhythm(feed: &Feed) -> Rhythm {
    let minutes = SignedDuration::from_mins;
    let hours = SignedDuration::from_hours;
    let measured =
        |after: i64, days: i64| Some(Measured { after: hours(after), until: hours(days * 24) });
    let usual = Rhythm {
        step: minutes(15),
        published: None,
        back: SignedDuration::ZERO,
        measured: measured(25, 8),
        with_forecast: false,
    };
    match feed.provider.name {
        // A region has its forecast alone, for good.
        "uk-carbon-intensity" if feed.place.is_some() => {
            Rhythm { step: minutes(30), published: Some(minutes(2)), measured: None, ..usual }
        }
        "uk-carbon-intensity" => Rhythm {
            step: minutes(30),
            published: Some(minutes(2)),
            back: hours(2),
            measured: measured(2, 2),
            ..usual
        },
        "energy-charts" => Rhythm { measured: measured(3, 3), with_forecast: true, ..usual },
        "rte" => Rhythm { back: hours(2), measured: measured(2, 3), ..usual },
        "energinet" => Rhythm { step: minutes(5), measured: measured(1, 2), ..usual },
        "json" => Rhythm {
            step: SignedDuration::try_from(feed.interval).unwrap_or(usual.step),
            measured: None,
            ..usual
        },
        "file" => {
            Rhythm { step: minutes(5), measured: measured(1, 3), with_forecast: true, ..usual }
        }
        _ => usual,
    }
}

/// The time between two polls: as configured, else the feed's step.
pub fn period(rhythm: Rhythm, configured: Option<Duration>) -> SignedDuration {
    let own = Duration::try_from(rhythm.step).unwrap_or(SHORTEST_PERIOD);
    signed(configured.unwrap_or(own).max(SHORTEST_PERIOD))
}

/// What a poll asks for. Its times stand on the step's grid, so that the same is
/// asked for under the same address.
pub fn wanted(rhythm: Rhythm, now: Timestamp) -> Want {
    if rhythm.back.is_zero() {
        return Want::Now;
    }
    let start = floor(now, rhythm.step);
    Want::Range { from: later(start, -rhythm.back), to: later(start, rhythm.step) }
}

/// The first poll of a zone: at once, so that a figure is at hand soon; where there
/// is one that was fetched within the period, when the next is due, and machines
/// that were started together spread over a minute.
pub fn first_poll(
    now: Timestamp,
    fresh: Option<Timestamp>,
    period: SignedDuration,
    chance: f64,
) -> Timestamp {
    match fresh.map(|fetched| later(fetched, period)) {
        Some(due) if due > now => due.max(later(now, signed(SPREAD.mul_f64(chance)))),
        _ => now,
    }
}

/// The poll after a good answer: a period later, ± 10 %; where it is known when the
/// feed publishes, in the first tenth of a step after that.
pub fn next_poll(now: Timestamp, rhythm: Rhythm, period: SignedDuration, chance: f64) -> Timestamp {
    let aligned = rhythm.published.filter(|_| period >= rhythm.step);
    let Some(published) = aligned else {
        let shift = signed(magnitude(period).mul_f64(chance * 0.2));
        return later(now, shift + period - period / 10);
    };
    let target = later(now, period);
    let mut due = later(floor(later(target, -published), rhythm.step), published);
    if due <= later(now, period / 2) {
        due = later(due, rhythm.step);
    }
    later(due, signed(magnitude(rhythm.step).mul_f64(chance * 0.1)))
}

/// The pause after a failure, the `failures`-th in a row (from 1).
pub fn pause(
    error: &FeedError,
    failures: u32,
    period: SignedDuration,
    chance: f64,
) -> SignedDuration {
    let pause = match error {
        // It says itself when.
        FeedError::Refused { retry_after: Some(wait), .. } => {
            // A little later, since all that were refused come back at that moment.
            wait.clamp(&SHORTEST_PAUSE, &LONGEST_PAUSE).mul_f64(1.0 + chance * 0.1)
        }
        FeedError::Refused { status: 429, .. } => TOO_MANY.mul_f64(1.0 + chance * 0.1),
        // Nothing that passes by itself.
        FeedError::Refused { status: 401 | 403 | 404, .. }
        | FeedError::NotCovered { .. }
        | FeedError::Unsupported(_)
        | FeedError::Unset(_)
        | FeedError::Secret(_) => LONGEST_PAUSE.mul_f64(0.9 + chance * 0.2),
        // It answers well and has nothing new: no reason to hurry.
        FeedError::Stale(_) | FeedError::Nothing => magnitude(period).mul_f64(0.9 + chance * 0.2),
        _ => {
            let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(10));
            doubled.min(LONGEST_PAUSE).mul_f64(chance).max(SHORTEST_PAUSE)
        }
    };
    signed(pause)
}

/// Whether a failure is the server's as a whole, not of one zone: then it is asked
/// about no other zone during the pause.
pub fn is_of_all_zones(error: &FeedError) -> bool {
    match error {
        FeedError::Refused { status, .. } => *status == 429 || *status >= 500,
        FeedError::Transport(_) | FeedError::TooLarge(_) | FeedError::Redirected(_) => true,
        _ => false,
    }
}

/// The stretch of a zone's time of use in which a measured figure should be at hand
/// and is not: from its first gap to its last, to be asked for in one.
pub fn missing<'a>(
    facts: impl IntoIterator<Item = &'a IntensityFact>,
    used: (Timestamp, Timestamp),
    measured: Measured,
    now: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let mut start = used.0.max(later(now, -measured.until));
    let mut end = used.1.min(later(now, -measured.after));
    let measured = facts.into_iter().filter(|fact| is_measured(fact));
    let mut known: Vec<(Timestamp, Timestamp)> =
        measured.map(|fact| (fact.from, fact.to)).collect();
    known.sort_unstable();
    for (from, to) in &known {
        if *from <= start {
            start = start.max(*to);
        }
    }
    known.sort_unstable_by_key(|(_, to)| std::cmp::Reverse(*to));
    for (from, to) in &known {
        if *to >= end {
            end = end.min(*from);
        }
    }
    (start < end).then_some((start, end))
}

/// The pause until past figures are asked for again: `before` is the one before,
/// where that request brought nothing either.
pub fn settle_pause(brought: bool, before: Option<SignedDuration>, chance: f64) -> SignedDuration {
    let pause = match (brought, before) {
        (true, _) => SETTLE_PERIOD,
        (false, None) => FIRST_SETTLE_PAUSE,
        (false, Some(before)) => (before * 2).min(LONGEST_SETTLE_PAUSE),
    };
    signed(magnitude(pause).mul_f64(0.9 + chance * 0.2))
}

/// A moment and so much later; the end of time where there is none.
pub fn later(moment: Timestamp, time: SignedDuration) -> Timestamp {
    moment.checked_add(time).unwrap_or(Timestamp::MAX)
}

fn floor(moment: Timestamp, step: SignedDuration) -> Timestamp {
    let (seconds, step) = (moment.as_second(), step.as_secs().max(1));
    Timestamp::from_second(seconds - seconds.rem_euclid(step)).unwrap_or(moment)
}

fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}

fn magnitude(time: SignedDuration) -> Duration {
    time.unsigned_abs()
}

#[cfg(test)]
mod tests;
