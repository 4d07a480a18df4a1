// SPDX-License-Identifier: Apache-2.0
//! The schedule: tables of moments, and properties over random ones.

use proptest::prelude::*;

use super::*;
use crate::grid::feeds::{PROVIDERS, json, uk};
use crate::ledger::IntensityKind;
use crate::units::Intensity;

fn time(text: &str) -> Timestamp {
    format!("2026-11-24T{text}Z").parse().unwrap()
}

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn refused(status: u16, wait: Option<u64>) -> FeedError {
    FeedError::Refused { status, words: String::new(), retry_after: wait.map(seconds) }
}

#[test]
fn the_period_is_the_feeds_own_or_what_is_set_and_never_short() {
    let mut own = Feed::of(&json::PROVIDER);
    let check = |feed: &Feed, configured: Option<u64>, expected| {
        let configured = configured.map(seconds);
        assert_eq!(period(rhythm(feed), configured), minutes(expected));
    };
    check(&Feed::of(&uk::PROVIDER), None, 30);
    check(&Feed::of(&uk::PROVIDER), Some(900), 15);
    check(&own, None, 60);
    own.interval = seconds(60);
    check(&own, None, 5);
    check(&own, Some(1), 5);
}

#[test]
fn a_region_is_never_asked_for_what_it_never_measures() {
    let mut region = Feed::of(&uk::PROVIDER);
    assert!(rhythm(&region).measured.is_some());
    region.place = Some("BH1".into());
    assert_eq!(rhythm(&region).measured, None);
}

#[test]
fn a_poll_of_britain_asks_on_the_half_hour_for_what_was_measured_too() {
    let rhythm = rhythm(&Feed::of(&uk::PROVIDER));
    let range = |from, to| Want::Range { from: time(from), to: time(to) };
    assert_eq!(wanted(rhythm, time("09:02:11")), range("07:00", "09:30"));
    assert_eq!(wanted(rhythm, time("09:29:59")), range("07:00", "09:30"));
    assert_eq!(wanted(rhythm, time("09:30:00")), range("07:30", "10:00"));
}

#[test]
fn britain_is_asked_just_after_it_publishes() {
    let rhythm = rhythm(&Feed::of(&uk::PROVIDER));
    let next = |now, period, chance| next_poll(time(now), rhythm, minutes(period), chance);
    assert_eq!(next("09:02:30", 30, 0.0), time("09:32"));
    assert_eq!(next("09:02:30", 30, 0.5), time("09:33:30"));
    assert_eq!(next("09:05:00", 30, 0.0), time("09:32"));
    // A first poll just before a publication is early; the next comes after that.
    assert_eq!(next("09:20:00", 30, 0.0), time("10:02"));
    assert_eq!(next("09:02:30", 60, 0.0), time("10:02"));
    // More often than it publishes: not on its clock.
    assert_eq!(next("09:02:00", 10, 0.5), time("09:12"));
}

#[test]
fn a_first_poll_is_at_once_but_where_a_figure_is_fresh() {
    let first = |fresh: Option<&str>, chance| {
        first_poll(time("09:00"), fresh.map(time), minutes(30), chance)
    };
    assert_eq!(first(None, 0.9), time("09:00"));
    assert_eq!(first(Some("08:30"), 0.9), time("09:00"));
    assert_eq!(first(Some("08:45"), 0.9), time("09:15"));
    // All machines of a rack were restarted half a minute before it is due.
    assert_eq!(first(Some("08:30:30"), 0.0), time("09:00:30"));
    assert_eq!(first(Some("08:30:30"), 0.9), time("09:00:54"));
}

#[test]
fn pauses_are_as_long_as_the_failure_will_last() {
    let check = |error: FeedError, failures, chance, expected: f64| {
        let pause = pause(&error, failures, minutes(30), chance).as_secs_f64();
        assert!((pause - expected).abs() < 1e-6, "{error:?} {failures}: {pause}");
    };
    let down = || FeedError::Transport("no connection".into());
    // Full jitter between the least pause and the doubled one.
    check(down(), 1, 0.0, 10.0);
    check(down(), 1, 0.5, 15.0);
    check(down(), 2, 0.5, 30.0);
    check(down(), 5, 0.5, 240.0);
    check(down(), 8, 0.5, 1_800.0);
    check(down(), u32::MAX, 0.5, 1_800.0);
    check(FeedError::NotUnderstood(String::new()), 3, 0.5, 60.0);
    check(refused(500, None), 3, 0.5, 60.0);
    // What it says itself, in bounds.
    check(refused(429, Some(120)), 7, 0.0, 120.0);
    check(refused(503, Some(0)), 7, 0.0, 10.0);
    check(refused(503, Some(100_000)), 7, 0.0, 3_600.0);
    check(refused(429, None), 1, 0.0, 600.0);
    // What a human has to mend is asked by the hour.
    for status in [401, 403, 404] {
        check(refused(status, None), 1, 0.5, 3_600.0);
    }
    check(FeedError::NotCovered { zone: "XX".into(), hint: "" }, 1, 0.5, 3_600.0);
    check(FeedError::Secret("no file".into()), 1, 0.5, 3_600.0);
    // It answers and has nothing: its own period.
    check(FeedError::Nothing, 9, 0.5, 1_800.0);
    check(FeedError::Stale(String::new()), 9, 0.0, 1_620.0);
}

