// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench compare` and `bench table`: the real binary on records of campaigns whose
//! truth is known.

#[path = "../bench_record/mod.rs"]
mod bench_record;
mod campaigns;
#[path = "../common/chromium.rs"]
mod chromium;
mod compare;
mod page;
mod table;

use std::process::{Command, Stdio};

/// The program with its first arguments.
fn aimeter(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
    command.args(args).stdin(Stdio::null());
    command
}

/// What it prints where all goes well.
fn printed(command: &mut Command) -> String {
    let output = command.output().expect("the binary");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Its exit code and what it says on standard error.
fn failed(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("the binary");
    assert_eq!(output.stdout, b"", "{}", String::from_utf8_lossy(&output.stdout));
    let words = String::from_utf8(output.stderr).expect("text");
    (output.status.code().expect("an exit code"), words)
}
