// SPDX-License-Identifier: Apache-2.0
//! GPUs without an energy counter, as all before Volta.

use nvml_standin::{Gpu, SampleBuffer, Sensor};
use powercap_standin::PowercapTree;

use crate::rig::Rig;
use crate::support::*;

fn machine(samples: Option<SampleBuffer>) -> Rig {
    let without = |index, hz| {
        let mut gpu: Gpu = square(index, hz);
        gpu.counter.present = false;
        gpu.sensor = Sensor { update_ms: 20, window_ms: 20, samples };
        gpu
    };
    Rig::new(PowercapTree::builder(), vec![without(0, 1.0), without(1, 0.3)])
}

fn check(rig: &Rig, trap: &str, args: &[&str], milliseconds: u64, part: f64) {
    let job = Job::start(rig, "power", args);
    let_pass(milliseconds);
    let run = job.finish();
    for gpu in 0..2 {
        let domain = run.domain(&gpu_id(rig, gpu));
        assert_eq!(domain["method"], "power");
        assert_eq!(domain["provenance"], "measured");
        Figure::of_gpu(rig, &run, gpu).check(&format!("{trap}, GPU {gpu}"), part);
    }
}

#[test]
fn a_gpu_without_a_counter_is_not_zero() {
    // CodeCarbon#1316, #1319: silently 0 kWh; nvml-wrapper#54: counter only since Volta.
    check(&machine(None), "no counter, no sample buffer, 6 s", &["--standalone"], 6_000, 0.03);
}

#[test]
fn a_gpu_without_a_counter_is_read_from_its_sample_buffer() {
    // No peer reads NVML's sample buffer (peers.md, section 3).
    let samples = Some(SampleBuffer { every_ms: 20, length: 120 });
    check(&machine(samples), "no counter, sample buffer, 6 s", &["--standalone"], 6_000, 0.01);
}

#[test]
fn a_short_job_without_a_counter_is_inside_what_is_stated() {
    // Zeus#181: 187 J by one way, 327 J by the other, in a short window.
    let samples = Some(SampleBuffer { every_ms: 20, length: 120 });
    let rig = machine(None);
    let _daemon = rig.daemon(&[]);
    check(&rig, "no counter, no sample buffer, 1 s, daemon", &[], 1_000, 0.15);
    let rig = machine(samples);
    let _daemon = rig.daemon(&[]);
    check(&rig, "no counter, sample buffer, 1 s, daemon", &[], 1_000, 0.05);
}
