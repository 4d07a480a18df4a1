// SPDX-License-Identifier: Apache-2.0
//! Student's t, and how components of uncertainty become one 95 % half-width.
//!
//! u = √Σuᵢ²; effective degrees of freedom by Welch and Satterthwaite,
//! ν = u⁴ / Σ(uᵢ⁴/νᵢ) (GUM G.4.1, equation G.2b), not rounded; half-width = t(ν) × u.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// The 97.5 % quantile of the normal distribution: t with infinite freedom.
pub const NORMAL_95: f64 = 1.959_963_984_540_054;

/// From here on the series about the normal quantile is exact to 1e-7, and the inverse
/// of the incomplete beta function begins to lose digits.
const NEARLY_NORMAL: f64 = 1e4;

/// One component of uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Component {
    /// Standard uncertainty.
    pub standard: f64,
    /// Its degrees of freedom; infinite where it is taken as known.
    pub freedom: f64,
}

impl Component {
    /// A component that is taken as known (type B).
    pub fn known(standard: f64) -> Self {
        Self { standard, freedom: f64::INFINITY }
    }
}

/// An expanded uncertainty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expanded {
    /// Half-width, at 95 % where nothing else is said.
    pub half_width: f64,
    /// Effective degrees of freedom; infinite where nothing was estimated.
    pub freedom: f64,
}

/// The two-sided quantile of Student's t at `level`, such as 0.95. `freedom` is above
/// zero and may be broken or infinite. For large freedom z + (z³ + z)/(4ν) (Abramowitz
/// and Stegun 26.7.5).
pub fn quantile(level: f64, freedom: f64) -> f64 {
    let tail = 0.5 + level / 2.0;
    if freedom > NEARLY_NORMAL {
        let z = Normal::standard().inverse_cdf(tail);
        return z + (z.powi(3) + z) / (4.0 * freedom);
    }
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |student| student.inverse_cdf(tail))
}

/// Combines independent components, at 95 %.
pub fn expanded(components: &[Component]) -> Expanded {
    combined(components, 0.95, NORMAL_95)
}

/// The same at another `level`, above 0 and below 1.
pub fn expanded_at(components: &[Component], level: f64) -> Expanded {
    combined(components, level, quantile(level, f64::INFINITY))
}

/// `normal` is the normal distribution's quantile of `level`.
fn combined(components: &[Component], level: f64, normal: f64) -> Expanded {
    let standard = components.iter().fold(0.0, |sum: f64, one| sum.hypot(one.standard));
    let inverse = components.iter().map(|one| (one.standard / standard).powi(4) / one.freedom);
    let inverse = if standard > 0.0 { inverse.sum::<f64>() } else { 0.0 };
    if inverse == 0.0 {
        return Expanded { half_width: normal * standard, freedom: f64::INFINITY };
    }
    let freedom = inverse.recip();
    Expanded { half_width: quantile(level, freedom) * standard, freedom }
}
