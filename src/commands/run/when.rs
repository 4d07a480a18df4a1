// SPDX-License-Identifier: Apache-2.0
//! `aimeter run --when`: waits for the best time of the forecast, then lets the job
//! start.
//!
//! The wait belongs to no job and is not metered. The wall clock decides when it is
//! over, also after a suspend or when the clock is set. Signals act as on `sleep`:
//! Ctrl-C ends the wait and nothing is run. Whatever goes wrong with the forecast,
//! the job starts at once, with a warning: never later than without one.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock;
use crate::commands::complain;
use crate::commands::grid::wait_for;
use crate::commands::intensity::{chart, minute};
use crate::config::Options;
use crate::grid::chain::{self, age_text};
use crate::grid::feeds::Want;
use crate::grid::window::{self, Choice, Window, saving_percent};
use crate::jobs::timing::Policy;
use crate::jobs::{JobId, Timing};
use crate::ledger::IntensityFact;
use crate::record::text;
use crate::units::BootTime;

use super::RunOptions;

/// Between two looks at the forecast at least: the step of most feeds.
const ASK_AGAIN: Duration = Duration::from_secs(1_800);
/// And at most so much longer, so that jobs that wait together do not ask together.
const SPREAD_SECONDS: u64 = 300;
/// So shortly before the start nobody is asked: a feed that does not answer would
/// delay the job.
const LAST_ASK: Duration = Duration::from_secs(120);
/// The longest sleep: the system's clock may be set, or the system suspended, meanwhile.
const SLICE: Duration = Duration::from_secs(10);
/// The same where the time left is shown.
const SHOWN_SLICE: Duration = Duration::from_secs(1);

/// When and why the job starts.
#[derive(Debug, Default)]
pub struct Start {
    /// The choice, for the record; `None`: there was none to make.
    pub timing: Option<Timing>,
    /// Why there was none, for the record's notes.
    pub remark: Option<String>,
}

impl Start {
    /// At once: there is nothing to choose from.
    fn at_once(why: &str) -> Start {
        let remark = format!("--when: started at once: {why}");
        complain(&remark);
        Start { timing: None, remark: Some(remark) }
    }
}

/// Waits for the best start, and returns when the job is to start.
pub fn wait(policy: Policy, run: &RunOptions, inside: Option<&JobId>) -> Start {
    // AIMETER_WHEN is inherited; the outer job's start was chosen for all of it.
    if let Some(outer) = inside {
        return Start::at_once(&format!("it runs inside job {outer}"));
    }
    let (needs, within) = (run.args.needs, run.args.within);
    let forecast = match ask(&run.options) {
        Ok(forecast) => forecast,
        Err(why) => return Start::at_once(&why),
    };
    let (asked_at, asked) = (clock::wall(), clock::now());
    let until = asked_at.checked_add(within).unwrap_or(Timestamp::MAX);
    let Some(choice) = window::choose(&forecast.facts, asked_at, needs, until) else {
        return Start::at_once(&forecast.too_short(needs));
    };
    let mut plan = Plan { needs, until, window: choice.best, fetched_at: forecast.fetched_at() };
    if !run.args.quiet {
        forecast.failures.iter().for_each(|failure| complain(failure));
        // A closed standard error is nobody's failure.
        _ = io::stderr().write_all(forecast.explain(&choice, &plan).as_bytes());
    }
    if !choice.is_now() {
        plan.sit_out(&run.options, run.args.quiet);
    }
    let first = forecast.first();
    let waited = clock::now().since(asked).as_millis();
    let timing = Timing {
        policy,
        asked_at,
        waited_milliseconds: match choice.is_now() {
            true => 0,
            false => u64::try_from(waited).unwrap_or(u64::MAX),
        },
        window_from: plan.window.from,
        window_to: plan.window.to,
        expected_at_once: choice.now.mean,
        expected_window: plan.window.mean,
        zone: first.zone.clone(),
        signal: first.signal.clone(),
        boundary: first.boundary.clone(),
        source: first.source.clone(),
        fetched_at: plan.fetched_at,
    };
    Start { timing: Some(timing), remark: None }
}

/// A forecast with at least one fact.
struct Forecast {
    facts: Vec<IntensityFact>,
    attribution: String,
    /// The feeds that were asked before, and why they did not answer.
    failures: Vec<String>,
}

/// Asks the chain.
///
/// # Errors
/// Why there is no forecast, in one line.
fn ask(options: &Options) -> Result<Forecast, String> {
    let environment = |name: &str| std::env::var(name).ok();
    let answer =
        chain::answer(&options.grid, options.zone.as_deref(), Want::Forecast, &environment);
    let answer = wait_for(answer).map_err(|failure| failure.message)?;
    let failures = answer.failures.iter().map(|(feed, error)| format!("{feed}: {error}"));
    let failures: Vec<String> = failures.collect();
    if answer.facts.is_empty() {
        let why: Vec<String> = failures.into_iter().chain(answer.note).collect();
        return Err(format!("there is no forecast: {}", why.join("; ")));
    }
    Ok(Forecast { facts: answer.facts, attribution: answer.attribution, failures })
}

