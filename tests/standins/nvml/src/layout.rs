// SPDX-License-Identifier: Apache-2.0
//! NVML's C structures, as in `nvml.h` (API 13).

use std::ffi::{c_char, c_uint};

#[repr(C)]
pub struct PciInfo {
    pub bus_id_legacy: [c_char; 16],
    pub domain: c_uint,
    pub bus: c_uint,
    pub device: c_uint,
    pub device_id: c_uint,
    pub subsystem_id: c_uint,
    pub bus_id: [c_char; 32],
}

#[repr(C)]
pub struct Memory {
    pub total: u64,
    pub free: u64,
    pub used: u64,
}

#[repr(C)]
pub struct MemoryV2 {
    pub version: c_uint,
    pub total: u64,
    pub reserved: u64,
    pub free: u64,
    pub used: u64,
}

#[repr(C)]
pub struct Utilization {
    pub gpu: c_uint,
    pub memory: c_uint,
}

#[repr(C)]
pub struct ProcessInfo {
    pub pid: c_uint,
    pub used_memory: u64,
    pub gpu_instance: c_uint,
    pub compute_instance: c_uint,
}

#[repr(C)]
pub struct ProcessUtilization {
    pub pid: c_uint,
    pub timestamp_us: u64,
    pub sm: c_uint,
    pub memory: c_uint,
    pub encoder: c_uint,
    pub decoder: c_uint,
}

/// A value of any type; integers are written to its low bytes (little endian).
#[repr(C)]
pub struct Sample {
    pub timestamp_us: u64,
    pub value: u64,
}

#[repr(C)]
pub struct FieldValue {
    pub field: c_uint,
    pub scope: c_uint,
    pub timestamp_us: i64,
    pub latency_us: i64,
    pub value_type: c_uint,
    pub result: c_uint,
    pub value: u64,
}

#[repr(C)]
pub struct Attributes {
    pub multiprocessors: c_uint,
    pub copy_engines: c_uint,
    pub decoders: c_uint,
    pub encoders: c_uint,
    pub jpeg: c_uint,
    pub ofa: c_uint,
    pub gpu_slices: c_uint,
    pub compute_slices: c_uint,
    pub memory_mb: u64,
}

#[repr(C)]
pub struct C2cMode {
    pub enabled: c_uint,
}
