// SPDX-License-Identifier: Apache-2.0
//! Phases and units of work in the record, the summary and `show`.

use aimeter::record::summary::{Style, summary};
use aimeter::record::{Record, build};

use crate::fixtures::{facts, host, marked, report, server};

fn record() -> Record {
    let mut report = server();
    (report.phases, report.units) = marked();
    build(&report, &host(), &facts())
}

#[test]
fn phases_and_what_is_outside_them_are_the_whole() {
    let record = record();
    let [epoch, eval, outside] = &record.phases[..] else { panic!("{:?}", record.phases) };
    assert_eq!((epoch.name.as_deref(), epoch.times), (Some("epoch"), Some(3)));
    assert_eq!((epoch.seconds, epoch.joules), (Some(630.0), 1_500_000.0));
    assert_eq!((outside.name.as_deref(), outside.times), (None, None));
    assert_eq!((outside.seconds, outside.joules), (Some(31.25), 135_200.0));
    let total = record.energy.total_joules.unwrap();
    assert_eq!(epoch.joules + eval.joules + outside.joules, total);
    let grams = record.emissions.operational_grams.unwrap();
    let of = |joules: f64| (grams * joules / total * 1e6).round() / 1e6;
    assert_eq!(
        [epoch, eval, outside].map(|part| part.grams.unwrap()),
        [of(1.5e6), of(1e5), of(135_200.0)]
    );
}

#[test]
fn a_unit_costs_its_part_of_the_job_and_of_its_phase() {
    let record = record();
    let [samples] = &record.work[..] else { panic!("{:?}", record.work) };
    assert_eq!((samples.unit.as_str(), samples.count), ("samples", 40_000.0));
    assert_eq!(samples.joules_per_unit, Some(1_735_200.0 / 40_000.0));
    assert_eq!(
        samples.grams_per_unit,
        Some(record.emissions.operational_grams.unwrap() / 40_000.0)
    );
    let [epoch] = &samples.phases[..] else { panic!("{:?}", samples.phases) };
    assert_eq!((epoch.name.as_str(), epoch.count), ("epoch", 30_000.5));
    assert_eq!(epoch.joules_per_unit, Some(1_500_000.0 / 30_000.5));
}

#[test]
fn what_is_not_known_is_null_and_what_was_not_marked_is_empty() {
    let mut nothing = report();
    (nothing.phases, nothing.units) = marked();
    let record = build(&nothing, &host(), &facts());
    assert!(record.phases.is_empty());
    assert_eq!((record.work[0].count, record.work[0].joules_per_unit), (40_000.0, None));
    assert_eq!(record.work[0].grams_per_unit, None);
    let plain = build(&server(), &host(), &facts());
    assert!(plain.phases.is_empty() && plain.work.is_empty());
    // A record of before there were marks is still read.
    let mut json = serde_json::to_value(&plain).unwrap();
    json.as_object_mut().unwrap().retain(|name, _| name != "phases" && name != "work");
    assert_eq!(serde_json::from_value::<Record>(json).unwrap(), plain);
}

#[test]
fn the_summary_shows_the_largest_phases_and_a_unit() {
    let mut report = server();
    (report.phases, report.units) = marked();
    for n in 0..9 {
        let mut more = report.phases[1].clone();
        (more.name, more.times, more.energy) = (format!("p{n}"), 1, Default::default());
        report.phases.push(more);
    }
    let text = summary(&build(&report, &host(), &facts()), Style::default());
    let line = |start: &str| text.lines().find(|line| line.trim_start().starts_with(start));
    assert!(line("phase epoch").unwrap().contains("1.50 MJ"), "{text}");
    assert!(line("phase epoch").unwrap().ends_with("10 min 30 s, 3 times"), "{text}");
    assert!(line("phases").unwrap().contains("6 more"), "{text}");
    assert!(line("samples").unwrap().ends_with("40000  43.4 J each"), "{text}");
}
