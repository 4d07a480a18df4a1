// SPDX-License-Identifier: Apache-2.0
//! The library's state in one process: the script, initialisation, handles.

use std::ffi::{CStr, c_void};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::gpu::{now_ns, wall_shift_ns};
use crate::script::{FaultKind, Gpu, Script};

pub const SUCCESS: u32 = 0;
pub const UNINITIALIZED: u32 = 1;
pub const INVALID_ARGUMENT: u32 = 2;
pub const NOT_SUPPORTED: u32 = 3;
pub const NOT_FOUND: u32 = 6;
pub const INSUFFICIENT_SIZE: u32 = 7;
pub const DRIVER_NOT_LOADED: u32 = 9;

/// A device handle as C sees it: a number, never dereferenced.
pub type Handle = *mut c_void;

struct State {
    initialised: u32,
    /// Counts the shutdowns: handles of an earlier life are invalid.
    life: usize,
    script: Option<(Stamp, Arc<Script>)>,
}

/// What changes when the script's file is replaced.
#[derive(PartialEq)]
struct Stamp(u64, i64, i64);

static STATE: Mutex<State> = Mutex::new(State { initialised: 0, life: 1, script: None });

/// One call under way.
pub struct Call {
    /// The machine.
    pub script: Arc<Script>,
    /// The GPU's index; 0 for a call without a GPU.
    pub index: usize,
    /// The MIG instance's place in the GPU's list.
    pub mig: Option<usize>,
    /// Nanoseconds after the epoch.
    pub time: u64,
    /// What a fault gives instead of the true value.
    pub value: Option<u64>,
}

impl Call {
    pub fn gpu(&self) -> &Gpu {
        &self.script.gpus[self.index]
    }

    /// A time after the epoch as the driver writes it: microseconds since 1970.
    pub fn wall_us(&self, time: u64) -> u64 {
        ((self.script.epoch_ns + time) as i64 + wall_shift_ns()) as u64 / 1_000
    }

    /// The reverse, held at the epoch.
    pub fn after_epoch(&self, wall_us: u64) -> u64 {
        let shift = wall_shift_ns() + self.script.epoch_ns as i64;
        u64::try_from((wall_us as i64).saturating_mul(1_000) - shift).unwrap_or(0)
    }
}

/// Starts a life of the library, or joins the one that runs.
pub fn initialise(symbol: &str) -> Result<(), u32> {
    begin(symbol, None)?;
    lock().initialised += 1;
    Ok(())
}

/// Ends it with the last user.
pub fn shut_down() -> Result<(), u32> {
    require_initialised()?;
    begin("nvmlShutdown", None)?;
    let mut state = lock();
    state.initialised -= 1;
    if state.initialised == 0 {
        state.life += 1;
    }
    Ok(())
}

/// Begins a call that concerns no GPU.
pub fn system_call(symbol: &str) -> Result<Call, u32> {
    require_initialised()?;
    begin(symbol, None)
}

/// Begins a call about the GPU of that index, faults of that GPU included.
pub fn index_call(symbol: &str, index: usize) -> Result<Call, u32> {
    require_initialised()?;
    begin(symbol, Some(index))
}

/// Begins a call on a GPU's (or MIG instance's) handle.
pub fn device_call(symbol: &str, handle: Handle) -> Result<Call, u32> {
    require_initialised()?;
    let number = handle as usize;
    let (life, gpu, mig) = (number >> 16, (number >> 8) & 0xff, number & 0xff);
    if gpu == 0 || life != lock().life {
        return Err(INVALID_ARGUMENT);
    }
    let call = begin(symbol, Some(gpu - 1))?;
    if gpu > call.script.gpus.len() {
        return Err(INVALID_ARGUMENT);
    }
    Ok(Call { mig: mig.checked_sub(1), ..call })
}

/// The handle of a GPU or of one of its MIG instances.
pub fn handle(index: usize, mig: Option<usize>) -> Handle {
    let low = mig.map_or(0, |mig| mig + 1);
    (lock().life << 16 | (index + 1) << 8 | low) as Handle
}

fn begin(symbol: &str, gpu: Option<usize>) -> Result<Call, u32> {
    let mut script = current_script()?;
    log(&script, symbol, gpu);
    loop {
        let time = now_ns().saturating_sub(script.epoch_ns);
        let faults = script.faults.iter().filter(|fault| fault.concerns(symbol, gpu, time));
        let mut value = None;
        let mut stuck = false;
        for fault in faults {
            match fault.kind {
                FaultKind::Error(code) => return Err(code),
                FaultKind::SlowMs(ms) => std::thread::sleep(Duration::from_millis(ms)),
                FaultKind::Stuck => stuck = true,
                FaultKind::Value(instead) => value = Some(instead),
            }
        }
        if !stuck {
            let time = now_ns().saturating_sub(script.epoch_ns);
            return Ok(Call { script, index: gpu.unwrap_or(0), mig: None, time, value });
        }
        std::thread::sleep(Duration::from_millis(5));
        script = current_script()?;
    }
}

fn require_initialised() -> Result<(), u32> {
    if lock().initialised == 0 { Err(UNINITIALIZED) } else { Ok(()) }
}

fn lock() -> std::sync::MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The script, read again if its file is another one than before. Without a
/// script there is no driver.
fn current_script() -> Result<Arc<Script>, u32> {
    let path = script_path();
    let metadata = std::fs::metadata(path).map_err(|_| DRIVER_NOT_LOADED)?;
    let stamp = Stamp(metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
    let mut state = lock();
    if let Some((known, script)) = &state.script
        && *known == stamp
    {
        return Ok(script.clone());
    }
    let script = Script::load(path).map(Arc::new).map_err(|error| {
        eprintln!("nvml-standin: cannot read {}: {error}", path.display());
        DRIVER_NOT_LOADED
    })?;
    state.script = Some((stamp, script.clone()));
    Ok(script)
}

fn script_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| match std::env::var_os(crate::SCRIPT_VARIABLE) {
        Some(path) => path.into(),
        None => own_path().with_file_name(crate::SCRIPT_NAME),
    })
}

/// The path by which this library was loaded.
fn own_path() -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    // SAFETY: the address is one of this library's; `info` is ours; the name
    // that dladdr gives lives as long as the library is loaded.
    unsafe {
        if libc::dladdr(&raw const STATE as *const c_void, &mut info) == 0
            || info.dli_fname.is_null()
        {
            return PathBuf::new();
        }
        PathBuf::from(std::ffi::OsStr::from_bytes(CStr::from_ptr(info.dli_fname).to_bytes()))
    }
}

fn log(script: &Script, symbol: &str, gpu: Option<usize>) {
    let Some(path) = &script.call_log else { return };
    let gpu = gpu.map_or("-".to_owned(), |gpu| gpu.to_string());
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    if let Ok(mut file) = file {
        let line = format!("{symbol} {gpu} {}\n", now_ns());
        if let Err(error) = file.write_all(line.as_bytes()) {
            eprintln!("nvml-standin: cannot log to {}: {error}", path.display());
        }
    }
}
