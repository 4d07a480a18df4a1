// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench window`: whole runs of a command until a time has passed, and what they
//! did.
//!
//! Its output goes through unchanged, and is not even looked at where nothing is counted
//! in it. A run that fails ends the window with its exit code; so does a signal, once the
//! command has ended for it. The report is written in every case.

mod child;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::super::cli::WindowArgs;
use super::super::exit::{Code, Failure};
use super::marker::Marker;
use crate::benchmark::record::CountedBy;
use crate::benchmark::window::{
    Counting, EndedBy, ExitReport, Found, QualityReport, RunTally, WindowReport, quality,
};
use crate::clock;
use crate::jobs::Exit;
use crate::jobs::marks::{Count, MarkName};
use crate::units::BootTime;
use crate::wrapper::exit_like;

use child::{Children, Ended};

/// One unit.
const ONE: Count = Count::from_thousandths(1_000);

/// Runs the window; ends as its command did.
///
/// # Errors
/// A command that cannot be run, a report that cannot be written.
pub fn run(args: WindowArgs) -> Result<ExitCode, Failure> {
    let counting = match (args.counted_by, args.quality, args.pattern) {
        (CountedBy::Mark, ..) => Counting::Mark,
        (_, Some(target), pattern) => {
            let pattern = pattern.unwrap_or_else(|| quality::pattern_for(&target.metric));
            Counting::Quality(target, pattern)
        }
        (_, None, Some(pattern)) => Counting::Pattern(pattern),
        (_, None, None) => Counting::Exit,
    };
    let unit = args.unit.unwrap_or_else(|| default_unit(&counting));
    let mut children = Children::take_signals()?;
    let mut window = Window::new(&counting, &unit);
    let end = loop {
        let ended = window.run_once(&mut children, &args.command)?;
        children.look(None)?;
        if let Some(signal) = children.interrupted() {
            break (EndedBy::Interrupt, Exit::Signal(signal), ended.exit);
        }
        if !ended.whole {
            break (EndedBy::Failure, ended.exit, ended.exit);
        }
        if clock::now().since(window.started) >= args.least {
            break (EndedBy::Time, Exit::Code(0), ended.exit);
        }
    };
    let (ended_by, exit, last) = end;
    // An interrupted command's own code tells more than the signal.
    let exit = match last {
        Exit::Code(code) if code != 0 && ended_by == EndedBy::Interrupt => Exit::Code(code),
        _ => exit,
    };
    write(&args.report, &window.report(ended_by, last, children.interrupted()))?;
    match exit {
        Exit::Code(0) => Ok(Code::Success.into()),
        exit => exit_like(exit),
    }
}

fn default_unit(counting: &Counting) -> MarkName {
    let name = match counting {
        Counting::Quality(target, _) => target.metric.as_str(),
        Counting::Pattern(_) => "units",
        Counting::Mark | Counting::Exit => "runs",
    };
    name.parse().unwrap_or_else(|_| MarkName::other())
}

/// A window under way.
struct Window<'a> {
    counting: &'a Counting,
    unit: &'a MarkName,
    marker: Marker,
    started: BootTime,
    ended: BootTime,
    runs: u64,
    shortest: Option<Duration>,
    longest: Option<Duration>,
    units: Count,
    reached: Vec<f64>,
    missed: u64,
    last: Option<f64>,
    unreadable: u64,
    cut: u64,
    left_behind: u64,
}

/// How a run of the window ended.
struct RunEnd {
    exit: Exit,
    /// Whether it counts.
    whole: bool,
}