fn fact(from: Timestamp, length: i64, kind: IntensityKind, fetched: i64) -> IntensityFact {
    let to = later(from, minutes(length));
    IntensityFact {
        zone: "GB".into(),
        from,
        to,
        intensity: Intensity::from_milligrams_per_kwh(1),
        signal: "average".into(),
        boundary: "direct".into(),
        source: "uk".into(),
        kind,
        fetched_at: later(to, minutes(fetched)),
        provider_updated_at: None,
    }
}

#[test]
fn what_was_not_measured_is_missing_until_it_is_too_old() {
    let used = (time("00:10"), time("11:00"));
    let measured = Measured { after: minutes(120), until: minutes(600) };
    let slot = |text, kind, fetched| fact(time(text), 30, kind, fetched);
    let missing = |facts: &[IntensityFact], now| missing(facts, used, measured, time(now));
    assert_eq!(missing(&[], "02:00"), None);
    assert_eq!(missing(&[], "02:20"), Some((time("00:10"), time("00:20"))));
    let half = [
        slot("00:00", IntensityKind::Actual, 40),
        // Forecasts, estimates and what was fetched too early measure nothing.
        slot("00:30", IntensityKind::Forecast, -60),
        slot("01:00", IntensityKind::Estimated, 60),
        slot("01:30", IntensityKind::Provisional, -10),
        slot("02:00", IntensityKind::Provisional, 0),
    ];
    assert_eq!(missing(&half, "02:30"), None);
    assert_eq!(missing(&half, "04:20"), Some((time("00:30"), time("02:00"))));
    assert_eq!(missing(&half, "05:00"), Some((time("00:30"), time("03:00"))));
    // Use ended at 11:00; ten hours later nothing of it is asked for.
    assert_eq!(missing(&half, "20:30"), Some((time("10:30"), time("11:00"))));
    assert_eq!(missing(&half, "21:00"), None);
}

#[test]
fn past_figures_are_asked_for_ever_more_seldom_where_they_do_not_come() {
    let hours = |pause: SignedDuration| pause.as_secs_f64() / 3_600.0;
    assert_eq!(hours(settle_pause(true, None, 0.5)), 6.0);
    let mut pause = None;
    let mut seen = Vec::new();
    for _ in 0..7 {
        let next = settle_pause(false, pause, 0.5);
        seen.push(hours(next));
        pause = Some(next);
    }
    assert_eq!(seen, [1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 24.0]);
}

proptest! {
    /// No feed is asked again before half its period is over, nor later than one and
    /// two thirds of it.
    #[test]
    fn polls_keep_their_period(
        provider in 0..PROVIDERS.len(),
        at in 0i64..86_400,
        configured in proptest::option::of(300u64..86_400),
        chance in 0.0..1.0,
    ) {
        let rhythm = rhythm(&Feed::of(PROVIDERS[provider]));
        let period = period(rhythm, configured.map(seconds));
        let now = later(time("00:00"), SignedDuration::from_secs(at));
        let wait = next_poll(now, rhythm, period, chance).duration_since(now);
        prop_assert!(wait >= period / 2 && wait <= period * 5 / 3, "{wait:?} of {period:?}");
    }

    /// Whatever is known: what is missing lies where it was used and may be had, and
    /// with every slot measured nothing is.
    #[test]
    fn what_is_missing_is_wanted(
        known in proptest::collection::vec((0i64..48, 0usize..4), 0..60),
        from in 0i64..1_440,
        length in 0i64..1_440,
        now in 0i64..3_000,
    ) {
        let at = |minute| later(time("00:00"), minutes(minute));
        let measured = Measured { after: minutes(90), until: minutes(1_000) };
        let facts: Vec<_> = known
            .iter()
            .map(|(slot, kind)| fact(at(slot * 30), 30, IntensityKind::ALL[*kind], 60))
            .collect();
        let used = (at(from), at(from + length));
        if let Some((start, end)) = missing(&facts, used, measured, at(now)) {
            prop_assert!(used.0 <= start && start < end && end <= used.1);
            prop_assert!(at(now - 1_000) <= start && end <= at(now - 90));
            let covered = |moment| facts.iter().any(|fact| {
                is_measured(fact) && fact.from <= moment && moment < fact.to
            });
            prop_assert!(!covered(start));
            prop_assert!(!covered(later(end, -SignedDuration::from_nanos(1))));
        }
        let all: Vec<_> =
            (0..96).map(|slot| fact(at(slot * 30), 30, IntensityKind::Actual, 60)).collect();
        prop_assert_eq!(missing(&all, used, measured, at(now)), None);
    }

    /// Pauses lie between ten seconds and about an hour.
    #[test]
    fn pauses_are_bounded(status in 400u16..600, wait in proptest::option::of(any::<u32>()),
        failures in 1u32.., chance in 0.0..1.0) {
        let error = refused(status, wait.map(u64::from));
        let pause = pause(&error, failures, minutes(30), chance);
        prop_assert!(pause >= SignedDuration::from_secs(10) && pause <= minutes(66));
    }
}
