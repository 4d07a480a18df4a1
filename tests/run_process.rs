// SPDX-License-Identifier: Apache-2.0
//! `aimeter run` behaves as the command that it runs, with metering around it: the
//! cases of the wrapper alone, once more.

#[path = "common/pty.rs"]
mod pty;
mod wrapper;

use std::process::Command;

/// `aimeter run` on a machine without sensors and without a daemon.
fn program() -> Command {
    let mut program = Command::new("/usr/bin/env");
    program.args([
        "AIMETER_QUIET=1",
        "AIMETER_SYSFS=/var/empty",
        "AIMETER_SOCKET=/var/empty/no.sock",
        "AIMETER_NVML_LIBRARY=/var/empty/no.so",
        "AIMETER_CONFIG=/dev/null",
        env!("CARGO_BIN_EXE_aimeter"),
        "run",
        "--",
    ]);
    program
}
