// SPDX-License-Identifier: Apache-2.0
//! The poller on a clock of the test's own: failures, returns, waits, what is asked for
//! again, and that the facts in the end are the truth.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aimeter::grid::chain::{GridSettings, Poll};
use aimeter::grid::facts::{FactBook, FeedView, is_measured};
use aimeter::grid::feeds::{Feed, Signal, file};
use aimeter::grid::http::Network;
use aimeter::grid::poller::{Poller, Step};
use aimeter::ledger::{IntensityFact, ZoneUse};
use jiff::{SignedDuration, Timestamp};

use crate::world::{Mood, World, forecast, truth};

const STALE: Duration = Duration::from_secs(7_200);

/// The poller with a world, a clock and a runtime.
struct Case {
    world: World,
    poller: Poller,
    book: Arc<FactBook>,
    start: Timestamp,
    now: Timestamp,
    told: Vec<IntensityFact>,
    runtime: tokio::runtime::Runtime,
}

impl Case {
    fn new() -> Case {
        Case::with(|world| world.chain(), Arc::default())
    }

    fn with(chain: impl FnOnce(&World) -> Vec<Feed>, book: Arc<FactBook>) -> Case {
        let now = "2026-11-24T09:10:00Z".parse().unwrap();
        let world = World::at(Some(now));
        let settings = GridSettings {
            chain: Some(chain(&world)),
            network: Network { ca: Some(world.replay.ca()), proxy: None },
            ..GridSettings::default()
        };
        let poller = Poller::new(settings, Arc::clone(&book), Box::new(|_| None), 7);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Case { world, poller, book, start: now, now, told: Vec::new(), runtime }
    }

    /// A step at the present moment, GB in use since the start.
    fn step(&mut self) -> Step {
        let used = ZoneUse { zone: "GB".into(), from: self.start, to: self.now };
        self.step_in(&[used])
    }

    fn step_in(&mut self, used: &[ZoneUse]) -> Step {
        self.world.state.lock().unwrap().now = Some(self.now);
        let step = self.runtime.block_on(self.poller.step(self.now, used));
        self.told.extend(step.facts.iter().cloned());
        step
    }

    /// Steps until a moment, as the schedule wants them.
    fn run_to(&mut self, text: &str) {
        let end: Timestamp = format!("2026-11-{text}Z").parse().unwrap();
        loop {
            let next = self.step().next.max(self.now + SignedDuration::from_secs(1));
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
        }
    }

    fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// The figure of now: grams, quality, source.
    fn present(&self) -> (f64, &'static str, String) {
        let present = self.book.now(Some("GB"), self.now, STALE);
        let grams = present.fact.intensity.grams_per_kwh();
        (grams, present.quality(), present.fact.source)
    }

    fn feed(&self, source: &str) -> FeedView {
        self.book.feeds().iter().find(|feed| feed.source == source).expect("a feed").clone()
    }
}

#[test]
fn the_first_figure_comes_at_once_with_a_forecast_for_an_outage() {
    let mut case = Case::new();
    let step = case.step();
    let expected = f64::from(forecast(case.now));
    assert_eq!(case.present(), (expected, "forecast", "uk-carbon-intensity".into()));
    assert_eq!(step.facts, case.told);
    // One request about now, one for the forecast; nobody else is asked.
    assert_eq!((case.world.asked("uk"), case.world.asked("charts")), (2, 0));
    assert_eq!(case.step().facts, []);
    assert_eq!(case.world.asked("uk"), 2);
    // A day and a half later, the network gone all the time:
    case.world.mood("uk", Mood::Refuses(500, vec![]));
    case.world.mood("charts", Mood::Refuses(500, vec![]));
    case.run_to("25T20:00");
    let expected = f64::from(forecast(case.now));
    assert_eq!(case.present(), (expected, "forecast", "uk-carbon-intensity".into()));
}

