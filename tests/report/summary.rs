// SPDX-License-Identifier: Apache-2.0
//! The summary's text, to the letter.

use aimeter::jobs::{Exit, JobState};
use aimeter::ledger::JobReport;
use aimeter::record::build;
use aimeter::record::summary::{Style, summary};
use aimeter::sensors::Kind;

use crate::fixtures::*;

fn text(report: &JobReport) -> String {
    summary(&build(report, &host(), &facts()), Style { colour: false })
}

fn check(report: &JobReport, expected: &str) {
    let text = text(report);
    assert_eq!(text, expected.trim_start_matches('\n'), "it was:\n{text}");
}

#[test]
fn a_full_gpu_server() {
    check(&server(), "
aimeter: resnet-finetune took 12 min 31 s
  energy    1.74 MJ  (482 Wh)   ± 5.7 kJ  measured, sensor gain ± 7.5 %
    GPU     1.41 MJ  (391 Wh)   ± 4.1 kJ  measured
    CPU      281 kJ  (78.0 Wh)  ± 3.1 kJ  derived, 41 % of the domain
    DRAM    46.8 kJ  (13.0 Wh)  ± 800 J   derived, 41 % of the domain
    node    2.10 MJ  (583 Wh)   ± 0 J     derived, 50 % of the domain; overlaps the others, not added
  facility  2.08 MJ  (578 Wh)             with PUE 1.20 (config)
  CO2e        122 g  GB 211 g/kWh (average, lifecycle), yearly mean by OWID/Ember 2024
  like      500 m driven by a mean US car (US EPA equivalencies calculator)
  job       01JDFQ8W3E6V0N5T2K7YB4XHMC
  note      CPU and DRAM energy is split between jobs by CPU time
");
}

#[test]
fn eight_gpus_of_which_two_jobs_share_one() {
    let mut gpus: Vec<_> =
        (0..8).map(|index| gpu(&format!("GPU-{index}"), 360_000.0, 30.0)).collect();
    gpus[7].exclusive = false;
    gpus[7].amount.uncertainty.split = joules(20_000.0);
    check(
        &with(gpus),
        "
aimeter: resnet-finetune took 12 min 31 s
  energy  2.88 MJ  (800 Wh)  ± 20 kJ  measured, sensor gain ± 2.6 %
    GPU   2.88 MJ  (800 Wh)  ± 20 kJ  measured and derived, 8 domains
  CO2e      169 g  GB 211 g/kWh (average, lifecycle), yearly mean by OWID/Ember 2024
  like    691 m driven by a mean US car (US EPA equivalencies calculator)
  job     01JDFQ8W3E6V0N5T2K7YB4XHMC
",
    );
}

#[test]
fn only_an_estimate_says_so_and_how_to_measure() {
    let mut report = with(vec![estimate(212.0, 60.0)]);
    report.job.zone = None;
    report.missing = vec![
        missing(
            "rapl",
            "CPU and DRAM",
            "not_permitted",
            "energy_uj can be read by root only (CVE-2020-8694)",
            Some("start the daemon: sudo systemctl enable --now aimeter"),
        ),
        missing("nvml", "GPUs", "absent", "libnvidia-ml.so.1 was not found", None),
    ];
    check(&report, "
aimeter: resnet-finetune took 12 min 31 s
  energy       212 J  ± 130 J  estimated
    CPU        212 J  ± 130 J  estimated
  CO2e       27.9 mg  WORLD 473 g/kWh (average, lifecycle), yearly mean by OWID/Ember 2024
  job        01JDFQ8W3E6V0N5T2K7YB4XHMC
  estimated  by a model of CPU power, not by a sensor; `aimeter sensors` tells how to get a measurement
  note       not measured: CPU and DRAM (rapl): energy_uj can be read by root only (CVE-2020-8694); start the daemon: sudo systemctl enable --now aimeter
  note       not measured: GPUs (nvml): libnvidia-ml.so.1 was not found
  note       no zone is set: the world mean is used; set `--zone`, or `carbon.zone` in the config
");
}

#[test]
fn nothing_at_all_is_said_plainly() {
    let mut report = report();
    report.missing = vec![missing("rapl", "CPU and DRAM", "absent", "no powercap folder", None)];
    report.job.exit = Some(Exit::Signal(15));
    check(
        &report,
        "
aimeter: resnet-finetune took 12 min 31 s, exit code 143 (signal 15)
  energy  not measured; `aimeter sensors` says why
  job     01JDFQ8W3E6V0N5T2K7YB4XHMC
  note    not measured: CPU and DRAM (rapl): no powercap folder
",
    );
}

#[test]
fn gaps_are_told_with_their_length() {
    let mut gpu = gpu("GPU-6f0c", 9_000.0, 20.0);
    gpu.amount.gap_nanoseconds = 5_000_000_000;
    gpu.amount.uncertainty.gap = joules(150.0);
    let mut report = with(vec![gpu]);
    report.notes =
        vec!["the daemon was away for 5.0 s; its energy is booked from the counters".into()];
    check(
        &report,
        "
aimeter: resnet-finetune took 12 min 31 s
  energy  9.00 kJ  (2.50 Wh)  ± 150 J  measured, sensor gain ± 7.5 %
    GPU   9.00 kJ  (2.50 Wh)  ± 150 J  measured
  CO2e     527 mg  GB 211 g/kWh (average, lifecycle), yearly mean by OWID/Ember 2024
  like    2.16 m driven by a mean US car (US EPA equivalencies calculator)
  job     01JDFQ8W3E6V0N5T2K7YB4XHMC
  gaps    5.0 s without readings
  note    the daemon was away for 5.0 s; its energy is booked from the counters
",
    );
}

#[test]
fn a_mixed_total_says_how_much_of_it_is_estimated() {
    check(&with(vec![gpu("GPU-6f0c", 80_000.0, 900.0), estimate(20_000.0, 60.0)]), "
aimeter: resnet-finetune took 12 min 31 s
  energy      100 kJ  (27.8 Wh)  ± 12 kJ  mixed: 20.0 kJ of it is estimated, sensor gain ± 7.5 %
    GPU      80.0 kJ  (22.2 Wh)  ± 900 J  measured
    CPU      20.0 kJ  (5.56 Wh)  ± 12 kJ  estimated
  CO2e        5.86 g  GB 211 g/kWh (average, lifecycle), yearly mean by OWID/Ember 2024
  like       24.0 m driven by a mean US car (US EPA equivalencies calculator)
  job        01JDFQ8W3E6V0N5T2K7YB4XHMC
  estimated  by a model of CPU power, not by a sensor; `aimeter sensors` tells how to get a measurement
");
}

#[test]
fn a_job_that_runs_and_one_that_was_lost() {
    let mut running = with(vec![domain("rapl:package-0", Kind::Cpu, 0.42)]);
    running.job.state = JobState::Running;
    running.job.duration = None;
    assert!(text(&running).starts_with("aimeter: resnet-finetune is running\n"));
    running.job.state = JobState::Lost;
    assert!(
        text(&running).starts_with("aimeter: resnet-finetune was lost: its end was not seen\n")
    );
}

#[test]
fn colour_only_where_it_is_wanted_and_no_escape_from_a_name() {
    let mut report = server();
    report.job.spec.name = "evil\u{1b}[2J\nname".into();
    report.notes.push("note\u{7}\nsecond line".into());
    let plain = text(&report);
    assert!(!plain.contains('\u{1b}') && !plain.contains('\u{7}'));
    assert!(plain.starts_with("aimeter: evil [2J name took"));
    assert!(plain.contains("note second line\n"));
    let coloured = summary(&build(&report, &host(), &facts()), Style { colour: true });
    let unpainted = ["\u{1b}[1m", "\u{1b}[33m", "\u{1b}[0m"]
        .iter()
        .fold(coloured, |text, code| text.replace(code, ""));
    assert_eq!(unpainted, plain);
}
