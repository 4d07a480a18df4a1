// SPDX-License-Identifier: Apache-2.0
//! `aimeter show`: the text to the letter, and the record as it is.

use aimeter::carbon::resources::Accounting;
use aimeter::commands::show::{Options, show};
use aimeter::jobs::JobId;
use aimeter::ledger::{IntervalEnergy, JobReport};
use aimeter::record::summary::Style;
use aimeter::record::{build, read};

use crate::fixtures::*;

fn shown(report: &JobReport, json: bool) -> String {
    let job: JobId = "01JDFQ8W3E6V0N5T2K7YB4XHMC".parse().unwrap();
    let options = Options {
        job: job.clone(),
        json,
        style: Style { colour: false },
        accounting: Accounting::default(),
    };
    let mut out = Vec::new();
    let load = |asked: &JobId| {
        assert_eq!(*asked, job);
        Ok((report.clone(), facts()))
    };
    show(&options, &host(), load, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn minutes(from: i64, to: i64, energy: f64) -> IntervalEnergy {
    let start = report().job.started.as_microsecond();
    IntervalEnergy {
        from_microseconds: start + from * 60_000_000,
        to_microseconds: start + to * 60_000_000,
        energy: joules(energy),
    }
}

#[test]
fn a_job_in_full() {
    let mut report = server();
    report.domains[0].amount.gap_nanoseconds = 5_000_000_000;
    report.notes = vec!["the daemon was away for 5.0 s".into()];
    report.intervals =
        vec![minutes(5, 10, 900_000.0), minutes(0, 5, 600_000.0), minutes(10, 12, 235_200.0)];
    let text = shown(&report, false);
    let expected = "
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
  gaps      5.0 s without readings
  note      the daemon was away for 5.0 s
  note      CPU and DRAM energy is split between jobs by CPU time

domains
  domain               kind  read by        figure is   energy       ±     gain ±  share
  nvml:GPU-6f0c        gpu   nvml, counter  measured   1.41 MJ  4.1 kJ      7.5 %  100 %
  rapl:package-0       cpu   rapl, counter  derived     281 kJ  3.1 kJ  not known   41 %
  rapl:package-0/dram  dram  rapl, counter  derived    46.8 kJ   800 J  not known   41 %
  rapl:psys            node  rapl, counter  derived    2.10 MJ     0 J  not known   50 %

energy over time
  from                  to                    energy  mean power
  2026-11-24T09:00:00Z  2026-11-24T09:05:00Z  600 kJ      2000 W
  2026-11-24T09:05:00Z  2026-11-24T09:10:00Z  900 kJ      3000 W
  2026-11-24T09:10:00Z  2026-11-24T09:12:00Z  235 kJ      1960 W

carbon intensity
  from                      to                        g/kWh  kind   source
  2026-11-24T09:00:00.000Z  2026-11-24T09:12:00.000Z    211  table  table:OWID/Ember 2024

the same as
   number  of                                                     each  source
    0.500  km driven by a mean US car                        0.2442 kg  US EPA equivalencies calculator 2024
  1.36e-4  New York - San Francisco flights (one passenger)     900 kg  Strubell et al. (arXiv 1906.02243) 2019
  2.44e-5  years of a mean human life                          5000 kg  Strubell et al. (arXiv 1906.02243) 2019
  7.44e-6  years of a mean American life                      16400 kg  Strubell et al. (arXiv 1906.02243) 2019
  2.13e-6  lives of a US car, fuel included                   57150 kg  Strubell et al. (arXiv 1906.02243) 2019
  5.44e-5  years of electricity of a US home                 10632 kWh  US EIA 2021
  4.07e-6  trainings of BLOOM                                 30000 kg  Luccioni et al. (arXiv 2211.02001) 2022
  1.60e-6  trainings of OPT-175B                              76300 kg  Luccioni et al. (arXiv 2211.02001) 2022
  3.21e-7  trainings of Gopher                               380000 kg  Luccioni et al. (arXiv 2211.02001) 2022
  2.21e-7  trainings of GPT-3                                552000 kg  Luccioni et al. (arXiv 2211.02001) 2022
";
    assert_eq!(text, expected.trim_start_matches('\n'), "it was:\n{text}");
}

#[test]
fn a_long_job_is_shown_in_a_few_lines_that_lose_no_energy() {
    let mut report = server();
    report.intervals = (0..1_000).map(|index| minutes(index, index + 1, 60.0)).collect();
    let text = shown(&report, false);
    let lines: Vec<&str> = text
        .lines()
        .skip_while(|line| *line != "energy over time")
        .skip(2)
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(lines.len(), 24);
    assert!(lines[0].ends_with("2.52 kJ      1.00 W"), "{}", lines[0]);
    assert!(lines[23].contains("2026-11-25T01:40:00Z"), "{}", lines[23]);
}

#[test]
fn nothing_measured_is_no_empty_table() {
    let text = shown(&report(), false);
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn json_is_the_record() {
    let record = build(&server(), &host(), &facts());
    assert_eq!(read(&shown(&server(), true)).unwrap(), record);
}

#[test]
fn a_job_that_is_not_there_is_an_error_and_nothing_is_written() {
    let options = Options {
        job: "none".parse().unwrap(),
        json: false,
        style: Style::default(),
        accounting: Accounting::default(),
    };
    let mut out = Vec::new();
    let load = |_: &JobId| Err(anyhow::anyhow!("no job `none`"));
    let error = show(&options, &host(), load, &mut out).unwrap_err();
    assert_eq!(error.to_string(), "no job `none`");
    assert!(out.is_empty());
}
