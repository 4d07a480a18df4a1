// SPDX-License-Identifier: Apache-2.0
//! How a command ends, the wrapper ends.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};

use nix::libc;
use tempfile::tempdir;

use super::support::*;
use crate::program;

#[test]
fn every_exit_code_is_the_commands_own() {
    for code in 0..=255 {
        let output = run(script(&format!("exit {code}")));
        assert_eq!(output.status.code(), Some(code));
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
    }
}

#[test]
fn a_deadly_signal_kills_the_wrapper_too_and_leaves_no_core_of_its_own() {
    let folder = tempdir().unwrap();
    for number in [1, 2, 3, 6, 9, 11, 13, 14, 15, 31, 34, 64] {
        let mut command = script(&format!("ulimit -S -c 0; kill -{number} $$"));
        command.current_dir(&folder);
        // SAFETY: one system call.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::RLIM_INFINITY;
                let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
                libc::setrlimit(libc::RLIMIT_CORE, &limit);
                Ok(())
            })
        };
        let status = run(command).status;
        assert_eq!(status.signal(), Some(number));
        assert!(!status.core_dumped(), "{number}");
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_command_that_cannot_be_run_is_told_in_one_line() {
    let folder = tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "").unwrap();
    let check = |command: &str, code, reason: &str| {
        let mut wrapped = program();
        wrapped.arg(command);
        let output = run(wrapped);
        assert_eq!(output.status.code(), Some(code), "{command}");
        assert!(output.stdout.is_empty());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(reason) && told.lines().count() == 1, "{told}");
    };
    check("no-such-command", 127, "cannot run `no-such-command`: command not found");
    check("/no/such/command", 127, "command not found");
    check("", 127, "command not found");
    check("/", 126, "Permission denied");
    check("/etc/passwd/x", 126, "Not a directory");
    check(plain.to_str().unwrap(), 126, "Permission denied");
}

#[test]
fn a_script_without_an_interpreter_line_is_run_by_the_shell() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("tool");
    std::fs::write(&file, "echo \"$0 $1 $2\"; exit 7\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = program();
    let path = format!("/no/such/folder:/etc/passwd:{}", folder.path().display());
    command.args(["tool", "a b", "c"]).env("PATH", path);
    let output = run(command);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, format!("{} a b c\n", file.display()));
    assert_eq!(output.status.code(), Some(7));
}
