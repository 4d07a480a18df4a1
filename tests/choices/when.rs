// SPDX-License-Identifier: Apache-2.0
//! `aimeter run --when greenest`.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use aimeter::clock;
use jiff::Timestamp;
use serde_json::Value;

use crate::pty::Pty;
use crate::replay::{Replay, Reply};
use crate::{aimeter, config, day, machine, text};

/// Low from the fourth second on: what a job of half a minute waits for.
const SOON: [(i64, u32); 3] = [(64, 300), (90, 100), (120, 200)];
const WAIT: [&str; 6] = ["--when", "greenest", "--within", "2min", "--needs", "30s"];

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// The lines of the explanation, without their indent.
fn lines(output: &Output) -> Vec<String> {
    text(&output.stderr).lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_job_waits_for_its_window_and_daemon_ledger_and_record_keep_why() {
    let rig = machine();
    let replay = Replay::tls(|_| day::steps(&SOON));
    let config = config(rig.folder.path(), &replay);
    let daemon = rig.daemon(&[]);
    let here = rig.path("here");
    std::fs::create_dir(&here).unwrap();
    let began = clock::wall();
    let script = "date +%s%N > start; echo $MINE $(pwd); exit 3";
    let waited = rig.start_with(&WAIT, &["sh", "-c", script], |run| {
        run.env("AIMETER_CONFIG", &config).env("MINE", "yes").current_dir(&here);
    });
    let run = waited.finish();
    assert_eq!(run.output.status.code(), Some(3));
    assert_eq!(text(&run.output.stdout), format!("yes {}\n", here.display()));

    let timing = run.record["emissions"]["timing"].clone();
    let window = time(&timing["window_from"]);
    let started: i128 =
        std::fs::read_to_string(here.join("start")).unwrap().trim().parse().unwrap();
    assert!(started >= window.as_nanosecond(), "{started} {timing}");
    // Cut to a millisecond.
    assert!(
        time(&run.record["job"]["started_at"])
            >= window.round(jiff::Unit::Second).unwrap() - jiff::SignedDuration::from_secs(1)
    );
    assert!(time(&timing["asked_at"]) >= began - jiff::SignedDuration::from_millis(1));
    assert_eq!(timing["policy"], "greenest");
    assert_eq!(timing["expected_window_grams_per_kwh"], 100.0);
    let at_once = timing["expected_at_once_grams_per_kwh"].as_f64().unwrap();
    assert!(100.0 < at_once && at_once < 130.0, "{at_once}");
    let saving = timing["expected_saving_percent"].as_f64().unwrap();
    assert!((saving - (1.0 - 100.0 / at_once) * 100.0).abs() < 0.01, "{saving}");
    let seconds = timing["waited_seconds"].as_f64().unwrap();
    let expected = window.duration_since(time(&timing["asked_at"])).as_secs_f64();
    assert!(seconds > expected - 0.01, "{seconds} {expected}");
    // The wait is no part of the job.
    assert!(run.record["job"]["duration_seconds"].as_f64().unwrap() < seconds);
    assert_eq!(timing["realised_saving_percent"], Value::Null);

    let id = run.record["job"]["id"].as_str().unwrap();
    let shown = |command: &mut std::process::Command| {
        let output = command.env("AIMETER_CONFIG", &config).args([id, "--json"]).output().unwrap();
        let record: Value = serde_json::from_slice(&output.stdout).unwrap();
        record["emissions"]["timing"].clone()
    };
    assert_eq!(shown(&mut rig.aimeter("show")), timing);
    daemon.kill();
    assert_eq!(shown(&mut rig.aimeter("show")), timing);
    let output = rig.aimeter("show").arg(id).output().unwrap();
    let text = text(&output.stdout);
    assert!(text.contains("s for 100 instead of 1"), "{text}");
}

#[test]
fn the_recorded_forecast_of_great_britain_is_explained_and_ctrl_c_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let replay = Replay::tls(|_| day::forecast_from(clock::wall()));
    let config = config(folder.path(), &replay);
    let marker = folder.path().join("ran");
    let arguments =
        ["run", "--when", "greenest", "--needs", "3h", "--", "touch", marker.to_str().unwrap()];
    let mut child = aimeter(&config, &arguments).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("Ctrl-C gives up") {
        assert_ne!(log.read_line(&mut said).unwrap(), 0, "{said}");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    assert!(!marker.exists());
    // The answer and the look at the clock are a moment apart.
    assert!(said.starts_with("aimeter: waits 9 h 0 min, until "), "{said}");
    assert!(said.contains("  153.7 g/kWh\n"), "{said}");
    assert!(said.contains("  142.0 g/kWh, 7.6 % less\n"), "{said}");
    assert!(
        said.contains("  source    uk-carbon-intensity (GB, average, direct), fetched 0 s ago\n")
    );
    assert!(said.contains("CC BY 4.0\n"), "{said}");
    assert_eq!(replay.requests().len(), 1);
}

#[test]
fn in_a_terminal_the_time_left_is_shown_and_ctrl_c_ends_the_wait() {
    let folder = tempfile::tempdir().unwrap();
    let replay = Replay::tls(|_| day::forecast_from(clock::wall()));
    let config = config(folder.path(), &replay);
    let marker = folder.path().join("ran");
    let arguments =
        ["run", "--when", "greenest", "--needs", "3h", "--", "touch", marker.to_str().unwrap()];
    let mut terminal = Pty::spawn(aimeter(&config, &arguments));
    terminal.expect("starts in 9 h 0 min");
    terminal.expect("starts in 8 h 59 min");
    terminal.send("\x03");
    assert_eq!(terminal.wait().signal(), Some(2));
    assert!(!marker.exists());
}

#[test]
fn now_may_be_the_best_time() {
    let folder = tempfile::tempdir().unwrap();
    let replay = Replay::tls(|_| day::steps(&[(120, 50), (120, 100)]));
    let config = config(folder.path(), &replay);
    let arguments = [&["run", "--standalone", "--json", "-"], &WAIT[..], &["true"]].concat();
    let output = aimeter(&config, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(lines(&output)[0], "aimeter: now is the greenest time");
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let timing = &record["emissions"]["timing"];
    assert_eq!(
        (&timing["waited_seconds"], &timing["expected_saving_percent"]),
        (&0.0.into(), &0.0.into())
    );
    let quiet = [&["run", "--quiet", "--standalone"], &WAIT[..], &["true"]].concat();
    let output = aimeter(&config, &quiet).output().unwrap();
    assert_eq!((output.status.code(), lines(&output)), (Some(0), Vec::new()));
}

#[test]
fn after_the_wait_signals_are_the_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let replay = Replay::tls(|_| day::steps(&SOON));
    let config = config(folder.path(), &replay);
    let script = "trap 'exit 5' INT; echo ready; while :; do sleep 0.05; done";
    let arguments = [&["run", "--standalone"], &WAIT[..], &["sh", "-c", script]].concat();
    let mut child = aimeter(&config, &arguments).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

#[test]
fn without_a_forecast_the_job_starts_at_once_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let replay = Replay::tls(|_| Reply::refusal(503, &[], r#"{"error":"down for repair"}"#));
    let config = config(folder.path(), &replay);
    let check = |change: &dyn Fn(&mut std::process::Command), expected: &str| {
        let arguments =
            [&["run", "--standalone", "--json", "-"], &WAIT[..], &["sh", "-c", "exit 4"]].concat();
        let mut command = aimeter(&config, &arguments);
        change(&mut command);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(4));
        let said = lines(&output);
        assert!(said[0].starts_with("aimeter: --when: started at once: "), "{said:?}");
        assert!(said[0].contains(expected), "{said:?}");
        let record: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(record["emissions"]["timing"], Value::Null);
        let notes = record["quality"]["notes"].to_string();
        assert!(notes.contains("--when: started at once: "), "{notes}");
    };
    check(&|_| {}, "there is no forecast: uk-carbon-intensity: it answered 503: down for repair");
    check(
        &|command| _ = command.env("AIMETER_ZONE", "US-CA"),
        "there is no forecast: uk-carbon-intensity: it does not cover US-CA, only GB",
    );
    // Inside another job nothing waits, nor is anybody asked.
    let asked = replay.requests().len();
    let inside = |command: &mut std::process::Command| {
        command.env("AIMETER_JOB_ID", "outer").env("AIMETER_INSIDE_JOB", "outer");
    };
    check(&inside, "it runs inside job outer");
    assert_eq!(replay.requests().len(), asked);
}

#[test]
fn a_forecast_that_is_too_short_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let replay = Replay::tls(|_| day::steps(&[(80, 300)]));
    let config = config(folder.path(), &replay);
    let arguments = [&["run", "--standalone"], &WAIT[..], &["true"]].concat();
    let output = aimeter(&config, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = lines(&output);
    assert!(said[0].contains("the forecast of uk-carbon-intensity from "), "{said:?}");
    assert!(said[0].ends_with("does not cover the next 30s"), "{said:?}");
}

#[test]
fn what_cannot_be_is_said_before_the_wait() {
    let folder = tempfile::tempdir().unwrap();
    let replay = Replay::tls(|_| day::forecast_from(clock::wall()));
    let config = config(folder.path(), &replay);
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let output = aimeter(&config, &[&["run"], arguments].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_eq!(text(&output.stderr), format!("aimeter: {expected}\n"));
    };
    let absent = "cannot run `no-such-command`: command not found";
    check(&["--when", "greenest", "no-such-command"], 127, absent);
    let alone = "--within and --needs are of --when: add `--when greenest`";
    check(&["--within", "3h", "true"], 2, alone);
    let long = "--needs 13h does not fit into --within 12h";
    check(&["--when", "greenest", "--needs", "13h", "true"], 2, long);
    assert_eq!(replay.requests().len(), 0);
    // In the environment the two may wait for a --when.
    let output = aimeter(&config, &["run", "--standalone", "true"])
        .env("AIMETER_NEEDS", "3h")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
}
