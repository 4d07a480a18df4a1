// SPDX-License-Identifier: Apache-2.0
//! `aimeter report --since`: the real binary on a real ledger, in each form.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::*;

fn report(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
    command.args(["--config", "/dev/null", "report"]).args(args);
    command.env("AIMETER_STATE_DIR", folder).env("TZ", "UTC");
    command.output().unwrap()
}

const PERIOD: [&str; 4] = ["--since", "2026-09-21T00:00Z", "--until", "2026-09-24T00:00Z"];

fn printed(folder: &Path, args: &[&str]) -> String {
    let output = report(folder, &[&PERIOD, args].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn all_forms_tell_the_same() {
    let folder = tempfile::tempdir().unwrap();
    two_days(folder.path());
    let folder = folder.path();
    let json: Value = serde_json::from_str(&printed(folder, &["--format", "json"])).unwrap();
    assert_eq!(json["schema"], "aimeter-statement/1");
    assert_eq!(json["since"], "2026-09-21T00:00:00.000Z");
    assert_eq!(json["total"]["jobs"], 3);
    assert_eq!(json["total"]["joules"], (40 * ONE + 10 * NESTED + 18 * TWO) as f64);
    assert_eq!(json["groups"][0]["key"], "vision");
    assert_eq!(json["groups"][1]["key"], Value::Null);
    // By local midnights: the work began on the 21st in the afternoon.
    let days: Vec<&str> =
        json["trend"].as_array().unwrap().iter().map(|one| one["day"].as_str().unwrap()).collect();
    assert_eq!(days, ["2026-09-21", "2026-09-22", "2026-09-23"]);

    let csv = printed(folder, &["--format", "csv"]);
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(csv.as_bytes()).records().map(Result::unwrap).collect();
    let joules = |row: &str| -> f64 {
        rows.iter().filter(|one| &one[0] == row).map(|one| one[5].parse::<f64>().unwrap()).sum()
    };
    assert_eq!(joules("total"), json["total"]["joules"].as_f64().unwrap());
    assert_eq!(joules("group") + joules("other_jobs") + joules("unattributed"), joules("machine"));
    assert!((joules("day") + joules("day_unattributed") - joules("machine")).abs() < 1e-3);

    let text = printed(folder, &[]);
    for part in [
        "2026-09-21 00:00 to 2026-09-24 00:00 UTC: 3 jobs",
        "35.6 MJ (9.90 kWh)",
        "unattributed  6.91 MJ, 16 % of the machine's 42.6 MJ",
        "(no project)",
        "2026-09-22",
        "████████████████████████",
        "note  a job counts by what is booked on it in the period",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
    let markdown = printed(folder, &["--format", "markdown", "--by", "user"]);
    let escaped = "\\<script>alert(1)\\</script>\\|\\* \\[2J";
    assert!(markdown.contains(escaped), "{markdown}");
    let html = printed(folder, &["--format", "html", "--by", "user"]);
    assert!(html.contains("<bdi>&lt;script&gt;alert(1)&lt;/script&gt;|* [2J</bdi>"), "{html}");
    assert!(!html.contains("<script") && html.matches("<svg").count() == 2);
    let of_one = printed(folder, &["--project", "vision", "--format", "csv"]);
    assert!(of_one.contains("group,vision,") && of_one.contains("other_jobs,,"), "{of_one}");
}

#[test]
fn days_are_those_of_the_place() {
    let folder = tempfile::tempdir().unwrap();
    two_days(folder.path());
    let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
    command.args(["--config", "/dev/null", "report", "--since", "2026-09-21", "--by", "day"]);
    command.args(["--until", "2026-09-22", "--format", "json"]);
    command.env("AIMETER_STATE_DIR", folder.path()).env("TZ", "Asia/Tokyo");
    let json: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(json["until"], "2026-09-21T15:00:00.000Z");
    // 46 minutes and 40 seconds of the first hour are before midnight in Tokyo.
    assert_eq!(json["groups"][0]["figures"]["joules"], ONE as f64 * 2_800.0 / 3_600.0);
    assert_eq!(json["time_zone"], "Asia/Tokyo");
}

#[test]
fn what_makes_no_statement_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    two_days(folder.path());
    for (args, words) in [
        (vec!["--since", "1h", "--until", "2h"], "the period ends before it begins"),
        (vec!["--since", "1800-01-01"], "more than a hundred years"),
        (vec!["--since", "1h", "--format", "model-card"], "text, json, csv, markdown or html"),
        (vec!["--since", "1h", "one"], "cannot be used with"),
        (vec!["--project", "vision"], "add --since"),
        (vec![], "no period by --since"),
    ] {
        let output = report(folder.path(), &args);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{told}");
        assert!(told.contains(words) && told.lines().count() == 1, "{args:?}: {told}");
    }
    let nothing = printed(folder.path(), &["--user", "nobody"]);
    assert!(nothing.contains(": 0 jobs"), "{nothing}");
}
