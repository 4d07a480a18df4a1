// SPDX-License-Identifier: Apache-2.0
//! A command under the wrapper behaves as without it: ends, signals, terminal,
//! descriptors. Where it can be, the truth is the same command run without it. The
//! wrapper alone, without metering; `run_process` tests the same of `aimeter run`.

#[path = "common/pty.rs"]
mod pty;
mod wrapper;

use std::io::Read;
use std::process::Command;

use nix::libc;
use std::os::unix::process::ExitStatusExt;
use tempfile::tempdir;

use pty::ended;
use wrapper::support::*;

/// The program under test; a command is to be appended.
fn program() -> Command {
    let mut program = Command::new(example("wrap"));
    program.arg("--");
    program
}

#[test]
fn a_command_whose_wrapper_is_killed_before_the_release_never_begins() {
    let folder = tempdir().unwrap();
    let mark = folder.path().join("mark");
    let mut command = Command::new(example("wrap"));
    command.args(["--hold", "--", "touch"]).arg(&mark);
    let (mut wrapper, mut output) = start(command);
    let held = line(&mut output).parse().unwrap();
    assert_eq!(process(held).unwrap().1, pid_of(&wrapper));
    kill(pid_of(&wrapper), libc::SIGKILL);
    assert_eq!(ended(&mut wrapper).signal(), Some(libc::SIGKILL));
    let mut rest = String::new();
    // The held child has the pipe too: its end is the end of both.
    output.read_to_string(&mut rest).unwrap();
    assert!(!mark.exists());
}

#[test]
fn a_held_command_begins_when_it_is_released() {
    let mut command = Command::new(example("wrap"));
    command.args(["--hold", "--", "sh", "-c", "echo $$ $AIMETER_JOB_ID"]);
    let (mut wrapper, mut output) = start(command);
    let held = line(&mut output);
    drop(wrapper.stdin.take());
    assert_eq!(line(&mut output), format!("{held} the-job"));
    assert!(ended(&mut wrapper).success());
}

#[test]
fn the_outcome_tells_of_what_still_runs_and_what_was_used() {
    let folder = tempdir().unwrap();
    let check = |text: &str, expected: &str| {
        let mut command = Command::new(example("wrap"));
        command.args(["--report", "report", "--", "sh", "-c", text]).current_dir(&folder);
        let (mut wrapper, mut output) = start(command);
        let left = line(&mut output).parse::<i32>();
        assert_eq!(ended(&mut wrapper).code(), Some(2));
        let report = std::fs::read_to_string(folder.path().join("report")).unwrap();
        assert!(report.contains("exit: Code(2)") && report.contains(expected), "{report}");
        assert!(!report.contains("peak_resident_bytes: 0 "), "{report}");
        if let Ok(left) = left {
            kill(left, libc::SIGKILL);
        }
    };
    check("echo; exit 2", "adopted_left: false");
    check("sleep 1000 > /dev/null & echo $!; exit 2", "adopted_left: true");
}
