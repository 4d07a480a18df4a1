// SPDX-License-Identifier: Apache-2.0
//! `aimeter schema`: a validator of somebody else's accepts the published examples and
//! a record of the real binary by it, and refuses what is no record.

mod bench_record;
#[path = "common/python.rs"]
mod python;
#[path = "common/rig.rs"]
mod rig;

use std::process::{Command, Stdio};

use nvml_standin::Gpu;
use powercap_standin::{PowercapTree, Trace};
use serde_json::{Value, json};

use rig::Rig;

const EXAMPLE: &str = include_str!("../docs/record-example.json");

fn machine() -> Rig {
    let tree = PowercapTree::builder().package(0, Trace::constant(100));
    Rig::new(tree, vec![Gpu::numbered(0, nvml_standin::Trace::Constant { mw: 200_000 })])
}

/// What `aimeter schema FORM` prints.
fn schema(form: &str) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
    let output = command.args(["schema", form]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The complaints of Python's `jsonschema` about a record, one a line; it also checks
/// the schema by its draft's own.
fn complaints(record: &Value) -> String {
    complaints_by("record", record)
}

fn complaints_by(form: &str, record: &Value) -> String {
    const PROGRAM: &str = "\
import json, sys
from jsonschema import Draft202012Validator as Validator
schema, record = json.load(sys.stdin)
Validator.check_schema(schema)
for error in Validator(schema).iter_errors(record):
    print(error.json_path, error.message)
";
    let python = python::with_package("jsonschema", ">=4.20,<5", "jsonschema");
    let input = json!([schema(form), record]).to_string();
    let (ok, said) = python::fed(Command::new(python).args(["-c", PROGRAM]), &input);
    assert!(ok, "{said}");
    said
}

#[test]
fn the_published_example_and_a_later_minor_version_are_records() {
    let mut record: Value = serde_json::from_str(EXAMPLE).unwrap();
    assert_eq!(complaints(&record), "");
    record["schema"] = json!("aimeter-record/1.4");
    record["job"]["a_later_field"] = json!(1);
    assert_eq!(complaints(&record), "");
}

#[test]
fn a_record_of_the_program_is_one() {
    let rig = machine();
    let mut run = rig.aimeter("run");
    run.args(["--standalone", "--quiet", "--json", "-", "--", "true"]).stdin(Stdio::null());
    let output = run.output().unwrap();
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(complaints(&record), "");
}

#[test]
fn imported_records_are_ones() {
    for (tool, file) in [
        ("codecarbon", "codecarbon-3.3.2.csv"),
        ("codecarbon", "codecarbon-2.0.0.csv"),
        ("slurm", "sacct.txt"),
    ] {
        let file = format!("{}/tests/import/{file}", env!("CARGO_MANIFEST_DIR"));
        let mut import = Command::new(env!("CARGO_BIN_EXE_aimeter"));
        import.args(["import", tool, &file, "--json"]).stdin(Stdio::null());
        let records: Vec<Value> = serde_json::from_slice(&import.output().unwrap().stdout).unwrap();
        assert!(!records.is_empty());
        for record in records {
            assert_eq!(complaints(&record), "", "{file}");
        }
    }
}

#[test]
fn what_is_no_record_is_refused_at_its_place() {
    let refused = |path: &str, value: Value| {
        let mut record: Value = serde_json::from_str(EXAMPLE).unwrap();
        *record.pointer_mut(path).unwrap() = value;
        complaints(&record)
    };
    assert!(refused("/schema", json!("aimeter-record/2")).starts_with("$.schema "));
    assert!(refused("/job/exit_code", json!(256)).starts_with("$.job.exit_code "));
    assert!(refused("/energy/domains/0/joules", json!("1")).contains("domains[0].joules "));
    assert!(refused("/quality", json!({"coverage": [], "notes": []})).contains("gaps_seconds"));
}

#[test]
fn a_benchmark_record_is_one_and_what_is_none_is_refused_at_its_place() {
    let record = serde_json::to_value(bench_record::record()).unwrap();
    let complaints = |change: &dyn Fn(&mut Value)| {
        let mut record = record.clone();
        change(&mut record);
        complaints_by("benchmark", &record)
    };
    assert_eq!(complaints(&|_| ()), "");
    assert_eq!(complaints(&|record| record["schema"] = json!("aimeter-benchmark/1.3")), "");
    assert_eq!(complaints(&|record| record["pue"] = Value::Null), "");
    let refused = |at: &str, value: Value| {
        complaints(&|record| *record.pointer_mut(at).unwrap() = value.clone())
    };
    assert!(refused("/schema", json!("aimeter-benchmark/2")).starts_with("$.schema "));
    assert!(refused("/hash", json!("sha256:0")).starts_with("$.hash "));
    assert!(refused("/derived/level/level", json!("S")).starts_with("$.derived.level.level "));
    assert!(refused("/repetitions/1/units", json!("1")).starts_with("$.repetitions[1].units "));
    assert!(refused("/idle", json!({})).starts_with("$.idle "));
}
