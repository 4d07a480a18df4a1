// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench window` and `bench workload`: the real binary with real shells; inside a
//! metered job, whose record must hold the same counts.

#[path = "common/pty.rs"]
mod pty;
#[path = "common/rig.rs"]
mod rig;

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use powercap_standin::{PowercapTree, Trace};
use serde_json::{Value, json};

use pty::Pty;
use rig::{Rig, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_aimeter");

/// `aimeter bench window` outside of any job, its report in this folder.
fn window(folder: &Path, args: &[&str], script: &str) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AIMETER_") {
            command.env_remove(name);
        }
    }
    command.args(["bench", "window", "--report"]).arg(folder.join("report.json"));
    command.args(args).args(["--", "sh", "-c", script]);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn report(folder: &Path) -> Value {
    let text = std::fs::read(folder.join("report.json")).expect("a report");
    serde_json::from_slice(&text).expect("JSON")
}

/// Runs it to its end.
fn done(args: &[&str], script: &str) -> (Output, Value) {
    let folder = tempfile::tempdir().unwrap();
    let output = window(folder.path(), args, script).output().unwrap();
    let report = report(folder.path());
    (output, report)
}

#[test]
fn runs_are_begun_until_the_time_has_passed_and_none_is_cut() {
    // Each run waits for the next second: more than one begins in 1.1 s, and all end.
    let script = "echo begun >> log; sleep 0.4; echo ended >> log";
    let folder = tempfile::tempdir().unwrap();
    let output = window(folder.path(), &["--least", "1100ms"], script).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = report(folder.path());
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    let runs = report["runs"].as_u64().unwrap();
    assert!(runs >= 2, "{report}");
    assert_eq!(log, "begun\nended\n".repeat(runs as usize));
    assert_eq!((&report["unit"], &report["units"]), (&json!("runs"), &json!(runs as f64)));
    assert_eq!(report["ended_by"], "time");
    let seconds = |name: &str| report[name].as_f64().unwrap();
    assert!(seconds("seconds") >= 1.1 && seconds("shortest_run_seconds") >= 0.4, "{report}");
    let time = |name: &str| report[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let between = time("ended_at").duration_since(time("started_at")).as_secs_f64();
    assert!((between - seconds("seconds")).abs() < 0.01, "{report}");
}

#[test]
fn output_goes_through_unchanged_and_is_counted() {
    // All bytes, a line beyond what is looked at, and an end without a line feed.
    let program = "
import os, sys
every = bytes(range(256)) * 4 + b'\\n'
os.write(1, every + b'did 2\\n' + b'x' * 200000 + b' did 7\\n')
os.write(2, b'did 30\\rdid 400 did 1')";
    let script = format!("python3 -c \"{program}\"");
    let args = ["--least", "0s", "--unit", "things", "--counted-by", "pattern"];
    let args = [args.as_slice(), &["--pattern", r"did (?<count>\d+)"]].concat();
    let (output, report) = done(&args, &script);
    assert!(output.status.success(), "{output:?}");
    let every: Vec<u8> = (0..=255).cycle().take(1_024).collect();
    let long = [b"x".repeat(200_000).as_slice(), b" did 7\n"].concat();
    assert!(output.stdout == [every.as_slice(), b"\ndid 2\n", &long].concat());
    assert_eq!(output.stderr, b"did 30\rdid 400 did 1");
    assert_eq!((&report["unit"], &report["units"]), (&json!("things"), &json!(433.0)));
    assert_eq!(report["notes"], json!(["of 1 lines only the first 64 KiB were looked at"]));
}

#[test]
fn a_run_that_fails_ends_the_window_and_its_units_do_not_count() {
    let script = "echo unit; if [ -e second ]; then echo unit; exit 7; fi; touch second";
    let args = ["--least", "1h", "--counted-by", "pattern", "--pattern", "unit"];
    let (output, report) = done(&args, script);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"unit\nunit\nunit\n");
    assert_eq!((&report["runs"], &report["units"]), (&json!(1), &json!(1.0)));
    assert_eq!(report["ended_by"], "failure");
    assert_eq!(report["exit"], json!({"code": 7, "signal": null}));
    let (output, report) = done(&["--least", "1h"], "kill -KILL $$");
    assert_eq!(output.status.signal(), Some(9));
    assert_eq!(report["exit"], json!({"code": null, "signal": 9}));
}

#[test]
fn a_command_that_is_not_there_is_told_by_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &str| {
        let mut window = Command::new(BINARY);
        window.args(["bench", "window", "--report"]).arg(folder.path().join("report.json"));
        window.args(["--", command]).output().unwrap()
    };
    let output = run("/nonexistent/command");
    assert_eq!(output.status.code(), Some(127));
    assert_eq!(run("/etc/passwd").status.code(), Some(126));
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(message, "aimeter: cannot run `/nonexistent/command`: command not found\n");
}

