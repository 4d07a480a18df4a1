// SPDX-License-Identifier: Apache-2.0
//! The NVML calls that nvml-wrapper 0.13 lacks or makes allocate, and the device
//! handle that outlives a borrow.

use std::ffi::c_uint;

use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlSample_t, nvmlSamplingType_enum_NVML_TOTAL_POWER_SAMPLES, nvmlValue_t,
    nvmlValueType_t,
};

/// A device of a library that its holder keeps open.
#[derive(Clone, Copy)]
pub(super) struct Handle(nvmlDevice_t);

// SAFETY: a handle is a token that only the driver looks into; NVML is thread-safe.
unsafe impl Send for Handle {}

impl Handle {
    pub(super) fn of(device: &Device<'_>) -> Handle {
        // SAFETY: the handle is used only through `device` below, with the same library open.
        Handle(unsafe { device.handle() })
    }

    /// The device. A handle that has become invalid makes calls fail, not crash.
    pub(super) fn device(self, nvml: &Nvml) -> Device<'_> {
        // SAFETY: the handle came from this library, which is open while it is borrowed.
        unsafe { Device::new(self.0, nvml) }
    }
}

/// One sample of the driver's ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PowerSample {
    /// Microseconds since 1970.
    pub(super) at_us: u64,
    pub(super) milliwatts: u64,
}

/// How many samples the driver has now: `nvmlDeviceGetSamples` without a buffer.
pub(super) fn power_sample_count(nvml: &Nvml, handle: Handle) -> Result<u32, NvmlError> {
    get_samples(nvml, handle, 0, &mut [], true).map(|(_, count)| count)
}

/// The samples newer than `since_us`, into `buffer`; how many there were.
pub(super) fn power_samples<'b>(
    nvml: &Nvml,
    handle: Handle,
    since_us: u64,
    buffer: &'b mut [nvmlSample_t],
) -> Result<impl Iterator<Item = PowerSample> + 'b, NvmlError> {
    let (value_type, count) = get_samples(nvml, handle, since_us, buffer, false)?;
    let samples = buffer.iter().take(count as usize).filter_map(move |sample| {
        let milliwatts = number(value_type, sample.sampleValue)?;
        Some(PowerSample { at_us: sample.timeStamp, milliwatts })
    });
    Ok(samples)
}

fn get_samples(
    nvml: &Nvml,
    handle: Handle,
    since_us: u64,
    buffer: &mut [nvmlSample_t],
    only_count: bool,
) -> Result<(nvmlValueType_t, u32), NvmlError> {
    let call = nvml_sym(nvml.lib().nvmlDeviceGetSamples.as_ref())?;
    let mut value_type: nvmlValueType_t = 0;
    let mut count = buffer.len() as c_uint;
    let to = if only_count { std::ptr::null_mut() } else { buffer.as_mut_ptr() };
    // SAFETY: the out-pointers are ours, and the driver writes at most `count`
    // samples, the length of the buffer; null asks for the number alone.
    nvml_try(unsafe {
        let kind = nvmlSamplingType_enum_NVML_TOTAL_POWER_SAMPLES;
        call(handle.0, kind, since_us, &mut value_type, &mut count, to)
    })?;
    Ok((value_type, count))
}

/// The number in a value whose type the driver names; all of power's types.
fn number(value_type: nvmlValueType_t, value: nvmlValue_t) -> Option<u64> {
    // SAFETY: every variant is plain bits, valid as any number; the type says which was written.
    unsafe {
        match value_type {
            0 if value.dVal.is_finite() && value.dVal >= 0.0 => Some(value.dVal as u64),
            1 => Some(value.uiVal.into()),
            2 => Some(value.ulVal),
            3 => Some(value.ullVal),
            4 => u64::try_from(value.sllVal).ok(),
            5 => u64::try_from(value.siVal).ok(),
            6 => Some(value.usVal.into()),
            _ => None,
        }
    }
}

/// The GPU instance and compute instance of a MIG device.
pub(super) fn instance_ids(nvml: &Nvml, handle: Handle) -> Result<(u32, u32), NvmlError> {
    let gpu_instance = nvml_sym(nvml.lib().nvmlDeviceGetGpuInstanceId.as_ref())?;
    let compute_instance = nvml_sym(nvml.lib().nvmlDeviceGetComputeInstanceId.as_ref())?;
    let (mut gpu, mut compute) = (0, 0);
    // SAFETY: the out-pointers are ours.
    unsafe {
        nvml_try(gpu_instance(handle.0, &mut gpu))?;
        nvml_try(compute_instance(handle.0, &mut compute))?;
    }
    Ok((gpu, compute))
}
