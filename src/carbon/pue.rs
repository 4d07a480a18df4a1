// SPDX-License-Identifier: Apache-2.0
//! PUE (power usage effectiveness, ISO/IEC 30134-2): facility energy ÷ energy of the
//! IT equipment, in thousandths, and how it goes through time.
//!
//! What holds now comes from a [`PuePlan`]: the last good reading of the building,
//! else a schedule, else a fixed value. What held then comes from the facts of the
//! ledger ([`PueByTime`]), so that an old job keeps the PUE of its time. A job's own
//! `--pue` stands above all of them. A schedule is looked up by the local time of a
//! moment, so that a change of the clocks neither doubles nor skips anything.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;

use crate::grid::pue::Live;
use crate::ledger::{IntervalEnergy, JobRow, PueFact};
use crate::units::BootTime;

/// Where nothing set a PUE.
const UNSET: &str = "unset";

/// A PUE and who says so: `config`, `schedule`, `file` or `http`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PueNow {
    /// In thousandths.
    pub thousandths: u32,
    /// Who says so.
    pub source: &'static str,
}

/// What tells the PUE of a moment.
#[derive(Clone, Debug, Default)]
pub struct PuePlan {
    /// `carbon.pue`, in thousandths.
    pub fixed: Option<u32>,
    /// `carbon.pue_schedule`.
    pub schedule: Option<Arc<Schedule>>,
    /// `carbon.pue_file` or `carbon.pue_url`.
    pub live: Option<Arc<Live>>,
}

impl PuePlan {
    /// What holds now; `now` is the same moment on the boot's clock.
    pub fn at(&self, wall: Timestamp, now: BootTime) -> Option<PueNow> {
        let live = self.live.as_ref().and_then(|live| live.at(now));
        let live = live.map(|(thousandths, source)| PueNow { thousandths, source });
        let planned = || {
            let thousandths = self.schedule.as_ref()?.at(wall)?;
            Some(PueNow { thousandths, source: "schedule" })
        };
        let fixed = || Some(PueNow { thousandths: self.fixed?, source: "config" });
        live.or_else(planned).or_else(fixed)
    }
}

/// PUE by month, day and hour of one time zone; the first rule that fits holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// Whose local time the rules are in.
    pub zone: TimeZone,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// One rule. Each range may run over its end: `Nov-Feb`, `Sat-Mon`, `22:00-06:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// First and last month, 1 to 12.
    months: (u16, u16),
    /// First and last day, Monday 1 to Sunday 7.
    days: (u16, u16),
    /// First minute of the day, and the first one after.
    minutes: (u16, u16),
    /// In thousandths.
    thousandths: u32,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: u16 = 24 * 60;

impl Rule {
    /// A rule from its text: ranges of months, days and hours as far as they matter,
    /// and the value (read by `value`) at the end: `Jun-Sep Mon-Fri 08:00-20:00 1.35`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, value: fn(&str) -> Result<u32, String>) -> Result<Rule, String> {
        let mut words: Vec<&str> = text.split_whitespace().collect();
        let last = words.pop().ok_or("an empty rule")?;
        let thousandths = value(last)?;
        let mut rule =
            Rule { months: (1, 12), days: (1, 7), minutes: (0, DAY_MINUTES), thousandths };
        for word in words {
            let (from, to) = word.split_once('-').unwrap_or((word, word));
            let range = |names: &[&str]| Some((place(names, from)?, place(names, to)?));
            let hours = || Some((minute(from)?, minute(to)?)).filter(|(from, to)| from != to);
            if let Some(months) = range(&MONTHS) {
                rule.months = months;
            } else if let Some(days) = range(&DAYS) {
                rule.days = days;
            } else if let Some(minutes) = hours() {
                rule.minutes = minutes;
            } else {
                return Err(format!(
                    "`{word}` is no range: write months (Jun-Sep), days (Mon-Fri) or hours \
                     (08:00-20:00), then the PUE"
                ));
            }
        }
        Ok(rule)
    }

    fn fits(&self, local: DateTime) -> bool {
        let within = |(from, to): (u16, u16), value: u16| match from <= to {
            true => (from..=to).contains(&value),
            false => value >= from || value <= to,
        };
        let minute = local.hour() as u16 * 60 + local.minute() as u16;
        let (from, until) = self.minutes;
        let hours = match from < until {
            true => (from..until).contains(&minute),
            false => minute >= from || minute < until,
        };
        let day = Weekday::to_monday_one_offset(local.weekday()) as u16;
        hours && within(self.months, local.month() as u16) && within(self.days, day)
    }
}

impl Schedule {
    /// The PUE of a moment in thousandths; `None` where no rule fits.
    pub fn at(&self, moment: Timestamp) -> Option<u32> {
        let local = self.zone.to_datetime(moment);
        self.rules.iter().find(|rule| rule.fits(local)).map(|rule| rule.thousandths)
    }
}

/// The place of a name from 1.
fn place(names: &[&str], word: &str) -> Option<u16> {
    let place = names.iter().position(|name| name.eq_ignore_ascii_case(word))?;
    u16::try_from(place + 1).ok()
}

/// The minute of the day of `HH:MM`; `24:00` is the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (hour, minute) = match digits(hour) && digits(minute) {
        true => (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?),
        false => return None,
    };
    (hour * 60 + minute <= DAY_MINUTES && minute < 60).then_some(hour * 60 + minute)
}

