// SPDX-License-Identifier: Apache-2.0
//! A machine, Python jobs on it, and what every record with marks must hold.

use std::path::{Path, PathBuf};

use nvml_standin::{Gpu, SampleBuffer, Sensor, Trace as GpuTrace};
use powercap_standin::{PowercapTree, Trace};
use serde_json::Value;

use crate::rig::Rig;

/// A GPU of 100 and 300 W in turn, a package of 100 W.
pub fn machine() -> Rig {
    let wave =
        GpuTrace::Square { low_mw: 100_000, high_mw: 300_000, hz: 0.5, phase: 0.0, duty: 0.5 };
    let mut gpu = Gpu::numbered(0, wave);
    let samples = Some(SampleBuffer { every_ms: 20, length: 120 });
    gpu.sensor = Sensor { update_ms: 20, window_ms: 10, samples };
    Rig::new(PowercapTree::builder().package(0, Trace::constant(100)), vec![gpu])
}

/// The folder of the Python module.
pub fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// A Python program of these lines that finds the module, and notes moments in `stamps`
/// by `stamp()`.
pub fn python(rig: &Rig, lines: &str) -> PathBuf {
    let file = rig.path("job.py");
    let text = format!(
        "import json, os, socket, sys, time\n\
         sys.path.insert(0, {examples:?})\n\
         import aimeter\n\
         stamps = []\n\
         def now(): return time.clock_gettime_ns(time.CLOCK_BOOTTIME)\n\
         def stamp(): stamps.append(now())\n\
         def until(file):\n\
         \x20   while not os.path.exists(file): time.sleep(0.02)\n\
         folder = {folder:?}\n\
         def write(): json.dump(stamps, open(folder + '/stamps.part', 'w')), \
         os.rename(folder + '/stamps.part', folder + '/stamps.json')\n\
         {lines}\n",
        examples = examples(),
        folder = rig.folder.path(),
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// The moments that the program noted.
pub fn stamps(rig: &Rig) -> Vec<u64> {
    let text = std::fs::read_to_string(rig.path("stamps.json")).expect("stamps");
    serde_json::from_str(&text).expect("stamps")
}

/// A phase of a record; `None`: what is outside.
pub fn phase<'a>(record: &'a Value, name: Option<&str>) -> &'a Value {
    let phases = record["phases"].as_array().expect("phases");
    phases
        .iter()
        .find(|phase| phase["name"].as_str() == name)
        .unwrap_or_else(|| panic!("no phase {name:?} in {phases:#?}"))
}

/// A unit of a record.
pub fn unit<'a>(record: &'a Value, name: &str) -> &'a Value {
    let work = record["work"].as_array().expect("work");
    work.iter()
        .find(|unit| unit["unit"] == name)
        .unwrap_or_else(|| panic!("no {name} in {work:#?}"))
}

/// Phases and what is outside them are the job's energy, to the microjoule.
#[track_caller]
pub fn check_sum(record: &Value) {
    let micro = |joules: &Value| (joules.as_f64().unwrap() * 1e6).round() as u64;
    let phases = record["phases"].as_array().unwrap();
    let sum: u64 = phases.iter().map(|phase| micro(&phase["joules"])).sum();
    assert_eq!(sum, micro(&record["energy"]["total_joules"]), "{record:#}");
    assert_eq!(phases.last().unwrap()["name"], Value::Null);
}

/// The record as `aimeter show --json` has it.
pub fn show(rig: &Rig, id: &str) -> Value {
    let output = rig.aimeter("show").args(["--json", id]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
