// SPDX-License-Identifier: Apache-2.0
//! The split of a GPU board's energy between the jobs that claim or use it.
//!
//! Who counts, first match:
//! 1. jobs that hold the GPU (`--gpus`, `CUDA_VISIBLE_DEVICES`) or have processes
//!    on it, and processes of no job that are seen active;
//! 2. jobs that merely see it (nothing restricts them to other GPUs).
//!
//! A process of no job that only sits on the GPU (a display server, a forgotten
//! notebook) takes nothing from a job.
//!
//! One of them alone gets all of it, idle energy too. Several split by NVML's
//! per-process utilisation (ΔE · sm_i / Σ sm), or evenly where nothing is active.
//! With MIG, energy is the parent's and goes by slices: ΔE · slices_i / Σ slices of
//! all instances; no instance has a counter of its own (`docs/accuracy.md`).

use super::by_weight;
use crate::units::Energy;

/// How strongly a claimant is tied to the GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tie {
    /// Nothing keeps it from using the GPU.
    Visible,
    /// It named the GPU, or its processes are on it.
    Held,
}

/// One that may have to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// How strongly.
    pub tie: Tie,
    /// Utilisation by its processes, percent of the SMs, summed.
    pub utilisation: u32,
    /// MIG slices it holds; 0: the whole board.
    pub slices: u32,
}

/// Adds each claimant's part of `delta` to its place in `shares`; returns what is
/// unattributed. `all_slices`: slices of all MIG instances, 0 without MIG.
/// Processes of no job are a claimant like others; the caller books their share
/// to `unattributed`. Σ parts + the rest = `delta`.
pub fn split(
    delta: Energy,
    all_slices: u32,
    claimants: &[Claimant],
    shares: &mut [Energy],
) -> Energy {
    let Some(strongest) = claimants.iter().map(|claimant| claimant.tie).max() else {
        return delta;
    };
    if all_slices > 0 {
        let slices = claimants.iter().map(|claimant| match (claimant.tie, claimant.slices) {
            (tie, _) if tie < strongest => 0,
            (_, 0) => u64::from(all_slices),
            (_, some) => u64::from(some),
        });
        return by_weight(delta, u64::from(all_slices), slices, shares);
    }
    let active =
        claimants.iter().any(|claimant| claimant.tie == strongest && claimant.utilisation > 0);
    let weights = claimants.iter().map(|claimant| match (claimant.tie == strongest, active) {
        (false, _) => 0,
        (true, true) => u64::from(claimant.utilisation),
        (true, false) => 1,
    });
    by_weight(delta, 0, weights, shares)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(all_slices: u32, claimants: &[(Tie, u32, u32)], expect: (&[u64], u64)) {
        let claimants: Vec<Claimant> = claimants
            .iter()
            .map(|&(tie, utilisation, slices)| Claimant { tie, utilisation, slices })
            .collect();
        let mut shares = vec![Energy::ZERO; claimants.len()];
        let rest = split(Energy::from_microjoules(1_000), all_slices, &claimants, &mut shares);
        let shares: Vec<u64> = shares.into_iter().map(Energy::microjoules).collect();
        assert_eq!((shares.as_slice(), rest.microjoules()), expect);
    }

    #[test]
    fn a_gpu_that_nobody_claims_is_unattributed() {
        check(0, &[], (&[], 1_000));
    }

    #[test]
    fn a_single_holder_pays_all_of_it_idle_too() {
        check(0, &[(Tie::Held, 0, 0)], (&[1_000], 0));
    }

    #[test]
    fn a_job_that_merely_sees_the_gpu_pays_nothing_beside_a_holder() {
        check(0, &[(Tie::Visible, 0, 0), (Tie::Held, 0, 0)], (&[0, 1_000], 0));
    }

    #[test]
    fn jobs_that_all_merely_see_the_gpu_pay_evenly() {
        check(0, &[(Tie::Visible, 0, 0), (Tie::Visible, 0, 0)], (&[500, 500], 0));
    }

    #[test]
    fn several_users_pay_by_utilisation_else_evenly() {
        check(0, &[(Tie::Held, 60, 0), (Tie::Held, 20, 0)], (&[750, 250], 0));
        check(0, &[(Tie::Held, 0, 0); 3], (&[333, 333, 333], 1));
    }

    #[test]
    fn mig_instances_pay_by_slices_and_free_slices_are_unattributed() {
        check(7, &[(Tie::Held, 0, 3), (Tie::Held, 0, 1)], (&[428, 142], 430));
        check(7, &[(Tie::Held, 0, 0)], (&[1_000], 0));
        check(7, &[(Tie::Visible, 0, 0), (Tie::Held, 0, 3)], (&[0, 428], 572));
    }

    proptest! {
        #[test]
        fn parts_and_rest_are_the_whole(
            delta in any::<u64>(),
            all_slices in 0_u32..9,
            claimants in prop::collection::vec((any::<bool>(), 0_u32..101, 0_u32..9), 0..9),
        ) {
            let claimants: Vec<Claimant> = claimants
                .into_iter()
                .map(|(held, utilisation, slices)| Claimant {
                    tie: if held { Tie::Held } else { Tie::Visible },
                    utilisation,
                    slices,
                })
                .collect();
            let mut shares = vec![Energy::ZERO; claimants.len()];
            let rest = split(Energy::from_microjoules(delta), all_slices, &claimants, &mut shares);
            let sum: u128 = shares.iter().map(|share| u128::from(share.microjoules())).sum();
            prop_assert_eq!(sum + u128::from(rest.microjoules()), u128::from(delta));
        }
    }
}
