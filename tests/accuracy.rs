// SPDX-License-Identifier: Apache-2.0
//! What a job's figures are worth: the real binary on stand-ins, against the truth.
//!
//! Two GPUs draw square waves of 1 and 7 Hz, a package wraps every 8 s. The truth
//! is the exact integral over the time that the record says the job ran, and the
//! workload's own stamps say that this time is right.

#[path = "common/rig.rs"]
mod rig;

use nvml_standin::{Gpu, SampleBuffer, Sensor};
use powercap_standin::{PowercapTree, Scale, Trace, Zone};

use rig::{Rig, Run, Stamp, burn, error, interval, stamp};

const GPUS: usize = 2;

/// 200 W that go up and down by 100 W, in steps of 0.1 s as real counters do, with
/// the ring of power samples that drivers keep.
fn gpu(index: usize, hz: f64) -> Gpu {
    let wave = nvml_standin::Trace::Square {
        low_mw: 100_000,
        high_mw: 300_000,
        hz,
        phase: 0.0,
        duty: 0.5,
    };
    let samples = Some(SampleBuffer { every_ms: 20, length: 120 });
    let mut gpu = Gpu::numbered(index, wave);
    gpu.sensor = Sensor { update_ms: 20, window_ms: 10, samples };
    gpu.counter.phase_ms = 37.0 * index as f64;
    gpu
}

/// A package of 100 W whose counter wraps every 8 s.
fn machine() -> Rig {
    let package = Zone::new(Trace::constant(100)).scale(Scale::wrapping_after(800));
    let tree = PowercapTree::builder().zone("package-0", package).dram(0, Trace::constant(20));
    Rig::new(tree, vec![gpu(0, 1.0), gpu(1, 7.0)])
}

fn sleep(rig: &Rig, args: &[&str], time: &str) -> (Run, Stamp) {
    let file = rig.path("stamp.json");
    let burn = burn();
    let command = [burn.to_str().unwrap(), "--sleep", time, "--stamp", file.to_str().unwrap()];
    let run = rig.run(args, &command);
    (run, stamp(&file))
}

/// Every GPU's joules within `part` of the truth, and the truth inside the
/// stated uncertainty.
fn check_gpus(rig: &Rig, run: &Run, stamp: &Stamp, part: f64) {
    let (from, to) = interval(&run.record);
    let slack = 1_000_000;
    assert!(from <= stamp.start_ns + slack, "the job ran before it started");
    assert!(stamp.end_ns <= to + slack, "the job ran after it ended");
    for index in 0..GPUS {
        let id = format!("nvml:{}", rig.script.gpus[index].uuid);
        let domain = run.domain(&id);
        let joules = domain["joules"].as_f64().unwrap();
        let uncertainty = domain["uncertainty_joules"].as_f64().unwrap();
        let truth = rig.gpu_joules(index, from, to);
        println!(
            "{id}: {joules:.3} J ± {uncertainty:.3}, truth {truth:.3}, error {:.4} %",
            100.0 * error(joules, truth)
        );
        assert!(error(joules, truth) < part, "{id}: {joules} is not {truth}\n{}", run.stderr);
        assert!((joules - truth).abs() <= uncertainty, "{id}: {truth} outside ± {uncertainty}");
        assert_eq!(domain["provenance"], "measured");
        assert_eq!(domain["method"], "counter");
    }
}

#[test]
fn twenty_seconds_standalone_are_within_a_thousandth() {
    let rig = machine();
    let (run, stamp) = sleep(&rig, &["--standalone"], "20s");
    check_gpus(&rig, &run, &stamp, 0.001);
}

#[test]
fn two_seconds_standalone_are_within_half_a_percent() {
    let rig = machine();
    let (run, stamp) = sleep(&rig, &["--standalone"], "2s");
    check_gpus(&rig, &run, &stamp, 0.005);
}

#[test]
fn twenty_seconds_through_the_daemon_are_within_a_thousandth() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let (run, stamp) = sleep(&rig, &[], "20s");
    check_gpus(&rig, &run, &stamp, 0.001);
    // 20 s are two and a half wraps of the package: its books still balance.
    let ledger = rig.ledger();
    let moved: f64 = ledger
        .query_row(
            "SELECT sum(energy_uj) / 1e6 FROM line JOIN domain ON domain.key = line.domain
             WHERE domain.id = 'rapl:package-0'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let first: (i64, i64) = ledger
        .query_row(
            "SELECT min(from_us), max(to_us) FROM line JOIN domain ON domain.key = line.domain
             WHERE domain.id = 'rapl:package-0'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let truth = 100.0 * (first.1 - first.0) as f64 / 1e6;
    assert!(error(moved, truth) < 0.001, "{moved} J booked, {truth} J drawn");
}

#[test]
fn two_seconds_through_the_daemon_are_within_half_a_percent() {
    let rig = machine();
    let _daemon = rig.daemon(&[]);
    let (run, stamp) = sleep(&rig, &[], "2s");
    check_gpus(&rig, &run, &stamp, 0.005);
}
