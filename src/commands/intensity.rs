// SPDX-License-Identifier: Apache-2.0
//! `aimeter intensity`: the grid's carbon intensity, and whose word it is.
//!
//! The chain of feeds is asked; where none answers, the shipped table's yearly
//! mean is shown and said to be one. A figure never stands without its source,
//! its age, its quality and the text that its licence asks for.

use std::fmt::Write as _;
use std::io::Write;

use comfy_table::{CellAlignment, Table, presets};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::clock;
use crate::config::Options;
use crate::grid::chain::{self, Answer, age_text};
use crate::grid::feeds::Want;
use crate::ledger::{IntensityFact, IntensityKind};

use super::cli::IntensityArgs;
use super::exit::{Code, Failure};

/// Longest range: feeds are asked for it in parts, and politely.
const LONGEST: SignedDuration = SignedDuration::from_hours(31 * 24);
/// Columns of the chart.
const COLUMNS: i64 = 72;
/// From the least to the most of a range.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Asks and shows.
///
/// # Errors
/// Where a range is none, no feed has a forecast, or `out` fails.
pub fn run(args: &IntensityArgs, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let want = want(args, clock::wall())?;
    let at = args.at.map(|at| at.resolve(clock::wall()));
    let (settings, zone) = (&options.grid, options.zone.as_deref());
    let environment = |name: &str| std::env::var(name).ok();
    let answer = super::grid::wait_for(async {
        match at {
            Some(at) => chain::answer_at(settings, zone, at, &environment).await,
            None => chain::answer(settings, zone, want, &environment).await,
        }
    })?;
    for (feed, error) in &answer.failures {
        super::complain(&format!("{feed}: {error}"));
    }
    if answer.facts.is_empty() {
        let why = answer.note.as_deref().unwrap_or("no feed answers");
        let what = match want {
            Want::Now | Want::Range { .. } if at.is_none_or(|at| at <= clock::wall()) => "figure",
            _ => "forecast",
        };
        return Err(Failure::new(Code::Failed, format!("there is no {what}: {why}")));
    }
    if let Some(note) = &answer.note {
        super::complain(note);
    }
    let now = clock::wall();
    let text = if args.json { json(&answer, now)? } else { people(&answer, want, now) };
    out.write_all(text.as_bytes()).map_err(Failure::of_output)
}

fn want(args: &IntensityArgs, now: Timestamp) -> Result<Want, Failure> {
    let Some(from) = args.from.map(|from| from.resolve(now)) else {
        return Ok(if args.forecast { Want::Forecast } else { Want::Now });
    };
    let to = args.to.map_or(now, |to| to.resolve(now));
    if from >= to {
        return Err(Failure::new(Code::Usage, format!("--from {from} is not before --to {to}")));
    }
    if to.duration_since(from) > LONGEST {
        return Err(Failure::new(Code::Usage, "a range has at most 31 days"));
    }
    Ok(Want::Range { from, to })
}

/// A fact as `--json` writes it.
#[derive(Serialize)]
pub struct FactRow<'a> {
    zone: &'a str,
    from: Timestamp,
    /// A yearly mean has no end.
    to: Option<Timestamp>,
    grams_per_kwh: f64,
    signal: &'a str,
    boundary: &'a str,
    source: &'a str,
    kind: IntensityKind,
    fetched_at: Timestamp,
    provider_updated_at: Option<Timestamp>,
    age_seconds: Option<i64>,
}

impl<'a> FactRow<'a> {
    /// The row of a fact.
    pub fn of(fact: &'a IntensityFact, now: Timestamp) -> FactRow<'a> {
        FactRow {
            zone: &fact.zone,
            from: fact.from,
            to: (fact.kind != IntensityKind::Table).then_some(fact.to),
            grams_per_kwh: fact.intensity.grams_per_kwh(),
            signal: &fact.signal,
            boundary: &fact.boundary,
            source: &fact.source,
            kind: fact.kind,
            fetched_at: fact.fetched_at,
            provider_updated_at: fact.provider_updated_at,
            age_seconds: age(fact, now).map(|age| age.as_secs()),
        }
    }
}

/// How old a figure is: the time since its interval began, for one of a time to
/// come 0. A yearly mean has none.
pub fn age(fact: &IntensityFact, now: Timestamp) -> Option<SignedDuration> {
    let age = now.duration_since(fact.from);
    (fact.kind != IntensityKind::Table).then(|| age.max(SignedDuration::ZERO))
}

#[derive(Serialize)]
struct Document<'a> {
    facts: Vec<FactRow<'a>>,
    attribution: &'a str,
    note: Option<&'a str>,
    failures: Vec<FailureRow<'a>>,
}

#[derive(Serialize)]
struct FailureRow<'a> {
    feed: &'a str,
    error: String,
    providers_word: bool,
}

fn json(answer: &Answer, now: Timestamp) -> Result<String, Failure> {
    let document = Document {
        facts: answer.facts.iter().map(|fact| FactRow::of(fact, now)).collect(),
        attribution: &answer.attribution,
        note: answer.note.as_deref(),
        failures: answer
            .failures
            .iter()
            .map(|(feed, error)| FailureRow {
                feed,
                error: error.to_string(),
                providers_word: error.is_providers_word(),
            })
            .collect(),
    };
    let text = serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?;
    Ok(text + "\n")
}