#[test]
fn marginal_figures_are_kept_beside_the_average_ones_and_never_taken_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("marginal.csv");
    let mut rows = "from,to,grams_per_kwh,kind\n".to_owned();
    let start: Timestamp = "2026-11-24T00:00:00Z".parse().unwrap();
    for hour in 0..48 {
        let from = start + SignedDuration::from_hours(hour);
        let to = from + SignedDuration::from_hours(1);
        rows += &format!("{from},{to},900,actual\n");
    }
    std::fs::write(&path, rows).unwrap();
    let mut marginal = Feed::of(&file::PROVIDER);
    (marginal.path, marginal.signal) = (Some(path), Signal::Marginal);
    let mut case = Case::with(|world| vec![marginal, world.uk()], Arc::default());
    case.run_to("24T15:00");
    let expected = f64::from(forecast(case.now));
    assert_eq!(case.present(), (expected, "forecast", "uk-carbon-intensity".into()));
    let kept = |signal: &str| -> Vec<&IntensityFact> {
        case.told.iter().filter(|fact| fact.signal == signal && fact.from <= case.now).collect()
    };
    let hours = kept("marginal");
    assert!(hours.iter().all(|fact| fact.intensity.grams_per_kwh() == 900.0), "{hours:?}");
    // Each hour of the use, and the one before it that was current at first.
    for hour in 9..15 {
        let from = start + SignedDuration::from_hours(hour);
        assert!(hours.iter().any(|fact| fact.from == from), "{hour}: {hours:?}");
    }
    // That the marginal ones are measured hides no gap of the average ones.
    let measured = kept("average").into_iter().filter(|fact| is_measured(fact));
    for half_hour in 0..7 {
        let from =
            case.start - SignedDuration::from_mins(10) + SignedDuration::from_mins(30 * half_hour);
        let mut measured = measured.clone();
        assert!(measured.any(|fact| fact.from == from), "{from}");
    }
}

#[test]
fn the_second_feed_answers_for_the_first_until_that_is_back() {
    let mut case = Case::new();
    case.world.mood("uk", Mood::Refuses(502, vec![]));
    case.run_to("24T09:40");
    let charts = case.present();
    assert_eq!((charts.1, charts.2.as_str()), ("forecast", "energy-charts:gb"));
    let feed = case.feed("uk-carbon-intensity");
    assert_eq!((feed.up, feed.last_success), (Some(false), None));
    // Half an hour with pauses of half a minute, doubled: some five to twenty requests.
    assert!((4..=20).contains(&case.world.asked("uk")), "{}", case.world.asked("uk"));
    assert_eq!(case.feed("energy-charts:gb").up, Some(true));
    case.world.mood("uk", Mood::Well);
    case.run_to("24T10:45");
    assert_eq!(case.present().2, "uk-carbon-intensity");
    let feed = case.feed("uk-carbon-intensity");
    assert_eq!(feed.up, Some(true));
    assert_eq!(feed.requests["refused"], feed.requests.values().sum::<u64>() - feed.requests["ok"]);
    // The second is left alone again.
    let asked = case.world.asked("charts");
    case.run_to("24T13:00");
    assert_eq!(case.world.asked("charts"), asked);
}

#[test]
fn a_failure_is_said_once_and_so_is_its_end() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let mut case = Case::with(|world| vec![world.uk()], Arc::default());
    tracing::subscriber::with_default(subscriber, || {
        case.world.mood("uk", Mood::Refuses(502, vec![]));
        case.run_to("24T11:00");
        case.world.mood("uk", Mood::Well);
        case.run_to("24T13:00");
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].contains("WARN") && lines[0].contains("it answered 502"), "{text}");
    assert!(lines[1].contains("INFO") && lines[1].contains("the feed answers again"), "{text}");
    assert!(lines.iter().all(|line| line.contains("uk-carbon-intensity")), "{text}");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_feed_that_says_when_is_asked_then_and_in_no_other_zone_before() {
    let mut case = Case::with(|world| vec![world.uk()], Arc::default());
    case.world.mood("uk", Mood::Refuses(429, vec!["Retry-After: 900"]));
    let step = case.step();
    assert_eq!(case.world.asked("uk"), 1);
    assert_eq!(case.feed("uk-carbon-intensity").requests, [("too_many_requests", 1)].into());
    let wait = step.next.duration_since(case.now).as_secs();
    assert!((900..=990).contains(&wait), "{wait}");
    case.wait(899);
    assert_eq!(case.step().facts, []);
    assert_eq!(case.world.asked("uk"), 1);
    case.world.mood("uk", Mood::Well);
    case.now = step.next;
    assert!(!case.step().facts.is_empty());
}

