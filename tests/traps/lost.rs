// SPDX-License-Identifier: Apache-2.0
//! GPUs that are lost, come back, hang or are dead from the start: the others are
//! metered as if nothing had happened, and the record says what is missing.

use nvml_standin::{Fault, FaultKind, Script};
use powercap_standin::{PowercapTree, Trace};

use crate::rig::Rig;
use crate::support::*;

/// A code of `nvmlReturn_t`.
const LOST: FaultKind = FaultKind::Error(15);

fn machine() -> Rig {
    let tree = PowercapTree::builder().package(0, Trace::constant(100));
    Rig::new(tree, two_gpus())
}

fn update(rig: &Rig, change: impl FnOnce(&mut Script)) {
    rig.nvml.as_ref().expect("a library").update(change).expect("the script");
}

fn fault(rig: &Rig, call: &str, kind: FaultKind) {
    update(rig, |script| script.faults.push(Fault::standing(call, Some(0), kind)));
}

/// The longest that the end of a job may be late by a sick GPU: 0.4 s for the
/// readings of that moment, and as much again for a busy machine.
const BOUND_NS: u64 = 800_000_000;

/// Ends the job; gives what came of it and how long its end took.
fn finish(job: Job) -> (crate::rig::Run, u64) {
    let before = nvml_standin::now_ns();
    let run = job.finish();
    (run, nvml_standin::now_ns() - before)
}

fn check_lost(rig: &Rig, run: &crate::rig::Run, trap: &str) {
    let lost = Figure::of_gpu(rig, run, 0).print(trap);
    lost.contains_the_truth().invents_nothing(0.005);
    assert_tells(run, "could not be read at the job's end");
    Figure::of_gpu(rig, run, 1).check(&format!("{trap}: the other GPU"), 0.05);
    assert!(has_domain(&run.record, "rapl:package-0"), "{:#}", run.record);
}

#[test]
fn a_gpu_lost_for_good_takes_nothing_else_along() {
    // dcgm-exporter#96: one freezing GPU stops all; Alumet ends the source at an error.
    let rig = machine();
    let job = Job::start(&rig, "lost", &["--standalone"]);
    let_pass(2_000);
    fault(&rig, "*", LOST);
    let_pass(2_000);
    let (run, took) = finish(job);
    check_lost(&rig, &run, "GPU lost, standalone");
    assert!(took < BOUND_NS, "the end took {took} ns");
}

#[test]
fn a_gpu_lost_just_before_the_end_is_told() {
    // Found by no tick, only by the reading of the end itself.
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = Job::start(&rig, "lost", &[]);
    let_pass(2_000);
    fault(&rig, "*", LOST);
    let (run, took) = finish(job);
    check_lost(&rig, &run, "GPU lost just before the end, daemon");
    assert!(took < BOUND_NS, "the end took {took} ns");
    wait_for_state(&daemon, &gpu_id(&rig, 0), "lost");
}

#[test]
fn a_gpu_that_comes_back_has_lost_no_joule() {
    // No peer takes a lost GPU up again (Alumet, Zeus: by reading).
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = Job::start(&rig, "back", &[]);
    let_pass(1_200);
    fault(&rig, "*", LOST);
    wait_for_state(&daemon, &gpu_id(&rig, 0), "lost");
    update(&rig, |script| script.faults.clear());
    wait_for_state(&daemon, &gpu_id(&rig, 0), "ok");
    let_pass(500);
    let run = job.finish();
    Figure::of_gpu(&rig, &run, 0).check("GPU lost and back", 0.05);
    Figure::of_gpu(&rig, &run, 1).check("GPU lost and back: the other GPU", 0.05);
}

#[test]
fn what_a_lost_gpu_used_before_a_job_is_not_the_jobs() {
    // Zeus and CodeCarbon give all that a counter moved to whoever reads it next.
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let_pass(500);
    fault(&rig, "*", LOST);
    wait_for_state(&daemon, &gpu_id(&rig, 0), "lost");
    let_pass(3_000);
    let job = Job::start(&rig, "next", &[]);
    update(&rig, |script| script.faults.clear());
    wait_for_state(&daemon, &gpu_id(&rig, 0), "ok");
    let_pass(500);
    let run = job.finish();
    Figure::of_gpu(&rig, &run, 0).print("GPU back in the next job").contains_the_truth();
}

#[test]
fn a_call_that_hangs_stalls_only_its_own_gpu() {
    // zeusd reads in async tasks, where one hanging GPU blocks a worker (models.md, zeusd).
    let rig = machine();
    let daemon = rig.daemon(&[]);
    let job = Job::start(&rig, "stuck", &[]);
    let_pass(1_000);
    fault(&rig, "*", FaultKind::Stuck);
    let id = gpu_id(&rig, 0);
    wait_for_state(&daemon, &id, "stalled");
    let sensors = rig.aimeter("sensors").output().unwrap();
    let said = String::from_utf8_lossy(&sensors.stderr).into_owned();
    let sensors = String::from_utf8_lossy(&sensors.stdout).into_owned();
    let row = sensors.lines().find(|line| line.trim_start().starts_with(&id));
    let row = row.unwrap_or_else(|| panic!("no row of {id} in {sensors}{said}"));
    assert!(row.contains("stalled"), "{row}");
    let (run, took) = finish(job);
    check_lost(&rig, &run, "GPU call hangs");
    assert!(took < BOUND_NS, "the end took {took} ns");
    update(&rig, |script| script.faults.clear());
    wait_for_state(&daemon, &id, "ok");
}

#[test]
fn a_slow_gpu_delays_the_end_by_a_bound_and_the_others_not() {
    // A call of 1 s at the very edge: the end is not held up for it.
    let rig = machine();
    let job = Job::start(&rig, "slow", &["--standalone"]);
    let_pass(1_500);
    fault(&rig, "nvmlDeviceGetTotalEnergyConsumption", FaultKind::SlowMs(1_000));
    let_pass(1_500);
    let (run, took) = finish(job);
    Figure::of_gpu(&rig, &run, 0).print("GPU call takes 1 s").contains_the_truth();
    Figure::of_gpu(&rig, &run, 1).check("GPU call takes 1 s: the other GPU", 0.05);
    assert!(took < BOUND_NS, "the end took {took} ns");
}

#[test]
fn a_dead_gpu_does_not_hide_those_after_it() {
    // Alumet: one failing zone or device ends the round for all later ones (probe.rs).
    let rig = machine();
    fault(&rig, "nvmlDeviceGetHandleByIndex_v2", LOST);
    let job = Job::start(&rig, "dead", &["--standalone"]);
    let_pass(2_000);
    let run = job.finish();
    assert!(!has_domain(&run.record, &gpu_id(&rig, 0)));
    assert_tells(&run, "GPU 0");
    Figure::of_gpu(&rig, &run, 1).check("GPU 0 dead at the start: GPU 1", 0.05);
}

#[test]
fn a_driver_upgrade_without_a_reload_is_told_in_words() {
    // CodeCarbon#393, #444: no figure and no reason.
    let rig = machine();
    update(&rig, |script| {
        let kind = FaultKind::Error(18);
        script.faults.push(Fault::standing("nvmlInit_v2", None, kind));
        script.faults.push(Fault::standing("nvmlInitWithFlags", None, kind));
    });
    let run = rig.run(&["--standalone"], &["true"]);
    assert_tells(&run, "library and the loaded kernel module have different versions");
    assert_tells(&run, "reload the nvidia kernel modules");
    assert!(run.output.status.success());
}
