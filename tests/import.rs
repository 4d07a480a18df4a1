// SPDX-License-Identifier: Apache-2.0
//! `aimeter import` with the real binary: files that CodeCarbon itself wrote, outputs of
//! sacct in its documented forms, and what is done with the records.
//!
//! `tests/import/codecarbon-3.3.2.csv` and `-2.3.5.csv` were written by those versions
//! (two states of each run, by `flush` and `stop`); `-2.0.0.csv` has the columns of
//! that version's `EmissionsData`. Expected figures are worked out from the files' own
//! cells.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const EXAMPLE: &str = include_str!("../docs/record-example.json");

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        // The feeds are not asked: the shipped table answers.
        folder.write("aimeter.toml", "[grid]\nfeeds = []\n");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn aimeter(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AIMETER_") {
                command.env_remove(name);
            }
        }
        let config = self.path("aimeter.toml");
        command.args(args).env("AIMETER_CONFIG", config).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.aimeter(args).output().unwrap()
    }

    /// What is printed with this exit code.
    fn ends(&self, code: i32, args: &[&str]) -> (String, String) {
        let output = self.run(args);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, error) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{error}");
        (out, error)
    }

    fn records(&self, code: i32, args: &[&str]) -> Vec<Value> {
        let (out, _) = self.ends(code, &[args, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }
}

fn fixture(name: &str) -> String {
    format!("{}/tests/import/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn close(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value}"));
    assert!((value - expected).abs() <= expected.abs() * 1e-9 + 1e-6, "{value}, not {expected}");
}

fn notes(record: &Value) -> String {
    record["quality"]["notes"].to_string()
}

/// The last row of a file by CSV's own reader.
fn last_row(name: &str) -> BTreeMap<String, String> {
    let text = std::fs::read(fixture(name)).unwrap();
    csv::Reader::from_reader(&text[..]).deserialize().last().unwrap().unwrap()
}

#[test]
fn files_of_all_generations_of_codecarbon_are_read() {
    let folder = Folder::new();
    for (name, runs, pue, version) in [
        ("codecarbon-3.3.2.csv", 2, 1.25, "CodeCarbon 3.3.2"),
        ("codecarbon-2.3.5.csv", 1, 1.4, "CodeCarbon 2.3.5"),
        ("codecarbon-2.0.0.csv", 1, 1.0, "of an unknown version"),
    ] {
        let records = folder.records(0, &["import", "codecarbon", &fixture(name)]);
        assert_eq!(records.len(), runs, "{name}");
        let (record, row) = (records.last().unwrap(), last_row(name));
        let cell = |column: &str| row[column].parse::<f64>().unwrap();
        assert_eq!(record["schema"], "aimeter-record/1");
        assert_eq!(record["job"]["origin"], "codecarbon");
        assert_eq!(record["job"]["id"], row["run_id"]);
        assert_eq!(record["job"]["name"], row["project_name"]);
        let ended = format!("{}.000Z", row["timestamp"]);
        assert_eq!(record["job"]["ended_at"], ended);
        close(&record["energy"]["total_joules"], cell("energy_consumed") * 3.6e6 / pue);
        close(&record["emissions"]["operational_grams"], cell("emissions") * 1e3);
        let mean = cell("emissions") / cell("energy_consumed") * 1e3;
        close(&record["emissions"]["intensity"]["mean_grams_per_kwh"], mean);
        let told = record["energy"]["pue"]["value"].as_f64();
        assert_eq!(told, (pue > 1.0).then_some(pue), "{name}");
        for nothing in ["uncertainty_joules", "sensor_gain_percent"] {
            assert_eq!(record["energy"][nothing], Value::Null);
        }
        assert_eq!(record["emissions"]["intensity"]["settled"], false);
        let notes = notes(record);
        assert!(notes.contains(version) && notes.contains("taken as UTC"), "{notes}");
    }
}

#[test]
fn what_codecarbon_estimates_is_called_so() {
    let folder = Folder::new();
    let of =
        |name: &str| folder.records(0, &["import", "codecarbon", &fixture(name)]).pop().unwrap();
    // No GPU: a CPU of which the file does not tell, and a model of the memory.
    let record = of("codecarbon-3.3.2.csv");
    assert_eq!(record["energy"]["provenance"], "estimated");
    assert_eq!(record["emissions"]["intensity"]["zone"], "FR");
    // Two boards, read by NVML.
    let record = of("codecarbon-2.0.0.csv");
    assert_eq!(record["energy"]["provenance"], "mixed");
    assert_eq!(record["energy"]["domains"][0]["provenance"], "measured");
    assert_eq!(record["host"]["gpus"].as_array().unwrap().len(), 2);
    assert_eq!(record["emissions"]["intensity"]["zone"], "US-CA");
}