#[test]
fn a_run_that_reaches_its_quality_is_ended_with_all_that_it_started() {
    // The grandchild loses its parent at once, and holds the pipe open.
    let script = "sleep 1000 & echo $! > pid; echo accuracy 0.5; echo accuracy: 0.95; wait";
    let folder = tempfile::tempdir().unwrap();
    let args = ["--least", "0s", "--quality", "accuracy>=0.9"];
    let output = window(folder.path(), &args, script).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = report(folder.path());
    assert_eq!((&report["runs"], &report["units"]), (&json!(1), &json!(1.0)));
    assert_eq!(report["quality"]["reached_seconds"].as_array().unwrap().len(), 1);
    assert_eq!((&report["quality"]["last"], &report["unit"]), (&json!(0.95), &json!("accuracy")));
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "process {pid} goes on");
}

#[test]
fn a_run_that_ignores_the_request_to_end_is_killed() {
    // It takes the whole grace of 10 s: nothing else tells that it was used.
    let script = "trap '' TERM; echo loss=0.1; while :; do sleep 1; done";
    let (output, report) = done(&["--least", "0s", "--quality", "loss<=0.2"], script);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(report["exit"], json!({"code": null, "signal": 9}));
    assert!(report["seconds"].as_f64().unwrap() >= 10.0, "{report}");
    assert_eq!(report["units"], 1.0);
}

#[test]
fn a_run_that_never_reaches_its_quality_counts_for_nothing() {
    let args = ["--least", "0s", "--counted-by", "pattern", "--quality", "score>=10"];
    let args = [args.as_slice(), &["--pattern", "result (?<value>[0-9.]+)"]].concat();
    let (output, report) = done(&args, "echo result 9.9; echo result 1.2.3; echo score 11");
    assert!(output.status.success(), "{output:?}");
    assert_eq!((&report["runs"], &report["units"]), (&json!(1), &json!(0.0)));
    assert_eq!(
        (&report["quality"]["missed"], &report["quality"]["last"]),
        (&json!(1), &json!(9.9))
    );
    let notes = report["notes"].to_string();
    assert!(notes.contains("1 runs did not reach the quality"), "{notes}");
    assert!(notes.contains("1 matches of the pattern held no number"), "{notes}");
}

#[test]
fn a_signal_reaches_the_command_and_no_further_run_is_begun() {
    // The command catches it and ends with 0, as if nothing had been.
    let script = "trap 'echo caught; exit 0' TERM; echo up > up; while :; do sleep 0.05; done";
    let folder = tempfile::tempdir().unwrap();
    let mut command = window(folder.path(), &["--least", "1h"], script);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    eventually("the command", || folder.path().join("up").exists().then_some(()));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(15));
    assert_eq!(output.stdout, b"caught\n");
    let report = report(folder.path());
    assert_eq!((&report["runs"], &report["interrupted_by"]), (&json!(1), &json!(15)));
    assert_eq!(report["ended_by"], "interrupt");
}

#[test]
fn a_key_of_the_terminal_reaches_the_command_once() {
    let script =
        "trap 'echo caught' INT; echo up; until read line; do :; done; echo got $line; exit 3";
    let folder = tempfile::tempdir().unwrap();
    let args = ["--least", "1h", "--counted-by", "pattern", "--pattern", "x"];
    let mut command = window(folder.path(), &args, script);
    command.stdin(Stdio::piped());
    let mut pty = Pty::spawn(command);
    pty.expect("up");
    pty.send("\x03");
    pty.expect("caught");
    pty.send("on\n");
    let between = pty.expect("got on");
    assert!(!between.contains("caught"), "{between:?}");
    assert_eq!(pty.wait().code(), Some(3));
    assert_eq!(report(folder.path())["ended_by"], "interrupt");
}

#[test]
fn what_nohup_ignores_does_not_interrupt() {
    let folder = tempfile::tempdir().unwrap();
    let script = "kill -HUP $PPID; touch ended";
    let inner = window(folder.path(), &["--least", "0s"], script);
    let mut outer = Command::new("sh");
    outer.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(inner.get_program());
    let output = outer.args(inner.get_args()).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(report(folder.path())["interrupted_by"], Value::Null);
}

#[test]
fn a_reader_that_goes_away_is_seen_by_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--least", "1h", "--counted-by", "pattern", "--pattern", "y"];
    let mut command = window(folder.path(), &args, "exec yes");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = pty::ended(&mut child);
    assert_eq!(status.signal(), Some(13));
    assert_eq!(report(folder.path())["exit"]["signal"], 13);
}

#[test]
fn what_a_run_leaves_behind_is_waited_for_and_then_ended() {
    let folder = tempfile::tempdir().unwrap();
    let script = "sleep 1000 > /dev/null 2>&1 & echo $! > pid";
    let output = window(folder.path(), &["--least", "0s"], script).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = report(folder.path());
    let notes = report["notes"].to_string();
    assert!(notes.contains("1 runs left processes behind"), "{notes}");
    assert!(report["seconds"].as_f64().unwrap() >= 10.0, "{report}");
    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "process {pid} goes on");
}

