// SPDX-License-Identifier: Apache-2.0
//! `aimeter report`: its forms as others read them, from files of records and from the
//! books. The expected figures are worked out from `docs/record-example.json` by hand.

#[path = "common/python.rs"]
mod python;
#[path = "common/rig.rs"]
mod rig;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nvml_standin::Gpu;
use powercap_standin::{PowercapTree, Trace};
use serde_json::{Value, json};

use rig::{Rig, error, eventually};

const EXAMPLE: &str = include_str!("../docs/record-example.json");

/// CodeCarbon 3's columns, as its `EmissionsData` has them.
const CODECARBON: &str = "timestamp,project_name,run_id,experiment_id,duration,emissions,\
emissions_rate,cpu_power,gpu_power,ram_power,cpu_energy,gpu_energy,ram_energy,energy_consumed,\
water_consumed,country_name,country_iso_code,region,cloud_provider,cloud_region,os,python_version,\
codecarbon_version,cpu_count,cpu_model,gpu_count,gpu_model,longitude,latitude,ram_total_size,\
tracking_mode,cpu_utilization_percent,gpu_utilization_percent,ram_utilization_percent,ram_used_gb,\
on_cloud,pue,wue";

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::tempdir().unwrap())
    }

    /// The example's record, changed.
    fn record(&self, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
        let mut record: Value = serde_json::from_str(EXAMPLE).unwrap();
        record["job"]["id"] = json!(name);
        change(&mut record);
        let path = self.0.path().join(format!("{name}.json"));
        std::fs::write(&path, record.to_string()).unwrap();
        path
    }
}

fn report(files: &[&PathBuf], args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
    command.arg("report").args(files).args(args).stdin(Stdio::null());
    command.output().unwrap()
}

