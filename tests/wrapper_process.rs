// SPDX-License-Identifier: Apache-2.0
//! A command under the wrapper behaves as without it: ends, signals, terminal,
//! descriptors. Where it can be, the truth is the same command run without it.

#![allow(clippy::disallowed_methods, reason = "patience and measurement, outside the program")]

#[path = "common/pty.rs"]
mod pty;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use pty::{Pty, ended, readable};
use tempfile::tempdir;

/// The program under test; a command is to be appended.
fn program() -> Command {
    let mut program = Command::new(example("wrap"));
    program.arg("--");
    program
}

/// The program under test and `sh -c SCRIPT` below it.
fn script(text: &str) -> Command {
    let mut command = program();
    command.args(["sh", "-c", text]);
    command
}

/// The program under test and the probe of these signals below it.
fn probe(numbers: &[i32]) -> Command {
    let mut command = program();
    command.arg(example("probe")).args(numbers.iter().map(i32::to_string));
    command
}

/// An example of this package, built.
fn example(name: &str) -> PathBuf {
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
fn shell_line(command: &Command) -> String {
    let quoted =
        |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', r"'\''"));
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Runs it to its end, with nothing on standard input.
#[track_caller]
fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It fits in the pipes.
    ended(&mut child);
    child.wait_with_output().unwrap()
}

/// Starts it with pipes on standard input and output.
fn start(mut command: Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

#[track_caller]
fn line(output: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    assert!(!output.buffer().is_empty() || readable(output.get_ref()), "nothing came");
    output.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn kill(pid: i32, number: i32) {
    // SAFETY: takes no pointer.
    assert_eq!(unsafe { libc::kill(pid, number) }, 0);
}

fn pid_of(child: &Child) -> i32 {
    child.id().try_into().unwrap()
}

/// State and parent of a process; `None` once it is reaped.
fn process(pid: i32) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Waits, within reason, until a process is in this state (`None`: reaped).
#[track_caller]
fn until_state(pid: i32, state: Option<char>) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while process(pid).map(|(now, _)| now) != state {
        assert!(Instant::now() < deadline, "{pid} is {:?} and not {state:?}", process(pid));
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An interactive shell with job control in a terminal.
fn shell() -> Pty {
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "--noediting", "-i"]).env("PS1", "");
    Pty::spawn(command)
}

// === Birth ===

#[test]
fn the_command_is_born_in_its_own_cgroup_and_never_moved() {
    let mut command = program();
    command.args(["cat", "/proc/self/cgroup"]);
    let output = String::from_utf8(run(command).stdout).unwrap();
    let own = output.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let name = own.rsplit('/').next().unwrap();
    assert!(name.starts_with("aimeter-"), "{output}; this test needs root and cgroup v2");
}

// === Ends ===

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

// === What the command is given ===

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

// === Signals to the wrapper's pid ===

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

// === The terminal ===

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

// === Orphans ===

#[test]
fn an_orphan_is_adopted_and_reaped_while_the_command_runs() {
    let folder = tempdir().unwrap();
    let mut command =
        script("mkfifo fifo; (sh -c 'echo $$; read line < fifo; exit 0' &); read line; exit 8");
    command.current_dir(&folder);
    let (mut wrapper, mut output) = start(command);
    let orphan: i32 = line(&mut output).parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while process(orphan).unwrap().1 != pid_of(&wrapper) {
        assert!(Instant::now() < deadline, "not adopted: {:?}", process(orphan));
        std::thread::sleep(Duration::from_millis(1));
    }
    std::fs::write(folder.path().join("fifo"), "\n").unwrap();
    until_state(orphan, None);
    assert!(wrapper.try_wait().unwrap().is_none());
    drop(wrapper.stdin.take());
    assert_eq!(ended(&mut wrapper).code(), Some(8));
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
