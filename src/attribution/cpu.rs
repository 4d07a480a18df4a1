// SPDX-License-Identifier: Apache-2.0
//! The split of a package's, a memory's or a node's energy by CPU time.
//!
//! With ΔE the domain's energy in a tick, u_j a job's CPU time in it, U all busy
//! CPU time, C = cores × Δt, r_j the cores a job may use and R all cores:
//!
//! | policy | E_j |
//! | --- | --- |
//! | `unattributed` | ΔE · u_j / C |
//! | `proportional` | ΔE · u_j / U |
//! | `reserved` | ΔE · u_j / C + ΔE · (1 − U/C) · r_j / R |
//!
//! The first leaves the energy of idle cores to `unattributed` (as Kepler's
//! active-idle split does, `docs/developer/power-attribution-guide.md` there), the
//! second charges it to whoever runs (as CEEMS does), the third to whoever keeps
//! others from running. CPU times and counters are read one after another, so a
//! sum of parts may pass its whole by a little: the larger of both is the whole.

use serde::{Deserialize, Serialize};

use super::by_weight;
use crate::units::Energy;

/// Who pays for the energy of idle cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdlePolicy {
    /// Nobody: it is booked to `unattributed`.
    #[default]
    Unattributed,
    /// Whoever runs, in proportion to CPU time.
    Proportional,
    /// Whoever reserved cores, by cores reserved.
    Reserved,
}

/// What one job did in the tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuUse {
    /// Its own CPU time in microseconds, nested jobs' left out.
    pub used_microseconds: u64,
    /// Cores it may use, nested jobs' left out.
    pub reserved_cores: u32,
}

/// What the machine did in the tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeUse {
    /// Busy CPU time in microseconds.
    pub busy_microseconds: u64,
    /// Cores × elapsed time in microseconds.
    pub capacity_microseconds: u64,
    /// Cores online.
    pub cores: u32,
}

/// Adds each job's part of `delta` to its place in `shares` (same order and
/// length as `jobs`); returns what is unattributed. Σ parts + that = `delta`.
pub fn split(
    delta: Energy,
    policy: IdlePolicy,
    node: NodeUse,
    jobs: &[CpuUse],
    shares: &mut [Energy],
) -> Energy {
    let used = jobs.iter().map(|job| job.used_microseconds);
    let busy = node.busy_microseconds;
    let capacity = node.capacity_microseconds.max(busy);
    match policy {
        IdlePolicy::Unattributed => by_weight(delta, capacity, used, shares),
        IdlePolicy::Proportional => by_weight(delta, busy, used, shares),
        IdlePolicy::Reserved => {
            let busy = used.clone().fold(0_u64, u64::saturating_add).max(busy);
            let active = delta.portion(busy, capacity.max(busy));
            let idle = delta.saturating_sub(active);
            let cores = jobs.iter().map(|job| u64::from(job.reserved_cores));
            let rest = by_weight(active, busy, used, shares);
            rest.saturating_add(by_weight(idle, u64::from(node.cores), cores, shares))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn run(policy: IdlePolicy, used: &[u64], busy: u64) -> (Vec<u64>, u64) {
        let jobs: Vec<CpuUse> = used
            .iter()
            .map(|&used_microseconds| CpuUse { used_microseconds, reserved_cores: 1 })
            .collect();
        let node = NodeUse { busy_microseconds: busy, capacity_microseconds: 4 * SECOND, cores: 4 };
        let mut shares = vec![Energy::ZERO; jobs.len()];
        let rest = split(Energy::from_microjoules(400), policy, node, &jobs, &mut shares);
        (shares.into_iter().map(Energy::microjoules).collect(), rest.microjoules())
    }

    #[test]
    fn unattributed_leaves_idle_cores_and_other_processes_to_nobody() {
        let split = run(IdlePolicy::Unattributed, &[SECOND, 2 * SECOND], 3 * SECOND);
        assert_eq!(split, (vec![100, 200], 100));
    }

    #[test]
    fn proportional_charges_idle_cores_to_whoever_runs() {
        let split = run(IdlePolicy::Proportional, &[SECOND, SECOND], 2 * SECOND);
        assert_eq!(split, (vec![200, 200], 0));
        let with_others = run(IdlePolicy::Proportional, &[SECOND], 2 * SECOND);
        assert_eq!(with_others, (vec![200], 200));
    }

    #[test]
    fn reserved_charges_idle_cores_by_cores_reserved() {
        let split = run(IdlePolicy::Reserved, &[2 * SECOND, 0], 2 * SECOND);
        // Active 200 to the first; idle 200 over 4 cores of which each holds one.
        assert_eq!(split, (vec![250, 50], 100));
    }

    #[test]
    fn nobody_running_is_unattributed_under_every_policy_without_reservation() {
        for policy in [IdlePolicy::Unattributed, IdlePolicy::Proportional] {
            assert_eq!(run(policy, &[0, 0], 0), (vec![0, 0], 400));
        }
    }

    #[test]
    fn a_share_never_passes_the_whole_when_cpu_times_are_read_late() {
        let split = run(IdlePolicy::Unattributed, &[5 * SECOND, 3 * SECOND], 4 * SECOND);
        assert_eq!(split, (vec![250, 150], 0));
    }

    proptest! {
        #[test]
        fn parts_and_rest_are_the_whole(
            delta in any::<u64>(),
            jobs in prop::collection::vec((any::<u64>(), any::<u32>()), 0..9),
            busy in any::<u64>(),
            capacity in any::<u64>(),
            cores in any::<u32>(),
            policy in prop::sample::select(vec![
                IdlePolicy::Unattributed, IdlePolicy::Proportional, IdlePolicy::Reserved,
            ]),
        ) {
            let jobs: Vec<CpuUse> = jobs
                .into_iter()
                .map(|(used_microseconds, reserved_cores)| CpuUse { used_microseconds, reserved_cores })
                .collect();
            let mut shares = vec![Energy::ZERO; jobs.len()];
            let node = NodeUse {
                busy_microseconds: busy,
                capacity_microseconds: capacity,
                cores,
            };
            let rest = split(Energy::from_microjoules(delta), policy, node, &jobs, &mut shares);
            let sum: u128 = shares.iter().map(|share| u128::from(share.microjoules())).sum();
            prop_assert_eq!(sum + u128::from(rest.microjoules()), u128::from(delta));
        }
    }
}