fn printed(files: &[&PathBuf], args: &[&str]) -> String {
    let output = report(files, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(files: &[&PathBuf], args: &[&str]) -> (i32, String) {
    let output = report(files, args);
    assert_eq!(output.stdout, b"");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

#[test]
fn the_csv_has_codecarbons_columns_units_and_conventions() {
    let files = Files::new();
    let text = printed(&[&files.record("one", |_| {})], &["--format", "csv"]);
    assert_eq!(text.lines().next(), Some(CODECARBON));
    let row = &rows(&text)[0];
    let figure = |column: &str, expected: f64| {
        let found: f64 = row[column].parse().unwrap();
        assert!((found / expected - 1.0).abs() < 1e-9, "{column}: {found}, not {expected}");
    };
    figure("duration", 751.25);
    figure("emissions", 0.1209);
    figure("emissions_rate", 0.1209 / 751.25);
    figure("gpu_power", 1_407_600.0 / 751.25);
    // With the building's part.
    figure("gpu_energy", 0.391 * 1.2);
    figure("cpu_energy", 0.078 * 1.2);
    figure("ram_energy", 0.013 * 1.2);
    figure("energy_consumed", 0.482 * 1.2);
    figure("water_consumed", 0.08676);
    let word = |column: &str, expected: &str| assert_eq!(row[column], expected, "{column}");
    word("timestamp", "2026-11-24T09:12:31");
    word("project_name", "vision");
    word("run_id", "one");
    word("region", "GB");
    word("gpu_model", "1 x NVIDIA H100 80GB HBM3");
    word("cpu_model", "2 x AMD EPYC 9654");
    word("codecarbon_version", concat!("aimeter ", env!("CARGO_PKG_VERSION"), " (measured)"));
    word("country_iso_code", "");
}

#[test]
fn what_is_unknown_is_an_empty_cell() {
    let files = Files::new();
    let bare = files.record("bare", |record| {
        record["emissions"]["operational_grams"] = Value::Null;
        record["emissions"]["intensity"] = Value::Null;
        record["energy"]["pue"] = Value::Null;
        record["energy"]["facility_joules"] = Value::Null;
        record["water"] = Value::Null;
        record["quality"]["coverage"] = json!(["gpu"]);
    });
    let text = printed(&[&bare], &["--format", "csv"]);
    let row = &rows(&text)[0];
    for column in ["emissions", "emissions_rate", "cpu_energy", "ram_power", "region", "pue"] {
        assert_eq!(row[column], "", "{column}");
    }
    assert_eq!(row["energy_consumed"], "0.482");
    let (code, told) = refused(&[&bare], &["--format", "model-card"]);
    assert_eq!(code, 1);
    assert!(told.contains("the emissions of job bare are not known"), "{told}");
    let statement = printed(&[&bare], &["--format", "markdown"]);
    assert!(statement.contains("Emissions of the electricity are not known;"), "{statement}");
}

/// The block as the Hub's own package reads it from a card.
fn of_card(block: &str) -> Value {
    const PROGRAM: &str = "\
import json, sys
from huggingface_hub import ModelCard
card = ModelCard('---\\nlicense: mit\\n' + sys.stdin.read() + '---\\n# A model\\n')
print(json.dumps(card.data.to_dict()['co2_eq_emissions']))
";
    let python = python::with_package("huggingface_hub", ">=0.30,<2", "huggingface_hub");
    let (ok, said) = python::fed(Command::new(python).args(["-c", PROGRAM]), block);
    assert!(ok, "{said}");
    serde_json::from_str(&said).unwrap()
}

#[test]
fn the_hubs_own_parser_reads_the_model_card_of_all_jobs() {
    let files = Files::new();
    let odd = "Grid: \"of # steel\" | 'it'\u{7f}";
    let one = files.record("one", |_| {});
    let other = files.record("other", |record| {
        record["emissions"]["operational_grams"] = json!(0.1);
        record["emissions"]["intensity"]["zone"] = json!(odd);
        record["emissions"]["intensity"]["settled"] = json!(false);
    });
    let args = ["--format", "model-card", "--training-type", "fine-tuning"];
    let block = of_card(&printed(&[&one, &other], &args));
    assert_eq!(block["emissions"], json!(121.0));
    assert_eq!(block["training_type"], "fine-tuning");
    assert_eq!(block["geographical_location"], "GB, Grid: \"of # steel\" | 'it'");
    // The same machine twice is one machine.
    assert_eq!(block["hardware_used"], "1 x NVIDIA H100 80GB HBM3, 2 x AMD EPYC 9654");
    let source = block["source"].as_str().unwrap();
    assert!(source.starts_with("aimeter ") && source.contains("energy measured"), "{source}");
    assert!(source.ends_with("electricity with PUE, carbon intensity not settled"), "{source}");
}

#[test]
fn the_statement_says_figures_uncertainty_and_method() {
    let files = Files::new();
    let one = files.record("one", |record| record["job"]["name"] = json!("a|b"));
    let other = files.record("other", |_| {});
    let text = printed(&[&one, &other], &["--format", "markdown"]);
    for part in [
        "1 x NVIDIA H100 80GB HBM3, 2 x AMD EPYC 9654 in the electricity zone GB",
        "0.209 kgCO2eq/kWh",
        "0.417 hours",
        "0.964 kWh in the machines (energy measured), 1.16 kWh with",
        "electricity are 0.242 kgCO2eq; those of making the hardware, by the time held, are 0.0132",
        "| a\\|b | 2026-11-24T09:00:00.000Z | 12 min 31 s | 1.74 MJ | 5.2 kJ | 1.20 | 209 | 121 g |",
        "counted: GPU, CPU, DRAM; read by: nvml, rapl",
        "at most ± 7.5 %",
        "uk-carbon-intensity (actual; average, direct)",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

#[test]
fn phases_and_work_are_in_the_statement_of_the_jobs_that_marked_them() {
    let files = Files::new();
    let one = files.record("one", |record| record["phases"][0]["name"] = json!("a|b"));
    let bare = files.record("bare", |record| {
        (record["phases"], record["work"]) = (json!([]), json!([]));
    });
    let text = printed(&[&one, &bare], &["--format", "markdown"]);
    for row in [
        "| resnet-finetune | a\\|b | 3 | 10 min 30 s | 1.56 MJ | 109 g |",
        "| resnet-finetune | (outside any phase) |  | 31.2 s | 34.7 kJ | 2.42 g |",
        "| resnet-finetune | samples | all | 38400 | 45.2 J | 3.15 mg |",
        "| resnet-finetune | samples | epoch | 38400 | 40.7 J | |",
    ] {
        assert_eq!(text.matches(row).count(), 1, "{row}\nis not once in\n{text}");
    }
    let text = printed(&[&bare], &["--format", "markdown"]);
    assert!(!text.contains("### Phases") && !text.contains("### Work"), "{text}");
}

#[test]
fn the_html_has_the_summarys_lines_and_says_what_a_record_does_not_hold() {
    let files = Files::new();
    let one = files.record("one", |record| {
        record["job"]["name"] = json!("<b>x</b>");
        record["emissions"]["unsettled_grams"] = json!(20.9);
    });
    let bare = files.record("bare", |record| {
        record["emissions"]["operational_grams"] = Value::Null;
        record["emissions"]["unsettled_grams"] = Value::Null;
        record["emissions"]["intensity"] = Value::Null;
        record["energy"]["pue"] = Value::Null;
        record["energy"]["facility_joules"] = Value::Null;
        (record["phases"], record["work"]) = (json!([]), json!([]));
    });
    let file = printed(&[&one], &["--format", "html"]);
    for part in [
        "<title>Energy and carbon emissions of &lt;b&gt;x&lt;/b&gt;</title>",
        "<dt>Energy</dt><dd><b>1.74 MJ</b><span>± 5.2 kJ (95 %), measured</span>",
        "<dt>With the building</dt><dd><b>2.08 MJ</b><span>PUE 1.20 (config)</span>",
        "<b>121 g</b><span>GB 209 g/kWh (average), 20.9 g not final</span>",
        "<bdi>making the hardware held (6.60 g to 18.6 g), server: Luccioni",
        "A record does not hold the course of the power",
        "<td><bdi>uk-carbon-intensity</bdi></td><td>actual</td>",
        "<li>Counted: GPU, CPU, DRAM</li>",
    ] {
        assert!(file.contains(part), "{part}\nis not in\n{file}");
    }
    // Domains, intensity, energy and time by phase.
    assert_eq!(file.matches("<svg").count(), 4);
    let imported = files.record("imported", |record| {
        record["job"]["origin"] = json!("codecarbon");
        record["energy"]["domains"][0]["uncertainty_joules"] = Value::Null;
    });
    let file = printed(&[&imported], &["--format", "html"]);
    assert!(file.contains("imported: CodeCarbon counted it, not aimeter"), "{file}");
    assert!(file.contains("Of an imported job the course of the power is not known."));
    let file = printed(&[&one, &bare], &["--format", "html"]);
    assert!(file.contains("Energy and carbon emissions of 2 jobs"));
    assert!(file.contains("No carbon intensity is known of this job."));
    assert!(file.contains("<dt>CO2e of the electricity</dt><dd><b>not known</b>"), "a sum");
    assert_eq!(file.matches("<svg").count(), 5);
}

#[test]
fn what_makes_no_report_is_told_in_one_line() {
    let files = Files::new();
    let one = files.record("one", |_| {});
    let running = files.record("running", |record| record["job"]["state"] = json!("running"));
    let missing = files.0.path().join("missing.json");
    for (given, args, code, words) in [
        (vec![], vec![], 2, "no job is named"),
        (vec![&one, &one], vec!["--format", "csv"], 2, "job one is named twice"),
        (vec![&one], vec!["--training-type", "fine-tuning"], 2, "--training-type is a field of"),
        (vec![&running], vec!["--format", "model-card"], 1, "job running is still running"),
        (vec![&missing], vec![], 1, "missing.json"),
    ] {
        let (ended, told) = refused(&given, &args);
        assert_eq!(ended, code, "{told}");
        assert!(told.contains(words), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    let citation = printed(&[], &["--format", "citation"]);
    let version = concat!("version = {", env!("CARGO_PKG_VERSION"), "}");
    assert!(citation.starts_with("@software{aimeter,") && citation.contains(version));
}

#[test]
fn a_job_of_the_books_is_reported_as_it_is_shown() {
    let tree = PowercapTree::builder().package(0, Trace::constant(100));
    let gpu = Gpu::numbered(0, nvml_standin::Trace::Constant { mw: 200_000 });
    let rig = Rig::new(tree, vec![gpu]);
    let daemon = rig.daemon(&[]);
    let run = rig.run(&["--gpus", "all"], &["true"]);
    let id = run.record["job"]["id"].as_str().unwrap().to_owned();
    eventually("the job's end in the ledger", || {
        let sql = "SELECT 1 FROM job WHERE state = 'finished' AND id = ?1";
        rig.ledger().query_row(sql, [&id], |_| Ok(())).ok()
    });
    _ = daemon.terminate();
    let json = |command: &str, args: &[&str]| -> Value {
        let output = rig.aimeter(command).arg(&id).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let shown = json("show", &["--json"]);
    assert_eq!(json("report", &["--format", "json"]), json!([shown]));
    let text = rig.aimeter("report").args([&id, "--format", "csv"]).output().unwrap().stdout;
    let row = &rows(&String::from_utf8(text).unwrap())[0];
    let file = rig.aimeter("report").args([&id, "--format", "html"]).output().unwrap().stdout;
    let file = String::from_utf8(file).unwrap();
    assert!(file.contains("<figcaption>Power over time (UTC)</figcaption>"), "{file}");
    let joules = row["energy_consumed"].parse::<f64>().unwrap() * 3.6e6;
    assert!(error(joules, shown["energy"]["total_joules"].as_f64().unwrap()) < 1e-9);
}