impl Forecast {
    fn first(&self) -> &IntensityFact {
        &self.facts[0]
    }

    fn fetched_at(&self) -> Timestamp {
        self.first().fetched_at
    }

    /// Why nothing can be chosen from it.
    fn too_short(&self, needs: SignedDuration) -> String {
        let (first, last) =
            (self.first(), self.facts.last().map_or(Timestamp::MIN, |last| last.to));
        format!(
            "the forecast of {} from {} to {} does not cover the next {needs:#}",
            first.source,
            minute(first.from),
            minute(last)
        )
    }

    /// What is expected of starting at once and of the best start, and by whose word.
    fn explain(&self, choice: &Choice, plan: &Plan) -> String {
        let first = self.first();
        let IntensityFact { zone, signal, boundary, source, .. } = first;
        let row = |name: &str, window: &Window, more: &str| {
            let span = format!("{} to {}", minute(window.from), minute(window.to));
            let grams = window.mean.grams_per_kwh();
            format!("  {name:<9} {span}  {grams:.1} g/kWh{more}\n")
        };
        let mut out = match choice.is_now() {
            true => "aimeter: now is the greenest time\n".to_owned(),
            false => {
                let left = choice.best.from.duration_since(choice.now.from).as_secs_f64();
                let (time, from) = (text::duration(left), minute(choice.best.from));
                format!("aimeter: waits {time}, until {from}\n")
            }
        };
        out.push_str(&row("at once", &choice.now, ""));
        if !choice.is_now() {
            let percent =
                saving_percent(choice.now.mean.grams_per_kwh(), choice.best.mean.grams_per_kwh());
            out.push_str(&row("best", &choice.best, &format!(", {} less", text::percent(percent))));
        }
        let seen: Vec<IntensityFact> =
            self.facts.iter().filter(|fact| fact.from < plan.until).cloned().collect();
        let age = age_text(clock::wall().duration_since(first.fetched_at));
        let ends = seen.last().map(|last| minute(last.to)).unwrap_or_default();
        _ = writeln!(out, "  forecast  {}  until {ends}", chart(&seen));
        _ = writeln!(out, "  source    {source} ({zone}, {signal}, {boundary}), fetched {age} ago");
        _ = writeln!(out, "  credit    {}", self.attribution);
        if !choice.is_now() {
            out.push_str("  Ctrl-C gives up: the command is then not run\n");
        }
        out
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    needs: SignedDuration,
    /// The window ends by then, so that the job starts in time whatever forecasts do.
    until: Timestamp,
    window: Window,
    fetched_at: Timestamp,
}

impl Plan {
    /// Sleeps until the window begins, asking for the forecast again meanwhile.
    fn sit_out(&mut self, options: &Options, quiet: bool) {
        let shown = !quiet && io::stderr().is_terminal();
        let pause = pause(std::process::id());
        let mut ask_at = clock::now().plus(pause);
        loop {
            let left = self.window.from.duration_since(clock::wall());
            let Ok(left) = Duration::try_from(left) else { break };
            if left.is_zero() {
                break;
            }
            if clock::now() >= ask_at {
                ask_at = clock::now().plus(pause);
                if left > LAST_ASK {
                    self.ask_again(options, quiet);
                    continue;
                }
            }
            if shown {
                let time = text::duration(left.as_secs_f64().ceil());
                _ = write!(io::stderr(), "\r  starts in {time}\x1b[K");
            }
            std::thread::sleep(slice(left, ask_at, clock::now(), shown));
        }
        if shown {
            _ = write!(io::stderr(), "\r\x1b[K");
        }
    }

    fn ask_again(&mut self, options: &Options, quiet: bool) {
        match ask(options) {
            Ok(newer) => {
                let moved = self.revise(&newer.facts, clock::wall());
                if moved && !quiet {
                    let (from, grams) =
                        (minute(self.window.from), self.window.mean.grams_per_kwh());
                    complain(&format!("the forecast changed: starts at {from}, {grams:.1} g/kWh"));
                }
            }
            Err(why) => {
                complain(&format!("{why}; the start stays at {}", minute(self.window.from)))
            }
        }
    }

