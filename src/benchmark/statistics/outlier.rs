// SPDX-License-Identifier: Apache-2.0
//! A note on the repetition that lies farthest out; it stays in the mean.
//!
//! Grubbs' two-sided test at 5 %: G = max|x − mean| / s is compared with
//! (n−1)/√n × √(t² / (n−2+t²)), t being the quantile at 0.05/(2n) in one tail with
//! n−2 degrees of freedom (Grubbs, Technometrics 11, 1969; NIST/SEMATECH e-Handbook
//! 1.3.5.17.1). One campaign in twenty without any outlier is noted too.

use super::student::quantile;
use super::{Repetition, Summary};

/// The repetition that lies too far out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlier {
    /// Its place, from 0.
    pub index: usize,
    /// Its distance from the mean in standard deviations.
    pub distance: f64,
    /// The largest distance that chance explains at 5 %.
    pub limit: f64,
}

/// The outlier of the repetitions that `summary` was made of, if there is one. There is
/// none to be found in fewer than three.
pub fn outlier(repetitions: &[Repetition], summary: &Summary) -> Option<Outlier> {
    let deviation = summary.deviation.filter(|deviation| *deviation > 0.0)?;
    let distances = repetitions.iter().map(|one| (one.value - summary.mean).abs() / deviation);
    let (index, distance) = distances.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let limit = limit(repetitions.len())?;
    (distance > limit).then_some(Outlier { index, distance, limit })
}

/// Grubbs' critical value at 5 %, two-sided.
pub(super) fn limit(repetitions: usize) -> Option<f64> {
    let count = repetitions as f64;
    let freedom = count - 2.0;
    if freedom < 1.0 {
        return None;
    }
    let squared = quantile(1.0 - 0.05 / count, freedom).powi(2);
    Some((count - 1.0) / count.sqrt() * (squared / (freedom + squared)).sqrt())
}
