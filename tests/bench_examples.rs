// SPDX-License-Identifier: Apache-2.0
//! The campaigns in `examples/bench`: each is a good spec whose files are there, and the
//! built-in ones run to a record, on a stand-in of a package of 100 W.

#[path = "common/rig.rs"]
mod rig;

use std::path::{Path, PathBuf};
use std::process::Command;

use aimeter::benchmark::record::{BenchmarkRecord, CountedBy, Role, UnitKind};
use aimeter::benchmark::spec::{Spec, WorkRun, parse};
use powercap_standin::{PowercapTree, Trace};

use rig::Rig;

const BINARY: &str = env!("CARGO_BIN_EXE_aimeter");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/bench")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).expect(name)
}

/// Every spec by its file's name.
fn specs() -> Vec<(String, Spec)> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let names =
        files.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".toml"));
    let read = |name: String| {
        let spec = parse(&text(&name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, spec)
    };
    let mut specs: Vec<_> = names.map(read).collect();
    specs.sort_by(|(one, _), (other, _)| one.cmp(other));
    specs
}

#[test]
fn every_spec_is_good_and_its_files_are_there() {
    let specs = specs();
    let names: Vec<&str> = specs.iter().map(|(name, _)| name.as_str()).collect();
    let expected =
        ["hugging-face", "llm-inference", "matrix", "pytorch", "scikit-learn", "training"];
    assert_eq!(names, expected.map(|name| format!("{name}.toml")));
    for (name, spec) in &specs {
        // As the specification wants it for level B.
        assert_eq!(spec.protocol, aimeter::benchmark::spec::Protocol::default(), "{name}");
        if let WorkRun::Command(command) = &spec.work.run {
            let script = folder().join(&spec.work.directory).join(&command[1]);
            let compiled = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')";
            let status = Command::new("python3").args(["-c", compiled]).arg(&script).status();
            assert!(status.expect("install python3").success(), "{name}: {}", script.display());
            let marks = std::fs::read_to_string(&script).unwrap().contains("import aimeter");
            assert_eq!(marks, spec.unit.counted_by == CountedBy::Mark, "{name}");
            let module = spec.work.environment.get("PYTHONPATH");
            assert_eq!(marks, module.is_some(), "{name}");
            let there = |path: &String| folder().join(path).join("aimeter.py").exists();
            assert!(module.is_none_or(there), "{name}");
        }
    }
    let consumers = specs.iter().filter(|(_, spec)| spec.unit.role == Role::Consumer);
    assert_eq!(
        consumers.map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["llm-inference.toml"]
    );
}

/// Runs the campaign of a built-in workload's spec, in seconds and at a small size.
fn campaign(name: &str, size: &str) -> BenchmarkRecord {
    let rig = Rig::new(PowercapTree::builder().package(0, Trace::constant(100)), vec![]);
    let command = format!(
        "command = [\"{BINARY}\", \"bench\", \"workload\", \"{name}\", \"--size\", \"{size}\"]"
    );
    let mut spec = text(&format!("{name}.toml"));
    let builtin = format!("builtin = \"{name}\"");
    let changes = [
        (builtin.as_str(), command.as_str()),
        ("idle = \"60s\"", "idle = \"1s\""),
        ("warm_up = \"60s\"", "warm_up = \"0s\""),
        ("window = \"60s\"", "window = \"2s\""),
        ("repetitions = 5", "repetitions = 2"),
        ("settle = \"60s\"", "settle = \"0s\""),
    ];
    for (old, new) in changes {
        assert_eq!(spec.matches(old).count(), 1, "{old}");
        spec = spec.replace(old, new);
    }
    let file = rig.path("spec.toml");
    std::fs::write(&file, spec).unwrap();
    let record = rig.path("campaign.json");
    let mut run = rig.aimeter("bench");
    run.arg("run").arg(&file).arg("--quiet").arg("--output").arg(&record);
    let output = run.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap()
}

/// Each repetition's joules are the package's 100 W for its time.
#[track_caller]
fn check(record: &BenchmarkRecord, units_per_run: f64) {
    assert_eq!(record.repetitions.len(), 2);
    for repetition in &record.repetitions {
        assert_eq!(repetition.units, repetition.runs as f64 * units_per_run);
        let truth = 100.0 * repetition.seconds;
        assert!((repetition.joules - truth).abs() < 0.05 * truth, "{repetition:#?}");
    }
}

#[test]
fn the_matrix_product_runs_to_a_record() {
    let record = campaign("matrix", "64");
    assert_eq!((record.unit.kind, record.unit.name.as_str()), (UnitKind::Run, "runs"));
    check(&record, 1.0);
}

#[test]
fn the_training_loop_runs_to_a_record() {
    let record = campaign("training", "128");
    assert_eq!((record.unit.kind, record.unit.name.as_str()), (UnitKind::Sample, "samples"));
    check(&record, 32.0 * 128.0);
}
