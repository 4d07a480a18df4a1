// SPDX-License-Identifier: Apache-2.0
//! GPU counters that restart, lie or stand still.

use std::path::Path;

use nvml_standin::{Fault, FaultKind, Installed, Script};
use powercap_standin::PowercapTree;

use crate::rig::Rig;
use crate::support::*;

const ENERGY: &str = "nvmlDeviceGetTotalEnergyConsumption";

fn machine() -> Rig {
    Rig::new(PowercapTree::builder(), two_gpus())
}

fn update(rig: &Rig, change: impl FnOnce(&mut Script)) {
    rig.nvml.as_ref().expect("a library").update(change).expect("the script");
}

/// What is booked of a GPU whose counter restarted: never more than the truth, at
/// least what it showed after, and the rest inside the uncertainty.
fn check_restart(rig: &Rig, run: &crate::rig::Run, trap: &str) {
    let restarted = Figure::of_gpu(rig, run, 0).print(trap);
    restarted.contains_the_truth().invents_nothing(0.005);
    // A second of 300 W and the steps around it may be lost, no more.
    assert!(restarted.truth - restarted.joules < 400.0, "{restarted:?}");
    assert_tells(run, "its counter restarted");
    Figure::of_gpu(rig, run, 1).check(&format!("{trap}: the other GPU"), 0.05);
}

#[test]
fn a_restarted_counter_is_not_a_wrap() {
    // Alumet takes each fall for a wrap of 64 bits, 1.8e19 mJ (core util.rs, probe.rs:115).
    let rig = machine();
    let job = Job::start(&rig, "restart", &["--standalone"]);
    let_pass(2_000);
    update(&rig, |script| script.gpus[0].counter.resets_ms.push(script_ms(&rig) + 300));
    let_pass(2_500);
    check_restart(&rig, &job.finish(), "counter restarts, standalone");
}

#[test]
fn a_restarted_counter_gives_no_negative_energy_and_is_counted() {
    // CodeCarbon subtracts blindly and takes abs() of the power (core/gpu_device.py, Power).
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = Job::start(&rig, "restart", &[]);
    let_pass(1_500);
    update(&rig, |script| script.gpus[0].counter.resets_ms.push(script_ms(&rig) + 300));
    let labels = [&*format!("domain=\"{}\"", gpu_id(&rig, 0))];
    wait_for_metric(&daemon, "aimeter_sensor_resets_total", &labels, 1.0);
    let_pass(1_500);
    check_restart(&rig, &job.finish(), "counter restarts, daemon");
    assert_eq!(metric(&daemon, "aimeter_sensor_resets_total", &[]), 1.0);
}

#[test]
fn a_driver_that_is_unloaded_and_loaded_anew_is_taken_up_again() {
    // Kepler's wrapped differences of 1.8e19 (K#53, K#87); dcgm-exporter freezes (D#96).
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = Job::start(&rig, "reload", &[]);
    let_pass(1_500);
    let script = &rig.nvml.as_ref().expect("a library").script;
    let aside = script.with_extension("unloaded");
    std::fs::rename(script, &aside).unwrap();
    wait_for_metric(&daemon, "aimeter_sensor_missing", &["nvml"], 1.0);
    let mut loaded = Script::load(&aside).unwrap();
    let now = script_ms(&rig);
    loaded.gpus.iter_mut().for_each(|gpu| gpu.counter.resets_ms.push(now));
    loaded.save(script).unwrap();
    wait_for_state(&daemon, &gpu_id(&rig, 0), "ok");
    let_pass(1_500);
    let run = job.finish();
    for gpu in 0..2 {
        let figure = Figure::of_gpu(&rig, &run, gpu).print(&format!("driver reload, GPU {gpu}"));
        figure.contains_the_truth().invents_nothing(0.005);
    }
    assert_tells(&run, "its counter restarted");
}

