// SPDX-License-Identifier: Apache-2.0
//! `aimeter run --progress` in a terminal: a line of its own where the job's output goes
//! elsewhere, else the title, and never a sign between the job's.

use std::process::Command;

use super::live::{Screen, end, job, machine};
use super::pty::Pty;
use super::rig::Rig;

const CLEAR: &str = "\r\x1b[K";

/// `aimeter run ARGS -- sh -c SCRIPT`, started by a shell as its text says (`"$@"`).
fn run(rig: &Rig, text: &str, args: &[&str], script: &str) -> Command {
    let run = rig.aimeter("run");
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "-c", text, "bash"]).arg(run.get_program());
    shell.args(["run", "--progress", "--gpus", "0"]).args(args).args(["--", "sh", "-c", script]);
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.env("TERM", "xterm-256color").current_dir(rig.folder.path());
    shell
}

/// Waits for the file `go`.
const UNTIL_GO: &str = "echo first; until [ -e go ]; do sleep 0.05; done; echo last";

fn go(rig: &Rig) {
    std::fs::write(rig.path("go"), "").unwrap();
}

fn is_line(lines: &[&str]) -> bool {
    // A GPU of 100 W, and a little of the package.
    lines.first().is_some_and(|line| {
        line.starts_with("aimeter: 1") && line.contains(" W  ") && line.contains(" CO2e  0:")
    })
}

fn check_line(rig: &Rig, args: &[&str]) {
    let mut screen = Screen::of(run(rig, "exec \"$@\" > log 2>&1", args, UNTIL_GO));
    screen.until("the line", is_line);
    go(rig);
    screen.until("an empty screen", |lines| lines.iter().all(|line| line.trim().is_empty()));
    assert!(screen.pty.wait().success());
    let log = std::fs::read_to_string(rig.path("log")).unwrap();
    assert!(log.starts_with("first\nlast\naimeter: sh took "), "{log}");
    assert!(!log.contains('\x1b'), "{log}");
}

#[test]
fn a_line_of_the_daemons_figures_and_nothing_of_it_in_the_jobs_output() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    check_line(&rig, &[]);
    // The figures are the job's own, whoever draws more.
    let other = job(&rig, &daemon, "other", "1");
    std::fs::remove_file(rig.path("go")).unwrap();
    check_line(&rig, &[]);
    end(other);
}

#[test]
fn a_line_without_a_daemon() {
    check_line(&machine(), &["--standalone"]);
}

#[test]
fn a_job_that_writes_to_the_terminal_has_its_figures_in_the_title() {
    let rig = machine();
    let mut pty = Pty::spawn(run(&rig, "exec \"$@\"", &["--standalone"], UNTIL_GO));
    pty.expect(
        "aimeter: --progress: the job writes to this terminal; see the terminal's title\r\n",
    );
    assert_eq!(pty.line(), "first");
    assert_eq!(pty.expect("\x1b]2;aimeter: "), "\x1b[22;2t");
    assert!(pty.expect("\x07").contains(" CO2e  0:"));
    go(&rig);
    let titles = pty.expect("last\r\n");
    let rest = titles.split('\x07').find(|part| !part.starts_with("\x1b]2;") && !part.is_empty());
    assert_eq!(rest, None, "{titles:?}");
    let titles = pty.expect("\x1b[23;2t");
    assert!(!titles.contains('\n'), "{titles:?}");
    pty.expect("aimeter: sh took ");
    assert!(pty.wait().success());
}

#[test]
fn a_terminal_without_a_title_or_no_terminal_has_nothing_and_it_is_said_once() {
    let rig = machine();
    go(&rig);
    let mut dumb = run(&rig, "exec \"$@\"", &["--standalone"], UNTIL_GO);
    dumb.env("TERM", "dumb");
    let mut pty = Pty::spawn(dumb);
    pty.expect("aimeter: --progress: this terminal has no place for it beside the job's output");
    let text = pty.expect("took ");
    assert!(!text.contains("--progress") && !text.contains("\x1b]"), "{text:?}");
    assert!(pty.wait().success());

    let mut none = Command::new("setsid");
    let run = run(&rig, "exec \"$@\"", &["--standalone"], UNTIL_GO);
    none.arg("--wait").arg(run.get_program()).args(run.get_args()).current_dir(rig.folder.path());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => none.env(name, value),
            None => none.env_remove(name),
        };
    }
    let output = none.output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("aimeter: sh took "));
}

#[test]
fn ctrl_z_takes_the_line_away_and_fg_brings_it_back() {
    let rig = machine();
    let wrapped =
        run(&rig, "", &["--standalone"], "trap 'exit 3' INT; while :; do sleep 0.05; done");
    let mut shell = Command::new("bash");
    shell.args(["--norc", "--noprofile", "--noediting", "-i"]).env("PS1", "");
    for (name, value) in wrapped.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(rig.folder.path());
    let mut pty = Pty::spawn(shell);
    // What follows `-c TEXT bash`: the program and its arguments.
    let words = wrapped.get_args().skip(5);
    let words: Vec<String> =
        words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''"))).collect();
    pty.send(&format!("{} > log 2>&1\n", words.join(" ")));
    for _ in 0..2 {
        pty.expect("\raimeter: ");
        pty.send("\x1a");
        let text = pty.expect("Stopped");
        let cleared = text.rfind(CLEAR).expect("the line is cleared");
        let drawn = text.rfind("\raimeter: ").unwrap_or(0);
        assert!(drawn < cleared, "{text:?}");
        pty.send("fg\n");
    }
    pty.expect("\raimeter: ");
    pty.send("\x03");
    pty.send("echo code\"\"=$?; exit\n");
    let text = pty.expect("code=3");
    assert!(text.contains(CLEAR), "{text:?}");
    assert!(pty.wait().success());
}
