// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench table` on folders of records.

use std::collections::BTreeMap;
use std::process::Command;

use aimeter::benchmark::record::{Level, Role};
use serde_json::Value;

use crate::campaigns::{Folder, Truth, to_accuracy, without_memory};
use crate::{aimeter, failed, printed};

fn table(folder: &Folder, args: &[&str]) -> String {
    printed(aimeter(&["bench", "table"]).arg(folder.path()).args(args))
}

fn json(folder: &Folder, args: &[&str]) -> Value {
    serde_json::from_str(&table(folder, &[&["--json"], args].concat())).expect("JSON")
}

fn rows(text: &str) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

/// A field of all rows of the first group.
fn column(board: &Value, field: &str) -> Vec<Value> {
    let rows = board["groups"][0]["rows"].as_array().expect("rows");
    rows.iter().map(|row| row[field].clone()).collect()
}

/// Three of one truth and two that need 30 % more, none of a whole level less.
fn field() -> Folder {
    let folder = Folder::new();
    let put = |name: &'static str, seed, joules| {
        let record = Truth { name, seed, joules, ..Truth::default() }.record();
        folder.put(&format!("{name}.json"), &record);
    };
    put("one", 1, 0.37);
    put("two", 2, 0.37);
    put("three", 3, 0.37);
    put("deep/four", 4, 0.37 * 1.5);
    put("deep/five", 5, 0.37 * 1.5);
    folder
}

#[test]
fn energy_ranks_and_ranks_are_shared_where_no_difference_is_shown() {
    let board = json(&field(), &[]);
    let ranks = column(&board, "rank");
    assert_eq!(ranks, [1, 1, 1, 4, 4], "{board:#}");
    assert!(column(&board, "shared").iter().all(|shared| *shared == true));
    let energies: Vec<f64> =
        column(&board, "joules_per_unit").iter().map(|one| one.as_f64().unwrap()).collect();
    assert!(energies.is_sorted(), "{energies:?}");
    // Ten pairs of five.
    assert_eq!(board["groups"][0]["confidence_percent"], 99.5);
    let text = table(&field(), &[]);
    assert!(text.contains("\n    =1  ") && text.contains("\n    =4  "), "{text}");
    assert!(text.is_ascii() || !text.contains('\u{1b}'), "no colour where there is no terminal");
}

#[test]
fn a_clean_grid_does_not_lift_a_rank() {
    let folder = Folder::new();
    let dirty = Truth { name: "frugal", seed: 1, grams_per_kwh: 650.0, ..Truth::default() };
    let clean =
        Truth { name: "wasteful", seed: 2, joules: 0.74, grams_per_kwh: 12.0, ..Truth::default() };
    folder.put("a.json", &dirty.record());
    folder.put("b.json", &clean.record());
    let board = json(&folder, &[]);
    assert_eq!(column(&board, "name"), ["frugal", "wasteful"]);
    assert_eq!(column(&board, "rank"), [1, 2]);
    let grams = column(&board, "operational_grams_per_unit");
    assert!(grams[1].as_f64() < grams[0].as_f64());
}

