// SPDX-License-Identifier: Apache-2.0
//! What a saving of cooling energy means for a PUE.
//!
//! All that a building uses beside its machines, PUE − 1 of their energy, is taken
//! as cooling: no PUE says how much of it is. Power supplies and light are in it
//! too, so the result is the most that such a saving can bring.

/// The saving of cooling energy that DeepMind's BCOOLER reached with Trane at one of
/// two commercial buildings, in percent: Luo et al. 2022, "Controlling Commercial
/// Cooling Systems Using Reinforcement Learning", arXiv 2211.07357, which says about
/// 9 % and 13 %; 12.7 % as the AI Index Report 2023 gives it. Chiller plants of large
/// buildings, not of data centres.
pub const BCOOLER_PERCENT: f64 = 12.7;

/// The PUE where cooling takes so many percent less.
pub fn cooled(pue: f64, percent: f64) -> f64 {
    1.0 + (pue - 1.0) * (1.0 - percent / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saving_is_of_what_is_not_the_machines() {
        assert_eq!(cooled(1.5, 0.0), 1.5);
        assert_eq!(cooled(1.5, 100.0), 1.0);
        assert_eq!(cooled(1.0, BCOOLER_PERCENT), 1.0);
        assert!((cooled(1.2, BCOOLER_PERCENT) - 1.174_6).abs() < 1e-12);
    }
}
