// SPDX-License-Identifier: Apache-2.0
//! The machine that is metered: 8 GPUs, 2 packages with dram.
//!
//! The powercap tree is plain files on tmpfs that a thread of this process keeps
//! rising, not the tests' FUSE mount: a read of sysfs costs a microsecond in the
//! kernel, as one of tmpfs does, while a read through FUSE wakes another process
//! and would be counted as the daemon's. NVML is the tests' stand-in library.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use aimeter::clock;
use nvml_standin::{Gpu, Installed, Script, Trace as GpuTrace};
use powercap_standin::{PowercapTree, Trace};

/// Of the budget's machine.
pub const GPUS: usize = 8;
/// Packages and their dram.
pub const ZONES: usize = 4;

/// What the stand-in's counters do not pass: Intel's range.
const RANGE: u64 = 262_143_328_850;
/// What each zone draws: less than the stand-in says it may.
const WATTS: u64 = 10;

/// A machine, and the scratch folders of one aimeter on it.
pub struct Machine {
    memory: tempfile::TempDir,
    disk: tempfile::TempDir,
    nvml: Option<Installed>,
    stop: Arc<AtomicBool>,
    mover: Option<JoinHandle<()>>,
}

impl Machine {
    /// With so many GPUs, each of a power that changes.
    pub fn new(gpus: usize) -> Machine {
        let memory = tempfile::tempdir_in("/dev/shm").expect("a scratch folder on tmpfs");
        let disk = std::env::var_os("AIMETER_BENCH_DIR").unwrap_or("/var/tmp".into());
        let disk = tempfile::tempdir_in(disk).expect("a scratch folder on a disk");
        let sysfs = memory.path().join("sys");
        std::fs::create_dir(&sysfs).expect("a folder");
        let tree = PowercapTree::builder()
            .package(0, Trace::constant(180))
            .dram(0, Trace::constant(20))
            .package(1, Trace::constant(170))
            .dram(1, Trace::constant(25));
        tree.write_to(&sysfs).expect("the powercap tree");
        let script = Script::starting_now((0..gpus).map(gpu).collect());
        let nvml = (gpus > 0)
            .then(|| Installed::new(memory.path(), &script).expect("the stand-in library"));
        let stop = Arc::new(AtomicBool::new(false));
        let counters = counters(&sysfs.join("devices"));
        assert_eq!(counters.len(), ZONES, "the tree's counters");
        let stopped = stop.clone();
        let mover = std::thread::Builder::new().name("mover".into());
        let mover = mover.spawn(move || keep_moving(&counters, &stopped)).expect("a thread");
        Machine { memory, disk, nvml, stop, mover: Some(mover) }
    }

    /// Where its sysfs is.
    pub fn sysfs(&self) -> PathBuf {
        self.memory.path().join("sys")
    }

    /// Where the ledger is: on a disk, as a real one.
    pub fn state(&self) -> PathBuf {
        self.disk.path().join("state")
    }

    /// Its NVML library; one that is not there where it has no GPUs.
    pub fn library(&self) -> PathBuf {
        let none = || self.memory.path().join("no-such-library.so");
        self.nvml.as_ref().map_or_else(none, |nvml| nvml.library.clone())
    }

    /// `aimeter SUBCOMMAND` of the release build on this machine.
    pub fn aimeter(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("AIMETER_") || name.starts_with("CUDA_") {
                command.env_remove(&*name);
            }
        }
        command
            .arg(subcommand)
            .env("AIMETER_SYSFS", self.sysfs())
            .env("AIMETER_SOCKET", self.memory.path().join("aimeter.sock"))
            .env("AIMETER_STATE_DIR", self.state())
            .env("XDG_RUNTIME_DIR", self.memory.path())
            .env("AIMETER_NVML_LIBRARY", self.library())
            .env("NO_COLOR", "1");
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(mover) = self.mover.take() {
            // A panic of its own has said so already.
            let _ = mover.join();
        }
    }
}

fn gpu(index: usize) -> Gpu {
    let (low_mw, high_mw) = (120_000, 450_000 + 1_000 * index as u64);
    let power = GpuTrace::Square { low_mw, high_mw, hz: 1.3, phase: 0.0, duty: 0.5 };
    Gpu::numbered(index, power)
}

/// Every `energy_uj` below a folder, links left aside.
fn counters(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the tree").flatten() {
        let kind = entry.file_type().expect("its kind");
        if kind.is_dir() {
            found.extend(counters(&entry.path()));
        } else if kind.is_file() && entry.file_name() == "energy_uj" {
            found.push(entry.path());
        }
    }
    found
}

/// Lets every counter rise by 10 W, in steps of 10 ms, written in place.
fn keep_moving(paths: &[PathBuf], stop: &AtomicBool) {
    let open = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("a counter");
        let value: u64 = text.trim().parse().expect("a number");
        (File::options().write(true).open(path).expect("a counter"), value)
    };
    let files: Vec<(File, u64)> = paths.iter().map(open).collect();
    let start = clock::now();
    while !stop.load(Ordering::Relaxed) {
        let passed = clock::now().since(start).as_micros() as u64;
        for (file, first) in &files {
            let value = (first + passed * WATTS) % RANGE;
            // One length throughout, so that a reader never sees half a number.
            file.write_all_at(format!("{value:>13}\n").as_bytes(), 0).expect("a write");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
