// SPDX-License-Identifier: Apache-2.0
//! What the tests of a wrapper share: starting the program under test, its lines,
//! the states of processes. Every wait is bounded.

#![allow(dead_code, reason = "each test crate uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "patience, outside the program")]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::libc;

use crate::program;
use crate::pty::{Pty, ended, readable};

/// The program under test and `sh -c SCRIPT` below it.
pub fn script(text: &str) -> Command {
    let mut command = program();
    command.args(["sh", "-c", text]);
    command
}

/// The program under test and the probe of these signals below it.
pub fn probe(numbers: &[i32]) -> Command {
    let mut command = program();
    command.arg(example("probe")).args(numbers.iter().map(i32::to_string));
    command
}

/// An example of this package, built.
pub fn example(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let built = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--example", "wrap", "--example", "probe"])
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status();
            assert!(built.unwrap().success());
            let test = std::env::current_exe().unwrap();
            test.ancestors().nth(2).unwrap().join("examples")
        })
        .join(name)
}

/// The command's words as one line for a shell.
pub fn shell_line(command: &Command) -> String {
    let quoted =
        |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''"));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Runs it to its end, with nothing on standard input.
#[track_caller]
pub fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It fits in the pipes.
    ended(&mut child);
    child.wait_with_output().unwrap()
}

/// Starts it with pipes on standard input and output.
pub fn start(mut command: Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

#[track_caller]
pub fn line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    assert!(!output.buffer().is_empty() || readable(output.get_ref()), "nothing came");
    output.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

pub fn kill(pid: i32, number: i32) {
    // SAFETY: takes no pointer.
    assert_eq!(unsafe { libc::kill(pid, number) }, 0);
}

pub fn pid_of(child: &Child) -> i32 {
    child.id().try_into().unwrap()
}

/// State and parent of a process; `None` once it is reaped.
pub fn process(pid: i32) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Waits, within reason, until a process is in this state (`None`: reaped).
#[track_caller]
pub fn until_state(pid: i32, state: Option<char>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while process(pid).map(|(now, _)| now) != state {
        assert!(Instant::now() < deadline, "{pid} is {:?} and not {state:?}", process(pid));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An interactive shell with job control in a terminal.
pub fn shell() -> Pty {
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "--noediting", "-i"]).env("PS1", "");
    Pty::spawn(command)
}
