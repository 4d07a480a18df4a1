// SPDX-License-Identifier: Apache-2.0
//! The C symbols, with the semantics of `nvml.h`.
//!
//! What is not here is a missing symbol, which clients must bear too.

use std::ffi::{CStr, c_char, c_int, c_uint};

use crate::layout::*;
use crate::machine::{
    Call, Handle, INSUFFICIENT_SIZE, INVALID_ARGUMENT, NOT_FOUND, NOT_SUPPORTED, SUCCESS,
    device_call, handle, index_call, initialise, shut_down, system_call,
};
use crate::script::{MigInstance, Process};

const NO_INSTANCE: c_uint = u32::MAX;
const UNSIGNED_INT: c_uint = 1;
const UNSIGNED_LONG_LONG: c_uint = 3;

fn code(result: Result<(), u32>) -> u32 {
    result.err().unwrap_or(SUCCESS)
}

/// Writes through a C out-pointer.
fn give<T>(to: *mut T, value: T) -> Result<(), u32> {
    if to.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: not null; NVML's contract makes the caller own a `T` there.
    unsafe { to.write(value) };
    Ok(())
}

fn give_text(to: *mut c_char, length: c_uint, text: &str) -> Result<(), u32> {
    if text.len() >= length as usize {
        return Err(INSUFFICIENT_SIZE);
    }
    if to.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: not null, and the caller owns `length` bytes, more than the text and its end.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), to, text.len());
        to.add(text.len()).write(0);
    }
    Ok(())
}

/// Writes an array with NVML's in-out count. Too small a buffer: the count that is needed.
fn give_all<T>(count: *mut c_uint, to: *mut T, values: Vec<T>) -> Result<(), u32> {
    if count.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: not null; the caller owns the count.
    let room = unsafe { count.read() } as usize;
    give(count, values.len() as c_uint)?;
    if values.is_empty() {
        return Ok(());
    }
    if to.is_null() || room < values.len() {
        return Err(INSUFFICIENT_SIZE);
    }
    for (i, value) in values.into_iter().enumerate() {
        // SAFETY: the caller owns `room` elements and `i` is below that.
        unsafe { to.add(i).write(value) };
    }
    Ok(())
}

fn text_of<'a>(text: *const c_char) -> Result<&'a str, u32> {
    if text.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: not null; the caller gives a C string that outlives the call.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| INVALID_ARGUMENT)
}

/// Exports calls of one shape: a device, one out-pointer, a value of it.
macro_rules! device_values {
    ($($symbol:ident: $type:ty = $value:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $symbol(device: Handle, to: *mut $type) -> u32 {
            code(device_call(stringify!($symbol), device).and_then(|call| {
                let value: fn(&Call) -> Result<$type, u32> = $value;
                give(to, value(&call)?)
            }))
        }
    )*};
}

/// Exports the process lists, whose versions share one layout.
macro_rules! process_lists {
    ($($symbol:ident: $list:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $symbol(
            device: Handle,
            count: *mut c_uint,
            to: *mut ProcessInfo,
        ) -> u32 {
            code(device_call(stringify!($symbol), device).and_then(|call| {
                let list: fn(&Call) -> Vec<Process> = $list;
                give_all(count, to, list(&call).iter().map(process_info).collect())
            }))
        }
    )*};
}

fn process_info(process: &Process) -> ProcessInfo {
    ProcessInfo {
        pid: process.pid,
        used_memory: process.used_memory,
        gpu_instance: process.gpu_instance.unwrap_or(NO_INSTANCE),
        compute_instance: process.gpu_instance.map_or(NO_INSTANCE, |_| 0),
    }
}

/// The processes of a GPU, or of the instance that the handle names.
fn processes(call: &Call) -> Vec<Process> {
    let instance = instance(call).map(|instance| instance.gpu_instance);
    let all = call.gpu().processes().into_iter();
    all.filter(|process| instance.is_none() || process.gpu_instance == instance).collect()
}

fn instance(call: &Call) -> Option<&MigInstance> {
    call.gpu().mig.as_ref()?.get(call.mig?)
}

fn instance_or_refuse(call: &Call) -> Result<&MigInstance, u32> {
    instance(call).ok_or(INVALID_ARGUMENT)
}

/// The counter: one a board, so that instances show the parent's.
fn energy(call: &Call) -> Result<u64, u32> {
    if !call.gpu().counter.present {
        return Err(NOT_SUPPORTED);
    }
    Ok(call.value.unwrap_or_else(|| call.gpu().counter_mj(call.time)))
}

