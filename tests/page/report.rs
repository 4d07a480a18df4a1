// SPDX-License-Identifier: Apache-2.0
//! The HTML reports in a real Chromium (`report.mjs`), from a ledger of jobs whose names
//! would do harm where they are not taken as text. The picture of `docs/reports.md`:
//!
//! ```sh
//! cargo test --test page picture_of_a_report -- --ignored
//! ```

#[path = "../ledger/support.rs"]
#[allow(dead_code, reason = "the ledger's tests use more of it")]
mod ledger;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use aimeter::jobs::Exit;
use aimeter::jobs::marks::Count;
use aimeter::ledger::{
    Batch, Booking, DomainKey, Event, HeldMark, IntensityFact, IntensityKind, JobKey, JobRow,
    PhaseMark, UnitMark,
};
use aimeter::sensors::Kind;
use aimeter::units::{BootTime, Intensity};

use crate::browser::node;
use ledger::{T0, at, domain, job, job_event, uj};

/// Seconds of an interval of the books.
const INTERVAL: i64 = 300;
/// How long the first job runs.
const SECONDS: i64 = 200 * 60;
const HOSTILE: &str = "</title><img src=x onerror=alert(1)>\u{202e}evil<script>alert(2)</script>";

/// The domains: id, kind, device, watts, and by how many they go up and down.
const DOMAINS: [(&str, Kind, &str, f64, f64); 4] = [
    (
        "nvml:GPU-5d1f9d4c-0a5b-2f6e-8d01-7a3c1e9b2f40",
        Kind::Gpu,
        "NVIDIA H100 80GB HBM3",
        560.0,
        90.0,
    ),
    (
        "nvml:GPU-c0a6e1b7-93d2-4e58-b1f4-0f6d2a8c5e13",
        Kind::Gpu,
        "NVIDIA H100 80GB HBM3",
        540.0,
        80.0,
    ),
    ("rapl:package-0", Kind::Cpu, "package-0", 96.0, 14.0),
    ("rapl:package-0/dram", Kind::Dram, "dram", 21.0, 2.0),
];

fn row(key: i64, id: &str, name: &str, from: i64, to: i64) -> JobRow {
    let mut row = ledger::ended(job(key, id, None), Exit::Code(0));
    name.clone_into(&mut row.spec.name);
    row.spec.labels = [("model".to_owned(), "llama-3-8b".to_owned())].into();
    row.spec.command =
        ["torchrun", "--nproc-per-node", "2", "finetune.py"].map(String::from).into();
    row.spec.zone = Some("GB".to_owned());
    (row.started, row.ended) = (at(from), Some(at(to)));
    row.duration = Some(Duration::from_secs((to - from).unsigned_abs()));
    row
}

/// What an account uses of a domain, a part of the domain's power.
fn lines(key: i64, domain: usize, from: i64, to: i64, part: f64) -> Vec<Booking> {
    let (.., watts, ripple) = DOMAINS[domain];
    (from..to)
        .step_by(INTERVAL as usize)
        .enumerate()
        .map(|(place, start)| {
            let end = (start + INTERVAL).min(to);
            // It evaluates every half hour.
            let low = if place % 6 == 5 { 0.55 } else { 1.0 };
            let watts = (watts * low + ripple * (place as f64 * 1.7).sin()) * part;
            let mut line = ledger::line(
                key,
                domain as i64 + 1,
                0,
                (watts * (end - start) as f64 * 1e6) as u64,
            );
            line.from_microseconds = T0 + start * 1_000_000;
            line.to_microseconds = T0 + end * 1_000_000;
            let error = &mut line.amount.uncertainty;
            error.split = if domain > 1 { uj(180_000_000) } else { uj(0) };
            error.edge = uj(60_000_000);
            line
        })
        .collect()
}

/// Figures of half hours, the evening's higher; the last are not final.
fn facts() -> Vec<Event> {
    let fact = |step: i64| {
        let grams = 190.0 + 45.0 * (step as f64 / 3.0).sin();
        Event::Intensity(IntensityFact {
            zone: "GB".into(),
            from: at(step * 1_800 - 1_300),
            to: at((step + 1) * 1_800 - 1_300),
            intensity: Intensity::from_milligrams_per_kwh((grams * 1e3) as u32),
            signal: "average".into(),
            boundary: "direct".into(),
            source: "uk-carbon-intensity".into(),
            kind: if step > 5 { IntensityKind::Estimated } else { IntensityKind::Actual },
            fetched_at: at((step + 2) * 1_800),
            provider_updated_at: None,
        })
    };
    (-1..300).map(fact).collect()
}