#[test]
fn what_is_of_another_unit_or_counts_other_domains_is_in_another_group() {
    let folder = field();
    let truth = |seed| Truth { seed, ..Truth::default() };
    let sample = truth(11).changed(|record| record.unit.role = Role::Consumer);
    folder.put("inference.json", &sample);
    folder.put("75.json", &truth(12).changed(|record| to_accuracy(record, 0.75, true)));
    folder.put("80.json", &truth(13).changed(|record| to_accuracy(record, 0.8, true)));
    let less = truth(14).changed(without_memory);
    folder.put("less.json", &less);
    let board = json(&folder, &[]);
    let sizes: Vec<usize> = board["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["rows"].as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [1, 1, 1, 1, 5], "{board:#}");
    let text = table(&folder, &[]);
    assert!(text.contains("Joules per run to accuracy ≥ 0.75 (runs, training)"), "{text}");
    assert!(text.contains("Joules per token (tokens, inference); counted: GPU, CPU, DRAM"));
    let only = json(&folder, &["--unit", "quality"]);
    assert_eq!(only["groups"].as_array().unwrap().len(), 2);
    assert_eq!(only["references"].as_array().unwrap().len(), 0);
    assert_eq!(json(&folder, &["--unit", "step"])["groups"].as_array().unwrap().len(), 0);
    let output =
        aimeter(&["bench", "table", "--unit", "step"]).arg(folder.path()).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(words.contains("no valid record is of the unit step"), "{words}");
}

#[test]
fn levels_that_allow_no_comparison_are_not_ranked() {
    let folder = field();
    let guess =
        Truth { name: "guess", seed: 20, joules: 0.01, level: Level::D, ..Truth::default() };
    folder.put("guess.json", &guess.record());
    let part = Truth { name: "part", seed: 21, joules: 0.02, level: Level::C, ..Truth::default() };
    // On the same sensors a difference of level C may be claimed.
    folder.put("part.json", &part.record());
    let board = json(&folder, &[]);
    assert_eq!(column(&board, "name")[0], "part");
    assert_eq!(
        column(&board, "rank"),
        [1.into(), 2.into(), 2.into(), 2.into(), 5.into(), 5.into(), Value::Null]
    );
    assert_eq!(column(&board, "to_best")[6], Value::Null);
    let elsewhere = Truth { machine: "node-2", ..part };
    folder.put("part.json", &elsewhere.record());
    let board = json(&folder, &[]);
    assert_ne!(column(&board, "name")[0], "part");
    assert_eq!(column(&board, "rank")[5..], [Value::Null, Value::Null]);
    let text = table(&folder, &[]);
    assert!(text.contains("not ranked: level D: no comparison may be claimed"), "{text}");
    assert!(text.contains("~ "), "{text}");
}

#[test]
fn the_models_of_the_literature_stand_apart_and_can_be_left_out() {
    let folder = field();
    let board = json(&folder, &[]);
    let references = board["references"].as_array().unwrap();
    let names: Vec<&Value> = references.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["OPT-175B", "BLOOM", "Gopher", "GPT-3"]);
    for (row, tonnes) in references.iter().zip([81.6, 29.6, 379.9, 552.1]) {
        let found = row["operational_grams_per_run"].as_f64().unwrap() / 1e6;
        assert!((found - tonnes).abs() < 0.05, "{row}");
        assert_eq!((&row["level"], &row["origin"]), (&"D".into(), &"literature".into()));
        assert_eq!(row.get("rank"), None);
        assert_eq!((row.get("low"), row.get("high")), (None, None));
    }
    let text = table(&folder, &[]);
    let (before, after) = text.split_once("From the literature").expect("a heading of its own");
    assert!(!before.contains("BLOOM") && after.contains("BLOOM"), "{text}");
    assert!(after.contains("not measured, not ranked") && after.contains("JMLR 24:253"), "{text}");
    assert!(!table(&folder, &["--no-reference"]).contains("BLOOM"));
    assert_eq!(json(&folder, &["--no-reference"])["references"].as_array().unwrap().len(), 0);
}

#[test]
fn what_is_not_valid_or_no_record_stands_apart() {
    let folder = field();
    let mut bad = Truth { name: "bad", seed: 30, joules: 0.001, ..Truth::default() }.record();
    bad.repetitions[0].domains[0].joules += 1.0;
    folder.put("bad.json", &bad);
    folder.write("notes.json", "{\"hello\": 1}");
    folder.write("broken.json", "{");
    folder.write("readme.txt", "not looked at");
    folder.put("again.json", &Truth { name: "one", seed: 1, ..Truth::default() }.record());
    let output = aimeter(&["bench", "table", "--json"]).arg(folder.path()).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    let board: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(column(&board, "name").len(), 5);
    assert_eq!(board["invalid"][0]["file"], "bad.json");
    assert_eq!(board["invalid"].as_array().unwrap().len(), 1);
    for name in ["notes.json: not a benchmark record", "broken.json: not a benchmark record"] {
        assert!(words.contains(&format!("aimeter: skipped {name}")), "{words}");
    }
    assert!(
        words.contains("skipped one.json: it is of the same campaign as again.json"),
        "{words}"
    );
    assert!(!words.contains("readme"), "{words}");
    let text = table(&folder, &[]);
    let (before, after) = text.split_once("Not valid, not ranked").expect("a heading");
    assert!(!before.contains("bad.json") && after.contains("bad.json"), "{text}");
}

#[test]
fn a_folder_without_records_says_so_and_one_that_is_not_there_fails() {
    let folder = Folder::new();
    let output = aimeter(&["bench", "table"]).arg(folder.path()).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("no benchmark record in"));
    let (code, words) = failed(aimeter(&["bench", "table"]).arg(folder.path().join("none")));
    assert_eq!((code, words.contains("cannot read the folder")), (1, true), "{words}");
}

