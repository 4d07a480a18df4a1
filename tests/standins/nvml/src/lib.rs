// SPDX-License-Identifier: Apache-2.0
//! A stand-in for `libnvidia-ml.so.1`: NVML's C symbols over a scripted machine.
//!
//! Loaded by `dlopen` like the real one. Power is a pure function of
//! `CLOCK_BOOTTIME`, so the energy between two moments is known in closed form
//! ([`Script::energy_between`]) in every process that reads the same script.
//! The script is the JSON file named by `AIMETER_STANDIN_NVML`, else
//! `nvml-standin.json` beside the loaded library, and is read again whenever it
//! changes, so that a test makes faults while the program under test runs.

#![allow(non_snake_case)]

mod exports;
mod gpu;
mod layout;
mod machine;
mod script;
mod trace;

use std::io;
use std::path::{Path, PathBuf};

pub use gpu::now_ns;
pub use script::{
    Counter, Driver, Fault, FaultKind, Gpu, MigInstance, Process, SampleBuffer, Script, Sensor,
};
pub use trace::{Level, Trace};

/// The environment variable that names the script.
pub const SCRIPT_VARIABLE: &str = "AIMETER_STANDIN_NVML";

/// The script's name beside the library, where the variable is not set.
pub const SCRIPT_NAME: &str = "nvml-standin.json";

/// The built shared library: next to the running test executable.
///
/// # Panics
/// Where it is not there, saying what to build.
pub fn library_path() -> PathBuf {
    let executable = std::env::current_exe().expect("the path of the running executable");
    let folders = executable.ancestors().skip(1).take(2);
    let candidates: Vec<PathBuf> = folders
        .flat_map(|folder| {
            [folder.join("libnvml_standin.so"), folder.join("deps/libnvml_standin.so")]
        })
        .collect();
    match candidates.iter().find(|path| path.exists()) {
        Some(path) => path.clone(),
        None => panic!("none of {candidates:?} exists; run `cargo build -p nvml-standin`"),
    }
}

/// A copy of the library in a folder of its own, with its script beside it, so
/// that several stand-ins live in one process without sharing state.
pub struct Installed {
    /// What to hand to `--nvml-library`.
    pub library: PathBuf,
    /// The script that this copy reads.
    pub script: PathBuf,
}

impl Installed {
    /// Copies the library to `folder/libnvidia-ml.so.1` and writes the script.
    pub fn new(folder: &Path, script: &Script) -> io::Result<Installed> {
        let installed = Installed {
            library: folder.join("libnvidia-ml.so.1"),
            script: folder.join(SCRIPT_NAME),
        };
        std::fs::copy(library_path(), &installed.library)?;
        script.save(&installed.script)?;
        Ok(installed)
    }

    /// Changes the script while it is in use; the next NVML call sees it.
    pub fn update(&self, change: impl FnOnce(&mut Script)) -> io::Result<()> {
        let mut script = Script::load(&self.script)?;
        change(&mut script);
        script.save(&self.script)
    }
}
