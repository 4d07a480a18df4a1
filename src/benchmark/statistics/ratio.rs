// SPDX-License-Identifier: Apache-2.0
//! The ratio of two campaigns' means with its 95 % interval.
//!
//! Delta method on the logarithm: u²(ln a/b) = (u_a/a)² + (u_b/b)² (GUM 5.1.6 for a
//! quotient), freedom by Welch and Satterthwaite over the components, interval
//! a/b × exp(± t u). It is always finite and turns over with the ratio, which
//! Fieller's does not promise; they agree while u/mean is small. A difference is
//! shown where the interval leaves out 1; else nothing is claimed, least of all
//! that the two are equal. Where several ratios are looked at, each interval is widened
//! after Bonferroni, so that all of them together hold their truths at 95 %.

use super::Summary;
use super::student::{Component, NORMAL_95, expanded, expanded_at};

/// Whether the two campaigns share what is uncertain in all their repetitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensors {
    /// The same sensors (same cards by UUID, same packages): a gain error is constant
    /// for a card, so it cancels in the ratio.
    Same,
    /// Others: two cards of one model differ too, so both errors count.
    Different,
}

/// What can be said of two campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The first is lower.
    Lower,
    /// The first is higher.
    Higher,
    /// No difference shown.
    NotShown,
}

/// The first campaign's mean over the second's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The ratio.
    pub ratio: f64,
    /// The low end of its interval.
    pub low: f64,
    /// The high end.
    pub high: f64,
}

impl Ratio {
    /// What the interval shows.
    pub fn difference(&self) -> Difference {
        if self.high < 1.0 {
            Difference::Lower
        } else if self.low > 1.0 {
            Difference::Higher
        } else {
            Difference::NotShown
        }
    }
}

/// The ratio of two means with its 95 % interval. `None` where a campaign has one
/// repetition only: without scatter there is nothing to hold a difference against.
pub fn ratio(first: &Summary, second: &Summary, sensors: Sensors) -> Option<Ratio> {
    ratio_of(first, second, sensors, 1)
}

/// The same as one of so many `comparisons` (0 counts as 1).
pub fn ratio_of(
    first: &Summary,
    second: &Summary,
    sensors: Sensors,
    comparisons: usize,
) -> Option<Ratio> {
    first.deviation.and(second.deviation)?;
    let mut components = Vec::with_capacity(4);
    for summary in [first, second] {
        let varying = summary.varying;
        components.push(Component { standard: varying.standard / summary.mean, ..varying });
        if sensors == Sensors::Different {
            components.push(Component::known(summary.common / NORMAL_95 / summary.mean));
        }
    }
    let ratio = first.mean / second.mean;
    let expanded = match comparisons {
        0 | 1 => expanded(&components),
        many => expanded_at(&components, confidence(many)),
    };
    let factor = expanded.half_width.exp();
    Some(Ratio { ratio, low: ratio / factor, high: ratio * factor })
}

/// The level of each of so many intervals by which all hold at 95 % (Bonferroni; Dunn,
/// Journal of the American Statistical Association 56, 1961).
pub fn confidence(comparisons: usize) -> f64 {
    1.0 - 0.05 / comparisons.max(1) as f64
}