fn people(answer: &Answer, want: Want, now: Timestamp) -> String {
    let mut text = String::new();
    let Some(first) = answer.facts.first() else { return text };
    let quantity = format!("{}, {}", first.signal, first.boundary);
    let is_table = first.kind == IntensityKind::Table;
    if want == Want::Now || is_table {
        _ = writeln!(text, "{}  {} gCO2e/kWh", first.zone, first.intensity.grams_per_kwh());
        _ = writeln!(text, "  quality  {}", quality(first));
        if !is_table {
            _ = writeln!(text, "  time     {} to {}", minute(first.from), minute(first.to));
            let old = age(first, now).map(age_text).unwrap_or_default();
            _ = writeln!(text, "  age      {old} since it began");
        }
    } else {
        _ = writeln!(text, "{}  {}", first.zone, span(&answer.facts));
        _ = writeln!(text, "  {}", chart(&answer.facts));
        _ = writeln!(text, "{}", table(&answer.facts).trim_fmt());
    }
    _ = writeln!(text, "  source   {} ({quantity})", first.source);
    _ = writeln!(text, "  credit   {}", answer.attribution);
    text
}

/// A kind in words.
pub fn quality(fact: &IntensityFact) -> &'static str {
    match fact.kind {
        IntensityKind::Actual => "measured",
        IntensityKind::Provisional => "measured, may still change",
        IntensityKind::Estimated => "estimated by the provider",
        IntensityKind::Forecast => "forecast",
        IntensityKind::Table => "yearly mean, not live",
    }
}

pub(super) fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%MZ").to_string()
}

/// Least, mean over time, and most of a range.
fn span(facts: &[IntensityFact]) -> String {
    let value = |fact: &IntensityFact| fact.intensity.grams_per_kwh();
    let (mut sum, mut seconds) = (0.0, 0.0);
    for fact in facts {
        let length = fact.to.duration_since(fact.from).as_secs_f64();
        sum += value(fact) * length;
        seconds += length;
    }
    let least = facts.iter().map(value).fold(f64::INFINITY, f64::min);
    let most = facts.iter().map(value).fold(0.0, f64::max);
    format!("{least} to {most}, mean over time {:.1} gCO2e/kWh", sum / seconds)
}

/// One character a part of the time, from the least to the most; a part without
/// any figure stays blank.
pub(super) fn chart(facts: &[IntensityFact]) -> String {
    let (Some(first), Some(last)) = (facts.first(), facts.last()) else { return String::new() };
    let seconds = |time: Timestamp| time.as_second();
    let start = seconds(first.from);
    let whole = (seconds(last.to) - start).max(1);
    let shortest = facts.iter().map(|fact| seconds(fact.to) - seconds(fact.from)).min();
    let columns = (whole / shortest.unwrap_or(whole).max(1)).clamp(1, COLUMNS);
    let values: Vec<Option<f64>> = (0..columns)
        .map(|column| {
            let (from, to) =
                (start + whole * column / columns, start + whole * (column + 1) / columns);
            let within =
                facts.iter().filter(|fact| seconds(fact.from) < to && from < seconds(fact.to));
            let (sum, count) = within.fold((0.0, 0.0), |(sum, count), fact| {
                (sum + fact.intensity.grams_per_kwh(), count + 1.0)
            });
            (count > 0.0).then(|| sum / count)
        })
        .collect();
    let least = values.iter().flatten().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: f64| {
        let share = if most > least { (value - least) / (most - least) } else { 0.0 };
        BARS[((share * 8.0) as usize).min(7)]
    };
    values.iter().map(|value| value.map_or(' ', bar)).collect()
}

fn table(facts: &[IntensityFact]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["FROM", "TO", "g/kWh", "QUALITY"]);
    for fact in facts {
        table.add_row([
            minute(fact.from),
            minute(fact.to),
            fact.intensity.grams_per_kwh().to_string(),
            quality(fact).to_owned(),
        ]);
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Intensity;

    fn fact(from: i64, to: i64, grams: f64) -> IntensityFact {
        let time = |minutes: i64| Timestamp::from_second(minutes * 60).unwrap();
        IntensityFact {
            zone: "GB".into(),
            from: time(from),
            to: time(to),
            intensity: Intensity::from_grams_per_kwh(grams).unwrap(),
            signal: "average".into(),
            boundary: "direct".into(),
            source: "uk-carbon-intensity".into(),
            kind: IntensityKind::Actual,
            fetched_at: time(to),
            provider_updated_at: None,
        }
    }

    #[test]
    fn the_chart_goes_from_least_to_most_and_a_gap_stays_one() {
        let facts = [fact(0, 30, 100.0), fact(30, 60, 150.0), fact(90, 120, 200.0)];
        assert_eq!(chart(&facts), "▁▅ █");
        assert_eq!(chart(&[fact(0, 30, 7.0)]), "▁");
        let long: Vec<_> = (0..1_000).map(|i| fact(i * 30, i * 30 + 30, 10.0)).collect();
        assert_eq!(chart(&long).chars().count(), 72);
    }

    #[test]
    fn the_mean_of_a_range_is_over_time() {
        let facts = [fact(0, 60, 100.0), fact(60, 70, 200.0)];
        assert_eq!(span(&facts), "100 to 200, mean over time 114.3 gCO2e/kWh");
    }

    #[test]
    fn a_figure_stands_with_its_source_age_quality_and_credit() {
        let answer = Answer {
            facts: vec![fact(0, 30, 190.0)],
            attribution: "NESO, CC BY 4.0".into(),
            failures: Vec::new(),
            note: None,
        };
        assert_eq!(
            people(&answer, Want::Now, Timestamp::from_second(2_400).unwrap()),
            "GB  190 gCO2e/kWh\n  quality  measured\n  \
             time     1970-01-01 00:00Z to 1970-01-01 00:30Z\n  age      40 min since it began\n  \
             source   uk-carbon-intensity (average, direct)\n  credit   NESO, CC BY 4.0\n"
        );
    }
}