#[test]
fn a_report_as_csv_comes_back_with_the_same_joules_and_grams() {
    let folder = Folder::new();
    let check = |change: &dyn Fn(&mut Value)| {
        let mut record: Value = serde_json::from_str(EXAMPLE).unwrap();
        change(&mut record);
        let file = folder.write("one.json", record.to_string());
        let (csv, _) = folder.ends(0, &["report", file.to_str().unwrap(), "--format", "csv"]);
        let csv = folder.write("emissions.csv", csv);
        let back = folder.records(0, &["import", "codecarbon", csv.to_str().unwrap()]);
        assert_eq!(back.len(), 1);
        let back = back.into_iter().next().unwrap();
        assert_eq!(back["job"]["id"], record["job"]["id"]);
        for name in ["total_joules", "facility_joules"] {
            assert_eq!(back["energy"][name], record["energy"][name], "{name}");
        }
        let grams = "operational_grams";
        assert_eq!(back["emissions"][grams], record["emissions"][grams]);
        back
    };
    let back = check(&|_| {});
    let record: Value = serde_json::from_str(EXAMPLE).unwrap();
    for domain in record["energy"]["domains"].as_array().unwrap() {
        let kind = &domain["kind"];
        let counted = record["quality"]["coverage"].as_array().unwrap().contains(kind);
        let same = back["energy"]["domains"].as_array().unwrap().iter();
        let same: f64 = same
            .filter(|one| one["kind"] == *kind)
            .map(|one| one["joules"].as_f64().unwrap())
            .sum();
        let all = record["energy"]["domains"].as_array().unwrap().iter();
        let all: f64 =
            all.filter(|one| one["kind"] == *kind).map(|one| one["joules"].as_f64().unwrap()).sum();
        close(&json!(same), if counted { all } else { 0.0 });
    }
    // It was measured, and is not called an estimate for having been in a file.
    assert_eq!(back["energy"]["provenance"], "measured");
    assert_eq!(back["emissions"]["intensity"]["zone"], "GB");
    check(&|record| {
        record["energy"]["pue"] = Value::Null;
        record["energy"]["facility_joules"] = Value::Null;
    });
    check(&|record| {
        record["emissions"]["operational_grams"] = Value::Null;
        record["emissions"]["intensity"] = Value::Null;
        record["energy"]["total_joules"] = json!(1_735_200.123456);
        record["energy"]["facility_joules"] = json!(2_082_240.148147);
    });
}

