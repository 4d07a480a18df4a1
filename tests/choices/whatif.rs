// SPDX-License-Identifier: Apache-2.0
//! `aimeter whatif`.

use std::path::{Path, PathBuf};
use std::process::Output;

use aimeter::clock;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::replay::Replay;
use crate::{aimeter, config, day, machine, text};

/// The recorded day for times that are past, the same as a forecast from now on.
fn day_and_forecast() -> Replay {
    Replay::tls(|head| match head.contains("fw48h") {
        true => day::forecast_from(clock::wall()),
        false => day::as_recorded(),
    })
}

/// The record of a job of 1 kWh and constant power in the first three recorded hours,
/// counted by what was then measured (141.83 g/kWh), with a PUE of 1.2.
fn record(folder: &Path) -> PathBuf {
    let example = include_str!("../../docs/record-example.json");
    let mut record: Value = serde_json::from_str(example).unwrap();
    record["job"]["started_at"] = day::BEGIN.into();
    record["job"]["ended_at"] = "2017-10-01T14:30:00Z".into();
    record["energy"]["total_joules"] = 3.6e6.into();
    record["energy"]["pue"]["value"] = 1.2.into();
    let mean = 851.0 / 6.0;
    record["emissions"]["operational_grams"] = (mean * 1.2).into();
    record["emissions"]["intensity"]["mean_grams_per_kwh"] = mean.into();
    let path = folder.join("record.json");
    std::fs::write(&path, record.to_string()).unwrap();
    path
}

fn rows(output: &Output) -> Vec<Value> {
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    document["rows"].as_array().unwrap().clone()
}

fn close(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() < 1e-6 * expected.abs().max(1.0), "{value} {expected}");
}

#[test]
fn the_same_energy_elsewhere_at_another_time_and_in_a_better_building() {
    let folder = tempfile::tempdir().unwrap();
    let replay = day_and_forecast();
    let config = config(folder.path(), &replay);
    let record = record(folder.path());
    let job = record.to_str().unwrap();
    let all = [
        "whatif",
        job,
        "--zone",
        "FR,SE",
        "--start",
        "2017-10-01T20:30Z",
        "--pue",
        "1.1",
        "--cooling-saving",
        "bcooler",
    ];
    let shown = aimeter(&config, &all).output().unwrap();
    assert_eq!((shown.status.code(), text(&shown.stderr)), (Some(0), String::new()));
    let shown = text(&shown.stdout);
    let columns: Vec<String> = shown
        .lines()
        .take(9)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        columns,
        [
            "ZONE FROM PUE g/kWh CO2e CHANGE INTENSITY",
            "as it was GB 2017-10-01 11:30Z 1.2 142 170 g average, direct: uk-carbon-intensity (actual)",
            "in FR FR 2017-10-01 11:30Z 1.2 44.2 53.0 g -69 %* average, lifecycle: yearly mean by OWID/Ember 2024",
            "in SE SE 2017-10-01 11:30Z 1.2 35.8 43.0 g -75 %* average, lifecycle: yearly mean by OWID/Ember 2024",
            "from 2017-10-01 20:30Z GB 2017-10-01 20:30Z 1.2 109 131 g -23 % average, direct: uk-carbon-intensity (actual)",
            "PUE 1.1 GB 2017-10-01 11:30Z 1.1 142 156 g -8.3 % average, direct: uk-carbon-intensity (actual)",
            "12.7 % less cooling GB 2017-10-01 11:30Z 1.175 142 167 g -2.1 % average, direct: uk-carbon-intensity (actual)",
            "in FR, from 2017-10-01 20:30Z, PUE 1.1, 12.7 % less cooling FR 2017-10-01 20:30Z 1.087 44.2 48.1 g -72 %* average, lifecycle: yearly mean by OWID/Ember 2024",
            "in SE, from 2017-10-01 20:30Z, PUE 1.1, 12.7 % less cooling SE 2017-10-01 20:30Z 1.087 35.8 38.9 g -77 %* average, lifecycle: yearly mean by OWID/Ember 2024",
        ],
        "{shown}"
    );
    assert!(shown.contains("\n* another boundary or signal than the first row: "), "{shown}");
    assert!(shown.contains("credit: Carbon Intensity API, NESO"), "{shown}");

    // What a job is set beside is counted as the job was, whatever decides when to run.
    let marginal = aimeter(&config, &all).env("AIMETER_SIGNAL", "marginal").output().unwrap();
    assert_eq!(text(&marginal.stdout), shown);

    let json = aimeter(&config, &[&all[..], &["--json"]].concat()).output().unwrap();
    let rows = rows(&json);
    assert_eq!(rows.len(), 8);
    let (was, later) = (851.0 / 6.0, 653.0 / 6.0);
    close(&rows[3]["mean_grams_per_kwh"], later);
    close(&rows[3]["grams"], later * 1.2);
    close(&rows[3]["difference_percent"], (later / was - 1.0) * 100.0);
    close(&rows[5]["grams"], was * (1.0 + 0.2 * 0.873));
    close(&rows[6]["grams"], 44.2 * (1.0 + 0.1 * 0.873));
    let comparable: Vec<bool> =
        rows.iter().map(|row| row["comparable"].as_bool().unwrap()).collect();
    assert_eq!(comparable, [true, false, false, true, true, true, false, false]);
    assert_eq!(rows[0]["difference_percent"], Value::Null);
    assert_eq!(rows[3]["sources"][0]["kind"], "actual");
}

