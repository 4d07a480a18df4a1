// SPDX-License-Identifier: Apache-2.0
//! PUE through the hours of a schedule, changes of the clocks, and a job's facts.

use std::sync::mpsc::channel;
use std::time::Duration;

use super::*;
use crate::units::Energy;

fn thousandths(text: &str) -> Result<u32, String> {
    text.parse::<f64>().map(|value| (value * 1e3) as u32).map_err(|error| error.to_string())
}

fn schedule(zone: &str, rules: &[&str]) -> Schedule {
    let rules = rules.iter().map(|rule| Rule::parse(rule, thousandths).unwrap()).collect();
    Schedule { zone: TimeZone::get(zone).expect("the package tzdata"), rules }
}

#[track_caller]
fn check(schedule: &Schedule, moment: &str, expected: Option<u32>) {
    assert_eq!(schedule.at(moment.parse().unwrap()), expected, "{moment}");
}

#[test]
fn the_first_rule_that_fits_holds() {
    let summer =
        schedule("UTC", &["Jun-Sep Mon-Fri 08:00-20:00 1.5", "jun-sep 1.4", "Nov-Feb 1.1"]);
    check(&summer, "2026-07-06T08:00:00Z", Some(1_500));
    check(&summer, "2026-07-06T19:59:59Z", Some(1_500));
    check(&summer, "2026-07-06T20:00:00Z", Some(1_400));
    check(&summer, "2026-07-05T12:00:00Z", Some(1_400));
    check(&summer, "2026-12-31T23:59:59Z", Some(1_100));
    check(&summer, "2026-02-28T00:00:00Z", Some(1_100));
    check(&summer, "2026-03-01T00:00:00Z", None);
}

#[test]
fn ranges_run_over_their_end() {
    let night = schedule("UTC", &["Sat-Mon 22:00-06:00 1.2", "00:00-24:00 1.3"]);
    check(&night, "2026-07-04T22:00:00Z", Some(1_200));
    check(&night, "2026-07-06T05:59:00Z", Some(1_200));
    check(&night, "2026-07-06T06:00:00Z", Some(1_300));
    check(&night, "2026-07-07T23:00:00Z", Some(1_300));
}

#[test]
fn a_change_of_the_clocks_neither_doubles_nor_skips_a_time() {
    // On 29 March 2026 Berlin goes from 02:00 to 03:00, at 01:00 UTC; on 25 October
    // the hour from 02:00 comes twice, from 00:00 and from 01:00 UTC.
    let berlin = schedule("Europe/Berlin", &["02:00-03:00 2.0", "1.0"]);
    check(&berlin, "2026-03-29T00:59:59Z", Some(1_000));
    check(&berlin, "2026-03-29T01:00:00Z", Some(1_000));
    check(&berlin, "2026-10-24T23:59:59Z", Some(1_000));
    check(&berlin, "2026-10-25T00:00:00Z", Some(2_000));
    check(&berlin, "2026-10-25T01:59:59Z", Some(2_000));
    check(&berlin, "2026-10-25T02:00:00Z", Some(1_000));
    let day = schedule("Europe/Berlin", &["08:00-20:00 1.5", "1.2"]);
    check(&day, "2026-01-15T06:59:59Z", Some(1_200));
    check(&day, "2026-01-15T07:00:00Z", Some(1_500));
    check(&day, "2026-07-15T05:59:59Z", Some(1_200));
    check(&day, "2026-07-15T06:00:00Z", Some(1_500));
}

#[test]
fn what_is_no_rule_is_refused() {
    for wrong in ["", "x", "Jun-Foo 1.2", "Jun-Mon 1.2", "25:00-26:00 1.2", "08:00 1.2", "8-20 1.2"]
    {
        assert!(Rule::parse(wrong, thousandths).is_err(), "{wrong}");
    }
}

#[test]
fn the_last_good_reading_holds_for_its_time_then_the_schedule_then_the_fixed_value() {
    let (stop, _stopped) = channel();
    let live = Arc::new(Live::new(Duration::from_secs(60), "file", stop));
    let plan = PuePlan {
        fixed: Some(1_300),
        schedule: Some(Arc::new(schedule("UTC", &["Jul 1.4"]))),
        live: Some(live.clone()),
    };
    let at = |wall: &str, seconds: u64| {
        let now = BootTime::from_nanoseconds(seconds * 1_000_000_000);
        plan.at(wall.parse().unwrap(), now).map(|pue| (pue.thousandths, pue.source))
    };
    let (july, may) = ("2026-07-01T00:00:00Z", "2026-05-01T00:00:00Z");
    assert_eq!(at(may, 100), Some((1_300, "config")));
    live.set(1_111, BootTime::from_nanoseconds(100_000_000_000));
    assert_eq!(at(july, 160), Some((1_111, "file")));
    assert_eq!(at(july, 161), Some((1_400, "schedule")));
    assert_eq!(at(may, 161), Some((1_300, "config")));
    assert_eq!(PuePlan::default().at(may.parse().unwrap(), BootTime::default()), None);
}

fn steps(steps: &[(i64, Option<u32>, &str)]) -> PueByTime {
    let step = |&(from, thousandths, source): &(i64, Option<u32>, &str)| Step {
        from,
        thousandths,
        source: source.to_owned(),
    };
    PueByTime { steps: steps.iter().map(step).collect() }
}

fn interval(from: i64, to: i64, microjoules: u64) -> IntervalEnergy {
    let energy = Energy::from_microjoules(microjoules);
    IntervalEnergy { from_microseconds: from, to_microseconds: to, energy }
}

#[test]
fn the_mean_is_by_energy_and_names_who_took_turns() {
    let pue = steps(&[(i64::MIN, Some(1_200), "config"), (100, Some(1_500), "http")]);
    let mean = |intervals: &[IntervalEnergy]| pue.mean(intervals).unwrap();
    // 300 µJ at 1.2, 100 at 1.5, and an interval that is cut in the middle.
    let mixed = mean(&[interval(0, 100, 300), interval(100, 200, 100)]);
    assert_eq!(mixed, MeanPue { value: 1.275, source: "config+http".into() });
    assert_eq!(mean(&[interval(50, 150, 1_000)]).value, 1.35);
    let one = mean(&[interval(0, 100, 7)]);
    assert_eq!(one, MeanPue { value: 1.2, source: "config".into() });
    // An interval without length lies where it lies.
    assert_eq!(mean(&[interval(100, 100, 7)]).value, 1.5);
}

#[test]
fn where_none_was_set_there_is_none() {
    assert_eq!(steps(&[(i64::MIN, None, "config")]).mean(&[interval(0, 1, 5)]), None);
    let later = steps(&[(i64::MIN, None, "config"), (50, Some(1_500), "file")]);
    assert_eq!(later.mean(&[interval(0, 50, 5)]), None);
    let mean = later.mean(&[interval(0, 100, 10)]).unwrap();
    assert_eq!(mean, MeanPue { value: 1.25, source: "file+unset".into() });
}
