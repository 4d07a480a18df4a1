// SPDX-License-Identifier: Apache-2.0
//! Statistics of a campaign: repetitions in; mean, 95 % interval and notes out.
//!
//! Two uncertainties are kept apart. That of *repetition* is seen in the scatter of
//! the values and shrinks with their number (GUM, type A). That of *measurement* is
//! common to all of them, such as a sensor's gain error, is not seen in the scatter
//! and does not shrink (type B). They are combined as in JCGM 100:2008 ("GUM"), 5.1
//! and annex G.4. All half-widths are at 95 %. A value's unit is the caller's, such
//! as joules per token. No repetition is ever left out: an outlier is a note.

mod drift;
mod outlier;
mod ratio;
pub mod student;

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod tests;

pub use drift::{Drift, drift};
pub use outlier::{Outlier, outlier};
pub use ratio::{Difference, Ratio, Sensors, confidence, ratio, ratio_of};

use student::{Component, Expanded, NORMAL_95, expanded};

/// Values outside of these have squares that are no longer exact or no longer numbers.
const LEAST: f64 = 1e-100;
const LARGEST: f64 = 1e100;

/// One repetition of a benchmark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repetition {
    /// What was measured for one functional unit: from 1e-100 to 1e100.
    pub value: f64,
    /// What the meter added in this repetition, independent of the others (edges,
    /// the counter's step, gaps): half-width at 95 %, in the unit of `value`. Its
    /// gain error is not in it.
    pub uncertainty: f64,
}

/// Why repetitions cannot be summed up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unusable {
    /// There is none.
    #[error("there is no repetition; run at least one")]
    None,
    /// A value is outside of what can be computed with; repetitions count from 1.
    #[error("the value of repetition {number} is {value}; it must be from 1e-100 to 1e100")]
    Value {
        /// Its number.
        number: usize,
        /// What it is.
        value: f64,
    },
    /// An uncertainty is negative, huge or not a number; repetitions count from 1.
    #[error("the uncertainty of repetition {number} is {value}; it must be from 0 to 1e100")]
    Uncertainty {
        /// Its number.
        number: usize,
        /// What it is.
        value: f64,
    },
    /// The common uncertainty is negative, huge or not a number.
    #[error("the common uncertainty is {0} percent; it must be from 0 to 1e100")]
    Common(f64),
}

/// What a campaign says of its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How many repetitions.
    pub repetitions: usize,
    /// Their arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the values, n − 1 in the denominator (GUM 4.2.2).
    /// `None` with one repetition.
    pub deviation: Option<f64>,
    /// Half-width of the mean by the scatter alone: t × s / √n, n − 1 degrees of
    /// freedom. `None` with one repetition.
    pub repetition: Option<f64>,
    /// Half-width of the mean by what the meter added in each repetition, taken as
    /// independent: √Σu² / n. It is a part of the scatter already.
    pub meter: f64,
    /// Half-width of the mean by what is common to all repetitions.
    pub common: f64,
    /// Half-width of all together, with its degrees of freedom.
    pub combined: Expanded,
    /// What varies from repetition to repetition, as it went into `combined`.
    varying: Component,
}

impl Summary {
    /// The 95 % interval of the mean, low and high.
    pub fn interval(&self) -> (f64, f64) {
        let half_width = self.combined.half_width;
        (self.mean - half_width, self.mean + half_width)
    }
}

/// Sums up the repetitions. `common_percent` is what is uncertain in all of them
/// alike (sensors' gain error, an estimate's model): ± percent at 95 %, taken as
/// normal, so that its standard uncertainty is a 1.96th (GUM 4.3.4).
///
/// The scatter already holds what the meter added in each repetition. Only where the
/// meter says that it added more than a few repetitions happened to scatter, its word
/// is taken instead, and it then only widens the interval.
///
/// # Errors
///
/// [`Unusable`], where a figure is not one that can be summed up.
pub fn summary(repetitions: &[Repetition], common_percent: f64) -> Result<Summary, Unusable> {
    check(repetitions, common_percent)?;
    let count = repetitions.len() as f64;
    let mean = repetitions.iter().map(|one| one.value).sum::<f64>() / count;
    let meter = repetitions.iter().map(|one| one.uncertainty.powi(2)).sum::<f64>().sqrt() / count;
    let common = mean * common_percent / 100.0;
    let by_meter = Component::known(meter / NORMAL_95);

    let deviation = (repetitions.len() > 1).then(|| deviation(repetitions, mean));
    let by_scatter = deviation
        .map(|deviation| Component { standard: deviation / count.sqrt(), freedom: count - 1.0 });
    let repetition = by_scatter.map(|scatter| expanded(&[scatter]).half_width);
    let varying = match (by_scatter, repetition) {
        (Some(scatter), Some(half_width)) if half_width >= meter => scatter,
        _ => by_meter,
    };
    let combined = expanded(&[varying, Component::known(common / NORMAL_95)]);
    let repetitions = repetitions.len();
    Ok(Summary { repetitions, mean, deviation, repetition, meter, common, combined, varying })
}

fn check(repetitions: &[Repetition], common_percent: f64) -> Result<(), Unusable> {
    if repetitions.is_empty() {
        return Err(Unusable::None);
    }
    for (number, one) in (1..).zip(repetitions) {
        if !(LEAST..=LARGEST).contains(&one.value) {
            return Err(Unusable::Value { number, value: one.value });
        }
        if !(0.0..=LARGEST).contains(&one.uncertainty) {
            return Err(Unusable::Uncertainty { number, value: one.uncertainty });
        }
    }
    if !(0.0..=LARGEST).contains(&common_percent) {
        return Err(Unusable::Common(common_percent));
    }
    Ok(())
}

/// Experimental standard deviation (GUM 4.2.2) about the mean.
fn deviation(repetitions: &[Repetition], mean: f64) -> f64 {
    let squares = repetitions.iter().map(|one| (one.value - mean).powi(2)).sum::<f64>();
    (squares / (repetitions.len() as f64 - 1.0)).sqrt()
}