#[test]
fn a_time_to_come_is_the_forecasts_and_beyond_it_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let replay = day_and_forecast();
    let config = config(folder.path(), &replay);
    let record = record(folder.path());
    let at = |minutes: i64| (clock::wall() + SignedDuration::from_mins(minutes)).to_string();
    let what_if = |start: &str, more: &[&str]| {
        let arguments = [&["whatif", record.to_str().unwrap(), "--start", start], more].concat();
        aimeter(&config, &arguments).output().unwrap()
    };
    let row = rows(&what_if(&at(540), &["--json"])).swap_remove(1);
    // The recorded 20:30, some moments late.
    let mean = row["mean_grams_per_kwh"].as_f64().unwrap();
    assert!((mean - 142.0).abs() < 0.5, "{row}");
    assert_eq!(row["sources"][0]["kind"], "forecast");
    assert_eq!(row["comparable"], true);

    let late = what_if(&at(22 * 60), &[]);
    assert_eq!((late.status.code(), late.stdout.len()), (Some(2), 0));
    let said = text(&late.stderr);
    assert!(said.starts_with("aimeter: --start is too late: the job would end at "), "{said}");
    assert!(said.contains(", the forecast of uk-carbon-intensity at "), "{said}");
    // A zone without a forecast has its yearly mean, at any time.
    let mut elsewhere: Value =
        serde_json::from_str(&std::fs::read_to_string(&record).unwrap()).unwrap();
    elsewhere["emissions"]["intensity"]["zone"] = "FR".into();
    std::fs::write(&record, elsewhere.to_string()).unwrap();
    let row = rows(&what_if(&at(22 * 60), &["--json"])).swap_remove(1);
    assert_eq!((&row["zone"], &row["sources"][0]["kind"]), (&"FR".into(), &"table".into()));
}

#[test]
fn what_cannot_be_told_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let replay = day_and_forecast();
    let config = config(folder.path(), &replay);
    let path = record(folder.path());
    let job = path.to_str().unwrap();
    let check = |arguments: &[&str], code: i32, expected: &str| {
        let output = aimeter(&config, &[&["whatif"], arguments].concat()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{said}");
        assert!(said.contains(expected) && said.lines().count() == 1, "{said}");
    };
    check(&[job], 2, "nothing is asked: add --zone, --start, --pue or --cooling-saving");
    check(&[job, "--zone", "UK"], 2, "unknown zone `UK`; did you mean `GB`?");
    check(&[job, "--pue", "0.9"], 2, "`0.9` is no PUE");
    check(&[job, "--cooling-saving", "much"], 2, "write a percentage such as 12.7%, or bcooler");
    check(&["./absent.json", "--pue", "1.1"], 1, "cannot use ./absent.json: No such file");
    check(&["no job", "--pue", "1.1"], 2, "`no job` is no job id");
    let mut bare: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    bare["energy"]["pue"] = Value::Null;
    std::fs::write(&path, bare.to_string()).unwrap();
    check(
        &[job, "--cooling-saving", "12.7"],
        2,
        "the job has no PUE that says how much: add --pue",
    );
    bare["emissions"]["operational_grams"] = Value::Null;
    std::fs::write(&path, bare.to_string()).unwrap();
    check(&[job, "--pue", "1.1"], 1, "or what it emitted is not known");
}

#[test]
fn a_job_of_the_ledger_is_taken_with_its_course_and_an_unknown_one_is_said() {
    let rig = machine();
    // No feed of the real world is asked.
    let replay = day_and_forecast();
    let config = config(rig.folder.path(), &replay);
    let daemon = rig.daemon(&["--zone", "US-CA", "--pue", "1.5"]);
    let run = rig.run(&[], &["sleep", "0.2"]);
    let id = run.record["job"]["id"].as_str().unwrap().to_owned();
    let joules = run.record["energy"]["total_joules"].as_f64().unwrap();
    let what_if = |arguments: &[&str]| {
        rig.aimeter("whatif").env("AIMETER_CONFIG", &config).args(arguments).output().unwrap()
    };
    let check = || {
        let rows = rows(&what_if(&[&id, "--zone", "fr", "--json"]));
        close(&rows[0]["grams"], run.record["emissions"]["operational_grams"].as_f64().unwrap());
        close(&rows[1]["grams"], joules / 3.6e6 * 44.2 * 1.5);
        assert_eq!(rows[1]["zone"], "FR");
        let from: Timestamp = rows[0]["from"].as_str().unwrap().parse().unwrap();
        let started: Timestamp = run.record["job"]["started_at"].as_str().unwrap().parse().unwrap();
        assert!(from.duration_since(started).abs() < SignedDuration::from_secs(1));
    };
    check();
    assert!(daemon.terminate().success());
    check();
    let unknown = what_if(&["no-such-job", "--pue", "1.1"]);
    assert_eq!(unknown.status.code(), Some(5));
    assert!(text(&unknown.stderr).contains("no job `no-such-job` in the ledger"));
}