#[test]
fn the_table_tells_sums_and_what_is_not_in_them() {
    let folder = Folder::new();
    let file = fixture("codecarbon-3.3.2.csv");
    let (text, _) = folder.ends(0, &["import", "codecarbon", &file]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("JOB") && lines[0].contains("CO2e"), "{text}");
    assert!(lines[3].starts_with("2 in all"), "{text}");
    // Both last rows: 4.4299e-5 and 4.4071e-5 / 1.25 kWh.
    let joules = (4.429868825678714e-05 + 4.407125359042235e-05 / 1.25) * 3.6e6;
    assert!(lines[3].contains(&format!("{joules:.0} J")), "{joules} {text}");
    assert!(text.contains("left out (2):") && text.contains("line 2: run_id:"), "{text}");

    let mut bad = std::fs::read_to_string(&file).unwrap().replace('\n', "\r\n");
    bad.insert(0, '\u{feff}');
    bad.push_str("2026-11-24T15:11:50,short,row\r\n");
    let bad = folder.write("bad.csv", bad);
    let bad = bad.to_str().unwrap();
    let (text, _) = folder.ends(6, &["import", "codecarbon", bad]);
    assert!(text.contains("2 in all") && text.contains("refused (1):"), "{text}");
    assert!(text.contains(&format!("{bad}: line 6: row: it has 3 cells")), "{text}");
    let (out, error) = folder.ends(6, &["import", "codecarbon", bad, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap().as_array().unwrap().len(), 2);
    assert!(error.starts_with("aimeter: ") && error.contains("line 6: row:"), "{error}");
}

#[test]
fn the_files_times_are_of_the_zone_that_is_named() {
    let folder = Folder::new();
    let file = fixture("codecarbon-2.3.5.csv");
    let args = ["import", "codecarbon", &file, "--timezone", "Asia/Tokyo"];
    let record = folder.records(0, &args).pop().unwrap();
    assert_eq!(record["job"]["ended_at"], "2026-11-24T06:11:56.000Z");
    assert!(notes(&record).contains("taken as Asia/Tokyo"));
    let (_, error) = folder.ends(2, &["import", "codecarbon", &file, "--timezone", "Tokyo"]);
    assert!(error.contains("write a zone such as Europe/Paris"), "{error}");
}

#[test]
fn records_are_written_whole_and_over_no_other() {
    let folder = Folder::new();
    let file = fixture("codecarbon-3.3.2.csv");
    let records = folder.path("made/records");
    let args = ["import", "codecarbon", &file, "--output", records.to_str().unwrap()];
    folder.ends(0, &args);
    let names = || {
        let entries = std::fs::read_dir(&records).unwrap();
        let mut names: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    let written = names();
    assert_eq!(written.len(), 2);
    // Again: the same is there.
    folder.ends(0, &args);
    std::fs::write(&written[0], "mine").unwrap();
    let (_, error) = folder.ends(6, &args);
    assert!(error.contains("is there already and stays as it is"), "{error}");
    assert_eq!(std::fs::read_to_string(&written[0]).unwrap(), "mine");
    assert_eq!(names(), written, "no draft is left");
}

#[test]
fn reports_and_what_ifs_take_the_records_and_say_whose_they_are() {
    let folder = Folder::new();
    let records = folder.path("records");
    let file = fixture("codecarbon-2.0.0.csv");
    folder.ends(0, &["import", "codecarbon", &file, "--output", records.to_str().unwrap()]);
    let slurm = ["import", "slurm", &fixture("sacct.json"), "--zone", "FR"];
    folder.ends(0, &[&slurm[..], &["--output", records.to_str().unwrap()]].concat());
    let one = records.join("4d3ba391-5b6a-4e5f-8d8a-6a1d5f0d7f10.json");
    let other = records.join("slurm-lumi-9.json");
    let files = [one.to_str().unwrap(), other.to_str().unwrap()];
    let report = |form: &str| {
        let args = [&["report"], &files[..], &["--format", form]].concat();
        folder.ends(0, &args).0
    };
    let text = report("text");
    assert!(text.contains("imported: CodeCarbon counted it, not aimeter"), "{text}");
    assert!(text.contains("imported: Slurm's accounting counted it"), "{text}");
    assert!(!text.contains("by a model of CPU power"), "{text}");
    let card = report("model-card");
    assert!(card.contains("imported from CodeCarbon, Slurm's accounting, energy mixed"), "{card}");
    assert!(report("markdown").contains("whose uncertainty is not known"));
    let csv = report("csv");
    assert!(csv.contains("(mixed, imported from CodeCarbon)"), "{csv}");
    let json: Vec<Value> = serde_json::from_str(&report("json")).unwrap();
    assert_eq!(json.len(), 2);
    let (text, _) = folder.ends(0, &["whatif", files[0], "--zone", "SE"]);
    // Another boundary than one that nobody knows.
    assert!(text.contains("in SE") && text.contains('*'), "{text}");
    // 0.75 kWh at 35.8 g/kWh.
    assert!(text.contains("26.9 g"), "{text}");
}

#[test]
fn slurms_jobs_have_one_energy_and_say_of_what() {
    let folder = Folder::new();
    let file = fixture("sacct.txt");
    let args = ["import", "slurm", &file, "--cpus-per-node", "128", "--timezone", "Europe/London"];
    let records = folder.records(6, &args);
    let ids: Vec<&str> = records.iter().map(|one| one["job"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["slurm-2658300", "slurm-2658301_4", "slurm-2658302"]);
    let of = |place: usize, name: &str| records[place]["energy"][name].clone();
    // Not with its steps: 18.32 MJ by the extern step.
    assert_eq!((of(0, "total_joules"), of(0, "provenance")), (json!(18.32e6), json!("measured")));
    assert_eq!(of(0, "uncertainty_joules"), Value::Null);
    // 16 of 128 CPUs.
    assert_eq!((of(1, "total_joules"), of(1, "provenance")), (json!(1.44e6), json!("estimated")));
    assert!(notes(&records[1]).contains("it held 16 of 128 CPUs of its nodes"));
    assert_eq!(of(2, "total_joules"), Value::Null);
    assert_eq!(records[0]["job"]["project"], "physics");
    assert_eq!(records[1]["job"]["exit_code"], 1);
    // Without a zone there are no emissions.
    assert_eq!(records[0]["emissions"]["operational_grams"], Value::Null);
    assert!(notes(&records[0]).contains("no zone is set"));
    let (text, _) = folder.ends(6, &args);
    assert!(text.contains("19.8 MJ of 2"), "{text}");
    assert!(text.contains("line 9: State: RUNNING"), "{text}");
    assert!(text.contains("line 10: row: it has 16 cells, and the header 15"), "{text}");
}

#[test]
fn slurms_emissions_are_of_the_zone_that_is_named() {
    let folder = Folder::new();
    let file = fixture("sacct.txt");
    let args = ["import", "slurm", &file, "--zone", "fr", "--pue", "1.2"];
    let records = folder.records(6, &args);
    let record = &records[0];
    // 18.32 MJ at 44.2 g/kWh.
    close(&record["emissions"]["operational_grams"], 18.32 / 3.6 * 44.2 * 1.2);
    close(&record["energy"]["facility_joules"], 18.32e6 * 1.2);
    assert_eq!(record["energy"]["pue"]["source"], "flag");
    let intensity = &record["emissions"]["intensity"];
    assert_eq!((&intensity["zone"], &intensity["settled"]), (&json!("FR"), &json!(false)));
    assert_eq!(intensity["parts"][0]["kind"], "table");
    assert_eq!(records[2]["emissions"]["operational_grams"], Value::Null);
    let mut config = folder.aimeter(&["import", "slurm", &file, "--json"]);
    let output = config.env("AIMETER_ZONE", "SE").output().unwrap();
    let records: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    close(&records[0]["emissions"]["operational_grams"], 18.32 / 3.6 * 35.8);
}

#[test]
fn sacct_may_be_piped_in_as_text_or_json() {
    let folder = Folder::new();
    for name in ["sacct.txt", "sacct.json"] {
        let mut command = folder.aimeter(&["import", "slurm", "--json"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&std::fs::read(fixture(name)).unwrap()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let records: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(records.len(), if name == "sacct.txt" { 3 } else { 1 });
    }
}

#[test]
fn what_is_no_such_file_is_told_in_one_line() {
    let folder = Folder::new();
    let other = folder.write("other.csv", "a,b\n1,2\n");
    let empty = folder.write("empty.csv", "");
    let words = folder.write("words.txt", "no sacct\n");
    let broken = folder.write("broken.json", "{\"jobs\": [");
    let missing = folder.path("missing.csv");
    let fail = |args: &[&str], code: i32, words: &str| {
        let (out, error) = folder.ends(code, args);
        assert_eq!((out.as_str(), error.lines().count()), ("", 1), "{error}");
        assert!(error.contains(words), "{error}");
    };
    let name = |path: &Path| path.to_str().unwrap().to_owned();
    fail(&["import", "codecarbon", &name(&other)], 1, "it has no column timestamp, project_name");
    fail(&["import", "codecarbon", &name(&empty)], 1, "it has no column timestamp");
    fail(&["import", "codecarbon", &name(&missing)], 1, "cannot read");
    fail(&["import", "slurm", &name(&words)], 1, "it has no column JobID, State, Start, End");
    fail(&["import", "slurm", &name(&broken)], 1, "it is no output of `sacct --json`");
    fail(&["import", "slurm", &name(&words), "--zone", "ZZ"], 2, "unknown zone");
    fail(&["import", "codecarbon"], 2, "FILE");
    // A file with a header and nothing else is all read.
    let header = std::fs::read_to_string(fixture("codecarbon-2.0.0.csv")).unwrap();
    let header = folder.write("header.csv", header.lines().next().unwrap());
    let (text, _) = folder.ends(0, &["import", "codecarbon", &name(&header)]);
    assert!(text.ends_with("has no rows\n"), "{text}");
    // One of which nothing could be read is a failure.
    let text = std::fs::read_to_string(fixture("codecarbon-2.0.0.csv")).unwrap();
    let bad = folder.write("bad.csv", text.replace(",3600.0,", ",long,"));
    let (text, _) = folder.ends(1, &["import", "codecarbon", &name(&bad)]);
    assert!(text.contains("line 2: duration: `long` is no number from 0 on"), "{text}");
}

#[test]
fn a_hostile_text_moves_no_cursor() {
    let folder = Folder::new();
    let text = std::fs::read_to_string(fixture("codecarbon-2.0.0.csv")).unwrap();
    let text = text.replace(",codecarbon,", ",\"\u{1b}[2Jone\ntwo\",");
    let file = folder.write("hostile.csv", text);
    let (out, _) = folder.ends(0, &["import", "codecarbon", file.to_str().unwrap()]);
    assert!(!out.contains('\u{1b}') && out.contains("one two"), "{out:?}");
    assert_eq!(out.lines().count(), 3, "{out}");
}
