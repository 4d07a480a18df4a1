// SPDX-License-Identifier: Apache-2.0
//! Embodied carbon: by the time in which jobs hold hardware, never more than all of
//! it, and the same in the record, in `/metrics` and in the ledger.

use serde_json::Value;

use crate::rig::{Daemon, Rig, eventually, interval};
use crate::{begin, configure, end, machine, metric, wait_for_gpus, wait_for_ticks};

/// Luccioni et al.: grams an hour of a server and of a GPU without a figure of its own.
const SERVER: f64 = 2_500e3 / 44_676.0;
const GPU: f64 = 150e3 / 44_676.0;

/// A GPU of the stand-in has the name of one with a figure of its own or not; these
/// tests are of times, so the mass is given.
const CONFIG: &str =
    "[sensors]\nperiod = \"100ms\"\n[carbon]\nzone = \"GB\"\nembodied_gpu_kg = 150\n";

fn held_by(record: &Value, what: &str) -> f64 {
    record["emissions"]["embodied"][what].as_f64().unwrap_or_else(|| panic!("{what}: {record:#}"))
}

/// What the ledger says was held: seconds of GPUs, of the machine.
fn held(rig: &Rig) -> (f64, f64) {
    let sum = |clause: &str| {
        let sql = format!("SELECT ifnull(sum(held_us), 0) FROM held WHERE {clause}");
        rig.ledger().query_row(&sql, [], |row| row.get::<_, i64>(0)).unwrap() as f64 / 1e6
    };
    (sum("domain <> 0"), sum("domain = 0"))
}

/// The embodied grams of all users by `/metrics`, and by the ledger.
fn by_users(rig: &Rig, daemon: &Daemon) -> (f64, f64) {
    let page = daemon.get("/metrics");
    let lines = page.lines().filter(|line| line.starts_with("aimeter_user_embodied_grams_total"));
    let shown = lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    let (gpus, machine) = held(rig);
    (shown, (gpus * GPU + machine * SERVER) / 3_600.0)
}

/// The users' counters are the ledger's sums. It is written a moment after the answer.
fn the_page_is_the_ledger(rig: &Rig, daemon: &Daemon) {
    let mut last = (0.0, 0.0);
    eventually("the ledger to have what the page shows", || {
        let found = by_users(rig, daemon);
        let still = found == std::mem::replace(&mut last, found);
        println!("{} g on the page, {} g in the ledger", found.0, found.1);
        (still && found.0 > 0.0 && (found.0 - found.1).abs() < 1e-9).then_some(())
    });
}

#[test]
fn jobs_bear_what_they_hold_and_all_of_them_never_more_than_there_is() {
    let rig = machine();
    let daemon = rig.daemon(&["--config", &configure(&rig, CONFIG)]);
    wait_for_gpus(&daemon);
    let first = begin(&rig, "first", &["--gpus", "0"]);
    wait_for_ticks(&daemon, 15.0);
    let second = begin(&rig, "second", &["--gpus", "0,1"]);
    wait_for_ticks(&daemon, 15.0);
    let first = end(&rig, "first", first).record;
    wait_for_ticks(&daemon, 10.0);
    let second = end(&rig, "second", second).record;

    let ((a, b), (c, d)) = (interval(&first), interval(&second));
    let seconds = |from: u64, to: u64| (to - from) as f64 / 1e9;
    let (alone, together, after) = (seconds(a, c), seconds(c, b), seconds(b, d));
    // The first has GPU 0 for itself, then shares it; the second always has GPU 1.
    let expected = [alone + together / 2.0, together / 2.0 + together + 2.0 * after];
    for (record, expected) in [&first, &second].into_iter().zip(expected) {
        let gpus = held_by(record, "gpu_seconds");
        let server = held_by(record, "server_seconds");
        println!("{expected:.3} s of GPUs expected, {gpus:.3} s held, {server:.3} s of the server");
        // What lies between a moment and the daemon's hearing of it.
        assert!((gpus - expected).abs() < 0.4, "{gpus} is not {expected}");
        assert!((server - gpus / 2.0).abs() < 1e-4, "{server} is no half of {gpus}");
        let grams = record["emissions"]["embodied_grams"].as_f64().unwrap();
        let by_hand = (gpus * GPU + server * SERVER) / 3_600.0;
        assert!((grams - by_hand).abs() < 1e-5, "{grams} is not {by_hand}");
        let operational = record["emissions"]["operational_grams"].as_f64().unwrap();
        let total = record["emissions"]["total_grams"].as_f64().unwrap();
        assert!((total - operational - grams).abs() < 1e-9);
    }
    let all = held_by(&first, "server_seconds") + held_by(&second, "server_seconds");
    assert!(all <= seconds(a, d) + 0.4, "more than the machine: {all} s");
    the_page_is_the_ledger(&rig, &daemon);
}

