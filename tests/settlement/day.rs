// SPDX-License-Identifier: Apache-2.0
//! A simulated day: the poller on a clock of the test's own, two feeds with a known
//! truth behind them, a real ledger, a job of varying power. The first feed is away for
//! three hours, a figure is corrected late, the daemon is started anew in between, and
//! it is the day of 25 hours. In the end the settled grams are the integral of the truth.

use std::path::Path;
use std::sync::Arc;

use aimeter::grid::chain::GridSettings;
use aimeter::grid::facts::FactBook;
use aimeter::grid::feeds::{Feed, file};
use aimeter::grid::poller::Poller;
use aimeter::jobs::{Exit, JobState};
use aimeter::ledger::query::{Filter, Reader};
use aimeter::ledger::{
    Amount, Booking, DomainKey, Event, IntensityFact, IntensityKind, JobRow, ZoneUse,
};
use aimeter::record::{HostPart, build};
use aimeter::settlement::{Figure, Settler, of_listed};
use jiff::{SignedDuration, Timestamp};

use crate::support::*;

/// Seconds of the truth's step, and from an interval's end to its publication.
const STEP: i64 = 1_800;
const DELAY: i64 = 3_600;
/// Seconds of a booking; not a divisor of the step's phase, so that bookings lie across.
const BOOKING: i64 = 300;
const PHASE: i64 = 117;

/// Past figures are asked for every six hours once nothing is metered.
const LAST: i64 = 8 * 3_600;

/// The day, and until when the last figures have come.
struct Day {
    start: i64,
    end: i64,
    over: i64,
}

/// Midnight to midnight in London, the clocks put back in between.
fn day() -> Day {
    let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
    // 00:00 BST is 23:00 UTC the day before.
    let (start, end) = (second("2026-10-24T23:00:00Z"), second("2026-10-26T00:00:00Z"));
    assert_eq!(end - start, 25 * 3_600);
    Day { start: start + PHASE, end: end - 233, over: end + LAST }
}

/// The truth in g/kWh at a second: a half hour's own.
fn truth(second: i64) -> u32 {
    let step = second.div_euclid(STEP);
    160 + ((step * 7_919).rem_euclid(131)) as u32
}

/// The first feed's forecast: wrong by up to some 20 %.
fn forecast(second: i64) -> u32 {
    truth(second) + (second.div_euclid(STEP).rem_euclid(4)) as u32 * 12 - 10
}

/// Watts at a second: it follows neither the grid nor the clock.
fn watts(second: i64) -> f64 {
    2_400.0 + 1_900.0 * (second as f64 / 3_911.0).sin() + 300.0 * (second as f64 / 97.0).cos()
}

