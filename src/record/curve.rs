// SPDX-License-Identifier: Apache-2.0
//! Power over time, from energy by interval. Within an interval the power is taken as
//! constant: the books know no more. Pure.

use serde::Serialize;

use crate::ledger::IntervalEnergy;

/// A stretch of constant power.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stretch {
    /// Seconds since 1970 UTC.
    pub from: f64,
    /// Seconds since 1970 UTC.
    pub to: f64,
    /// The mean power.
    pub watts: f64,
}

/// The power of the books' intervals, which may overlap where jobs are nested, up to a
/// moment in seconds since 1970 UTC.
pub fn steps(intervals: &[IntervalEnergy], until: f64) -> Vec<Stretch> {
    let mut changes: Vec<(i64, f64)> = Vec::new();
    for interval in intervals {
        let length = interval.to_microseconds - interval.from_microseconds;
        if length > 0 {
            let watts = interval.energy.joules() / (length as f64 / 1e6);
            changes.push((interval.from_microseconds, watts));
            changes.push((interval.to_microseconds, -watts));
        }
    }
    changes.sort_by_key(|change| change.0);
    let mut curve = Vec::new();
    let mut watts = 0.0;
    for (place, &(at, change)) in changes.iter().enumerate() {
        watts += change;
        let from = at as f64 / 1e6;
        let Some(next) = changes.get(place + 1) else { break };
        let to = (next.0 as f64 / 1e6).min(until);
        // A time without any interval is a gap; sums of floats leave a hair.
        if from < to && watts > 1e-9 {
            curve.push(Stretch { from, to, watts });
        }
    }
    curve
}

/// At most so many stretches, with the energy of all: neighbours become one.
pub fn thinned(mut curve: Vec<Stretch>, most: usize) -> Vec<Stretch> {
    while curve.len() > most {
        curve = curve
            .chunks(2)
            .map(|pair| {
                let (first, last) = (pair[0], pair[pair.len() - 1]);
                let joules: f64 = pair.iter().map(|one| one.watts * (one.to - one.from)).sum();
                let (from, to) = (first.from, last.to);
                Stretch { from, to, watts: joules / (to - from) }
            })
            .collect();
    }
    curve
}
