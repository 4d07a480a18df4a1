// SPDX-License-Identifier: Apache-2.0
//! The truth of `/metrics`: what a real Prometheus server sees of a real daemon
//! is what the ledger and the records say, on every page and for good.

#[path = "../common/python.rs"]
mod python;
#[path = "../common/rig.rs"]
mod rig;
#[path = "../common/prometheus.rs"]
mod server;

mod faults;
mod formats;
mod lives;
mod page;
mod scrapes;

use nvml_standin::{Gpu, Script};
use powercap_standin::{PowercapTree, Trace};

use page::Page;
use rig::{Daemon, Rig};

/// Half of the last digit: a microjoule, in joules.
const HALF_A_MICROJOULE: f64 = 0.5e-6;

/// Two GPUs, a package and its memory.
fn machine() -> Rig {
    let tree =
        PowercapTree::builder().package(0, Trace::constant(100)).dram(0, Trace::constant(20));
    Rig::new(tree, vec![gpu(0), gpu(1)])
}

fn gpu(index: usize) -> Gpu {
    let (low_mw, high_mw) = (100_000, 300_000);
    let wave = nvml_standin::Trace::Square { low_mw, high_mw, hz: 1.0, phase: 0.0, duty: 0.5 };
    Gpu::numbered(index, wave)
}

fn gpu_domain(script: &Script, gpu: usize) -> String {
    format!("nvml:{}", script.gpus[gpu].uuid)
}

/// A configuration file for the daemon of a rig.
fn configure(rig: &Rig, text: &str) -> String {
    let path = rig.path("aimeter.toml");
    std::fs::write(&path, text).expect("a configuration file");
    path.to_str().expect("a path of text").to_owned()
}

fn metrics(daemon: &Daemon) -> Page {
    Page::parse(daemon.get("/metrics"))
}

/// A page on which both GPUs have been read.
fn complete(daemon: &Daemon) -> Page {
    rig::eventually("both GPUs", || {
        let page = metrics(daemon);
        let read = page.of("aimeter_sensor_last_read_timestamp_seconds", &[]).count();
        (read == 4).then_some(page)
    })
}

/// The ledger's sum of the counted energy of jobs, in joules.
fn booked(rig: &Rig, whose: &str) -> f64 {
    let sql = format!(
        "SELECT ifnull(sum(total.energy_uj), 0) FROM total JOIN job ON job.key = total.job
         JOIN domain ON domain.key = total.domain WHERE domain.overlap IS NULL AND {whose}"
    );
    let microjoules: i64 = rig.ledger().query_row(&sql, [], |row| row.get(0)).expect("a sum");
    microjoules as f64 / 1e6
}