fn power(call: &Call) -> Result<u32, u32> {
    Ok(call.value.map_or_else(|| call.gpu().power_mw(call.time), |value| value as u32))
}

fn mig_count(call: &Call) -> Result<u32, u32> {
    // The maximum, not the present number, as NVML says.
    Ok(if call.gpu().mig.is_some() { 7 } else { 0 })
}

device_values! {
    nvmlDeviceGetTotalEnergyConsumption: u64 = energy;
    nvmlDeviceGetPowerUsage: c_uint = power;
    nvmlDeviceGetEnforcedPowerLimit: c_uint = |call| Ok(call.gpu().power_limit_mw);
    nvmlDeviceGetPowerManagementLimit: c_uint = |call| Ok(call.gpu().power_limit_mw);
    nvmlDeviceGetPowerManagementDefaultLimit: c_uint = |call| Ok(call.gpu().default_power_limit_mw);
    nvmlDeviceGetCurrentClocksThrottleReasons: u64 = |call| Ok(call.gpu().throttle_reasons);
    nvmlDeviceGetPersistenceMode: c_uint = |call| Ok(call.gpu().persistence.into());
    nvmlDeviceGetIndex: c_uint = |call| Ok(call.index as c_uint);
    nvmlDeviceGetMinorNumber: c_uint = |call| Ok(call.index as c_uint);
    nvmlDeviceGetArchitecture: c_uint = |_| Ok(9);
    nvmlDeviceGetComputeMode: c_uint = |_| Ok(0);
    nvmlDeviceGetAccountingMode: c_uint = |_| Ok(0);
    nvmlDeviceGetMaxMigDeviceCount: c_uint = mig_count;
    nvmlDeviceIsMigDeviceHandle: c_uint = |call| Ok(call.mig.is_some().into());
    nvmlDeviceGetGpuInstanceId: c_uint = |call| Ok(instance_or_refuse(call)?.gpu_instance);
    nvmlDeviceGetComputeInstanceId: c_uint = |call| Ok(instance_or_refuse(call)?.compute_instance);
    nvmlDeviceGetDeviceHandleFromMigDeviceHandle: Handle = |call| Ok(handle(call.index, None));
    nvmlDeviceGetMemoryInfo: Memory = |_| Ok(Memory { total: 80 << 30, free: 79 << 30, used: 1 << 30 });
    nvmlDeviceGetMemoryInfo_v2: MemoryV2 = |_| Ok(MemoryV2 {
        version: 2 << 24 | size_of::<MemoryV2>() as u32, total: 80 << 30, reserved: 0, free: 79 << 30, used: 1 << 30,
    });
    nvmlDeviceGetUtilizationRates: Utilization = |call| match call.gpu().mig.as_deref() {
        None | Some([]) => Ok(Utilization { gpu: 50, memory: 10 }),
        Some(_) => Err(NOT_SUPPORTED),
    };
    nvmlDeviceGetC2cModeInfoV: C2cMode = |_| Ok(C2cMode { enabled: 0 });
    nvmlDeviceGetAttributes_v2: Attributes = |call| {
        let slices = instance_or_refuse(call)?.slices;
        Ok(Attributes {
            multiprocessors: slices * 14, copy_engines: slices, decoders: 0, encoders: 0, jpeg: 0,
            ofa: 0, gpu_slices: slices, compute_slices: slices, memory_mb: u64::from(slices) * 10_240,
        })
    };
    nvmlDeviceGetPciInfo_v3: PciInfo = |call| pci_info(&call.gpu().pci_bus_id);
}

process_lists! {
    nvmlDeviceGetComputeRunningProcesses_v3: processes;
    nvmlDeviceGetComputeRunningProcesses_v2: processes;
    nvmlDeviceGetGraphicsRunningProcesses_v3: |_| Vec::new();
    nvmlDeviceGetGraphicsRunningProcesses_v2: |_| Vec::new();
    nvmlDeviceGetMPSComputeRunningProcesses_v3: |_| Vec::new();
}