/// Joules between two seconds, by steps of a second; and grams by the truth.
fn integral(from: i64, to: i64) -> (f64, f64) {
    (from..to).fold((0.0, 0.0), |(joules, grams), second| {
        let used = watts(second);
        (joules + used, grams + used / 3.6e6 * f64::from(truth(second)))
    })
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// What the first feed's file says at a second: measured an hour late, of which one half
/// hour was published wrongly and is corrected four hours later; a forecast else.
fn first_feed(now: i64, day: &Day) -> String {
    let mut text = String::from("from,to,grams_per_kwh,kind\n");
    let first = day.start.div_euclid(STEP) * STEP - STEP;
    let corrected = first + 20 * STEP;
    for from in (first..now + 24 * 3_600).step_by(STEP as usize) {
        let to = from + STEP;
        let (grams, kind) = match now {
            now if now < to + DELAY => (forecast(from), "forecast"),
            now if from == corrected && now < to + 5 * DELAY => (truth(from) + 90, "actual"),
            _ => (truth(from), "actual"),
        };
        text += &format!("{},{},{grams},{kind}\n", moment(from), moment(to));
    }
    text
}

/// The second's: estimates of the running hour, wrong by 30.
fn second_feed(now: i64) -> String {
    let from = now.div_euclid(3_600) * 3_600;
    let (grams, to) = (truth(now) + 30, from + 3_600);
    format!("from,to,grams_per_kwh,kind\n{},{},{grams},estimated\n", moment(from), moment(to))
}

struct Sim {
    day: Day,
    state: tempfile::TempDir,
    files: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    poller: Poller,
    book: Arc<FactBook>,
    told: usize,
    sources: Vec<String>,
}

impl Sim {
    fn new() -> Sim {
        let files = tempfile::tempdir().unwrap();
        let book = Arc::new(FactBook::default());
        let poller = poller(files.path(), &book);
        Sim {
            day: day(),
            state: tempfile::tempdir().unwrap(),
            files,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            poller,
            book,
            told: 0,
            sources: Vec::new(),
        }
    }

    /// The feeds at a moment; the first one is away from the 8th to the 11th hour.
    fn publish(&self, now: i64) {
        let hour = (now - self.day.start) / 3_600;
        let first = self.files.path().join("first.csv");
        if (8..11).contains(&hour) {
            let _ = std::fs::remove_file(first);
        } else {
            std::fs::write(first, first_feed(now, &self.day)).unwrap();
        }
        std::fs::write(self.files.path().join("second.csv"), second_feed(now)).unwrap();
    }

    /// Runs the poller to a moment and gives its facts to the ledger.
    fn run_to(&mut self, from: i64, to: i64) {
        let mut now = from;
        while now < to {
            self.publish(now);
            let until = now.min(self.day.end);
            let used =
                ZoneUse { zone: "GB".into(), from: moment(self.day.start), to: moment(until) };
            let uses = if now <= self.day.end { vec![used.clone()] } else { Vec::new() };
            let step = self.runtime.block_on(self.poller.step(moment(now), &uses));
            self.told += step.facts.len();
            for fact in &step.facts {
                if !self.sources.contains(&fact.source) {
                    self.sources.push(fact.source.clone());
                }
            }
            if !step.facts.is_empty() {
                let events = step.facts.into_iter().map(Event::Intensity).collect();
                write(self.state.path(), events, vec![]);
            }
            now = step.next.as_second().clamp(now + 1, to);
        }
    }

    /// A daemon that is started anew: what it knows is what the ledger holds.
    fn restart(&mut self, now: i64) {
        let reader = Reader::open(self.state.path()).unwrap();
        let known = reader.intensities("GB", moment(self.day.start), moment(now)).unwrap();
        assert!(known.len() > 20);
        self.book = Arc::new(FactBook::of_facts(known));
        self.poller = poller(self.files.path(), &self.book);
        let used = ZoneUse { zone: "GB".into(), from: moment(self.day.start), to: moment(now) };
        self.poller.remember(moment(now), &[used]);
    }

    fn row(&self, state: JobState) -> JobRow {
        let mut row = job(1, "day", None);
        row.started = moment(self.day.start);
        if state != JobState::Running {
            (row.state, row.exit) = (state, Some(Exit::Code(0)));
            row.ended = Some(moment(self.day.end));
        }
        row
    }

    /// The lines of a time: 5 minutes each.
    fn lines(&self, from: i64, to: i64) -> Vec<Booking> {
        let mut lines = Vec::new();
        let mut start = from;
        while start < to {
            let end = (start + BOOKING).min(to);
            let microjoules = (integral(start, end).0 * 1e6).round() as u64;
            lines.push(Booking {
                job: aimeter::ledger::JobKey(1),
                domain: DomainKey(1),
                from_microseconds: start * 1_000_000,
                to_microseconds: end * 1_000_000,
                amount: Amount {
                    energy: aimeter::units::Energy::from_microjoules(microjoules),
                    ..Amount::default()
                },
            });
            start = end;
        }
        lines
    }

    fn figure(&self, now: i64) -> Figure {
        let reader = Reader::open(self.state.path()).unwrap();
        let jobs = reader.jobs(&Filter::default()).unwrap();
        of_listed(&reader, &jobs[0], moment(now)).unwrap().unwrap()
    }
}

fn poller(files: &Path, book: &Arc<FactBook>) -> Poller {
    let feed = |name: &str| {
        let mut feed = Feed::of(&file::PROVIDER);
        feed.path = Some(files.join(format!("{name}.csv")));
        feed.place = Some(name.to_owned());
        feed
    };
    let chain = Some(vec![feed("first"), feed("second")]);
    let settings = GridSettings { chain, ..GridSettings::default() };
    Poller::new(settings, Arc::clone(book), Box::new(|_| None), 11)
}

#[test]
fn a_day_with_an_outage_a_correction_a_restart_and_25_hours_settles_to_the_truth() {
    let mut sim = Sim::new();
    let Day { start, end, over } = sim.day;
    let table = IntensityFact { fetched_at: moment(start), ..table(0, 300) };
    let mut events = domains();
    events.extend([job_event(&sim.row(JobState::Running)), Event::Intensity(table)]);
    write(sim.state.path(), events, vec![]);

    let halfway = start + 14 * 3_600 + 41;
    sim.run_to(start, halfway);
    write(sim.state.path(), vec![], sim.lines(start, halfway));
    let during = sim.figure(halfway);
    sim.restart(halfway);
    sim.run_to(halfway, end);
    write(sim.state.path(), vec![job_event(&sim.row(JobState::Finished))], sim.lines(halfway, end));

    // What is told at the end rests on a forecast for the last hour and a half.
    let first = sim.figure(end);
    assert!(!first.settled() && !during.settled());
    let told = first.told(moment(end)).unwrap();
    write(
        sim.state.path(),
        vec![Event::Told { job: sim.row(JobState::Running).key, told }],
        vec![],
    );
    let energy = report(sim.state.path(), "day").domains;

    sim.run_to(end, over);
    let settled = sim.figure(over);
    let (joules, exact) = integral(start, end);
    let error = |grams: f64| (grams / exact - 1.0).abs();
    println!(
        "truth {exact:.2} g; told at the end {:.2} g ({:.3} %), settled {:.2} g ({:.4} %), {} facts of {:?}",
        first.emissions.grams(),
        error(first.emissions.grams()) * 100.0,
        settled.emissions.grams(),
        error(settled.emissions.grams()) * 100.0,
        sim.told,
        sim.sources,
    );
    assert!(settled.settled());
    assert!(error(settled.emissions.grams()) < 0.001);
    // That is no matter of course: the first figure is further off.
    assert!(error(first.emissions.grams()) > 0.001);
    assert_eq!(sim.sources, ["file:first", "file:second"]);

    // The record says the same, and what was told; no energy has changed.
    let after = report(sim.state.path(), "day");
    assert_eq!(after.domains, energy);
    let sum: u64 = after.intervals.iter().map(|interval| interval.energy.microjoules()).sum();
    assert!((sum as f64 / 1e6 - joules).abs() < 1e-3);
    let record =
        build(&after, &HostPart::default(), &known(sim.state.path(), &after, moment(over)));
    let intensity = record.emissions.intensity.unwrap();
    assert!(intensity.settled);
    assert!(intensity.parts.iter().all(|part| part.kind == IntensityKind::Actual.as_str()));
    assert_eq!(
        record.emissions.first_told.unwrap().operational_grams,
        told.micrograms as f64 / 1e6
    );
    let reader = Reader::open(sim.state.path()).unwrap();
    let view = Settler::default().look(&reader, std::iter::empty(), moment(over)).unwrap();
    assert_eq!(view.users["ada"].emissions, settled.emissions);
    assert_eq!(view.users["ada"].settled_grams(), settled.emissions.grams());
    let seconds = SignedDuration::from_secs(end - start);
    assert_eq!(after.job.ended.unwrap().duration_since(after.job.started), seconds);
}