#[test]
fn a_signature_is_told_with_its_key_and_a_bad_one_makes_the_record_not_valid() {
    let folder = field();
    let key = folder.path().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&key)
        .status()
        .unwrap_or_else(|error| {
            panic!("this test needs ssh-keygen: install openssh-client ({error})")
        });
    assert!(made.success());
    for name in ["one.json", "two.json"] {
        let file = folder.path().join(name);
        printed(aimeter(&["bench", "sign"]).arg(file).arg("--key").arg(&key));
    }
    // Signed as something else than it is.
    let other = Truth { name: "two", seed: 99, ..Truth::default() };
    folder.put("two.json", &other.record());
    let found = rows(&table(&folder, &["--format", "csv"]));
    let row = |field: &str, value: &str| found.iter().find(|row| row[field] == value).unwrap();
    let (one, three) = (row("name", "one"), row("name", "three"));
    assert_eq!((one["signature"].as_str(), three["signature"].as_str()), ("unchecked", "none"));
    assert!(one["signature_key"].starts_with("SHA256:"), "{one:?}");
    let two = row("file", "two.json");
    assert_eq!(two["status"], "invalid");
    assert!(two["remark"].contains("signature"), "{two:?}");
    assert!(table(&folder, &[]).contains("§ signed, by a key that nobody was asked about"));
}

/// A spreadsheet must not compute, a terminal not move, a page not grow by a name.
const HOSTILE: [&str; 5] = [
    "=HYPERLINK(\"https://evil.invalid\",\"click\")",
    "+1+1",
    "@SUM(A1)",
    "-2+3|x",
    "\u{1b}[2J<script>alert(1)</script>\n| [x](https://evil.invalid) |",
];

#[test]
fn hostile_names_stay_text_in_every_form() {
    let folder = Folder::new();
    for (index, name) in HOSTILE.into_iter().enumerate() {
        let record = Truth { seed: 40 + index as u64, name, ..Truth::default() };
        let record = record.changed(|record| {
            record.machine.host.name = Some(name.to_owned());
            record.workload.builtin = Some(name.to_owned());
            for one in &mut record.repetitions {
                one.intensity.as_mut().unwrap().zone = name.to_owned();
            }
        });
        folder.put(&format!("{index}.json"), &record);
    }
    let text = table(&folder, &["--no-reference"]);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_eq!(text.lines().filter(|line| line.contains("GPU, CPU, DRAM")).count(), 1);
    let csv = table(&folder, &["--no-reference", "--format", "csv"]);
    let found = rows(&csv);
    assert_eq!(found.len(), HOSTILE.len());
    for row in &found {
        for (column, cell) in row {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{column}: {cell}");
            assert!(!cell.contains(['\n', '\u{1b}']), "{column}: {cell:?}");
        }
    }
    let markdown = table(&folder, &["--no-reference", "--format", "markdown"]);
    let lines: Vec<&str> = markdown.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(lines.len(), HOSTILE.len() + 2, "{markdown}");
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(lines.iter().all(|line| bars(line) == bars(lines[0])), "{markdown}");
    assert!(!markdown.contains("<script") && !markdown.contains("[x]("), "{markdown}");
    assert!(!markdown.contains("://"), "{markdown}");
}

#[test]
fn csv_has_plain_numbers_and_a_row_for_each() {
    let folder = field();
    let board = json(&folder, &[]);
    let found = rows(&table(&folder, &["--format", "csv"]));
    assert_eq!(found.len(), 9);
    let first = &found[0];
    let energy: f64 = first["joules_per_unit"].parse().unwrap();
    assert_eq!(Some(energy), column(&board, "joules_per_unit")[0].as_f64());
    assert_eq!((first["status"].as_str(), first["rank"].as_str()), ("ranked", "1"));
    assert_eq!((first["unit"].as_str(), first["counted"].as_str()), ("token", "gpu cpu dram"));
    let last = &found[8];
    assert_eq!((last["status"].as_str(), last["rank"].as_str()), ("reference", ""));
    assert_eq!((last["low"].as_str(), last["high"].as_str()), ("", ""));
}