/// The PUE of a job's time: steps, each until the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PueByTime {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// Microseconds since 1970 UTC.
    from: i64,
    thousandths: Option<u32>,
    source: String,
}

/// One PUE for all time, in thousandths (1000: none).
impl From<u32> for PueByTime {
    fn from(thousandths: u32) -> PueByTime {
        PueByTime::always(Some(thousandths), "config")
    }
}

/// The energy-weighted PUE of a job, and who said so.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanPue {
    /// At least 1.
    pub value: f64,
    /// `flag`, `config`, `schedule`, `file`, `http`; several, joined by `+`, where
    /// they took turns. `unset` among them: none was set for a part of the time.
    pub source: String,
}

impl PueByTime {
    fn always(thousandths: Option<u32>, source: &str) -> PueByTime {
        PueByTime { steps: vec![Step { from: i64::MIN, thousandths, source: source.to_owned() }] }
    }

    /// Of a job: its own `--pue`, else the facts of its time; before the first of
    /// them, what its row says was in force when it started.
    pub fn of_job(row: &JobRow, facts: &[PueFact]) -> PueByTime {
        PueByTime::of(row.spec.pue_thousandths, row.pue_thousandths, facts)
    }

    /// The same by what was asked for and what was in force at the start, in thousandths.
    pub fn of(asked: Option<u32>, at_start: Option<u32>, facts: &[PueFact]) -> PueByTime {
        if asked.is_some() {
            return PueByTime::always(asked, "flag");
        }
        let mut by_time = PueByTime::always(at_start, "config");
        facts.iter().for_each(|fact| by_time.add(fact));
        by_time
    }

    /// In thousandths, where it is one from a moment to another.
    pub fn constant(&self, from: Timestamp, to: Timestamp) -> Option<u32> {
        let (from, to) = (from.as_microsecond(), to.as_microsecond());
        let value = self.at(from);
        self.changes(from, to).all(|change| self.at(change) == value).then_some(value)
    }

    /// Adds a fact.
    pub fn add(&mut self, fact: &PueFact) {
        let from = fact.from.as_microsecond();
        let place = self.steps.partition_point(|step| step.from <= from);
        let PueFact { thousandths, ref source, .. } = *fact;
        self.steps.insert(place, Step { from, thousandths, source: source.clone() });
    }

    fn step(&self, moment: i64) -> Option<&Step> {
        let after = self.steps.partition_point(|step| step.from <= moment);
        self.steps.get(after.checked_sub(1)?)
    }

    /// In thousandths, at a moment in microseconds since 1970; 1000 where none is set.
    pub fn at(&self, moment: i64) -> u32 {
        self.step(moment).and_then(|step| step.thousandths).unwrap_or(1_000)
    }

    /// The moments within an interval at which it changes.
    pub fn changes(&self, from: i64, to: i64) -> impl Iterator<Item = i64> {
        let within = move |step: &&Step| from < step.from && step.from < to;
        self.steps.iter().filter(within).map(|step| step.from)
    }

    /// The mean over a job's energy; `None` where none is set at any time of it.
    pub fn mean(&self, intervals: &[IntervalEnergy]) -> Option<MeanPue> {
        let mut parts: Vec<(&Step, u128)> = Vec::new();
        for interval in intervals {
            let (from, to) = (interval.from_microseconds, interval.to_microseconds);
            let cuts: Vec<i64> = std::iter::once(from)
                .chain(self.changes(from, to))
                .chain(std::iter::once(to.max(from)))
                .collect();
            let length = to.max(from).abs_diff(from).max(1);
            for pair in cuts.windows(2) {
                let Some(step) = self.step(pair[0]) else { continue };
                let time = pair[1].abs_diff(pair[0]).max(u64::from(from >= to));
                let weight = u128::from(interval.energy.portion(time, length).microjoules());
                parts.push((step, weight));
            }
        }
        if parts.is_empty() {
            parts.extend(self.steps.last().map(|step| (step, 0)));
        }
        if parts.iter().all(|(step, _)| step.thousandths.is_none()) {
            return None;
        }
        let mut sources: Vec<&str> = parts.iter().map(|(step, _)| source_of(step)).collect();
        sources.sort_unstable();
        sources.dedup();
        Some(MeanPue { value: weighted(&parts), source: sources.join("+") })
    }
}

fn source_of(step: &Step) -> &str {
    if step.thousandths.is_some() { &step.source } else { UNSET }
}

/// The mean by energy, else (nothing was used) the plain one.
fn weighted(parts: &[(&Step, u128)]) -> f64 {
    let pue = |step: &Step| u128::from(step.thousandths.unwrap_or(1_000));
    let first = parts.first().map_or(1_000, |(step, _)| pue(step));
    if parts.iter().all(|(step, _)| pue(step) == first) {
        return first as f64 / 1_000.0;
    }
    let none = parts.iter().all(|(_, weight)| *weight == 0);
    let weight = |weight: u128| if none { 1 } else { weight };
    let whole: u128 = parts.iter().map(|(_, energy)| weight(*energy)).sum();
    let sum: u128 = parts.iter().map(|(step, energy)| pue(step) * weight(*energy)).sum();
    (sum as f64 / whole as f64 * 1e3).round() / 1e6
}

#[cfg(test)]
mod tests;
