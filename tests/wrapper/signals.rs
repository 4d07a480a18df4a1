// SPDX-License-Identifier: Apache-2.0
//! Signals to the wrapper's pid reach the command, once.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::libc;
use tempfile::tempdir;

use super::support::*;
use crate::pty::ended;

#[test]
fn a_signal_to_the_wrappers_pid_reaches_the_command_once() {
    let numbers = [1, 2, 3, 6, 10, 13, 14, 15, 18, 20, 21, 22, 23, 26, 27, 28, 29, 30, 34, 64];
    let (mut wrapper, mut output) = start(probe(&numbers));
    assert!(line(&mut output).starts_with("ready"));
    for number in numbers.into_iter().filter(|number| *number != libc::SIGCONT) {
        // The second tells that the first came once: signals are passed on in order.
        for number in [number, 64] {
            kill(pid_of(&wrapper), number);
            assert_eq!(line(&mut output), format!("got {number}"));
        }
    }
    kill(pid_of(&wrapper), libc::SIGUSR2);
    assert_eq!(line(&mut output), "");
    assert_eq!(ended(&mut wrapper).code(), Some(3));
}

#[test]
fn under_nohup_a_hang_up_reaches_only_a_command_that_wants_it() {
    let mut command = Command::new("nohup");
    let wrapped = probe(&[libc::SIGHUP, libc::SIGUSR1]);
    command.arg(wrapped.get_program()).args(wrapped.get_args()).stderr(Stdio::null());
    let (mut wrapper, mut output) = start(command);
    assert!(line(&mut output).starts_with("ready"));
    kill(pid_of(&wrapper), libc::SIGHUP);
    assert_eq!(line(&mut output), "got 1");
    kill(pid_of(&wrapper), libc::SIGUSR2);
    assert_eq!(ended(&mut wrapper).code(), Some(3));

    let mut command = Command::new("nohup");
    let wrapped = script("echo ready; read line; echo went on");
    command.arg(wrapped.get_program()).args(wrapped.get_args()).stderr(Stdio::null());
    let (mut wrapper, mut output) = start(command);
    assert_eq!(line(&mut output), "ready");
    kill(pid_of(&wrapper), libc::SIGHUP);
    drop(wrapper.stdin.take());
    assert_eq!(line(&mut output), "went on");
    assert!(ended(&mut wrapper).success());
}

#[test]
fn a_script_in_the_same_process_group_can_end_the_command() {
    let folder = tempdir().unwrap();
    let wrapped = script("trap 'exit 9' TERM; echo > fifo; while :; do sleep 0.01; done");
    let text = format!(
        "mkfifo fifo; {} & read line < fifo; kill -TERM $!; wait $!; echo $?",
        shell_line(&wrapped)
    );
    let mut command = Command::new("sh");
    command.args(["-c", &text]).current_dir(&folder);
    assert_eq!(run(command).stdout, b"9\n");
}

#[test]
fn what_the_command_sends_to_its_own_group_comes_once() {
    let mut command = script(
        "trap 'echo term' TERM; trap 'echo usr1; exit 6' USR1; kill -TERM 0; echo sent; \
         while :; do sleep 0.01; done",
    );
    command.process_group(0);
    let (mut wrapper, mut output) = start(command);
    let mut lines = [line(&mut output), line(&mut output)];
    lines.sort();
    assert_eq!(lines, ["sent", "term"]);
    kill(pid_of(&wrapper), libc::SIGUSR1);
    assert_eq!(line(&mut output), "usr1");
    assert_eq!(ended(&mut wrapper).code(), Some(6));
}

#[test]
fn a_command_that_another_stops_does_not_stop_the_wrapper() {
    let (mut wrapper, mut output) = start(probe(&[libc::SIGUSR1]));
    let ready = line(&mut output);
    let command: i32 = ready.split(' ').nth(1).unwrap().parse().unwrap();
    kill(command, libc::SIGSTOP);
    until_state(command, Some('T'));
    kill(pid_of(&wrapper), libc::SIGUSR1);
    kill(pid_of(&wrapper), libc::SIGCONT);
    assert_eq!(line(&mut output), "got 10");
    kill(pid_of(&wrapper), libc::SIGUSR2);
    assert_eq!(ended(&mut wrapper).code(), Some(3));
}

#[test]
fn a_stop_sent_to_the_wrappers_pid_stops_both_and_a_continue_continues_both() {
    let (mut wrapper, mut output) = start(probe(&[]));
    let ready = line(&mut output);
    let command = ready.split(' ').nth(1).unwrap().parse().unwrap();
    kill(pid_of(&wrapper), libc::SIGTSTP);
    until_state(command, Some('T'));
    until_state(pid_of(&wrapper), Some('T'));
    kill(pid_of(&wrapper), libc::SIGCONT);
    kill(pid_of(&wrapper), libc::SIGUSR2);
    assert_eq!(ended(&mut wrapper).code(), Some(3));
}