    /// Takes the best window of a newer forecast, if that has one; says whether the
    /// start has moved.
    fn revise(&mut self, facts: &[IntensityFact], now: Timestamp) -> bool {
        let Some(choice) = window::choose(facts, now, self.needs, self.until) else { return false };
        let moved = choice.best.from != self.window.from;
        // Where waiting has used up the time, now is all that is left: then the plan,
        // which keeps to the limit, is not worse.
        if choice.best.to > self.until {
            return false;
        }
        self.window = choice.best;
        self.fetched_at = facts.first().map_or(self.fetched_at, |fact| fact.fetched_at);
        moved
    }
}

/// Between two looks at the forecast, for a process of this number.
fn pause(process: u32) -> Duration {
    ASK_AGAIN + Duration::from_secs(u64::from(process) % SPREAD_SECONDS)
}

/// How long to sleep at a stretch.
fn slice(left: Duration, ask_at: BootTime, now: BootTime, shown: bool) -> Duration {
    left.min(ask_at.since(now)).min(if shown { SHOWN_SLICE } else { SLICE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::IntensityKind;
    use crate::units::Intensity;

    fn hour(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3_600).unwrap()
    }

    fn forecast(fetched: i64, grams: &[u32]) -> Vec<IntensityFact> {
        let fact = |(at, grams): (i64, &u32)| IntensityFact {
            zone: "GB".into(),
            from: hour(at),
            to: hour(at + 1),
            intensity: Intensity::from_milligrams_per_kwh(grams * 1_000),
            signal: "average".into(),
            boundary: "direct".into(),
            source: "uk-carbon-intensity".into(),
            kind: IntensityKind::Forecast,
            fetched_at: hour(fetched),
            provider_updated_at: None,
        };
        (0..).zip(grams).map(fact).collect()
    }

    fn plan(facts: &[IntensityFact], now: i64, until: i64) -> (Choice, Plan) {
        let needs = SignedDuration::from_hours(1);
        let choice = window::choose(facts, hour(now), needs, hour(until)).unwrap();
        let plan = Plan { needs, until: hour(until), window: choice.best, fetched_at: hour(now) };
        (choice, plan)
    }

    #[test]
    fn a_newer_forecast_moves_the_start_and_never_beyond_the_limit() {
        let (_, mut plan) = plan(&forecast(0, &[200, 150, 100, 120, 90]), 0, 4);
        assert_eq!(plan.window.from, hour(2));
        // The same again: nothing moves, but the figure is the newer one.
        assert!(!plan.revise(&forecast(1, &[200, 150, 95, 120, 90]), hour(1)));
        assert_eq!((plan.window.mean.grams_per_kwh(), plan.fetched_at), (95.0, hour(1)));
        assert!(plan.revise(&forecast(1, &[200, 150, 130, 120, 90]), hour(1)));
        assert_eq!((plan.window.from, plan.window.to), (hour(3), hour(4)));
        // One that does not cover the present says nothing.
        assert!(!plan.revise(&forecast(1, &[10]), hour(2)));
        // Now is the best: it starts.
        assert!(plan.revise(&forecast(2, &[200, 150, 20, 120, 90]), hour(2)));
        assert_eq!(plan.window.from, hour(2));
    }

    #[test]
    fn the_choice_is_told_with_its_figures_its_source_and_its_credit() {
        let facts = forecast(0, &[200, 150, 100, 120, 90]);
        let (choice, plan) = plan(&facts, 0, 4);
        let forecast =
            Forecast { facts, attribution: "NESO, CC BY 4.0".into(), failures: Vec::new() };
        let text = forecast.explain(&choice, &plan);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "aimeter: waits 2 h 0 min, until 1970-01-01 02:00Z",
                "  at once   1970-01-01 00:00Z to 1970-01-01 01:00Z  200.0 g/kWh",
                "  best      1970-01-01 02:00Z to 1970-01-01 03:00Z  100.0 g/kWh, 50 % less",
                "  forecast  █▅▁▂  until 1970-01-01 04:00Z",
            ]
        );
        assert!(
            lines[4].starts_with("  source    uk-carbon-intensity (GB, average, direct), fetched ")
        );
        assert_eq!(lines[5], "  credit    NESO, CC BY 4.0");
    }

    #[test]
    fn a_sleep_ends_with_the_wait_and_for_the_next_look() {
        let at = |seconds: u64| BootTime::from_nanoseconds(seconds * 1_000_000_000);
        let check = |left, ask_at, shown, expected| {
            let slept = slice(Duration::from_secs(left), at(ask_at), at(100), shown);
            assert_eq!(slept, Duration::from_secs(expected));
        };
        check(3, 200, false, 3);
        check(300, 104, false, 4);
        check(300, 200, false, 10);
        check(300, 200, true, 1);
        // Jobs that wait together ask within five minutes, not at once.
        let minutes = [0, 299, 300, 4_000_001].map(|process| pause(process).as_secs() / 60);
        assert_eq!(minutes, [30, 34, 30, 31]);
    }
}