/// A fine-tuning on both GPUs with its phases, one with a hostile name days later, and
/// what was nobody's.
fn books(folder: &Path) {
    let mut events: Vec<Event> = DOMAINS
        .iter()
        .enumerate()
        .map(|(place, (id, kind, device, ..))| {
            let mut domain = domain(id, *kind);
            (*device).clone_into(&mut domain.device);
            domain.driver = Some("580.65".to_owned());
            let key = DomainKey(place as i64 + 1);
            Event::Domain { key, domain, epoch: "1".to_owned() }
        })
        .collect();
    let days = 86_400;
    let first = row(1, "finetune", "llama-finetune", 0, SECONDS);
    let mut evil = row(2, "evil", HOSTILE, 2 * days, 2 * days + 4_000);
    (evil.spec.user, evil.spec.project) = (HOSTILE.to_owned(), Some(HOSTILE.to_owned()));
    evil.spec.labels = [("<b>".to_owned(), HOSTILE.to_owned())].into();
    evil.spec.command = vec![HOSTILE.to_owned()];
    events.extend([&first, &evil].map(job_event));
    events.push(Event::Note { job: JobKey(2), text: HOSTILE.to_owned() });
    events.extend(facts());
    let mut bookings = Vec::new();
    for domain in 0..4 {
        let part = if domain < 2 { 1.0 } else { 0.7 };
        bookings.extend(lines(1, domain, 0, SECONDS, part));
        bookings.extend(lines(0, domain, 0, 5 * days, 0.12));
    }
    bookings.extend(lines(2, 2, 2 * days, 2 * days + 4_000, 0.4));
    let phase = |place: u32, name: &str, times: u64, minutes: u64, joules: u64| PhaseMark {
        job: JobKey(1),
        place,
        phase: name.into(),
        times,
        nanoseconds: minutes * 60_000_000_000,
        energy: uj(joules * 1_000_000),
        until: None,
        began: None,
        ended: None,
    };
    let held = |domain| HeldMark {
        job: JobKey(1),
        domain,
        microseconds: SECONDS.unsigned_abs() * 1_000_000,
        until: BootTime::default(),
    };
    let (writer, _) = ledger::open(folder);
    writer.submit(&mut Batch {
        events,
        bookings,
        held: [DomainKey(1), DomainKey(2), DomainKey::MACHINE].map(held).into(),
        phases: vec![
            phase(0, "load", 1, 6, 200_000),
            phase(1, "train", 6, 158, 10_600_000),
            phase(2, "eval", 6, 32, 1_300_000),
        ],
        units: vec![UnitMark {
            job: JobKey(1),
            unit: "tokens".into(),
            phase: "train".into(),
            count: Count::from_thousandths(41_287_680_000),
        }],
        ..Batch::default()
    });
    writer.close().expect("a ledger");
}

/// The reports of that ledger, each in a file.
fn reports(folder: &Path) -> Vec<PathBuf> {
    let state = tempfile::tempdir().expect("a folder");
    books(state.path());
    let record = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/record-example.json");
    let period =
        ["--since", "2026-09-20T00:00Z", "--until", "2026-09-27T00:00Z", "--by", "project"];
    [
        ("report-job", &["finetune"][..]),
        ("report-jobs", &["evil", "finetune", record]),
        ("report-period", &period),
    ]
    .into_iter()
    .map(|(name, args)| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aimeter"));
        command.args(["--config", "/dev/null", "report", "--format", "html"]).args(args);
        command.env("AIMETER_STATE_DIR", state.path()).env("TZ", "UTC");
        command.env("AIMETER_SOCKET", state.path().join("none"));
        let output = command.output().expect("the binary");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = folder.join(format!("{name}.html"));
        std::fs::write(&file, output.stdout).expect("a file");
        file
    })
    .collect()
}

/// Has the browser look at them; the pictures and PDFs are in the folder.
fn looked_at(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let files = reports(folder);
    let text = |path: &Path| path.to_str().expect("a path of text").to_owned();
    let mut arguments = vec![text(folder)];
    arguments.extend(files.iter().map(|file| text(file)));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let status = node("report.mjs", &arguments).status();
    let status =
        status.unwrap_or_else(|error| panic!("this test needs node: install nodejs ({error})"));
    assert!(status.success(), "the browser's test failed; what it said is above");
}

#[test]
fn a_report_is_read_without_a_script_a_network_or_a_screen() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports");
    looked_at(&folder);
    let file = std::fs::read_to_string(folder.join("report-jobs.html")).expect("the file");
    assert!(file.contains("&lt;script&gt;alert(2)&lt;/script&gt;"));
    assert!(!file.contains("<script") && !file.contains("<img"));
    // Nothing that leads to another host.
    assert!(!file.contains("://"), "a report names no host");
}

#[test]
#[ignore = "takes the picture of docs/reports.md; see the head of tests/page/report.rs"]
fn picture_of_a_report() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report-picture");
    looked_at(&folder);
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pictures/report-html.png");
    std::fs::copy(folder.join("report-job-top.png"), picture).expect("a copy");
}
