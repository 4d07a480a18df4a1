// SPDX-License-Identifier: Apache-2.0
//! GPUs that are counted several times: by ranks, by MIG instances, by jobs.

use nvml_standin::{MigInstance, Process};
use powercap_standin::PowercapTree;

use crate::rig::Rig;
use crate::support::*;

fn eight() -> Rig {
    let gpus = (0..8).map(|index| square(index, 1.0 + index as f64)).collect();
    Rig::new(PowercapTree::builder(), gpus)
}

/// Eight wrappers of one job; the first one's record.
fn ranks(rig: &Rig, args: &[&str]) -> crate::rig::Run {
    let id = "01JDFQ8W3E6V0N5T2K7YB4XHMC";
    let mut jobs: Vec<Job> = (0..8)
        .map(|rank| {
            let mut run = rig.aimeter("run");
            run.env("AIMETER_JOB_ID", id).env("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7");
            let name = format!("rank-{rank}");
            Job::with(run, rig, &name, args, &[])
        })
        .collect();
    let_pass(2_000);
    let first = jobs.remove(0);
    for (rank, job) in jobs.into_iter().enumerate() {
        let said = job.finish_member();
        assert!(said.contains("part of job"), "rank {}: {said}", rank + 1);
    }
    first.finish()
}

fn check_eight(rig: &Rig, run: &crate::rig::Run, trap: &str) {
    let figures = (0..8).map(|gpu| Figure::of_gpu(rig, run, gpu));
    let sum = figures.fold((0.0, 0.0, 0.0), |sum, figure| {
        (sum.0 + figure.joules, sum.1 + figure.uncertainty, sum.2 + figure.truth)
    });
    let figure = Figure { joules: sum.0, uncertainty: sum.1, truth: sum.2 };
    // Eight debug builds start on whatever cores there are: their edges are blunt.
    figure.check(trap, 0.05);
    let shown = sum_of_kind(&run.record, "gpu");
    assert!((shown - sum.0).abs() < 1e-6, "eight GPUs and no more: {:#}", run.record);
}

#[test]
fn eight_ranks_on_eight_gpus_are_not_counted_eight_times_standalone() {
    // CodeCarbon#544: one tracker a rank, each counting the whole machine.
    let rig = eight();
    let run = ranks(&rig, &["--standalone"]);
    check_eight(&rig, &run, "eight ranks, eight GPUs, standalone");
}

#[test]
fn eight_ranks_on_eight_gpus_are_not_counted_eight_times_by_the_daemon() {
    // CodeCarbon#544, #702: one tracker a rank, or "another instance is already running".
    let rig = eight();
    let _daemon = rig.daemon(&[]);
    let run = ranks(&rig, &[]);
    check_eight(&rig, &run, "eight ranks, eight GPUs, daemon");
}

#[test]
fn mig_instances_share_one_counter_once() {
    // dcgm-exporter#317 repeats the whole GPU's energy for each instance; CEEMS#397.
    let mut gpu = square(0, 1.0);
    let instance = |number: u32, slices| MigInstance {
        uuid: format!("MIG-00000000-0000-0000-0000-{number:012}"),
        gpu_instance: number,
        compute_instance: 0,
        slices,
    };
    gpu.mig = Some(vec![instance(1, 3), instance(2, 2), instance(3, 2)]);
    let rig = Rig::new(PowercapTree::builder(), vec![gpu, square(1, 7.0)]);
    let daemon = rig.daemon(&[]);
    let with = |number: usize| {
        let uuid = format!("MIG-00000000-0000-0000-0000-{number:012}");
        Job::start(&rig, &format!("mig-{number}"), &["--gpus", &uuid])
    };
    let jobs = [with(1), with(2)];
    let_pass(3_000);
    let runs = jobs.map(Job::finish);
    for (run, slices) in runs.iter().zip([3.0, 2.0]) {
        let board = Figure::of_gpu(&rig, run, 0);
        let figure = Figure { truth: board.truth * slices / 7.0, ..board };
        figure.check(&format!("MIG, {slices} of 7 slices"), 0.05);
        assert!(!has_domain(&run.record, &gpu_id(&rig, 1)));
    }
    assert!(daemon.terminate().success());
    let books = booked(&rig, &gpu_id(&rig, 0));
    let truth = rig.gpu_joules(0, books.from, books.to);
    // The first and the last reading may be a step of 0.1 s late.
    let all = Figure { joules: books.joules, uncertainty: 60.0, truth };
    all.check("MIG, the board's books, 0.1 s of steps at each end", 0.1);
}

#[test]
fn no_utilisation_is_no_failure() {
    // Alumet#254, nvml-wrapper#56: NotFound where no process was active ends the source.
    let mut gpu = square(0, 1.0);
    let idle = |pid| Process { pid, used_memory: 1, sm_percent: None, gpu_instance: None };
    gpu.processes = vec![idle(1), idle(2)];
    let file = tempfile::NamedTempFile::new().unwrap();
    gpu.processes_file = Some(file.path().to_owned());
    let rig = Rig::new(PowercapTree::builder(), vec![gpu]);
    let daemon = rig.daemon(&[]);
    let jobs = ["one", "two"].map(|name| Job::start(&rig, name, &["--gpus", "0"]));
    let_pass(2_500);
    let runs = jobs.map(Job::finish);
    assert_eq!(metric(&daemon, "aimeter_sensor_read_errors_total", &[]), 0.0);
    let halves: f64 = runs.iter().map(|run| sum_of_kind(&run.record, "gpu")).sum();
    assert!(halves > 0.0);
    wait_for_state(&daemon, &gpu_id(&rig, 0), "ok");
}