#[test]
fn a_refusal_of_one_feed_holds_for_all_its_zones() {
    let mut case = Case::with(
        |world| {
            // A feed of two zones by the same name.
            let (mut germany, mut france) = (world.charts(), world.charts());
            germany.place = None;
            france.place = None;
            germany.zone = Some("DE".into());
            france.zone = Some("FR".into());
            vec![germany, france]
        },
        Arc::default(),
    );
    case.world.mood("charts", Mood::Refuses(429, vec!["Retry-After: 900"]));
    let used = |zone: &str| ZoneUse { zone: zone.into(), from: case.start, to: case.start };
    let used = [used("DE"), used("FR")];
    case.step_in(&used);
    case.wait(60);
    case.step_in(&used);
    assert_eq!(case.world.asked("charts"), 1);
}

#[test]
fn an_answer_that_has_not_changed_is_not_sent_again_and_is_fresh() {
    let mut case = Case::with(|world| vec![world.uk()], Arc::default());
    case.step();
    let known = case.told.len();
    // Asked again within the same half hour, as after a failure.
    let settings = GridSettings {
        chain: Some(vec![case.world.uk()]),
        network: Network { ca: Some(case.world.replay.ca()), proxy: None },
        poll: Poll::Every(Duration::from_secs(300)),
        ..GridSettings::default()
    };
    case.poller.set(case.now, settings);
    case.run_to("24T09:29");
    let requests = case.world.replay.requests();
    let conditional =
        |head: &&String| head.to_lowercase().contains("if-none-match") && !head.contains("fw48h");
    assert!(requests.iter().filter(conditional).count() >= 2, "{requests:#?}");
    assert_eq!(case.told.len(), known);
    let feed = case.feed("uk-carbon-intensity");
    assert_eq!(feed.requests, [("ok", feed.requests["ok"])].into());
}

#[test]
fn what_an_outage_left_out_is_asked_for_in_one_and_becomes_the_truth() {
    let mut case = Case::with(|world| vec![world.uk()], Arc::default());
    case.run_to("24T12:00");
    case.world.mood("uk", Mood::Refuses(503, vec![]));
    case.run_to("24T18:00");
    case.world.mood("uk", Mood::Well);
    let before = case.world.replay.requests().len();
    case.run_to("24T19:00");
    let asked: Vec<String> = case.world.replay.requests().split_off(before);
    let ranges: Vec<&str> = asked
        .iter()
        .filter_map(|head| head.split(' ').nth(1)?.strip_prefix("/uk/intensity/"))
        .collect();
    let past: Vec<&&str> = ranges
        .iter()
        .filter(|range| range.starts_with("2026-11-24T1") && !range.ends_with("fw48h"))
        .filter(|range| range < &&"2026-11-24T14")
        .collect();
    assert_eq!(past.len(), 1, "{ranges:?}");
    case.run_to("24T22:00");
    // Every half hour of use until an hour ago is measured, and true.
    let facts = case.book.of("GB");
    let mut slot: Timestamp = "2026-11-24T09:00:00Z".parse().unwrap();
    while slot + SignedDuration::from_mins(150) < case.now {
        let measured = facts.iter().find(|fact| fact.from == slot && is_measured(fact));
        let grams = measured.map(|fact| fact.intensity.grams_per_kwh());
        assert_eq!(grams, Some(f64::from(truth(slot))), "{slot}");
        slot += SignedDuration::from_mins(30);
    }
}

/// The starts of the ranges that were asked for since so many requests.
fn starts(case: &Case, since: usize) -> Vec<Timestamp> {
    let ranges = case.world.replay.requests().split_off(since).into_iter().filter_map(|head| {
        let (from, to) = head.split(' ').nth(1)?.strip_prefix("/uk/intensity/")?.split_once('/')?;
        (to != "fw48h").then(|| from.parse().unwrap())
    });
    ranges.collect()
}

#[test]
fn what_a_second_outage_left_out_does_not_wait_for_the_pause_after_the_first() {
    let mut case = Case::with(|world| vec![world.uk()], Arc::default());
    for (from, to) in [("24T12:00", "24T15:00"), ("24T15:45", "24T19:00")] {
        case.run_to(from);
        case.world.mood("uk", Mood::Refuses(503, vec![]));
        case.run_to(to);
        case.world.mood("uk", Mood::Well);
    }
    let before = case.world.replay.requests().len();
    case.run_to("24T20:10");
    let early: Timestamp = "2026-11-24T16:00:00Z".parse().unwrap();
    assert!(starts(&case, before).iter().any(|start| *start <= early), "{early} was not asked for");
}

