// SPDX-License-Identifier: Apache-2.0
//! Attribution: who used a delta.
//!
//! Pure functions over integers. Every split balances to the microjoule: what
//! rounding leaves over stays with `unattributed`, never with a job. No sensor
//! splits a shared device, so a split is an allocation by a rule, and the rules
//! are named here: [`cpu`] for packages, memory and nodes, [`gpu`] for boards.

pub mod cpu;
pub mod gpu;
pub mod phases;

pub use cpu::IdlePolicy;

use crate::units::Energy;

/// Adds to each share its portion of `delta` by weight, rounded down, and returns
/// what is left over. `whole` is what the weights sum up to when all is given
/// away; a larger sum of weights takes its place, so that no more is given.
fn by_weight(
    delta: Energy,
    whole: u64,
    weights: impl Iterator<Item = u64> + Clone,
    shares: &mut [Energy],
) -> Energy {
    let sum: u128 = weights.clone().map(u128::from).sum();
    let whole = sum.max(u128::from(whole));
    if whole == 0 {
        return delta;
    }
    let mut rest = delta;
    for (weight, share) in weights.zip(shares) {
        let portion = u128::from(delta.microjoules()) * u128::from(weight) / whole;
        // At most `delta`, since the weight is at most the whole.
        let portion = Energy::from_microjoules(portion as u64);
        *share = share.saturating_add(portion);
        rest = rest.saturating_sub(portion);
    }
    rest
}
