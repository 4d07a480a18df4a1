// SPDX-License-Identifier: Apache-2.0
//! The building's PUE from a schedule, a file and an address: what holds when, what a
//! bad reading does, and that an old job keeps the PUE of its time.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::rig::{Daemon, Rig, eventually};
use crate::{begin, configure, end, machine, metric, wait_for_gpus, wait_for_ticks};

/// Rewrites the file as a program of the building would.
fn write(rig: &Rig, text: &str) {
    let (new, path) = (rig.path("pue.new"), rig.path("pue.json"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn wait_for_pue(daemon: &Daemon, source: &str, value: f64) {
    let series = format!("aimeter_pue_ratio{{source=\"{source}\"}}");
    eventually("the PUE", || metric(daemon, &series).filter(|found| *found == value));
}

fn pue(record: &Value) -> (f64, &str) {
    let part = &record["energy"]["pue"];
    (part["value"].as_f64().unwrap(), part["source"].as_str().unwrap())
}

/// The record of a job by `aimeter show`.
fn shown(rig: &Rig, config: &str, id: &Value) -> Value {
    let mut show = rig.aimeter("show");
    show.args(["--config", config, "--json", id.as_str().unwrap()]);
    let output = show.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_file_is_followed_a_bad_value_refused_and_an_old_job_keeps_its_pue() {
    let rig = machine();
    write(&rig, "{\"now\": {\"pue\": 1.25}}");
    let file = rig.path("pue.json");
    let text = format!(
        "[sensors]\nperiod = \"100ms\"\n[carbon]\nzone = \"GB\"\npue = 1.9\npue_file = {file:?}\n\
         pue_pointer = \"/now/pue\"\npue_period = \"1s\"\n"
    );
    let config = configure(&rig, &text);
    let daemon = rig.daemon(&["--config", &config]);
    wait_for_gpus(&daemon);
    wait_for_pue(&daemon, "file", 1.25);
    let job = begin(&rig, "job", &["--gpus", "0"]);
    wait_for_ticks(&daemon, 10.0);
    write(&rig, "{\"now\": {\"pue\": 1.75}}");
    wait_for_pue(&daemon, "file", 1.75);
    write(&rig, "{\"now\": {\"pue\": 7}}");
    daemon.wait_for("7 is no plausible PUE: it lies from 1 to 3; the last good one holds");
    wait_for_ticks(&daemon, 10.0);
    wait_for_pue(&daemon, "file", 1.75);
    let own = rig.run(&["--gpus", "1", "--pue", "1.5"], &["true"]).record;
    assert_eq!(pue(&own), (1.5, "flag"));
    let record = end(&rig, "job", job).record;
    let (value, source) = pue(&record);
    assert_eq!(source, "file");

    // The truth: a machine of constant power, so the mean by energy is that by time.
    let changed: i64 = rig
        .ledger()
        .query_row("SELECT from_us FROM pue WHERE thousandths = 1750", [], |row| row.get(0))
        .unwrap();
    let moment = |name: &str| {
        let time: jiff::Timestamp = record["job"][name].as_str().unwrap().parse().unwrap();
        time.as_microsecond() as f64
    };
    let (from, to) = (moment("started_at"), moment("ended_at"));
    let truth = 1.25 + 0.5 * (to - changed as f64) / (to - from);
    println!("PUE {value} of {truth}");
    assert!((value - truth).abs() < 0.02, "{value} is not {truth}");
    let total = record["energy"]["total_joules"].as_f64().unwrap();
    let facility = record["energy"]["facility_joules"].as_f64().unwrap();
    assert!((facility - total * value).abs() < 1e-3);

    // Later, another building: the daemon ends and comes back.
    assert!(daemon.terminate().success());
    let config = configure(&rig, "[carbon]\nzone = \"GB\"\npue = 1.1\n");
    let daemon = rig.daemon(&["--config", &config]);
    wait_for_pue(&daemon, "config", 1.1);
    let later = shown(&rig, &config, &record["job"]["id"]);
    // The ledger's lines are of a domain each, the daemon's of all: a line on both sides
    // of a change is cut by time, here and there a little otherwise.
    let ((earlier, _), (later_value, later_source)) = (pue(&record), pue(&later));
    assert_eq!(later_source, "file");
    assert!((later_value - earlier).abs() < 0.02, "{later_value} is not {earlier}");
    let (first, again) = (&record["emissions"], &later["emissions"]);
    let grams = |part: &Value| part["operational_grams"].as_f64().unwrap();
    assert!((grams(first) / grams(again) - 1.0).abs() < 0.02);
    assert_eq!(first["embodied"], again["embodied"]);
    let steps: Vec<(Option<u32>, String)> = {
        let ledger = rig.ledger();
        let mut statement =
            ledger.prepare("SELECT thousandths, source FROM pue ORDER BY from_us").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).filter(|(_, source)| source == "file").collect()
    };
    let file = |thousandths| (Some(thousandths), "file".to_owned());
    assert_eq!(steps, [file(1_250), file(1_750)]);
}

#[test]
fn the_last_good_value_holds_for_its_time_then_the_fixed_one() {
    let rig = machine();
    write(&rig, "1.4");
    let file = rig.path("pue.json");
    let text = format!(
        "[sensors]\nperiod = \"100ms\"\n[carbon]\npue = 1.2\npue_file = {file:?}\n\
         pue_period = \"1s\"\npue_keep = \"3s\"\n"
    );
    let daemon = rig.daemon(&["--config", &configure(&rig, &text)]);
    wait_for_pue(&daemon, "file", 1.4);
    std::fs::remove_file(&file).unwrap();
    daemon.wait_for("no PUE: cannot read");
    wait_for_pue(&daemon, "config", 1.2);
    write(&rig, "1.3");
    daemon.wait_for("the PUE is read again: 1.3");
    wait_for_pue(&daemon, "file", 1.3);
}

/// A server of a building: the number in thousandths, to whoever knows the key.
fn building(pue: Arc<AtomicU32>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let known = String::from_utf8_lossy(&head).contains("authorization: s3cr3t\r\n");
            let value = f64::from(pue.load(Ordering::Relaxed)) / 1e3;
            let (status, body) = match known {
                true => ("200 OK", format!("{{\"data\": [{{\"pue\": {value}}}]}}")),
                false => ("401 Unauthorized", "{\"error\": \"who are you\"}".to_owned()),
            };
            // Whoever asked may have gone.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    format!("http://{address}/pue")
}

#[test]
fn an_address_is_asked_with_its_key_which_nobody_sees() {
    let rig = machine();
    let served = Arc::new(AtomicU32::new(1_310));
    let url = building(Arc::clone(&served));
    let key = rig.path("key");
    std::fs::write(&key, "s3cr3t\n").unwrap();
    let text = format!(
        "[sensors]\nperiod = \"100ms\"\n[carbon]\npue_url = {url:?}\npue_period = \"1s\"\n\
         pue_pointer = \"/data/0/pue\"\npue_token_file = {key:?}\n"
    );
    let daemon = rig.daemon(&["--config", &configure(&rig, &text)]);
    wait_for_pue(&daemon, "http", 1.31);
    let record = rig.run(&["--gpus", "0"], &["true"]).record;
    assert_eq!(pue(&record), (1.31, "http"));
    // Below 1 there is no PUE.
    served.store(800, Ordering::Relaxed);
    daemon.wait_for("0.8 is no plausible PUE");
    wait_for_pue(&daemon, "http", 1.31);
    std::fs::write(&key, "wrong\n").unwrap();
    served.store(1_500, Ordering::Relaxed);
    wait_for_ticks(&daemon, 25.0);
    wait_for_pue(&daemon, "http", 1.31);
    std::fs::write(&key, "s3cr3t\n").unwrap();
    daemon.wait_for("the PUE is read again: 1.5");
    let page = daemon.get("/metrics");
    let (_, log) = daemon.log_to_end();
    assert!(!log.concat().contains("s3cr3t") && !page.contains("s3cr3t"));
}

#[test]
fn a_schedule_holds_and_a_reload_is_a_fact_of_its_own() {
    let rig = machine();
    let text = "[sensors]\nperiod = \"100ms\"\n[carbon]\npue = 1.1\n\
                pue_schedule = [\"00:00-24:00 1.33\"]\npue_time_zone = \"Europe/Berlin\"\n";
    let daemon = rig.daemon(&["--config", &configure(&rig, text)]);
    wait_for_pue(&daemon, "schedule", 1.33);
    let job = begin(&rig, "job", &["--gpus", "none"]);
    wait_for_ticks(&daemon, 5.0);
    configure(&rig, "[sensors]\nperiod = \"100ms\"\n[carbon]\npue = 1.1\n");
    let pid = rustix::process::Pid::from_child(&daemon.child);
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    wait_for_pue(&daemon, "config", 1.1);
    wait_for_ticks(&daemon, 5.0);
    let record = end(&rig, "job", job).record;
    let (value, source) = pue(&record);
    assert_eq!(source, "config+schedule");
    assert!(1.1 < value && value < 1.33, "{value}");
    // Without a daemon the schedule holds too.
    drop(daemon);
    let config = configure(&rig, text);
    let alone = rig.run(&["--standalone", "--config", &config, "--gpus", "none"], &["true"]).record;
    assert_eq!(pue(&alone), (1.33, "schedule"));
}