/// A machine of one package of 100 W.
fn machine() -> Rig {
    Rig::new(PowercapTree::builder().package(0, Trace::constant(100)), vec![])
}

/// The units of a record by name.
fn work(record: &Value) -> Vec<(&str, f64)> {
    let units = record["work"].as_array().expect("work").iter();
    units.map(|unit| (unit["unit"].as_str().unwrap(), unit["count"].as_f64().unwrap())).collect()
}

#[test]
fn the_jobs_record_holds_the_windows_counts() {
    let rig = machine();
    let file = rig.path("report.json");
    let file = file.to_str().unwrap();
    let inside = [BINARY, "bench", "window", "--least", "1s", "--report", file];
    let pattern = ["--unit", "items", "--counted-by", "pattern", "--pattern", r"did (?<count>\S+)"];
    let script = ["--", "sh", "-c", "echo did 2.5; sleep 0.1; echo did 3"];
    let run = rig.run(&["--standalone"], &[&inside[..], &pattern, &script].concat());
    assert!(run.output.status.success(), "{}", run.stderr);
    let report = report(rig.folder.path());
    let units = report["units"].as_f64().unwrap();
    assert_eq!(units, report["runs"].as_f64().unwrap() * 5.5);
    assert_eq!(work(&run.record), [("items", units)]);
}

/// Workers that see their parent's end and end a moment later (joblib's do) made a job
/// that had not ended, and a repetition without a duration.
#[test]
fn workers_that_end_after_the_command_belong_to_the_run() {
    let rig = machine();
    let file = rig.path("report.json");
    let inside = [BINARY, "bench", "window", "--least", "0s", "--report", file.to_str().unwrap()];
    let worker = "(sleep 0.5; echo late) &";
    let run = rig.run(&["--standalone"], &[&inside[..], &["--", "sh", "-c", worker]].concat());
    assert!(run.output.status.success(), "{}", run.stderr);
    assert_eq!(run.output.stdout, b"late\n");
    assert_eq!(run.record["job"]["state"], "finished");
    let report = report(rig.folder.path());
    assert_eq!(report["notes"], json!([]));
    let seconds = |value: &Value| value.as_f64().unwrap();
    assert!(seconds(&report["seconds"]) >= 0.5, "{report}");
    assert!(seconds(&run.record["job"]["duration_seconds"]) >= 0.5, "{}", run.record);
}

#[test]
fn the_built_in_workloads_mark_their_units_in_the_job() {
    let rig = machine();
    let file = rig.path("report.json");
    let file = file.to_str().unwrap();
    let inside = [BINARY, "bench", "window", "--least", "0s", "--counted-by", "mark"];
    for (name, size, unit, units) in
        [("matrix", "64", "products", 8.0), ("training", "128", "samples", 32.0 * 128.0)]
    {
        let workload = ["--report", file, "--", BINARY, "bench", "workload", name, "--size", size];
        let run = rig.run(&["--standalone"], &[&inside[..], &workload].concat());
        assert!(run.output.status.success(), "{}", run.stderr);
        assert_eq!(work(&run.record), [(unit, units)]);
        let report = report(rig.folder.path());
        assert_eq!((&report["runs"], &report["units"]), (&json!(1), &Value::Null));
    }
}

#[test]
fn a_built_in_workload_tells_the_quality_that_it_reaches() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = Command::new(BINARY);
    window.args(["bench", "window", "--least", "0s", "--quality", "loss<=0.8", "--report"]);
    window.arg(folder.path().join("report.json"));
    window.args(["--", BINARY, "bench", "workload", "training", "--size", "128"]);
    let output = window.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(report(folder.path())["units"], 1.0, "{output:?}");
}

#[test]
fn a_workload_says_the_same_on_any_number_of_threads() {
    let run = |threads: &str| {
        let mut command = Command::new(BINARY);
        command.args(["bench", "workload", "training", "--size", "64", "--threads", threads]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert_eq!(first, format!("training/1 size 64 threads {threads}"));
        rest.to_owned()
    };
    let one = run("1");
    assert!(one.ends_with("2048 samples, digest 33ec214495e873ed\n"), "{one}");
    assert_eq!(run("3"), one);
}

#[test]
fn a_size_that_a_workload_has_not_is_a_wrong_option() {
    for (name, size) in [("matrix", "0"), ("matrix", "12"), ("training", "63"), ("training", "96")]
    {
        let mut command = Command::new(BINARY);
        let output = command.args(["bench", "workload", name, "--size", size]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name} {size}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(&format!("{name} has no size {size}: take a ")), "{message}");
    }
}