#[test]
fn a_nested_jobs_part_is_in_the_outer_record_and_once_in_the_users_total() {
    let rig = machine();
    let daemon = rig.daemon(&["--config", &configure(&rig, CONFIG)]);
    wait_for_gpus(&daemon);
    let inner = rig.path("inner.json");
    let (aimeter, burn) = (env!("CARGO_BIN_EXE_aimeter"), crate::rig::burn());
    let (inner_text, burn) = (inner.to_str().unwrap(), burn.to_str().unwrap());
    let command = [
        aimeter, "run", "--quiet", "--json", inner_text, "--gpus", "0", "--", burn, "--sleep", "1s",
    ];
    let outer = rig.run(&["--gpus", "0"], &command).record;
    let inner: Value = serde_json::from_str(&std::fs::read_to_string(&inner).unwrap()).unwrap();
    let (outer, inner) = (held_by(&outer, "gpu_seconds"), held_by(&inner, "gpu_seconds"));
    assert!(inner > 0.5 && outer >= inner, "{outer} and {inner}");
    the_page_is_the_ledger(&rig, &daemon);
    let (gpus, _) = held(&rig);
    assert!((gpus - outer).abs() < 1e-6, "{gpus} is not {outer}");
}

#[test]
fn a_killed_daemon_goes_on_where_the_hardware_was_held_all_the_time() {
    let rig = machine();
    let config = configure(&rig, CONFIG);
    let daemon = rig.daemon(&["--config", &config]);
    wait_for_gpus(&daemon);
    let job = begin(&rig, "job", &["--gpus", "0,1"]);
    wait_for_ticks(&daemon, 15.0);
    let (before, _) = by_users(&rig, &daemon);
    let of_job = |daemon: &Daemon| metric(daemon, "aimeter_job_embodied_grams_total").unwrap();
    let job_before = of_job(&daemon);
    assert!(before > 0.0 && job_before > 0.0);
    daemon.kill();
    let daemon = rig.daemon(&["--config", &config]);
    assert!(of_job(&daemon) >= job_before);
    assert!(by_users(&rig, &daemon).0 >= before);
    wait_for_gpus(&daemon);
    wait_for_ticks(&daemon, 5.0);
    let record = end(&rig, "job", job).record;
    let (from, to) = interval(&record);
    let (gpus, whole) = (held_by(&record, "gpu_seconds"), 2.0 * (to - from) as f64 / 1e9);
    println!("{gpus:.3} s of {whole:.3} s");
    assert!((gpus - whole).abs() < 0.8, "{gpus} is not {whole}");
    the_page_is_the_ledger(&rig, &daemon);
}

#[test]
fn without_gpus_the_machine_goes_by_cpu_time() {
    let tree = powercap_standin::PowercapTree::builder()
        .package(0, powercap_standin::Trace::constant(100));
    let rig = Rig::new(tree, Vec::new());
    let daemon = rig.daemon(&["--config", &configure(&rig, CONFIG)]);
    let burn = crate::rig::burn();
    let record =
        rig.run(&[], &[burn.to_str().unwrap(), "--cpu", "600ms", "--sleep", "300ms"]).record;
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    let server = held_by(&record, "server_seconds");
    assert!((server - 0.6 / cores).abs() < 0.1, "{server} s of {cores} cores");
    assert_eq!(held_by(&record, "gpu_seconds"), 0.0);
    drop(daemon);
}

#[test]
fn switched_off_it_is_in_no_record_and_stays_at_nothing() {
    let rig = machine();
    let config = configure(&rig, "[carbon]\nzone = \"GB\"\nembodied = \"off\"\n");
    let daemon = rig.daemon(&["--config", &config]);
    wait_for_gpus(&daemon);
    let record = rig.run(&["--gpus", "0"], &["true"]).record;
    assert_eq!(record["emissions"]["embodied"], Value::Null);
    assert_eq!(record["emissions"]["embodied_grams"], Value::Null);
    assert_eq!(record["emissions"]["total_grams"], record["emissions"]["operational_grams"]);
    assert_eq!(metric(&daemon, "aimeter_job_embodied_grams_total"), Some(0.0));
}
