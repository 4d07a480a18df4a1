// SPDX-License-Identifier: Apache-2.0
//! The record has the names and types of the published example, and reads back.

use aimeter::carbon::Known;
use aimeter::ledger::Told;
use aimeter::record::{Record, account, build, read};
use aimeter::units::Intensity;
use serde_json::Value;

use crate::fixtures::{self, accounting, facts, holding, host, report, server};
use crate::timing;

const EXAMPLE: &str = include_str!("../../docs/record-example.json");

/// Every path of a value with its type; null where the value is. Labels are the
/// user's own names.
fn paths(value: &Value, path: &str, found: &mut Vec<(String, &'static str)>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    found.push((path.to_owned(), kind));
    match value {
        Value::Object(fields) if path != "/job/labels" => {
            fields.iter().for_each(|(name, inner)| paths(inner, &format!("{path}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().for_each(|item| paths(item, &format!("{path}/*"), found))
        }
        _ => {}
    }
}

fn shape(json: &str) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    paths(&serde_json::from_str(json).unwrap(), "", &mut found);
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_full_record_has_the_names_and_types_of_the_example() {
    let mut full = holding();
    full.notes.push("a note".into());
    (full.phases, full.units) = fixtures::marked();
    full.job.spec.timing = Some(Box::new(timing::chosen()));
    let at = full.job.ended.unwrap();
    let told = Told { at, micrograms: 1, mean: Intensity::from_milligrams_per_kwh(1) };
    let known = Known { told: Some(told), ..facts() };
    let mut record = build(&full, &host(), &known);
    account(&mut record, &full, &accounting());
    let ours = shape(&serde_json::to_string(&record).unwrap());
    let mut example = shape(EXAMPLE);
    // The example has no note.
    example.push(("/quality/notes/*".into(), "string"));
    for (path, kind) in &mut example {
        // With the shipped figures nothing is known of what came of its timing.
        let unknown = ["timing/at_once_grams_per_kwh", "timing/realised_saving_percent"];
        if unknown.iter().any(|name| *path == format!("/emissions/{name}")) {
            *kind = "null";
        }
    }
    example.sort();
    assert_eq!(ours, example);
}

#[test]
fn fields_stand_in_the_order_of_the_example() {
    let order = |json: &str| {
        let names = [
            "\"schema\"",
            "\"job\"",
            "\"host\"",
            "\"energy\"",
            "\"emissions\"",
            "\"water\"",
            "\"cost\"",
            "\"quality\"",
        ];
        names.map(|name| json.find(name).unwrap())
    };
    let ours = serde_json::to_string(&build(&server(), &host(), &facts())).unwrap();
    assert!(order(&ours).is_sorted());
    assert!(order(EXAMPLE).is_sorted());
}

#[test]
fn the_example_is_a_record_that_we_read() {
    let example = read(EXAMPLE).unwrap();
    assert_eq!(example.energy.total_joules, Some(1_735_200.0));
    assert_eq!(example.emissions.embodied_grams, Some(6.6));
}

#[test]
fn a_field_that_a_later_minor_version_added_does_no_harm() {
    let later = EXAMPLE.replacen("aimeter-record/1", "aimeter-record/1.7", 1).replacen(
        "\"job\": {",
        "\"job\": {\"added\": [1, 2],",
        1,
    );
    assert_eq!(read(&later).unwrap().job, read(EXAMPLE).unwrap().job);
    let other = EXAMPLE.replacen("aimeter-record/1", "aimeter-record/2", 1);
    assert!(read(&other).is_err());
    let older = EXAMPLE.replacen("aimeter-record/1", "aimeter-record/0", 1);
    assert!(read(&older).is_err());
}

#[test]
fn what_is_not_known_is_null_and_still_there() {
    let record = build(&report(), &Default::default(), &facts());
    let json = serde_json::to_value(&record).unwrap();
    for path in [
        "/host/name",
        "/energy/total_joules",
        "/energy/uncertainty_joules",
        "/energy/sensor_gain_percent",
        "/energy/provenance",
        "/energy/pue",
        "/energy/facility_joules",
        "/emissions/total_grams",
        "/emissions/operational_grams",
        "/emissions/embodied_grams",
        "/emissions/embodied",
        "/emissions/market_based",
        "/emissions/intensity",
        "/emissions/timing",
        "/water",
        "/cost",
    ] {
        assert_eq!(json.pointer(path), Some(&Value::Null), "{path}");
    }
    let back: Record = serde_json::from_value(json).unwrap();
    assert_eq!(back, record);
}

#[test]
fn every_field_is_in_the_documentation() {
    let documentation = include_str!("../../docs/record.md");
    let words: Vec<&str> =
        documentation.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for (path, _) in shape(EXAMPLE) {
        let name = path.rsplit('/').find(|name| *name != "*").unwrap_or_default();
        if !path.starts_with("/job/labels/") {
            assert!(words.contains(&name), "docs/record.md does not name {path}");
        }
    }
}
