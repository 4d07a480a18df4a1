// SPDX-License-Identifier: Apache-2.0
//! `aimeter run` for its user: what it prints and where, what it refuses, what
//! becomes of the job when the wrapper or the daemon fails. The real binary on
//! stand-ins. How it behaves as a process is `run_process`'s business.

#[path = "common/books.rs"]
mod books;
#[path = "common/pty.rs"]
mod pty;
#[path = "common/rig.rs"]
mod rig;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Output, Stdio};

use aimeter::server::protocol::{Response, VERSION};
use nix::libc;
use nvml_standin::{Gpu, now_ns};
use powercap_standin::{PowercapTree, Trace};
use serde_json::Value;

use books::{check_balance, origins, until_written};
use pty::Pty;
use rig::{Rig, burn, domain, error, eventually, interval, stamp};

fn machine() -> Rig {
    let gpu = |index| Gpu::numbered(index, nvml_standin::Trace::Constant { mw: 200_000 });
    let tree = PowercapTree::builder().package(0, Trace::constant(100));
    Rig::new(tree, vec![gpu(0), gpu(1)])
}

/// `aimeter run ARGS -- sh -c SCRIPT`.
fn run(rig: &Rig, args: &[&str], script: &str) -> Output {
    let mut run = rig.aimeter("run");
    run.args(args).args(["--", "sh", "-c", script]).stdin(Stdio::null());
    run.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What `aimeter show` has of the newest job once it has ended.
fn ended(rig: &Rig) -> Value {
    let id: String = eventually("the job's end in the ledger", || {
        let sql = "SELECT id FROM job WHERE state <> 'running' ORDER BY key DESC LIMIT 1";
        rig.ledger().query_row(sql, [], |row| row.get(0)).ok()
    });
    let output = rig.aimeter("show").args(["--json", &id]).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

// === What it prints ===

#[test]
fn the_record_on_standard_output_comes_after_what_the_command_wrote() {
    let rig = machine();
    let output = run(&rig, &["--standalone", "--json", "-"], "echo of the command; exit 3");
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    let record: Value =
        serde_json::from_str(text.strip_prefix("of the command\n").unwrap()).unwrap();
    assert_eq!(record["schema"], "aimeter-record/1");
    assert_eq!(record["job"]["exit_code"], 3);
}

#[test]
fn nothing_is_written_to_standard_output_unasked_and_nothing_at_all_when_quiet() {
    let rig = machine();
    let output = run(&rig, &["--standalone"], "echo of the command");
    assert_eq!(output.stdout, b"of the command\n");
    assert!(stderr(&output).contains("energy"), "{}", stderr(&output));
    let file = rig.path("record.json");
    let args = ["--standalone", "--quiet", "--json", file.to_str().unwrap()];
    let output = run(&rig, &args, "echo of the command");
    assert_eq!(output.stdout, b"of the command\n");
    assert_eq!(stderr(&output), "");
    let record: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(record["job"]["exit_code"], 0);
}

#[test]
fn a_record_that_cannot_be_written_is_said_and_changes_nothing() {
    let rig = machine();
    let output = run(&rig, &["--standalone", "-q", "--json", "/no/such/folder/r.json"], "exit 4");
    assert_eq!(output.status.code(), Some(4));
    let told = stderr(&output);
    assert!(told.contains("cannot write the record to /no/such/folder/r.json"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

// === What it refuses ===

#[test]
fn a_wrong_option_is_told_in_one_line_and_nothing_is_run() {
    let rig = machine();
    let mark = rig.path("mark");
    let script = format!("touch {}", mark.display());
    let cases: &[&[&str]] = &[
        &["--no-such-option"],
        &["--nam", "x"],
        &["--pue", "0.5"],
        &["--pue", "x"],
        &["--label", "no-equals-sign"],
        &["--zone", "XX-NOWHERE"],
        &["--gpus", "one,two"],
        &["--config", "/no/such/file.toml"],
    ];
    for args in cases {
        let output = run(&rig, args, &script);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{args:?}: {told}");
        assert!(output.stdout.is_empty() && !mark.exists(), "{args:?} ran");
    }
    let nothing = rig.aimeter("run").output().unwrap();
    assert_eq!((nothing.status.code(), stderr(&nothing).lines().count()), (Some(2), 1));
}

#[test]
fn a_gpu_that_is_not_there_is_told_and_nothing_is_run() {
    let rig = machine();
    let mark = rig.path("mark");
    let script = format!("touch {}", mark.display());
    let check = |args: &[&str]| {
        let output = run(&rig, args, &script);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("no GPU `7`") && told.lines().count() == 1, "{told}");
        assert!(!mark.exists());
    };
    check(&["--standalone", "--gpus", "0,7"]);
    let _daemon = rig.daemon(&[]);
    check(&["--gpus", "0,7"]);
    let jobs: i64 =
        rig.ledger().query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap();
    assert_eq!(jobs, 0);
}

#[test]
fn a_command_that_cannot_be_run_is_closed_in_the_daemons_books() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let plain = rig.path("plain");
    std::fs::write(&plain, "").unwrap();
    std::fs::set_permissions(&plain, std::fs::Permissions::from_mode(0o644)).unwrap();
    for (jobs, (command, code)) in
        [("no-such-command", 127), (plain.to_str().unwrap(), 126)].into_iter().enumerate()
    {
        let output = rig.aimeter("run").args(["--", command]).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        eventually("the job's end in the ledger", || {
            let sql = "SELECT count(*) FROM job WHERE state = 'finished'";
            let ended: i64 = rig.ledger().query_row(sql, [], |row| row.get(0)).unwrap();
            (ended == jobs as i64 + 1).then_some(())
        });
        assert_eq!(ended(&rig)["job"]["exit_code"], code);
    }
    assert!(daemon.terminate().success());
}

// === What is broken around it ===

#[test]
fn a_broken_configuration_of_the_machine_does_not_keep_the_job_from_running() {
    let rig = machine();
    let file = rig.path("broken.toml");
    std::fs::write(&file, "zone = [\n").unwrap();
    let mut broken = rig.aimeter("run");
    broken.env("AIMETER_CONFIG", &file).args(["--standalone", "--", "sh", "-c", "exit 6"]);
    let output = broken.output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    assert!(stderr(&output).contains("broken.toml"), "{}", stderr(&output));
}

#[test]
fn without_a_daemon_the_job_is_metered_all_the_same() {
    let rig = machine();
    let run = rig.run(&[], &["sh", "-c", "sleep 0.5; exit 5"]);
    assert_eq!(run.output.status.code(), Some(5));
    assert_eq!(run.record["job"]["exit_code"], 5);
    domain(&run.record, "rapl:package-0");
}

/// Runs a job beside this listener on the daemon's socket.
fn runs_beside(listener: impl FnOnce(UnixListener) + Send + 'static) {
    let rig = machine();
    let socket = UnixListener::bind(rig.socket()).unwrap();
    std::thread::spawn(move || listener(socket));
    let burn = burn();
    let file = rig.path("stamp.json");
    let began = now_ns();
    let run = rig.run(&[], &[burn.to_str().unwrap(), "--stamp", file.to_str().unwrap()]);
    assert_eq!(run.record["job"]["exit_code"], 0);
    domain(&run.record, "rapl:package-0");
    let delay = stamp(&file).start_ns - began;
    // Bounded: 0.2 s for a connection, 2 s for an answer; the rest is for the machine.
    assert!(delay < 10_000_000_000, "the job waited for {delay} ns");
}

#[test]
fn a_daemon_that_never_answers_delays_the_job_within_bounds() {
    runs_beside(|socket| {
        let open: Vec<_> = socket.incoming().collect();
        drop(open);
    });
}

#[test]
fn a_daemon_that_stands_still_after_its_greeting_delays_the_job_within_bounds() {
    runs_beside(|socket| {
        let mut open = Vec::new();
        for stream in socket.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(stream);
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            let hello = Response::Hello { version: VERSION, release: "0".into() };
            let answer = serde_json::to_string(&hello).unwrap() + "\n";
            lines.get_mut().write_all(answer.as_bytes()).unwrap();
            open.push(lines);
        }
    });
}

#[test]
fn a_job_whose_wrapper_is_killed_goes_on_and_is_metered_to_its_end() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let origins = origins(&rig, 3);
    let burn = burn();
    let (file, go) = (rig.path("stamp.json"), rig.path("go"));
    let options =
        ["--cpu", "1s", "--until-file", go.to_str().unwrap(), "--stamp", file.to_str().unwrap()];
    let mut command = vec![burn.to_str().unwrap()];
    command.extend(options);
    let mut wrapped = rig.start(&["--gpus", "0"], &command);
    eventually("the job's work", || {
        let text = std::fs::read_to_string(&file).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["end_ns"].as_u64()
    });
    wrapped.child.kill().unwrap();
    // Not for the end of its output, which the job has too.
    assert_eq!(wrapped.child.wait().unwrap().signal(), Some(libc::SIGKILL));
    until_written(&rig, now_ns() + 2_000_000_000);
    let running: i64 = rig
        .ledger()
        .query_row("SELECT count(*) FROM job WHERE state = 'running'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(running, 1, "the job ended with its wrapper");
    std::fs::write(&go, "").unwrap();

    let shown = ended(&rig);
    assert_eq!(shown["job"]["state"], "finished");
    assert_eq!(shown["job"]["exit_code"], Value::Null);
    assert!(shown["quality"]["notes"].to_string().contains("the wrapper was gone"), "{shown:#}");
    let (from, to) = interval(&shown);
    let stamp = stamp(&file);
    let slack = 1_000_000;
    assert!(from <= stamp.start_ns + slack && stamp.end_ns <= to + slack);
    let id = format!("nvml:{}", rig.script.gpus[0].uuid);
    let joules = domain(&shown, &id)["joules"].as_f64().unwrap();
    let truth = rig.gpu_joules(0, from, to);
    println!("{joules} J, truth {truth}");
    assert!(error(joules, truth) < 0.005, "{joules} J is not {truth} J");
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
}

#[test]
fn ctrl_c_ends_the_job_and_its_record_says_so() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let mut command = rig.aimeter("run");
    command.args(["--", "sh", "-c", "echo ready; exec sleep 1000"]);
    let mut pty = Pty::spawn(command);
    pty.expect("ready");
    pty.send("\x03");
    pty.expect("energy");
    assert_eq!(pty.wait().signal(), Some(libc::SIGINT));
    let shown = ended(&rig);
    assert_eq!(shown["job"]["state"], "finished");
    let exit: (String, i64) = rig
        .ledger()
        .query_row("SELECT exit, exit_value FROM job", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(exit, ("signal".into(), 2));
}

// === What a nested run is told ===

#[test]
fn what_the_user_set_in_the_environment_holds_for_nested_runs_and_no_flag_does() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let inner = rig.path("inner.json");
    let binary = env!("CARGO_BIN_EXE_aimeter");
    let nested = format!("{binary} run --json {} -- true", inner.display());
    let mut outer = rig.aimeter("run");
    outer.env("AIMETER_PROJECT", "of-the-environment");
    outer.args(["--name", "outer", "--label", "a=b", "--pue", "1.5", "--gpus", "none", "--quiet"]);
    let output = outer.args(["--", "sh", "-c", &nested]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    // The nested run has its own word on being quiet.
    assert!(stderr(&output).contains("energy"), "{}", stderr(&output));
    let record: Value = serde_json::from_slice(&std::fs::read(inner).unwrap()).unwrap();
    assert_eq!(record["job"]["project"], "of-the-environment");
    assert_eq!(record["job"]["name"], "true");
    assert_eq!(record["job"]["labels"], serde_json::json!({}));
    assert_eq!(record["emissions"]["pue"], Value::Null);
    domain(&record, &format!("nvml:{}", rig.script.gpus[0].uuid));
}
