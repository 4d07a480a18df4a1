// SPDX-License-Identifier: Apache-2.0
//! A command is given what it is given without the wrapper: descriptors, signal
//! actions, folder, limits, variables.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::support::*;
use crate::program;
use crate::pty::ended;

#[test]
fn input_and_output_are_the_commands_own() {
    let mut command = program();
    command.arg("cat");
    let (mut wrapper, mut output) = start(command);
    let text = "line\n".repeat(100_000);
    let mut input = wrapper.stdin.take().unwrap();
    let sent = text.clone();
    let writer = std::thread::spawn(move || input.write_all(sent.as_bytes()).unwrap());
    let mut got = String::new();
    output.read_to_string(&mut got).unwrap();
    writer.join().unwrap();
    assert!(got == text);
    assert!(ended(&mut wrapper).success());
}

/// The same command without and with the wrapper, under a setting made by a shell.
#[track_caller]
fn same_with_and_without(setting: &str, text: &str, prepare: fn()) {
    let outputs = [Command::new("env"), program()].map(|mut wrapper| {
        wrapper.args(["sh", "-c", text]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{setting} exec {}", shell_line(&wrapper))]);
        // SAFETY: the functions given here only make system calls.
        unsafe {
            command.pre_exec(move || {
                prepare();
                Ok(())
            })
        };
        let output = run(command);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    });
    assert!(!outputs[0].is_empty());
    assert_eq!(outputs[0], outputs[1], "{setting}");
}

fn nothing() {}

fn block_some_and_ignore_pipe() {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGTSTP, Signal::SIGUSR1] {
        set.add(signal);
    }
    set.thread_block().unwrap();
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGPIPE, Signal::SIGCHLD] {
        // SAFETY: no handler.
        unsafe { sigaction(signal, &ignore) }.unwrap();
    }
}

#[test]
fn signal_actions_and_mask_are_those_that_the_wrapper_was_started_with() {
    let text = "exec grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status";
    same_with_and_without("", text, nothing);
    same_with_and_without("", text, block_some_and_ignore_pipe);
    same_with_and_without("trap '' PIPE;", text, nothing);
    same_with_and_without("trap '' HUP INT QUIT TERM TSTP TTIN TTOU USR1 WINCH;", text, nothing);
}

#[test]
fn an_ignored_sigchld_stays_ignored_for_the_command_and_does_not_hide_its_end() {
    // No shell in between: it would set its own action for SIGCHLD.
    let outputs = [Command::new("env"), program()].map(|mut command| {
        command.args(["grep", "SigIgn", "/proc/self/status"]);
        // SAFETY: the function only makes system calls.
        unsafe {
            command.pre_exec(|| {
                block_some_and_ignore_pipe();
                Ok(())
            })
        };
        let output = run(command);
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    });
    assert_eq!(outputs[0], outputs[1]);
}

#[test]
fn descriptors_are_neither_added_nor_closed() {
    let text = "exec ls /proc/self/fd";
    same_with_and_without("", text, nothing);
    same_with_and_without("exec 7</dev/null 9>/dev/null;", text, nothing);
    same_with_and_without("exec <&-;", text, nothing);
    same_with_and_without("exec <&- 2>&-;", text, nothing);
}

#[test]
fn folder_limits_and_variables_stay() {
    same_with_and_without("cd /usr; umask 27; ulimit -c 0;", "pwd; umask; ulimit -a", nothing);
    same_with_and_without("X='a b'; export X;", "env | grep -v -E '^(_|AIMETER_.*)='", nothing);
}

#[test]
fn a_pipeline_below_ends_by_its_closed_pipe() {
    let output = run(script("yes | head -n 1; exit 4"));
    assert_eq!(output.stdout, b"y\n");
    assert!(output.stderr.is_empty());
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn the_wrapper_in_a_pipeline_dies_of_sigpipe_as_the_command_does() {
    let mut command = program();
    command.arg("yes");
    let text = format!("{} | head -n 1; echo ${{PIPESTATUS[0]}}", shell_line(&command));
    let mut shell = Command::new("bash");
    shell.args(["-c", &text]);
    assert_eq!(run(shell).stdout, b"y\n141\n");
}