impl<'a> Window<'a> {
    fn new(counting: &'a Counting, unit: &'a MarkName) -> Window<'a> {
        let now = clock::now();
        Window {
            counting,
            unit,
            marker: Marker::of_job(),
            started: now,
            ended: now,
            runs: 0,
            shortest: None,
            longest: None,
            units: Count::default(),
            reached: Vec::new(),
            missed: 0,
            last: None,
            unreadable: 0,
            cut: 0,
            left_behind: 0,
        }
    }

    fn run_once(
        &mut self,
        children: &mut Children,
        command: &[std::ffi::OsString],
    ) -> Result<RunEnd, Failure> {
        let started = clock::now();
        let mut tally = RunTally::new(self.counting);
        let (marker, unit) = (&mut self.marker, self.unit);
        let ended = children.run(command, self.counting.reads_output(), &mut |stream, bytes| {
            let before = tally.found().units;
            tally.take(stream, bytes, clock::now().since(started));
            let found = tally.found();
            let more = found.units.thousandths() - before.thousandths();
            marker.add(unit, Count::from_thousandths(more));
            found.reached.is_some()
        })?;
        self.ended = clock::now();
        let time = self.ended.since(started);
        let sent = tally.found().units;
        let found = tally.end(time);
        let rest = found.units.thousandths() - sent.thousandths();
        self.marker.add(self.unit, Count::from_thousandths(rest));
        let whole = found.reached.is_some() || ended.exit == Exit::Code(0);
        self.book(whole, time, &found, &ended);
        self.marker.flush();
        Ok(RunEnd { exit: ended.exit, whole })
    }

    /// Takes a run's figures into the window's.
    fn book(&mut self, whole: bool, time: Duration, found: &Found, ended: &Ended) {
        self.unreadable += found.unreadable;
        self.cut += found.cut;
        self.left_behind += u64::from(ended.left_behind);
        self.last = found.metric.or(self.last);
        if !whole {
            return;
        }
        self.runs += 1;
        self.shortest = Some(self.shortest.map_or(time, |shortest| shortest.min(time)));
        self.longest = Some(self.longest.map_or(time, |longest| longest.max(time)));
        let own = match (self.counting, found.reached) {
            (Counting::Exit, _) => ONE,
            (Counting::Quality(..), Some(after)) => {
                self.reached.push(after.as_secs_f64());
                ONE
            }
            (Counting::Quality(..), None) => {
                self.missed += 1;
                Count::default()
            }
            (Counting::Pattern(_) | Counting::Mark, _) => {
                self.units = self.units.saturating_add(found.units);
                Count::default()
            }
        };
        self.units = self.units.saturating_add(own);
        self.marker.add(self.unit, own);
    }

    fn report(&self, ended_by: EndedBy, last: Exit, interrupted_by: Option<i32>) -> WindowReport {
        let counts = !matches!(self.counting, Counting::Mark);
        let quality = match self.counting {
            Counting::Quality(target, _) => Some(QualityReport {
                metric: target.metric.clone(),
                reached_seconds: self.reached.clone(),
                missed: self.missed,
                last: self.last,
            }),
            _ => None,
        };
        WindowReport {
            started_at: clock::wall_at(self.started).to_string(),
            ended_at: clock::wall_at(self.ended).to_string(),
            seconds: self.ended.since(self.started).as_secs_f64(),
            runs: self.runs,
            shortest_run_seconds: self.shortest.map(|time| time.as_secs_f64()),
            longest_run_seconds: self.longest.map(|time| time.as_secs_f64()),
            unit: counts.then(|| self.unit.to_string()),
            units: counts.then(|| self.units.units()),
            quality,
            ended_by,
            exit: ExitReport::of(last),
            interrupted_by,
            notes: self.notes(),
        }
    }

    fn notes(&self) -> Vec<String> {
        let (missed, unreadable) = (self.missed, self.unreadable);
        let (cut, left) = (self.cut, self.left_behind);
        [
            (missed, format!("{missed} runs did not reach the quality and count for nothing")),
            (unreadable, format!("{unreadable} matches of the pattern held no number")),
            (cut, format!("of {cut} lines only the first 64 KiB were looked at")),
            (left, format!("{left} runs left processes behind, which were ended after 10 s")),
        ]
        .into_iter()
        .filter_map(|(count, note)| (count > 0).then_some(note))
        .collect()
    }
}

fn write(file: &Path, report: &WindowReport) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report).map_err(anyhow::Error::from)? + "\n";
    std::fs::write(file, text).map_err(|error| {
        Failure::new(Code::Failed, format!("cannot write `{}`: {error}", file.display()))
    })
}