#[test]
fn what_never_comes_is_asked_for_seldom_and_not_for_ever() {
    let mut case = Case::with(|world| vec![world.uk()], Arc::default());
    case.world.mood("uk", Mood::NeverMeasures);
    case.run_to("27T09:00");
    let before = case.world.replay.requests().len();
    case.run_to("28T09:00");
    // Polls ask two hours back, the others for what is missing: of two days at most.
    let (polls, past): (Vec<Timestamp>, Vec<Timestamp>) = starts(&case, before)
        .into_iter()
        .partition(|start| case.now.duration_since(*start) < SignedDuration::from_hours(27));
    assert!((46..=49).contains(&polls.len()), "{}", polls.len());
    assert!((1..=2).contains(&past.len()), "{past:?}");
    let oldest: Timestamp = "2026-11-25T08:30:00Z".parse().unwrap();
    assert!(past.iter().all(|start| *start >= oldest), "{past:?}");
}

#[test]
fn a_zone_that_is_used_no_more_is_asked_about_until_its_past_is_known() {
    let mut case = Case::with(|world| vec![world.uk()], Arc::default());
    case.step();
    case.world.mood("uk", Mood::Refuses(500, vec![]));
    case.run_to("24T20:00");
    case.world.mood("uk", Mood::Well);
    let before = case.world.replay.requests().len();
    for _ in 0..200 {
        case.step_in(&[]);
        case.wait(1_800);
    }
    let asked = starts(&case, before);
    assert!((1..=2).contains(&asked.len()), "{asked:?}");
    let measured = case.told.iter().filter(|fact| is_measured(fact)).count();
    assert!(measured >= 21, "{measured}");
}

#[test]
fn a_jump_is_believed_when_a_second_answer_agrees() {
    let mut case = Case::new();
    case.step();
    let honest = case.present();
    case.world.mood("uk", Mood::Says(1_400));
    case.run_to("24T09:33");
    // Asked about the next half hour, it says something else by far: the second feed is.
    let slips = |case: &Case| case.feed("uk-carbon-intensity").requests.get("implausible").copied();
    for _ in 0..10 {
        if slips(&case).is_none() {
            case.now = case.step().next;
        }
    }
    assert_eq!(slips(&case), Some(1));
    assert!(case.told.iter().all(|fact| fact.intensity.grams_per_kwh() < 1_000.0));
    // It was a slip.
    case.world.mood("uk", Mood::Well);
    case.run_to("24T09:50");
    assert_eq!(case.present().2, "uk-carbon-intensity");
    assert_ne!(honest.0, 1_400.0);
    // It stands by it.
    case.world.mood("uk", Mood::Says(1_400));
    case.run_to("24T10:20");
    assert_eq!(case.present(), (1_400.0, "forecast", "uk-carbon-intensity".into()));
    assert_eq!(case.feed("uk-carbon-intensity").requests["implausible"], 2);
}

#[test]
fn a_start_with_a_fresh_figure_asks_nobody_yet_and_one_without_at_once() {
    let mut earlier = Case::with(|world| vec![world.uk()], Arc::default());
    earlier.step();
    let book = Arc::new(FactBook::of_facts(earlier.told.clone()));
    let mut case = Case::with(|world| vec![world.uk()], book);
    case.wait(120);
    let first = case.step();
    assert_eq!(case.world.asked("uk"), 0);
    // The figure is known all the same.
    assert_eq!(case.present().1, "forecast");
    assert!(first.next > case.now);
    case.run_to("24T09:45");
    assert!(case.world.asked("uk") >= 1);
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_the_polls() {
    let mut case = Case::with(|world| vec![world.uk()], Arc::default());
    case.run_to("24T18:00");
    case.now = case.start + SignedDuration::from_hours(1);
    case.step();
    let asked = case.world.asked("uk");
    case.run_to("24T11:30");
    assert!(case.world.asked("uk") > asked, "{}", case.world.last("uk"));
}

#[test]
fn zones_of_jobs_are_asked_about_once_for_all_and_only_so_many() {
    let mut case = Case::with(
        |world| {
            let mut feed = world.charts();
            feed.place = None;
            vec![feed]
        },
        Arc::default(),
    );
    let start = case.start;
    let used = |zone: &str| ZoneUse { zone: zone.into(), from: start, to: start };
    case.step_in(&[used("DE"), used("DE"), used("FR"), used("XX")]);
    assert_eq!(case.world.asked("charts"), 2);
    let many: Vec<ZoneUse> = (0..100).map(|number| used(&format!("X{number}"))).collect();
    case.step_in(&many);
    assert_eq!(case.world.asked("charts"), 2);
}
