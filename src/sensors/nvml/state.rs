// SPDX-License-Identifier: Apache-2.0
//! A GPU's temperature, clock, limits and reasons for a lower clock: what a benchmark
//! says of the machine. Each figure that the GPU does not give is absent.

use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};

use crate::units::Power;

use super::device::limit;

/// What a GPU does at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuState {
    /// Degrees Celsius.
    pub celsius: Option<u32>,
    /// Of the SMs, MHz.
    pub clock_mhz: Option<u32>,
    /// As enforced.
    pub power_limit: Option<Power>,
    /// NVML's names of the reasons for a lower clock, in lower case.
    pub throttle_reasons: Vec<&'static str>,
}

/// What is set on a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuSetting {
    /// Bytes of its memory.
    pub memory_bytes: Option<u64>,
    /// As enforced.
    pub power_limit: Option<Power>,
    /// As it comes from the factory.
    pub default_power_limit: Option<Power>,
}

pub(super) fn state(device: &Device<'_>) -> GpuState {
    let reasons = device.current_throttle_reasons().unwrap_or(ThrottleReasons::empty());
    GpuState {
        celsius: device.temperature(TemperatureSensor::Gpu).ok(),
        clock_mhz: device.clock_info(Clock::SM).ok(),
        power_limit: limit(device.enforced_power_limit()),
        throttle_reasons: NAMES
            .iter()
            .filter(|(reason, _)| reasons.contains(*reason))
            .map(|(_, name)| *name)
            .collect(),
    }
}

pub(super) fn setting(device: &Device<'_>) -> GpuSetting {
    GpuSetting {
        memory_bytes: device.memory_info().ok().map(|memory| memory.total),
        power_limit: limit(device.enforced_power_limit()),
        default_power_limit: limit(device.power_management_limit_default()),
    }
}

/// `nvmlClocksEventReason…` of nvml.h.
const NAMES: [(ThrottleReasons, &str); 9] = [
    (ThrottleReasons::GPU_IDLE, "gpu_idle"),
    (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "applications_clocks_setting"),
    (ThrottleReasons::SW_POWER_CAP, "sw_power_cap"),
    (ThrottleReasons::HW_SLOWDOWN, "hw_slowdown"),
    (ThrottleReasons::SYNC_BOOST, "sync_boost"),
    (ThrottleReasons::SW_THERMAL_SLOWDOWN, "sw_thermal_slowdown"),
    (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hw_thermal_slowdown"),
    (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "hw_power_brake_slowdown"),
    (ThrottleReasons::DISPLAY_CLOCK_SETTING, "display_clock_setting"),
];
