// SPDX-License-Identifier: Apache-2.0
//! Whether the value drifts over the repetitions, as a machine that warms up does.
//!
//! Least squares of the value on the repetition's number; the slope's 95 % interval
//! is ± t(n−2) × √(Σresidual²/(n−2) / Σ(i−ī)²) (Draper and Smith, Applied Regression Analysis, chapter 1). Rule:
//! there is drift where that interval does not hold zero. With few repetitions only a
//! large drift can be seen, so the interval is always shown with the answer.

use super::Repetition;
use super::student::{Component, expanded};

/// The slope over the repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Change from one repetition to the next, in the value's unit.
    pub slope: f64,
    /// Its half-width at 95 %.
    pub half_width: f64,
    /// Whether the slope's interval leaves out zero.
    pub shown: bool,
}

/// The drift over the repetitions in their order. `None` for fewer than three: a line
/// through two points has no interval.
pub fn drift(repetitions: &[Repetition]) -> Option<Drift> {
    let count = repetitions.len() as f64;
    if repetitions.len() < 3 {
        return None;
    }
    let middle = (count - 1.0) / 2.0;
    let mean = repetitions.iter().map(|one| one.value).sum::<f64>() / count;
    let points = || {
        let places = (0..repetitions.len()).map(|index| index as f64 - middle);
        places.zip(repetitions.iter().map(|one| one.value - mean))
    };
    let spread = points().map(|(place, _)| place * place).sum::<f64>();
    let slope = points().map(|(place, value)| place * value).sum::<f64>() / spread;
    let rest = points().map(|(place, value)| (value - slope * place).powi(2)).sum::<f64>();
    let freedom = count - 2.0;
    let standard = (rest / freedom / spread).sqrt();
    let half_width = expanded(&[Component { standard, freedom }]).half_width;
    Some(Drift { slope, half_width, shown: slope.abs() > half_width })
}
