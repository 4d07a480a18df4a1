// SPDX-License-Identifier: Apache-2.0
//! NVIDIA GPUs, by NVML: energy in millijoules since the driver was loaded.
//!
//! `libnvidia-ml.so.1` is loaded when it is first wanted; its absence is a state,
//! not an error. A driver call may hang, so each GPU is a source of its own, read
//! on a thread of its own (`meter::gpus`). NVML's counter never wraps. With MIG
//! the counter is the board's: instances are listed, never summed. Nothing here
//! touches a GPU that sleeps.

mod device;
mod errors;
mod library;
mod power_state;
mod raw;
mod state;
mod users;

pub use device::NvmlGpu;
pub use errors::{driver_gone, read_error};
pub use library::{Library, OpenError};
pub use state::{GpuSetting, GpuState};
pub use users::{GpuUser, MigShare};

use crate::units::Power;

/// A MIG instance of a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigInstance {
    /// `MIG-…`.
    pub uuid: String,
    /// GPU instance id.
    pub gpu_instance: u32,
    /// Compute instance id.
    pub compute_instance: u32,
    /// How many of the GPU's slices (7 on an A100 or H100) the GPU instance has.
    pub slices: u32,
}

/// What a GPU is. Its UUID alone names it: indices change with reboots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuIdentity {
    /// `GPU-…`.
    pub uuid: String,
    /// NVML's index of this driver load; not CUDA's.
    pub index: u32,
    /// As in `/sys/bus/pci/devices`: `0000:01:00.0`. `None`: not told.
    pub pci_address: Option<String>,
    /// The product's name.
    pub name: String,
    /// The driver's version.
    pub driver_version: String,
    /// The enforced power limit.
    pub power_limit: Option<Power>,
    /// Persistence mode.
    pub persistence: Option<bool>,
    /// The MIG instances; `None`: MIG is off or unknown to the GPU.
    pub mig: Option<Vec<MigInstance>>,
}
