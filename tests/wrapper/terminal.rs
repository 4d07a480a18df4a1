// SPDX-License-Identifier: Apache-2.0
//! The terminal's keys do to a command what they do without the wrapper.

#![allow(clippy::disallowed_methods, reason = "patience, outside the program")]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

use nix::libc;

use super::support::*;
use crate::program;
use crate::pty::Pty;

#[test]
fn ctrl_c_kills_the_command_and_the_wrapper_dies_as_it_did() {
    let mut pty = Pty::spawn(script("echo ready; exec sleep 1000"));
    pty.expect("ready");
    pty.send("\x03");
    assert_eq!(pty.wait().signal(), Some(libc::SIGINT));
}

#[test]
fn each_ctrl_c_reaches_a_command_that_traps_it_once() {
    let mut pty = Pty::spawn(probe(&[libc::SIGINT, libc::SIGQUIT, libc::SIGUSR1]));
    pty.expect("ready");
    pty.line();
    for (key, number) in [("\x03", libc::SIGINT), ("\x1c", libc::SIGQUIT)].repeat(10) {
        pty.send(key);
        // The terminal shows the key too.
        assert!(pty.line().ends_with(&format!("got {number}")));
        kill(pty.pid(), libc::SIGUSR1);
        assert_eq!(pty.line(), "got 10");
    }
    kill(pty.pid(), libc::SIGUSR2);
    assert_eq!(pty.wait().code(), Some(3));
}

#[test]
fn a_new_terminal_size_reaches_the_command_once() {
    let mut pty = Pty::spawn(probe(&[libc::SIGWINCH, libc::SIGUSR1]));
    pty.expect("ready");
    pty.line();
    for columns in 101..110 {
        pty.resize(30, columns);
        assert_eq!(pty.line(), "got 28");
        kill(pty.pid(), libc::SIGUSR1);
        assert_eq!(pty.line(), "got 10");
    }
    kill(pty.pid(), libc::SIGUSR2);
    assert_eq!(pty.wait().code(), Some(3));
}

#[test]
fn a_hang_up_reaches_the_command_of_a_wrapper_that_leads_the_session() {
    let text = "trap 'kill $!; exit 4' HUP; sleep 1000 & echo ready; wait";
    let mut pty = Pty::spawn(script(text));
    pty.expect("ready");
    assert_eq!(pty.hang_up().code(), Some(4));
}

#[test]
fn ctrl_c_reaches_a_command_in_a_group_of_its_own() {
    let mut wrapped = program();
    wrapped.args(["timeout", "1000", "sh", "-c", "echo ready; exec sleep 1000"]);
    let mut pty = Pty::spawn(wrapped);
    pty.expect("ready");
    pty.send("\x03");
    let alone = {
        let mut command = Command::new("timeout");
        command.args(["1000", "sh", "-c", "echo ready; exec sleep 1000"]);
        let mut pty = Pty::spawn(command);
        pty.expect("ready");
        pty.send("\x03");
        pty.wait()
    };
    // `timeout` dies of the signal or, where it sees its command's end first, exits
    // with 128 + SIGINT: which one is its own race.
    let interrupted = |status: ExitStatus| match ends(status) {
        (Some(130), None) => (None, Some(2)),
        other => other,
    };
    assert_eq!(interrupted(pty.wait()), interrupted(alone));
}

fn ends(status: ExitStatus) -> (Option<i32>, Option<i32>) {
    (status.code(), status.signal())
}

#[test]
fn ctrl_z_stops_both_and_fg_continues_both() {
    let mut shell = shell();
    // The marks are written in two parts, as the terminal shows what is typed.
    let wrapped = script("echo re\"\"ady $$ $PPID; read line; echo g\"\"ot $line; exit 5");
    shell.send(&format!("{}\n", shell_line(&wrapped)));
    shell.expect("ready ");
    let pids: Vec<i32> = shell.line().split(' ').map(|pid| pid.parse().unwrap()).collect();
    for word in ["one", "two"] {
        shell.send("\x1a");
        shell.expect("Stopped");
        for pid in &pids {
            assert_eq!(process(*pid).unwrap().0, 'T', "after Ctrl-Z {word}");
        }
        shell.send("fg\n");
        pids.iter().for_each(|pid| until_state(*pid, Some('S')));
    }
    shell.send("hello\n");
    shell.expect("got hello");
    shell.send("echo code\"\"=$?; exit\n");
    shell.expect("code=5");
    assert!(shell.wait().success());
}

#[test]
fn ctrl_z_that_the_command_ignores_does_not_stop_the_wrapper() {
    let mut shell = shell();
    let wrapped = script("trap \"\" TSTP; echo re\"\"ady; read line; echo g\"\"ot $line; exit 5");
    shell.send(&format!("{}\n", shell_line(&wrapped)));
    shell.expect("ready");
    shell.send("\x1ahello\n");
    shell.expect("got hello");
    shell.send("echo code\"\"=$?; exit\n");
    shell.expect("code=5");
    assert!(shell.wait().success());
}

#[test]
fn a_command_in_the_background_that_reads_the_terminal_stops_with_the_wrapper() {
    let mut shell = shell();
    let wrapped = script("read line < /dev/tty; echo g\"\"ot $line; exit 5");
    shell.send(&format!("{} &\n", shell_line(&wrapped)));
    shell.send("wait %1; jobs\n");
    shell.expect("Stopped");
    shell.send("fg\n");
    shell.expect("read line");
    shell.send("hello\n");
    shell.expect("got hello");
    shell.send("echo code\"\"=$?; exit\n");
    shell.expect("code=5");
    assert!(shell.wait().success());
}
