// SPDX-License-Identifier: Apache-2.0
//! The daemon dies and comes back: no joule is lost, none is booked twice, and
//! the job's record says what happened. The real binary on stand-ins.

#[path = "common/books.rs"]
mod books;
#[path = "common/procfs.rs"]
mod procfs;
#[path = "common/rig.rs"]
mod rig;

use std::time::Duration;

use nvml_standin::{Gpu, SampleBuffer, Sensor, now_ns};
use powercap_standin::{PowercapTree, Trace};
use serde_json::Value;

use books::{booked, check_balance, origins, standing, until_written};
use procfs::Procfs;
use rig::{Rig, Wrapped, burn, domain, error, eventually, interval, stamp};

const PACKAGE: &str = "rapl:package-0";
const DRAM: &str = "rapl:package-0/dram";
const PACKAGE_WATTS: f64 = 100.0;
const DRAM_WATTS: f64 = 20.0;
const DOMAINS: usize = 4;

/// Two GPUs of 200 W on average, a package of 100 W, its memory of 20 W.
fn machine() -> Rig {
    let gpu = |index: usize, hz| {
        let wave = nvml_standin::Trace::Square {
            low_mw: 100_000,
            high_mw: 300_000,
            hz,
            phase: 0.0,
            duty: 0.5,
        };
        let samples = Some(SampleBuffer { every_ms: 20, length: 120 });
        let sensor = Sensor { update_ms: 20, window_ms: 10, samples };
        Gpu { sensor, ..Gpu::numbered(index, wave) }
    };
    let tree = PowercapTree::builder()
        .package(0, Trace::constant(PACKAGE_WATTS as u64))
        .dram(0, Trace::constant(DRAM_WATTS as u64));
    Rig::new(tree, vec![gpu(0, 1.0), gpu(1, 7.0)])
}

/// A job that burns and then sleeps, with its stamp in `NAME.json`.
fn start(rig: &Rig, name: &str, args: &[&str]) -> Wrapped {
    let burn = burn();
    let file = rig.path(&format!("{name}.json"));
    let mut command = vec![burn.to_str().unwrap(), "--stamp", file.to_str().unwrap()];
    command.extend(args);
    rig.start(&["--name", name], &command)
}

/// Waits until a job has run for so long.
fn until_ran(rig: &Rig, name: &str, time: Duration) {
    let started = eventually("the job's start", || {
        let text = std::fs::read_to_string(rig.path(&format!("{name}.json"))).ok()?;
        serde_json::from_str::<Value>(&text).ok()?["start_ns"].as_u64()
    });
    until(started + time.as_nanos() as u64);
}

fn until(moment_ns: u64) {
    eventually("the time to pass", || (now_ns() >= moment_ns).then_some(()));
}

fn notes(record: &Value) -> String {
    record["quality"]["notes"].to_string()
}

#[track_caller]
fn check_gpus(rig: &Rig, record: &Value, part: f64) {
    let (from, to) = interval(record);
    for (index, gpu) in rig.script.gpus.iter().enumerate() {
        let id = format!("nvml:{}", gpu.uuid);
        let joules = domain(record, &id)["joules"].as_f64().unwrap();
        let truth = rig.gpu_joules(index, from, to);
        println!(
            "{id}: {joules:.3} J, truth {truth:.3}, error {:.4} %",
            100.0 * error(joules, truth)
        );
        assert!(error(joules, truth) < part, "{id}: {joules} J is not {truth} J\n{record:#}");
    }
}

