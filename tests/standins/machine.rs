// SPDX-License-Identifier: Apache-2.0
//! Runs a command on a machine of stand-ins, to try aimeter without a GPU:
//! `cargo run --example standins -- COMMAND ARG…`.
//!
//! Two GPUs (100 to 600 W at 1 Hz and at 7 Hz) behind NVML's C symbols, a package
//! with its memory behind powercap. The command finds them by aimeter's ordinary
//! options, given as environment variables. The folder goes when the command ends.
//! Needs root and /dev/fuse.

use std::error::Error;
use std::process::{Command, ExitCode};

use nvml_standin::{Gpu, Installed, Script, Trace};
use powercap_standin::PowercapTree;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("standins: {error}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).skip_while(|word| word == "--");
    let program = arguments.next().ok_or("no command; write `standins COMMAND ARG…`")?;
    let folder = tempfile::tempdir()?;

    let mount = folder.path().join("sys");
    std::fs::create_dir(&mount)?;
    let tree = PowercapTree::builder()
        .package(0, powercap_standin::Trace::square(80, 240, 3))
        .dram(0, powercap_standin::Trace::constant(25))
        .mount(&mount)?;

    let wave = |hz| Trace::Square { low_mw: 100_000, high_mw: 600_000, hz, duty: 0.5, phase: 0.0 };
    let gpus = vec![Gpu::numbered(0, wave(1.0)), Gpu::numbered(1, wave(7.0))];
    let nvml = Installed::new(folder.path(), &Script::starting_now(gpus))?;

    let status = Command::new(&program)
        .args(arguments)
        .env("AIMETER_SYSFS", tree.root())
        .env("AIMETER_NVML_LIBRARY", &nvml.library)
        .env("AIMETER_SOCKET", folder.path().join("aimeter.sock"))
        .env("AIMETER_STATE_DIR", folder.path().join("state"))
        .status()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
