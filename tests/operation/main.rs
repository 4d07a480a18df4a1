// SPDX-License-Identifier: Apache-2.0
//! Running aimeter: the daemon's signals and log, and the commands beside it, as
//! its owner and as a user without rights. The real binary on stand-ins.

#[path = "../common/rig.rs"]
mod rig;

mod commands;
mod doctor;
mod gpus;
mod packages;
mod rights;
mod signals;
mod units;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nvml_standin::Gpu;
use powercap_standin::{PowercapTree, Trace};
use rig::{Daemon, Rig};

/// Debian's `nobody` and `nogroup`.
const NOBODY: u32 = 65_534;

/// A GPU, a package and its memory.
fn machine() -> Rig {
    let tree =
        PowercapTree::builder().package(0, Trace::constant(100)).dram(0, Trace::constant(20));
    let gpu = Gpu::numbered(0, nvml_standin::Trace::Constant { mw: 250_000 });
    Rig::new(tree, vec![gpu])
}

/// The value of a line of `/metrics` that begins so; `None`: there is no such line.
fn metric(daemon: &Daemon, series: &str) -> Option<f64> {
    let page = daemon.get("/metrics");
    let line = page.lines().find(|line| line.starts_with(series))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits until the GPU has been read.
fn wait_for_gpu(daemon: &Daemon) {
    let series = "aimeter_sensor_up{source=\"nvml\"}";
    rig::eventually("the GPU", || metric(daemon, series).filter(|up| *up == 1.0));
}

/// A copy of the program that everybody may run, and the rig's folder open to all.
fn program_for_all(rig: &Rig) -> PathBuf {
    // `aimeter` is the folder of sockets below XDG_RUNTIME_DIR.
    let copy = rig.path("aimeter-for-all");
    if !copy.exists() {
        copy_program(Path::new(env!("CARGO_BIN_EXE_aimeter")), &copy);
    }
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(rig.folder.path(), open).expect("chmod");
    copy
}

/// Copies a program that is run right after. By another process: a fork of another test
/// would hold a file that this one writes, and it could not be run ("text file busy").
fn copy_program(from: &Path, to: &Path) {
    let status = Command::new("cp").arg(from).arg(to).status().expect("cp");
    assert!(status.success(), "cannot copy {}", from.display());
}

/// `aimeter ARGS` on this rig as `nobody`, in no other group.
fn as_nobody(rig: &Rig, args: &[&str]) -> Output {
    as_nobody_with(rig, args, &[])
}

/// The same with more variables.
fn as_nobody_with(rig: &Rig, args: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut own = rig.aimeter(args[0]);
    own.envs(variables.iter().copied());
    let nobody = NOBODY.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
    command.arg(program_for_all(rig)).args(args);
    for (name, value) in own.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.output().expect("setpriv (Debian package util-linux)")
}

/// Exit code, standard output and standard error.
fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// `aimeter ARGS` on this rig.
fn call(rig: &Rig, args: &[&str]) -> (Option<i32>, String, String) {
    let output = rig.aimeter(args[0]).args(&args[1..]).output().expect("the binary");
    said(&output)
}