/// The same record, a while after, as `aimeter show --json` has it.
fn show(rig: &Rig, record: &Value) -> Value {
    let id = record["job"]["id"].as_str().unwrap();
    let output = rig.aimeter("show").args(["--json", id]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_daemon_killed_in_the_middle_of_thirty_seconds_loses_nothing() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let origins = origins(&rig, DOMAINS);
    let job = start(&rig, "long", &["--cpu", "4s", "--sleep", "26s"]);
    until_ran(&rig, "long", Duration::from_secs(13));
    let killed = now_ns();
    daemon.kill();
    check_balance(&rig, &origins);
    until(killed + 5_000_000_000);
    let _daemon = rig.daemon(&[]);
    let run = job.finish();
    check_gpus(&rig, &run.record, 0.005);
    assert!(notes(&run.record).contains("the daemon was away for"), "{}", run.stderr);
    assert_eq!(run.record["job"]["exit_code"], 0);

    let shown = show(&rig, &run.record);
    assert_eq!(shown["energy"]["domains"], run.record["energy"]["domains"]);
    assert!(notes(&shown).contains("the daemon was away for"));
    let id = run.record["job"]["id"].as_str().unwrap();
    let text = rig.aimeter("show").arg(id).output().unwrap().stdout;
    assert!(String::from_utf8_lossy(&text).contains("the daemon was away for"));

    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
}

#[test]
fn cpu_time_burnt_while_the_daemon_was_away_is_the_jobs() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let origins = origins(&rig, DOMAINS);
    let job = start(&rig, "burner", &["--cpu", "8s"]);
    until_ran(&rig, "burner", Duration::from_secs(2));
    daemon.kill();
    until(now_ns() + 3_000_000_000);
    let _daemon = rig.daemon(&[]);
    let run = job.finish();
    let stamp = stamp(&rig.path("burner.json"));
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    for (id, watts) in [(PACKAGE, PACKAGE_WATTS), (DRAM, DRAM_WATTS)] {
        // Constant power P: the sum over ticks of P·Δt · u / (cores · Δt).
        let truth = watts * stamp.cpu_ns as f64 / 1e9 / cores;
        let joules = run.domain(id)["joules"].as_f64().unwrap();
        println!("{id}: {joules:.3} J, truth {truth:.3}");
        assert!(error(joules, truth) < 0.01, "{id}: {joules} J is not {truth} J");
    }
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
    let ledger = rig.ledger();
    let joules = booked(&ledger, Some("burner"), PACKAGE) as f64 / 1e6;
    assert_eq!(joules, run.domain(PACKAGE)["joules"].as_f64().unwrap());
}

/// Starts a job that ends with code 7 when the file `go` is there, and kills the
/// daemon in the middle of it.
fn job_whose_daemon_dies(rig: &Rig) -> (Wrapped, std::collections::BTreeMap<String, u64>) {
    let daemon = rig.daemon(&[]);
    let origins = origins(rig, DOMAINS);
    let go = rig.path("go");
    let args = ["--cpu", "500ms", "--until-file", go.to_str().unwrap(), "--exit", "7"];
    let job = start(rig, "ended", &args);
    until_ran(rig, "ended", Duration::from_secs(3));
    daemon.kill();
    until(now_ns() + 2_500_000_000);
    std::fs::write(&go, "").unwrap();
    (job, origins)
}

/// The truth lies within what the record states.
#[track_caller]
fn check_gpus_within(rig: &Rig, record: &Value, from: u64, to: u64) {
    for (index, gpu) in rig.script.gpus.iter().enumerate() {
        let part = domain(record, &format!("nvml:{}", gpu.uuid));
        let joules = part["joules"].as_f64().unwrap();
        let uncertainty = part["uncertainty_joules"].as_f64().unwrap();
        let truth = rig.gpu_joules(index, from, to);
        println!("{joules:.3} J ± {uncertainty:.3}, truth {truth:.3}");
        // The workload's stamps leave out its own start and exit: some milliseconds.
        let unstamped = 3.0;
        assert!((joules - truth).abs() <= uncertainty + unstamped, "{truth} J\n{record:#}");
    }
}

