// SPDX-License-Identifier: Apache-2.0
//! The protocol's figures, and what comes next in a campaign. Pure.

use super::record::{ProtocolPart, StoppedBy};
use super::spec::{Protocol, Spec, Stop};

/// The specification that is followed.
pub const SPECIFICATION: &str = "aimeter-benchmark/1";
/// Seconds that the machine has between two repetitions to calm down.
pub const SETTLE_SECONDS: f64 = 60.0;
/// How near its power is then to the idle power, as a part of that.
pub const SETTLED_WITHIN: f64 = 0.1;
/// Fewer repetitions have no useful interval.
pub const LEAST_REPETITIONS: u32 = 3;

/// What a campaign has so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Done {
    /// Repetitions that are complete.
    pub repetitions: u32,
    /// Their combined half-width, in percent of their mean.
    pub half_width_percent: Option<f64>,
    /// Joules of warm-up and windows.
    pub joules: f64,
    /// Seconds of the campaign.
    pub seconds: f64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The repetition of this number.
    Repetition(u32),
    /// Nothing: this has ended it.
    Stop(StoppedBy),
}

/// What comes next: a budget ends a campaign whenever it is used up, the confidence as
/// soon as there are `repetitions` and at least 3 of them.
pub fn next(protocol: &Protocol, stop: &Stop, done: &Done) -> Next {
    if done.repetitions > 0 {
        if stop.max_joules.is_some_and(|most| done.joules >= most) {
            return Next::Stop(StoppedBy::Energy);
        }
        if stop.max_time.is_some_and(|most| done.seconds >= most.as_secs_f64()) {
            return Next::Stop(StoppedBy::Time);
        }
    }
    let enough = done.repetitions >= protocol.repetitions;
    match stop.confidence_percent {
        None if enough => return Next::Stop(StoppedBy::Repetitions),
        Some(wanted)
            if enough
                && done.repetitions >= LEAST_REPETITIONS
                && done.half_width_percent.is_some_and(|percent| percent <= wanted) =>
        {
            return Next::Stop(StoppedBy::Confidence);
        }
        _ if done.repetitions >= protocol.max_repetitions => {
            return Next::Stop(StoppedBy::Repetitions);
        }
        _ => {}
    }
    Next::Repetition(done.repetitions + 1)
}

/// The protocol as a record has it.
pub fn part(spec: &Spec, stopped_by: StoppedBy) -> ProtocolPart {
    let Spec { protocol, stop, .. } = spec;
    ProtocolPart {
        specification: SPECIFICATION.to_owned(),
        idle_seconds: protocol.idle.as_secs_f64(),
        warm_up_seconds: protocol.warm_up.as_secs_f64(),
        window_seconds: protocol.window.as_secs_f64(),
        repetitions: protocol.repetitions,
        max_repetitions: protocol.max_repetitions,
        confidence_percent: stop.confidence_percent,
        max_joules: stop.max_joules,
        max_seconds: stop.max_time.map(|time| time.as_secs_f64()),
        stopped_by,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn done(repetitions: u32, percent: f64) -> Done {
        Done { repetitions, half_width_percent: Some(percent), joules: 100.0, seconds: 50.0 }
    }

    #[test]
    fn without_a_confidence_it_ends_after_the_repetitions() {
        let protocol = Protocol { max_repetitions: 9, ..Protocol::default() };
        let next = |repetitions| next(&protocol, &Stop::default(), &done(repetitions, 0.1));
        assert_eq!(next(0), Next::Repetition(1));
        assert_eq!(next(4), Next::Repetition(5));
        assert_eq!(next(5), Next::Stop(StoppedBy::Repetitions));
    }

    #[test]
    fn a_confidence_ends_it_early_or_lets_it_go_on_to_the_most() {
        let protocol = Protocol { repetitions: 2, max_repetitions: 6, ..Protocol::default() };
        let stop = Stop { confidence_percent: Some(5.0), ..Stop::default() };
        let next = |repetitions, percent| next(&protocol, &stop, &done(repetitions, percent));
        assert_eq!(next(2, 1.0), Next::Repetition(3), "three at least");
        assert_eq!(next(3, 5.0), Next::Stop(StoppedBy::Confidence));
        assert_eq!(next(3, 5.1), Next::Repetition(4));
        assert_eq!(next(6, 5.1), Next::Stop(StoppedBy::Repetitions));
    }

    #[test]
    fn a_budget_ends_it_whatever_is_missing_but_not_before_the_first() {
        let protocol = Protocol::default();
        let energy = Stop { max_joules: Some(100.0), ..Stop::default() };
        assert_eq!(next(&protocol, &energy, &done(1, 9.0)), Next::Stop(StoppedBy::Energy));
        assert_eq!(next(&protocol, &energy, &done(0, 9.0)), Next::Repetition(1));
        let time = Stop { max_time: Some(Duration::from_secs(50)), ..Stop::default() };
        assert_eq!(next(&protocol, &time, &done(1, 9.0)), Next::Stop(StoppedBy::Time));
        let more = Stop { max_time: Some(Duration::from_secs(51)), ..Stop::default() };
        assert_eq!(next(&protocol, &more, &done(1, 9.0)), Next::Repetition(2));
    }
}
