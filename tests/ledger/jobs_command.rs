// SPDX-License-Identifier: Apache-2.0
//! `aimeter jobs` on a real ledger: the table, the contract of `--json` and
//! `--csv`, and readers that go away.

use std::io::{self, Write};
use std::path::Path;

use aimeter::commands::jobs::{Format, Options, run};
use aimeter::jobs::Exit;
use aimeter::ledger::query::{Filter, JobSummary, Reader};
use aimeter::ledger::schema::LedgerError;
use aimeter::sensors::Kind;
use aimeter::settlement::Figure;
use aimeter::units::{Emissions, Intensity};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::support::*;

/// Three jobs: one that ran on all kinds, one estimated and killed, one that runs.
fn ledger(folder: &Path) {
    let mut events = domains();
    events.push(domain_event(5, "rapl:package-0/dram", Kind::Dram));
    events.push(domain_event(6, "estimate:cpu", Kind::Cpu));
    let mut killed = ended(job(2, "killed", None), Exit::Signal(9));
    killed.spec.name = "evil\u{1b}[2J\nname, \"quoted\"".to_owned();
    killed.spec.project = None;
    killed.zone = None;
    killed.pue_thousandths = None;
    for row in [ended(job(1, "whole", None), Exit::Code(3)), killed, job(3, "runs", Some("whole"))]
    {
        events.push(job_event(&row));
    }
    let lines = vec![
        line(1, 1, 0, 40_000_000_000),
        line(1, 3, 0, 6_800_000_000),
        line(1, 5, 0, 250_000),
        line(1, 4, 0, 60_000_000_000),
        line(2, 6, 0, 1_500_000),
    ];
    write(folder, events, lines);
}

fn options(folder: &Path, format: Format) -> Options {
    Options {
        state_directory: folder.to_owned(),
        filter: Filter::default(),
        format,
        boot_id: None,
        time_zone: TimeZone::UTC,
    }
}

/// 3.6 kg a kWh where a zone is known, which is 1 g a kilojoule, a quarter of it open.
fn figure(_: &Reader, job: &JobSummary) -> Result<Option<Figure>, LedgerError> {
    let Some(energy) = job.row.zone.as_ref().and(job.total()) else { return Ok(None) };
    let of = |grams: u32| {
        Emissions::of(energy, Intensity::from_milligrams_per_kwh(grams * 1_000), 1_000)
    };
    Ok(Some(Figure { emissions: of(3_600), unsettled: of(900), ..Figure::default() }))
}

fn output(format: Format) -> String {
    let folder = tempfile::tempdir().unwrap();
    ledger(folder.path());
    let mut out = Vec::new();
    run(&options(folder.path(), format), &figure, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_table_is_aligned_plain_and_marks_estimates() {
    let table = output(Format::Table);
    let expected = "\
JOB     NAME                     USER  PROJECT  STATE     STARTED            DURATION   ENERGY      GPU      CPU    DRAM    CO2e      EXIT
runs    name of runs             ada   vision   running   2026-09-21 14:13          -        -        -        -       -       -         -
killed  evil [2J name, \"quoted\"  ada   -        finished  2026-09-21 14:13  1 min 0 s  ~1.50 J        -  ~1.50 J       -       -  signal 9
whole   name of whole            ada   vision   finished  2026-09-21 14:13  1 min 0 s  46.8 kJ  40.0 kJ  6.80 kJ  250 mJ  46.8 g         3
~ estimated by a model, not measured
";
    assert_eq!(table, expected, "\n{table}");
}

#[test]
fn json_is_an_array_of_the_documented_fields_with_null_for_the_unknown() {
    let jobs: Value = serde_json::from_str(&output(Format::Json)).unwrap();
    let team = json!({"team": "b\"l\\ue"});
    let whole = json!({
        "id": "whole", "name": "name of whole", "user": "ada", "project": "vision",
        "labels": team, "origin": "run", "parent": null, "state": "finished",
        "started_at": "2026-09-21T14:13:21.000Z", "ended_at": "2026-09-21T14:14:21.000Z",
        "duration_seconds": 60.0, "exit_code": 3, "total_joules": 46800.25,
        "gpu_joules": 40000.0, "cpu_joules": 6800.0, "dram_joules": 0.25,
        "node_joules": 60000.0, "provenance": "measured", "emissions_grams": 46.80025,
        "unsettled_grams": 11.7000625,
        "zone": "GB", "pue": 1.2
    });
    let killed = json!({
        "id": "killed", "name": "evil\u{1b}[2J\nname, \"quoted\"", "user": "ada",
        "project": null, "labels": team, "origin": "run", "parent": null,
        "state": "finished", "started_at": "2026-09-21T14:13:22.000Z",
        "ended_at": "2026-09-21T14:14:22.000Z", "duration_seconds": 60.0, "exit_code": 137,
        "total_joules": 1.5, "gpu_joules": null, "cpu_joules": 1.5, "dram_joules": null,
        "node_joules": null, "provenance": "estimated", "emissions_grams": null, "unsettled_grams": null,
        "zone": null, "pue": null
    });
    let runs = json!({
        "id": "runs", "name": "name of runs", "user": "ada", "project": "vision",
        "labels": team, "origin": "run", "parent": "whole", "state": "running",
        "started_at": "2026-09-21T14:13:23.000Z", "ended_at": null,
        "duration_seconds": null, "exit_code": null, "total_joules": null,
        "gpu_joules": null, "cpu_joules": null, "dram_joules": null,
        "node_joules": null, "provenance": null, "emissions_grams": null, "unsettled_grams": null,
        "zone": "GB", "pue": 1.2
    });
    assert_eq!(jobs, json!([runs, killed, whole]));
}

#[test]
fn every_field_of_the_json_is_in_its_documentation_and_is_a_column_of_the_csv() {
    let contract = include_str!("../../docs/json-output.md");
    let jobs: Value = serde_json::from_str(&output(Format::Json)).unwrap();
    let csv = output(Format::Csv);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    for field in jobs[0].as_object().unwrap().keys() {
        assert!(contract.contains(&format!("| `{field}` |")), "{field} is not documented");
        assert!(columns.contains(field), "{field} is no column");
    }
    assert_eq!(columns.len(), jobs[0].as_object().unwrap().len());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| {
        rows[row][columns.iter().position(|column| column == name).unwrap()].to_owned()
    };
    assert_eq!(cell(1, "name"), "evil\u{1b}[2J\nname, \"quoted\"");
    assert_eq!((cell(1, "cpu_joules"), cell(1, "gpu_joules")), ("1.5".into(), String::new()));
    assert_eq!((cell(2, "total_joules"), cell(2, "exit_code")), ("46800.25".into(), "3".into()));
    assert_eq!(cell(2, "labels"), r#"{"team":"b\"l\\ue"}"#);
}

#[test]
fn a_reader_that_goes_away_ends_the_list_quietly_and_a_full_disk_does_not() {
    struct Gone(io::ErrorKind);
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    ledger(folder.path());
    for format in [Format::Table, Format::Json, Format::Csv] {
        let options = options(folder.path(), format);
        run(&options, &figure, &mut Gone(io::ErrorKind::BrokenPipe)).unwrap();
        run(&options, &figure, &mut Gone(io::ErrorKind::StorageFull)).unwrap_err();
    }
}

#[test]
fn without_a_ledger_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = run(&options(folder.path(), Format::Table), &figure, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("start `aimeter daemon`"), "{error}");
}