#[test]
fn a_job_that_ends_without_its_daemon_gets_its_record_from_one_that_comes_back() {
    let rig = machine();
    let (job, origins) = job_whose_daemon_dies(&rig);
    eventually("the job's end", || {
        let text = std::fs::read_to_string(rig.path("ended.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["end_ns"].as_u64()
    });
    let _daemon = rig.daemon(&[]);
    let run = job.finish();
    assert_eq!(run.output.status.code(), Some(7));
    assert_eq!(run.record["job"]["exit_code"], 7);
    assert_eq!(run.record["job"]["state"], "finished");
    assert!(notes(&run.record).contains("the daemon was away for"), "{}", run.stderr);
    let (from, to) = interval(&run.record);
    let stamp = stamp(&rig.path("ended.json"));
    assert!(to.abs_diff(stamp.end_ns) < 500_000_000, "the end is not the wrapper's");
    check_gpus_within(&rig, &run.record, from, to);
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
}

#[test]
fn a_job_whose_daemon_stays_away_ends_as_it_does_and_its_figures_say_what_is_unknown() {
    let rig = machine();
    let (job, origins) = job_whose_daemon_dies(&rig);
    let (output, record) = job.end();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(record.is_none());
    let id = told.split_once("aimeter show ").expect(&told).1.trim().to_owned();

    let _daemon = rig.daemon(&[]);
    let shown = eventually("the job's end in the ledger", || {
        let output = rig.aimeter("show").args(["--json", &id]).output().unwrap();
        let shown: Value = serde_json::from_slice(&output.stdout).ok()?;
        (shown["job"]["state"] != "running").then_some(shown)
    });
    assert_eq!(shown["job"]["state"], "finished");
    assert_eq!(shown["job"]["exit_code"], Value::Null);
    assert!(notes(&shown).contains("ended while the daemon was away"), "{shown:#}");
    let stamp = stamp(&rig.path("ended.json"));
    check_gpus_within(&rig, &shown, stamp.start_ns, stamp.end_ns);
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    let truth = PACKAGE_WATTS * stamp.cpu_ns as f64 / 1e9 / cores;
    let joules = domain(&shown, PACKAGE)["joules"].as_f64().unwrap();
    assert!(error(joules, truth) < 0.05, "{joules} J is not {truth} J");
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[test]
fn a_daemon_killed_at_any_moment_loses_no_joule_and_books_none_twice() {
    let rig = machine();
    let mut random = Seeded(20_261_124);
    let mut daemon = rig.daemon(&[]);
    let origins = origins(&rig, DOMAINS);
    let first = standing(&rig.ledger());
    let go = rig.path("go");
    let until_go = ["--cpu", "3s", "--until-file", go.to_str().unwrap()];
    let mut jobs = vec![start(&rig, "whole", &until_go)];
    until_ran(&rig, "whole", Duration::ZERO);
    for round in 0..8 {
        let name = format!("part-{round}");
        jobs.push(start(&rig, &name, &["--cpu", "700ms"]));
        until(now_ns() + random.below(1_500_000_000));
        daemon.kill();
        check_balance(&rig, &origins);
        // One that hardly began: it dies somewhere on its way up.
        let mut early = rig.aimeter("daemon");
        early.args(["--listen", "127.0.0.1:0"]).stderr(std::process::Stdio::null());
        let mut early = early.spawn().unwrap();
        until(now_ns() + random.below(300_000_000));
        early.kill().unwrap();
        early.wait().unwrap();
        check_balance(&rig, &origins);
        daemon = rig.daemon(&[]);
    }
    std::fs::write(&go, "").unwrap();
    for job in jobs {
        // One that found no daemon at its start metered itself.
        assert!(job.end().0.status.success());
    }
    until_written(&rig, now_ns());
    check_balance(&rig, &origins);
    let ledger = rig.ledger();
    for (id, last) in standing(&ledger) {
        let truth = match id.strip_prefix("rapl:") {
            Some(zone) => rig.zone_joules(zone, first[&id].at_ns, last.at_ns),
            None => {
                let gpu = rig.script.gpus.iter().position(|gpu| id.ends_with(&gpu.uuid));
                rig.gpu_joules(gpu.unwrap(), first[&id].at_ns, last.at_ns)
            }
        };
        let moved = (last.booked - first[&id].booked) as f64 / 1e6;
        // At either end a GPU's counter may be a step of 0.1 s behind its time.
        let steps = 2.0 * 0.1 * 300.0;
        assert!((moved - truth).abs() < steps, "{id}: {moved} J booked, {truth} J drawn");
    }
    let running: i64 = ledger
        .query_row("SELECT count(*) FROM job WHERE state <> 'finished'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(running, 0, "jobs lost or left running");
    let whole: i64 = ledger
        .query_row("SELECT count(*) FROM job WHERE name = 'whole'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, 1);
}

#[test]
fn a_job_of_an_earlier_boot_is_lost_and_said_to_be() {
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let origins = origins(&rig, DOMAINS);
    let go = rig.path("go");
    let job = start(&rig, "lost", &["--until-file", go.to_str().unwrap(), "--exit", "3"]);
    until_ran(&rig, "lost", Duration::from_secs(2));
    until_written(&rig, now_ns());
    daemon.kill();
    let before = standing(&rig.ledger());

    let procfs = Procfs::mount(rig.folder.path());
    procfs.replace("sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n");
    let _daemon = rig.daemon(&["--procfs", procfs.root().to_str().unwrap()]);
    std::fs::write(&go, "").unwrap();
    let (output, record) = job.end();
    assert_eq!(output.status.code(), Some(3));
    assert!(record.is_none());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let id = told.split_once("aimeter show ").expect(&told).1.trim().to_owned();
    let output = rig.aimeter("show").args(["--json", &id]).output().unwrap();
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["job"]["state"], "lost");
    assert!(notes(&shown).contains("the machine was started anew"), "{shown:#}");
    let joules = booked(&rig.ledger(), Some("lost"), PACKAGE) as f64 / 1e6;
    assert_eq!(domain(&shown, PACKAGE)["joules"].as_f64().unwrap(), joules);

    // Between two boots nothing is known, and nothing is made up.
    until_written(&rig, now_ns());
    for (id, after) in standing(&rig.ledger()) {
        let between = after.origin() - origins[&id];
        let truth = after.value - before[&id].value - (after.booked - before[&id].booked);
        assert_eq!(between, truth, "{id}");
        assert!(between > 0, "{id}: booked over a reboot");
    }
}