fn pci_info(bus_id: &str) -> Result<PciInfo, u32> {
    let number = |part: Option<&str>| {
        part.and_then(|part| u32::from_str_radix(part, 16).ok()).ok_or(INVALID_ARGUMENT)
    };
    let mut parts = bus_id.split([':', '.']);
    let mut info = PciInfo {
        bus_id_legacy: [0; 16],
        domain: number(parts.next())?,
        bus: number(parts.next())?,
        device: number(parts.next())?,
        device_id: 0x2330_10DE,
        subsystem_id: 0,
        bus_id: [0; 32],
    };
    give_text(info.bus_id.as_mut_ptr(), 32, bus_id)?;
    give_text(info.bus_id_legacy.as_mut_ptr(), 16, bus_id.get(4..).unwrap_or(""))?;
    Ok(info)
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> u32 {
    code(initialise("nvmlInit_v2"))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> u32 {
    code(initialise("nvmlInitWithFlags"))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> u32 {
    code(shut_down())
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(result: u32) -> *const c_char {
    let text = match result {
        0 => c"Success",
        1 => c"Uninitialized",
        2 => c"Invalid Argument",
        3 => c"Not Supported",
        4 => c"Insufficient Permissions",
        6 => c"Not Found",
        7 => c"Insufficient Size",
        9 => c"Driver Not Loaded",
        15 => c"GPU is lost",
        18 => c"Driver/library version mismatch",
        _ => c"Unknown Error",
    };
    text.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetDriverVersion(to: *mut c_char, length: c_uint) -> u32 {
    let call = system_call("nvmlSystemGetDriverVersion");
    code(call.and_then(|call| give_text(to, length, &call.script.driver.version)))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetNVMLVersion(to: *mut c_char, length: c_uint) -> u32 {
    let call = system_call("nvmlSystemGetNVMLVersion");
    code(call.and_then(|call| give_text(to, length, &format!("13.{}", call.script.driver.version))))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlSystemGetCudaDriverVersion_v2(to: *mut c_int) -> u32 {
    let call = system_call("nvmlSystemGetCudaDriverVersion_v2");
    code(call.and_then(|call| give(to, call.script.driver.cuda_version)))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetCount_v2(to: *mut c_uint) -> u32 {
    let call = system_call("nvmlDeviceGetCount_v2");
    code(call.and_then(|call| give(to, call.script.gpus.len() as c_uint)))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, to: *mut Handle) -> u32 {
    let index = index as usize;
    code(index_call("nvmlDeviceGetHandleByIndex_v2", index).and_then(|call| {
        if index >= call.script.gpus.len() {
            return Err(INVALID_ARGUMENT);
        }
        give(to, handle(index, None))
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, to: *mut Handle) -> u32 {
    code((|| {
        let uuid = text_of(uuid)?;
        let call = system_call("nvmlDeviceGetHandleByUUID")?;
        for (index, gpu) in call.script.gpus.iter().enumerate() {
            let instances = gpu.mig.as_deref().unwrap_or(&[]);
            let mig = instances.iter().position(|instance| instance.uuid == uuid);
            if gpu.uuid == uuid || mig.is_some() {
                index_call("nvmlDeviceGetHandleByUUID", index)?;
                return give(to, handle(index, mig));
            }
        }
        Err(NOT_FOUND)
    })())
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(bus_id: *const c_char, to: *mut Handle) -> u32 {
    code((|| {
        let bus_id = text_of(bus_id)?;
        let call = system_call("nvmlDeviceGetHandleByPciBusId_v2")?;
        let of = |gpu: &crate::Gpu| {
            gpu.pci_bus_id.eq_ignore_ascii_case(bus_id)
                || gpu.pci_bus_id.get(4..).is_some_and(|short| short.eq_ignore_ascii_case(bus_id))
        };
        let index = call.script.gpus.iter().position(of).ok_or(NOT_FOUND)?;
        index_call("nvmlDeviceGetHandleByPciBusId_v2", index)?;
        give(to, handle(index, None))
    })())
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetName(device: Handle, to: *mut c_char, length: c_uint) -> u32 {
    let call = device_call("nvmlDeviceGetName", device);
    code(call.and_then(|call| give_text(to, length, &call.gpu().name)))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetUUID(device: Handle, to: *mut c_char, length: c_uint) -> u32 {
    code(device_call("nvmlDeviceGetUUID", device).and_then(|call| {
        let uuid = instance(&call).map_or(&call.gpu().uuid, |instance| &instance.uuid);
        give_text(to, length, uuid)
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPowerManagementLimitConstraints(
    device: Handle,
    least: *mut c_uint,
    most: *mut c_uint,
) -> u32 {
    code(device_call("nvmlDeviceGetPowerManagementLimitConstraints", device).and_then(|call| {
        give(least, call.gpu().power_limit_mw / 2)?;
        give(most, call.gpu().power_limit_mw)
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetTemperature(
    device: Handle,
    _sensor: c_uint,
    to: *mut c_uint,
) -> u32 {
    let call = device_call("nvmlDeviceGetTemperature", device);
    code(call.and_then(|call| give(to, call.gpu().celsius)))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetClockInfo(device: Handle, _kind: c_uint, to: *mut c_uint) -> u32 {
    let call = device_call("nvmlDeviceGetClockInfo", device);
    code(call.and_then(|call| give(to, call.gpu().clock_mhz)))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMigMode(device: Handle, now: *mut c_uint, then: *mut c_uint) -> u32 {
    code(device_call("nvmlDeviceGetMigMode", device).and_then(|call| {
        let instances = call.gpu().mig.as_ref().ok_or(NOT_SUPPORTED)?;
        let mode = (!instances.is_empty()).into();
        give(now, mode)?;
        give(then, mode)
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: Handle,
    index: c_uint,
    to: *mut Handle,
) -> u32 {
    code(device_call("nvmlDeviceGetMigDeviceHandleByIndex", device).and_then(|call| {
        let instances = call.gpu().mig.as_ref().ok_or(NOT_SUPPORTED)?;
        instances.get(index as usize).ok_or(NOT_FOUND)?;
        give(to, handle(call.index, Some(index as usize)))
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetSamples(
    device: Handle,
    kind: c_uint,
    since_us: u64,
    value_type: *mut c_uint,
    count: *mut c_uint,
    to: *mut Sample,
) -> u32 {
    code(device_call("nvmlDeviceGetSamples", device).and_then(|call| {
        if kind != 0 || call.gpu().sensor.samples.is_none() {
            return Err(NOT_SUPPORTED);
        }
        let since = if since_us == 0 { 0 } else { call.after_epoch(since_us + 1) };
        let samples = call.gpu().samples(call.time, since);
        if samples.is_empty() {
            return Err(NOT_FOUND);
        }
        give(value_type, UNSIGNED_INT)?;
        if to.is_null() {
            return give(count, samples.len() as c_uint);
        }
        let sample =
            |(time, mw): (u64, u32)| Sample { timestamp_us: call.wall_us(time), value: mw.into() };
        give_all(count, to, samples.into_iter().map(sample).collect())
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetProcessUtilization(
    device: Handle,
    to: *mut ProcessUtilization,
    count: *mut c_uint,
    since_us: u64,
) -> u32 {
    code(device_call("nvmlDeviceGetProcessUtilization", device).and_then(|call| {
        if call.gpu().mig.as_ref().is_some_and(|instances| !instances.is_empty()) {
            return Err(NOT_SUPPORTED);
        }
        let timestamp_us = call.wall_us(call.time / 1_000_000_000 * 1_000_000_000);
        let samples: Vec<_> = processes(&call)
            .iter()
            .filter_map(|process| Some((process.pid, process.sm_percent?)))
            .map(|(pid, sm)| ProcessUtilization {
                pid,
                timestamp_us,
                sm,
                memory: 0,
                encoder: 0,
                decoder: 0,
            })
            .collect();
        if samples.is_empty() || timestamp_us <= since_us {
            return Err(NOT_FOUND);
        }
        give_all(count, to, samples)
    }))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetFieldValues(
    device: Handle,
    count: c_int,
    values: *mut FieldValue,
) -> u32 {
    code(device_call("nvmlDeviceGetFieldValues", device).and_then(|call| {
        if values.is_null() || count < 0 {
            return Err(INVALID_ARGUMENT);
        }
        // SAFETY: not null; the caller owns `count` initialised elements.
        let values = unsafe { std::slice::from_raw_parts_mut(values, count as usize) };
        for value in values {
            fill_field(&call, value);
        }
        Ok(())
    }))
}

/// One field; the call succeeds even where the field does not.
fn fill_field(call: &Call, field: &mut FieldValue) {
    let second = 1_000_000_000;
    let answer = match (field.field, field.scope) {
        (83, 0) => energy(call).map(|value| (UNSIGNED_LONG_LONG, value)),
        (185, 0) => Ok((UNSIGNED_INT, call.gpu().mean_mw(call.time, second).into())),
        (186, 0) => power(call).map(|value| (UNSIGNED_INT, value.into())),
        (190, 0) => Ok((UNSIGNED_INT, call.gpu().power_limit_mw.into())),
        _ => Err(NOT_SUPPORTED),
    };
    field.timestamp_us = call.wall_us(call.time) as i64;
    field.latency_us = 1;
    field.result = answer.err().unwrap_or(SUCCESS);
    if let Ok((value_type, value)) = answer {
        field.value_type = value_type;
        field.value = value;
    }
}