#[test]
fn a_library_that_comes_later_is_found() {
    // CodeCarbon#444 and Kepler#2280 end where no sensor is there at the start.
    let rig = Rig::new(PowercapTree::builder(), Vec::new());
    let library = rig.path("driver/libnvidia-ml.so.1");
    let mut daemon = rig.aimeter("daemon");
    daemon.env("AIMETER_NVML_LIBRARY", &library);
    let daemon = rig.daemon_from(daemon, &[]);
    let mut run = rig.aimeter("run");
    run.env("AIMETER_NVML_LIBRARY", &library);
    let job = Job::with(run, &rig, "later", &[], &[]);
    let coming = rig.path("coming");
    std::fs::create_dir(&coming).unwrap();
    let script = Script::starting_now(two_gpus());
    Installed::new(Path::new(&coming), &script).unwrap();
    std::fs::rename(&coming, rig.path("driver")).unwrap();
    wait_for_state(&daemon, &format!("nvml:{}", script.gpus[1].uuid), "ok");
    let seen = nvml_standin::now_ns();
    let_pass(2_000);
    let run = job.finish();
    let (_, to) = crate::rig::interval(&run.record);
    for gpu in 0..2 {
        let part = run.domain(&format!("nvml:{}", script.gpus[gpu].uuid));
        let joules = number(&part["joules"]);
        let [least, most] =
            [seen, script.epoch_ns].map(|from| script.energy_between(gpu, from, to) as f64 / 1e6);
        println!(
            "| library comes later, GPU {gpu} | {joules:.2} J | {least:.2} to {most:.2} J | | |"
        );
        assert!(joules >= least * 0.99 && joules <= most * 1.01, "{least} {joules} {most}");
    }
    assert_tells(&run, "is read only since");
}

#[test]
fn sentinels_and_jumps_are_refused_and_counted() {
    // Kepler#1049 (4,294,967,295), dcgm-exporter's blank 9223372036854775794, Kepler#1774 (160 kW).
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = Job::start(&rig, "absurd", &[]);
    let id = gpu_id(&rig, 0);
    let domain = format!("domain=\"{id}\"");
    let refused = || {
        metric(&daemon, "aimeter_sensor_refused_total", &[&domain])
            + metric(&daemon, "aimeter_sensor_read_errors_total", &[&domain])
    };
    for value in [0xFFFF_FFFF, u64::MAX, 9_223_372_036_854_775_794, 1_000_000_000] {
        let before = refused();
        let kind = FaultKind::Value(value);
        update(&rig, |script| script.faults.push(Fault::standing(ENERGY, Some(0), kind)));
        crate::rig::eventually("a refusal", || (refused() > before).then_some(()));
        update(&rig, |script| script.faults.clear());
        let_pass(1_200);
    }
    let run = job.finish();
    Figure::of_gpu(&rig, &run, 0).check("sentinels and jumps", 0.05);
    Figure::of_gpu(&rig, &run, 1).check("sentinels and jumps: the other GPU", 0.05);
    assert_eq!(metric(&daemon, "aimeter_sensor_resets_total", &[]), 0.0);
}

#[test]
fn a_counter_that_stays_at_zero_is_dead_and_not_idle() {
    // CodeCarbon#1316, #1319, #393: 0 kWh without a word.
    let mut gpus = two_gpus();
    gpus[0].power = nvml_standin::Trace::Constant { mw: 0 };
    let rig = Rig::new(PowercapTree::builder(), gpus);
    let daemon = rig.daemon(&[]);
    let job = Job::start(&rig, "dead", &[]);
    let id = gpu_id(&rig, 0);
    wait_for_state(&daemon, &id, "dead");
    let run = job.finish();
    assert_tells(&run, "stays at 0: it is dead, not idle");
    assert!(!has_domain(&run.record, &id), "a dead counter has no figure: {:#}", run.record);
    Figure::of_gpu(&rig, &run, 1).check("dead counter: the other GPU", 0.05);
    let short = Job::start(&rig, "short", &["--standalone"]);
    let_pass(300);
    let run = short.finish();
    assert_tells(&run, "stays at 0: it is dead, not idle");
    assert!(!has_domain(&run.record, &id), "{:#}", run.record);
}
