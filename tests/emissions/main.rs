// SPDX-License-Identifier: Apache-2.0
//! What a job is accounted for beside energy, by the real binary on stand-ins: the
//! hardware that it holds, and the building's PUE as it changes.

#[path = "../common/rig.rs"]
mod rig;

mod held;
mod pue;

use nvml_standin::Gpu;
use powercap_standin::{PowercapTree, Trace};
use rig::{Daemon, Rig, Wrapped, burn, eventually};

/// Two GPUs, a package and its memory.
fn machine() -> Rig {
    let tree =
        PowercapTree::builder().package(0, Trace::constant(100)).dram(0, Trace::constant(20));
    let gpu = |index| Gpu::numbered(index, nvml_standin::Trace::Constant { mw: 250_000 });
    Rig::new(tree, vec![gpu(0), gpu(1)])
}

fn configure(rig: &Rig, text: &str) -> String {
    let path = rig.path("aimeter.toml");
    std::fs::write(&path, text).expect("a configuration file");
    path.to_str().expect("a path of text").to_owned()
}

/// A job that runs until [`end`].
fn begin(rig: &Rig, name: &str, args: &[&str]) -> Wrapped {
    let (burn, until) = (burn(), rig.path(&format!("{name}.end")));
    let stamp = rig.path(&format!("{name}.json"));
    let command = [
        burn.to_str().unwrap(),
        "--stamp",
        stamp.to_str().unwrap(),
        "--cpu",
        "20ms",
        "--until-file",
        until.to_str().unwrap(),
    ];
    let all: Vec<&str> = ["--name", name].iter().chain(args).copied().collect();
    let job = rig.start(&all, &command);
    eventually("the job's start", || stamp.exists().then_some(()));
    job
}

fn end(rig: &Rig, name: &str, job: Wrapped) -> rig::Run {
    std::fs::write(rig.path(&format!("{name}.end")), "").expect("a file");
    job.finish()
}

/// The value of a line of `/metrics` that begins so; `None`: there is no such line.
fn metric(daemon: &Daemon, series: &str) -> Option<f64> {
    let page = daemon.get("/metrics");
    let line = page.lines().find(|line| line.starts_with(series))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn wait_for_gpus(daemon: &Daemon) {
    let series = "aimeter_sensor_domains{source=\"nvml\"}";
    eventually("the GPUs", || metric(daemon, series).filter(|count| *count == 2.0));
}

/// Waits until the daemon has read its counters so many times more.
fn wait_for_ticks(daemon: &Daemon, more: f64) {
    let ticks = || metric(daemon, "aimeter_ticks_total").expect("ticks");
    let before = ticks();
    eventually("ticks", || (ticks() >= before + more).then_some(()));
}
