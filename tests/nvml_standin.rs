// SPDX-License-Identifier: Apache-2.0
//! The NVML stand-in, checked with NVIDIA's own Python binding (nvidia-ml-py), so
//! that it is not shaped after our own code.
//!
//! Needs python3 and, the first time, a package index for nvidia-ml-py; without
//! them the test fails and says so. A Python that has it already may be named by
//! `AIMETER_TEST_PYTHON`.

#[path = "common/python.rs"]
mod python;

use std::path::{Path, PathBuf};
use std::process::Command;

use nvml_standin::{
    Fault, FaultKind, Gpu, Installed, MigInstance, Process, SampleBuffer, Script, Trace, now_ns,
};
use serde_json::Value;

const MILLISECOND: u64 = 1_000_000;

/// A Python that has nvidia-ml-py: the given one, else one of our own.
fn python() -> PathBuf {
    match std::env::var_os("AIMETER_TEST_PYTHON") {
        Some(python) => python.into(),
        None => python::with_package("nvidia-ml-py", ">=13,<14", "pynvml"),
    }
}

fn run(command: &mut Command, need: &str) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("this test needs {need}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test needs {need}: {command:?} failed: {errors}");
    output.stdout
}

fn machine() -> Script {
    let square =
        |hz| Trace::Square { low_mw: 100_000, high_mw: 300_000, hz, phase: 0.3, duty: 0.5 };
    let mut sampled = Gpu::numbered(0, square(1.0));
    sampled.sensor.samples = Some(SampleBuffer { every_ms: 20, length: 100 });
    sampled.counter.offset_mj = 5_000_000_000;
    sampled.processes = vec![
        Process { pid: 4_711, used_memory: 1 << 30, sm_percent: Some(70), gpu_instance: None },
        Process { pid: 4_712, used_memory: 2 << 30, sm_percent: None, gpu_instance: None },
    ];
    let mut plain = Gpu::numbered(1, square(7.0));
    plain.counter.step_ms = 106.0;
    let mut sliced = Gpu::numbered(2, Trace::Constant { mw: 50_000 });
    sliced.counter.present = false;
    let instance = |index: u32| MigInstance {
        uuid: format!("MIG-00000000-0000-0000-0000-{index:012}"),
        gpu_instance: index + 7,
        compute_instance: 0,
        slices: index + 1,
    };
    sliced.mig = Some(vec![instance(0), instance(1)]);
    sliced.processes = [7, 8]
        .map(|gi| Process {
            pid: 100 + gi,
            used_memory: 1,
            sm_percent: None,
            gpu_instance: Some(gi),
        })
        .into();
    let lost = Gpu::numbered(3, Trace::Constant { mw: 0 });
    let mut script = Script::starting_now(vec![sampled, plain, sliced, lost]);
    script.epoch_ns = now_ns() - 10_000 * MILLISECOND;
    script.faults = vec![Fault::standing("*", Some(3), FaultKind::Error(15))];
    script
}

fn check(script: &Script) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let installed = Installed::new(folder.path(), script).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standins/nvml/check.py");
    let mut command = Command::new(python());
    command.arg(program).env("LD_LIBRARY_PATH", folder.path());
    command.env(nvml_standin::SCRIPT_VARIABLE, &installed.script);
    serde_json::from_slice(&run(&mut command, "the stand-in to bear nvidia-ml-py")).unwrap()
}

#[test]
fn nvidia_own_binding_reads_the_scripted_truth() {
    let script = machine();
    let report = check(&script);
    assert_eq!(report["driver"], "580.95.05");
    assert_eq!(report["count"], 4);
    for (index, step) in [(0, 100), (1, 106)] {
        let seen = &report["gpus"][index];
        let gpu = &script.gpus[index];
        assert_eq!(seen["name"], gpu.name);
        assert_eq!(seen["uuid"], gpu.uuid);
        assert_eq!(seen["pci"], gpu.pci_bus_id);
        assert_eq!(seen["limit"], gpu.power_limit_mw);
        assert_eq!(seen["memory"], 80u64 << 30);
        assert_eq!(seen["power"], seen["field_power"]);
        assert_eq!(seen["field_codes"], serde_json::json!([0, 0, 3]));
        let energy = seen["energy"].as_u64().unwrap() - gpu.counter.offset_mj;
        let energy_at = |moment| script.energy_between(index, script.epoch_ns, moment) / 1_000;
        let before = seen["before"].as_u64().unwrap() - step * MILLISECOND;
        let after = seen["after"].as_u64().unwrap();
        assert!(
            (energy_at(before)..=energy_at(after)).contains(&energy),
            "GPU {index}: {energy} mJ is not within a step of the truth"
        );
    }
    assert_eq!(
        report["gpus"][0]["processes"],
        serde_json::json!([[4_711, 1u64 << 30], [4_712, 2u64 << 30]])
    );
    assert_eq!(report["gpus"][1]["processes"], serde_json::json!([]));
    assert_eq!(report["utilization"], serde_json::json!([[4_711, 70]]));
}

#[test]
fn nvidia_own_binding_reads_samples_whose_sum_is_the_true_energy() {
    let script = machine();
    let report = check(&script);
    assert_eq!(report["sample_type"], 1);
    let samples = report["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 100);
    let shift = report["wall_shift"].as_i64().unwrap();
    let moment = |sample: &Value| (sample[0].as_i64().unwrap() * 1_000 - shift) as u64;
    let microjoules: u64 = samples[1..].iter().map(|s| s[1].as_u64().unwrap() * 20).sum();
    let truth = script.energy_between(0, moment(&samples[0]), moment(&samples[99]));
    // Timestamps are whole microseconds and the wall clock may be adjusted meanwhile.
    assert!(microjoules.abs_diff(truth) < 100_000, "{microjoules} µJ, truth {truth} µJ");
}

#[test]
fn nvidia_own_binding_gets_the_codes_of_a_real_driver() {
    let report = check(&machine());
    let code = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(code("no_utilization"), 6);
    assert_eq!(code("no_counter"), 3);
    assert_eq!(code("no_samples"), 3);
    assert_eq!(code("no_such_index"), 2);
    assert_eq!(code("lost"), 15);
    assert_eq!(code("after_shutdown"), 1);
    assert_eq!(code("stale_handle"), 2);
    assert_eq!(report["mig_mode"], serde_json::json!([1, 1]));
    assert_eq!(report["mig_uuid"], "MIG-00000000-0000-0000-0000-000000000001");
    assert_eq!(code("mig_instance"), 8);
    assert_eq!(code("mig_slices"), 2);
    assert_eq!(report["mig_parent"], "GPU-00000000-0000-0000-0000-000000000002");
    assert_eq!(report["mig_processes"], serde_json::json!([108]));
}
