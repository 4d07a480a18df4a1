// SPDX-License-Identifier: Apache-2.0
//! Which processes use a GPU. Slow calls under a driver-wide lock (4.5 ms for a
//! list, 50 to 100 ms for utilisation: `sensors.md` 1.4): never on the tick.

use std::collections::BTreeMap;

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;

use super::MigInstance;

/// A process that uses a GPU. Ids are those of the host's pid namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuUser {
    /// Its id.
    pub pid: u32,
    /// The share of time its kernels ran, in percent, since the last look;
    /// `None`: not asked for, or the driver has no data of it.
    pub sm_percent: Option<u32>,
    /// The MIG instance it runs in; `None`: the whole GPU.
    pub mig: Option<MigShare>,
}

/// What part of a GPU an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigShare {
    /// The GPU instance's id.
    pub gpu_instance: u32,
    /// How many of the GPU's slices it has.
    pub slices: u32,
}

/// The processes of a whole GPU: compute, MPS clients and graphics, each once.
pub(super) fn of_gpu(device: &Device<'_>) -> Result<Vec<GpuUser>, NvmlError> {
    let mut users = BTreeMap::new();
    add(&mut users, device.running_compute_processes()?, None);
    // Old drivers and some boards lack these two; the first list is the base.
    add(&mut users, device.mps_running_compute_processes().unwrap_or_default(), None);
    add(&mut users, device.running_graphics_processes().unwrap_or_default(), None);
    Ok(users.into_values().collect())
}

/// The processes of a GPU's MIG instances. The parent's own list needs
/// privileges; an instance's does not.
pub(super) fn of_instances(
    instances: &[(Device<'_>, MigInstance)],
) -> Result<Vec<GpuUser>, NvmlError> {
    let mut users = BTreeMap::new();
    for (device, instance) in instances {
        let share = MigShare { gpu_instance: instance.gpu_instance, slices: instance.slices };
        add(&mut users, device.running_compute_processes()?, Some(share));
    }
    Ok(users.into_values().collect())
}

type Users = BTreeMap<(u32, Option<u32>), GpuUser>;

fn add(users: &mut Users, processes: Vec<ProcessInfo>, mig: Option<MigShare>) {
    for ProcessInfo { pid, .. } in processes {
        let key = (pid, mig.map(|share| share.gpu_instance));
        users.entry(key).or_insert(GpuUser { pid, sm_percent: None, mig });
    }
}

/// Adds each process's utilisation since `last_seen` (driver's microseconds),
/// the mean where there are several samples, and moves `last_seen` on.
pub(super) fn add_utilization(
    device: &Device<'_>,
    users: &mut [GpuUser],
    last_seen: &mut u64,
) -> Result<(), NvmlError> {
    let samples = match device.process_utilization_stats(*last_seen) {
        Ok(samples) => samples,
        // Nobody was active since: no data, not a failure.
        Err(NvmlError::NotFound) => return Ok(()),
        Err(error) => return Err(error),
    };
    for user in users {
        let own = || samples.iter().filter(|sample| sample.pid == user.pid);
        let sum: u32 = own().map(|sample| sample.sm_util.min(100)).sum();
        user.sm_percent = sum.checked_div(own().count() as u32);
    }
    *last_seen = samples.iter().map(|sample| sample.timestamp).fold(*last_seen, u64::max);
    Ok(())
}
