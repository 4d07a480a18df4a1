// SPDX-License-Identifier: Apache-2.0
//! What a record says of a start that was chosen: the recorded day of Great Britain.

use std::time::Duration;

use aimeter::carbon::Known;
use aimeter::jobs::Timing;
use aimeter::jobs::timing::Policy;
use aimeter::ledger::{IntensityFact, IntensityKind, IntervalEnergy, JobReport};
use aimeter::record::summary::{Style, summary};
use aimeter::record::{TimingPart, build, read};
use aimeter::units::Intensity;
use jiff::SignedDuration;
use serde_json::Value;

use crate::fixtures::*;

/// Asked at 11:30 for 3 h within 12 h: 20:30 is the best.
pub fn chosen() -> Timing {
    Timing {
        policy: Policy::Greenest,
        asked_at: at("2017-10-01T11:30:00Z"),
        waited_milliseconds: 32_400_000,
        window_from: at("2017-10-01T20:30:00Z"),
        window_to: at("2017-10-01T23:30:00Z"),
        expected_at_once: Intensity::from_milligrams_per_kwh(153_667),
        expected_window: Intensity::from_milligrams_per_kwh(142_000),
        zone: "GB".into(),
        signal: "average".into(),
        boundary: "direct".into(),
        source: "uk-carbon-intensity".into(),
        fetched_at: at("2017-10-01T11:30:00Z"),
    }
}

/// A job of 3 h from 20:30 on, of constant power.
fn job() -> JobReport {
    let mut report = with(vec![gpu("GPU-6f0c", 3_600_000.0, 1.0)]);
    let (started, ended) = (at("2017-10-01T20:30:00Z"), at("2017-10-01T23:30:00Z"));
    report.job.started = started;
    report.job.ended = Some(ended);
    report.job.duration = Some(Duration::from_secs(10_800));
    report.job.spec.timing = Some(Box::new(chosen()));
    report.intervals = vec![IntervalEnergy {
        from_microseconds: started.as_microsecond(),
        to_microseconds: ended.as_microsecond(),
        energy: joules(3_600_000.0),
    }];
    report
}

/// The day's figures of one kind, `actual` or `forecast`.
fn day(name: &str, kind: IntensityKind) -> Vec<IntensityFact> {
    let body = include_str!("../feeds/answers/uk_national_fw24h.json");
    let body: Value = serde_json::from_str(body).unwrap();
    let slots = body["data"].as_array().unwrap();
    let fact = |slot: &Value| IntensityFact {
        zone: "GB".into(),
        from: at(slot["from"].as_str().unwrap()),
        to: at(slot["to"].as_str().unwrap()),
        intensity: Intensity::from_grams_per_kwh(slot["intensity"][name].as_f64().unwrap())
            .unwrap(),
        signal: "average".into(),
        boundary: "direct".into(),
        source: "uk-carbon-intensity".into(),
        kind,
        fetched_at: at("2017-10-03T00:00:00Z"),
        provider_updated_at: None,
    };
    slots.iter().map(fact).collect()
}

fn known(facts: &[IntensityFact]) -> Known {
    Known { facts: facts.to_vec(), told: None, at: at("2017-10-03T00:00:00Z") }
}

fn timing(report: &JobReport, facts: &[IntensityFact]) -> TimingPart {
    build(report, &host(), &known(facts)).emissions.timing.unwrap()
}

#[test]
fn the_saving_expected_and_realised_are_those_of_the_day() {
    let timing = timing(&job(), &day("actual", IntensityKind::Actual));
    assert_eq!(timing.expected_saving_percent, 7.59);
    assert_eq!(timing.realised_saving_percent, Some(23.27));
    assert!((timing.at_once_grams_per_kwh.unwrap() - 141.833).abs() < 0.001);
    assert_eq!((timing.policy.as_str(), timing.waited_seconds), ("greenest", 32_400.0));
    assert_eq!(timing.asked_at, "2017-10-01T11:30:00.000Z");
}

#[test]
fn what_came_of_it_is_not_told_by_forecasts_yearly_means_or_another_quantity() {
    let realised = |report: &JobReport, facts: &[IntensityFact]| {
        let timing = timing(report, facts);
        assert_eq!(
            timing.at_once_grams_per_kwh.is_some(),
            timing.realised_saving_percent.is_some()
        );
        timing.realised_saving_percent
    };
    let actual = day("actual", IntensityKind::Actual);
    assert_eq!(realised(&job(), &day("forecast", IntensityKind::Forecast)), None);
    assert_eq!(realised(&job(), &facts().facts), None);
    assert_eq!(realised(&job(), &[]), None);
    // The time of asking is not covered, or by another boundary.
    assert_eq!(realised(&job(), &actual[18..]), None);
    let mut other = actual.clone();
    other[..6].iter_mut().for_each(|fact| fact.boundary = "lifecycle".into());
    assert_eq!(realised(&job(), &other), None);
    // The forecast was for another zone than the job was counted in.
    let mut elsewhere = job();
    elsewhere.job.spec.timing.as_mut().unwrap().zone = "FR".into();
    assert_eq!(realised(&elsewhere, &actual), None);
    // The job's own course counts: all of its energy in the first half hour.
    let mut short = job();
    let half_hour = SignedDuration::from_mins(30).as_micros() as i64;
    short.intervals[0].to_microseconds = short.intervals[0].from_microseconds + half_hour;
    let at_half = |index: usize| actual[index].intensity.grams_per_kwh();
    let expected = (1.0 - at_half(18) / at_half(0)) * 100.0;
    assert!((realised(&short, &actual).unwrap() - expected).abs() < 0.01);
}

#[test]
fn the_summary_tells_it_in_one_line() {
    let waited = |report: &JobReport, facts: &[IntensityFact]| {
        let text = summary(&build(report, &host(), &known(facts)), Style::default());
        let line = text.lines().find(|line| line.trim_start().starts_with("waited "));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let actual = day("actual", IntensityKind::Actual);
    let head = "waited 9 h 0 min for 142 instead of 154 g/kWh, 7.6 % less by uk-carbon-intensity's forecast";
    assert_eq!(waited(&job(), &actual), Some(format!("{head}; in fact 23 % less")));
    let unknown = format!("{head}; what came of it is not known yet");
    assert_eq!(waited(&job(), &facts().facts), Some(unknown));
    let mut at_once = job();
    let timing = at_once.job.spec.timing.as_mut().unwrap();
    timing.waited_milliseconds = 0;
    timing.asked_at = at_once.job.started;
    let none = "waited not at all: no time was better by uk-carbon-intensity's forecast";
    assert_eq!(waited(&at_once, &actual).as_deref(), Some(none));
    assert_eq!(waited(&server(), &facts().facts), None);
}

#[test]
fn a_record_from_before_there_was_a_choice_is_read() {
    let record = build(&server(), &host(), &facts());
    let mut json = serde_json::to_value(&record).unwrap();
    json["emissions"].as_object_mut().unwrap().remove("timing").unwrap();
    assert_eq!(read(&json.to_string()).unwrap(), record);
}
