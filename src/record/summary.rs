// SPDX-License-Identifier: Apache-2.0
//! The summary of a record for people, at the end of a run and in `aimeter show`.
//!
//! Made of the record alone, so that it never says more than the record does.
//! An estimate is called so in the line that shows it; what was not measured is
//! said with its reason, one line each. Figures as in [`super::text`].

use super::uncertainty::quadrature;
use super::{DomainPart, IntensityPart, IntensityUse, PhasePart, Record, import, text};
use crate::carbon::equivalents;

/// How the summary looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether to use ANSI colours (a terminal that was not told `NO_COLOR`).
    pub colour: bool,
}

/// Phases and units shown at most.
const MOST_PHASES: usize = 5;
const MOST_UNITS: usize = 5;

const BOLD: &str = "\x1b[1m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// One line: a label, a figure, its watt-hours, its uncertainty, a remark.
#[derive(Default)]
pub(super) struct Line {
    /// All but the remark.
    pub cells: [String; 4],
    /// Where the figure comes from, or a text alone.
    pub remark: String,
    colour: Option<&'static str>,
}

/// The summary, with a line break at its end.
pub fn summary(record: &Record, style: Style) -> String {
    let mut lines = figure_lines(record);
    lines.extend(work_lines(record));
    lines.push(Line::text("job", &record.job.id));
    if let Some(whose) = import::counted_by(&record.job.origin) {
        lines.push(Line::text("origin", &format!("imported: {whose} counted it, not aimeter")));
    }
    lines.extend(quality_lines(record));
    let mut out = paint(&title(record), Some(BOLD), style);
    out.push('\n');
    out.push_str(&layout(&lines, style));
    out
}

/// Energy, emissions and what the configuration asks for beside.
pub(super) fn figure_lines(record: &Record) -> Vec<Line> {
    let mut lines = energy_lines(record);
    lines.extend(facility_line(record));
    lines.extend(emissions_lines(record));
    lines.extend(timing_line(record));
    lines.extend(account_lines(record));
    lines
}

impl Line {
    /// A label and a text that keeps to no column.
    fn text(label: &str, text: &str) -> Line {
        Line {
            cells: [label.to_owned(), String::new(), String::new(), String::new()],
            remark: text.to_owned(),
            colour: None,
        }
    }

    /// A label, a figure with its unit, a remark.
    fn figure(label: &str, figure: String, remark: String) -> Line {
        Line {
            cells: [label.to_owned(), figure, String::new(), String::new()],
            remark,
            colour: None,
        }
    }

    fn grams(label: &str, grams: f64, remark: String) -> Line {
        Line { colour: Some(BOLD), ..Line::figure(label, text::emissions(grams), remark) }
    }

    fn energy(label: &str, joules: f64, uncertainty: Option<f64>, remark: String) -> Line {
        Line {
            cells: [
                label.to_owned(),
                text::energy(joules),
                text::watt_hours(joules).map_or(String::new(), |hours| format!("({hours})")),
                uncertainty
                    .map_or(String::new(), |width| format!("± {}", text::uncertainty(width))),
            ],
            remark,
            colour: None,
        }
    }
}

fn title(record: &Record) -> String {
    format!("aimeter: {} {}", text::line(&record.job.name), outcome(record))
}

/// What became of the job: `took 3 h 5 min, exit code 1`.
pub(super) fn outcome(record: &Record) -> String {
    let job = &record.job;
    let time = job.duration_seconds.map(text::duration);
    let state = match (job.state.as_str(), time) {
        ("running", _) => "is running".to_owned(),
        ("lost", _) => "was lost: its end was not seen".to_owned(),
        (_, Some(time)) => format!("took {time}"),
        (_, None) => "ended".to_owned(),
    };
    let exit = match job.exit_code {
        Some(0) | None => String::new(),
        Some(code @ 129..=192) => format!(", exit code {code} (signal {})", code - 128),
        Some(code) => format!(", exit code {code}"),
    };
    format!("{state}{exit}")
}

fn energy_lines(record: &Record) -> Vec<Line> {
    let energy = &record.energy;
    let Some(total) = energy.total_joules else {
        let why = match import::counted_by(&record.job.origin) {
            Some(_) => "not known",
            None => "not measured; `aimeter sensors` says why",
        };
        return vec![Line::text("energy", why)];
    };
    let provenance = energy.provenance.as_deref().unwrap_or_default();
    let gain = energy
        .sensor_gain_percent
        .map_or(String::new(), |percent| format!(", sensor gain ± {}", text::percent(percent)));
    let remark = format!("{}{gain}", whole_provenance(record, provenance));
    let first = Line::energy("energy", total, energy.uncertainty_joules, remark);
    let colour = Some(if provenance == "measured" { BOLD } else { YELLOW });
    let mut lines = vec![Line { colour, ..first }];
    lines.extend(record.quality.coverage.iter().map(|kind| kind_line(record, kind)));
    if energy.domains.iter().any(|domain| domain.kind == "node" && !covered(record, "node")) {
        lines.push(kind_line(record, "node"));
    }
    lines
}

/// `measured`, `estimated`, or how much of a mixed total is estimated.
fn whole_provenance(record: &Record, provenance: &str) -> String {
    if provenance != "mixed" {
        return provenance.to_owned();
    }
    let estimated = record.energy.domains.iter().filter(|one| one.provenance == "estimated");
    let joules: f64 =
        estimated.filter(|one| covered(record, &one.kind)).map(|one| one.joules).sum();
    format!("mixed: {} of it is estimated", text::energy(joules))
}

fn covered(record: &Record, kind: &str) -> bool {
    record.quality.coverage.iter().any(|counted| counted == kind)
}

fn kind_line(record: &Record, kind: &str) -> Line {
    let domains: Vec<&DomainPart> =
        record.energy.domains.iter().filter(|domain| domain.kind == kind).collect();
    let joules = domains.iter().map(|domain| domain.joules).sum();
    let widths: Option<Vec<f64>> = domains.iter().map(|domain| domain.uncertainty_joules).collect();
    let width = widths.map(quadrature);
    let mut remark = kind_provenance(&domains);
    if domains.len() > 1 {
        remark.push_str(&format!(", {} domains", domains.len()));
    }
    if !covered(record, kind) {
        remark.push_str("; overlaps the others, not added");
    }
    Line::energy(&format!("  {}", text::kind(kind)), joules, width, remark)
}

fn kind_provenance(domains: &[&DomainPart]) -> String {
    let has = |word: &&str| domains.iter().any(|domain| domain.provenance == *word);
    let words: Vec<&str> = ["measured", "derived", "estimated"].into_iter().filter(has).collect();
    let share = match domains {
        [one] if one.provenance == "derived" => one.share,
        _ => None,
    };
    let share = share
        .map_or(String::new(), |share| format!(", {} of the domain", text::percent(share * 100.0)));
    format!("{}{share}", words.join(" and "))
}

fn facility_line(record: &Record) -> Option<Line> {
    let pue = record.energy.pue.as_ref()?;
    let remark = format!("with PUE {} ({})", text::number(pue.value), pue.source);
    Some(Line::energy("facility", record.energy.facility_joules?, None, remark))
}

/// CO2e: of the electricity; with that of the hardware, both and their sum; and in
/// words that people know.
fn emissions_lines(record: &Record) -> Vec<Line> {
    let emissions = &record.emissions;
    if record.energy.total_joules.is_none() {
        return Vec::new();
    }
    // A job that used no energy used none of any intensity.
    let intensity = || emissions.intensity.as_ref().map_or(String::new(), intensity_text);
    let Some(operational) = emissions.operational_grams else {
        let mut lines = vec![Line::text("CO2e", "not known")];
        lines.extend(embodied_line(record));
        return lines;
    };
    let total = emissions.total_grams.unwrap_or(operational);
    let mut lines = match embodied_line(record) {
        None => vec![Line::grams("CO2e", operational, intensity())],
        Some(embodied) => vec![
            Line::grams("CO2e", total, "of electricity and hardware".to_owned()),
            Line { colour: None, ..Line::grams("  operational", operational, intensity()) },
            embodied,
        ],
    };
    if let Some((like, count)) = equivalents::readable(total) {
        let metres = like.id == "car_km" && count < 1.0;
        let count = if metres { count * 1e3 } else { count };
        let what = if metres { like.text.replacen("km", "m", 1) } else { like.text.clone() };
        let text = format!("{} {what} ({})", text::number(count), like.source);
        lines.push(Line::text("like", &text));
    }
    lines
}

fn embodied_line(record: &Record) -> Option<Line> {
    let grams = record.emissions.embodied_grams?;
    let part = record.emissions.embodied.as_ref();
    let remark = part.map_or(String::new(), |part| {
        let range = format!(
            "{} to {}",
            text::emissions(part.lowest_grams),
            text::emissions(part.highest_grams)
        );
        format!("making the hardware held ({range}), {}", text::line(&part.source))
    });
    Some(Line { colour: None, ..Line::grams("  embodied", grams, remark) })
}

/// What the configuration asks for beside.
fn account_lines(record: &Record) -> Vec<Line> {
    let mut lines = Vec::new();
    let market = record.emissions.market_based.as_ref();
    if let Some((grams, market)) = market.and_then(|part| Some((part.grams?, part))) {
        let factor = text::number(market.grams_per_kwh);
        let remark = format!("by contract: {factor} g/kWh, {}", text::line(&market.source));
        lines.push(Line { colour: None, ..Line::grams("market-based", grams, remark) });
    }
    if let Some((litres, water)) = record.water.as_ref().and_then(|part| Some((part.litres?, part)))
    {
        let part =
            |litres: Option<f64>, word: &str| Some(format!("{} L {word}", text::number(litres?)));
        let parts = [part(water.site_litres, "on site"), part(water.grid_litres, "by the grid")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        lines.push(Line::figure("water", format!("{} L", text::number(litres)), parts.join(", ")));
    }
    if let Some((amount, cost)) = record.cost.as_ref().and_then(|part| Some((part.amount?, part))) {
        let currency = text::line(&cost.currency);
        let remark = format!("{} {currency} a kWh", cost.price_per_kwh);
        let figure = format!("{} {currency}", text::number(amount));
        lines.push(Line::figure("cost", figure, remark));
    }
    lines
}

/// The phases that took most, and what a unit of work took.
fn work_lines(record: &Record) -> Vec<Line> {
    let mut phases: Vec<_> = record.phases.iter().filter(|phase| phase.name.is_some()).collect();
    phases.sort_by(|one, other| other.joules.total_cmp(&one.joules));
    let left = phases.len().saturating_sub(MOST_PHASES);
    phases.truncate(MOST_PHASES);
    let phase = |part: &&PhasePart| {
        let name = text::line(part.name.as_deref().unwrap_or_default());
        let times = match part.times {
            Some(times) if times > 1 => format!(", {times} times"),
            _ => String::new(),
        };
        let remark = format!("{}{times}", text::duration(part.seconds.unwrap_or_default()));
        Line::energy(&format!("phase {name}"), part.joules, None, remark)
    };
    let mut lines: Vec<Line> = phases.iter().map(phase).collect();
    if left > 0 {
        lines.push(Line::text("phases", &format!("{left} more; `aimeter show` has all")));
    }
    for part in record.work.iter().take(MOST_UNITS) {
        let each = part
            .joules_per_unit
            .map_or(String::new(), |joules| format!("{} each", text::energy(joules)));
        lines.push(Line::figure(&text::line(&part.unit), part.count.to_string(), each));
    }
    lines
}

fn intensity_text(intensity: &IntensityPart) -> String {
    let IntensityPart { zone, signal, boundary, settled, parts, .. } = intensity;
    let grams = text::number(intensity.mean_grams_per_kwh);
    let mut sources: Vec<String> = parts.iter().map(source_text).collect();
    sources.sort_unstable();
    sources.dedup();
    // Of a yearly mean everybody knows that a better figure may come.
    let open = !settled && parts.iter().any(|part| part.kind != "table");
    let open = if open { "; not final" } else { "" };
    let boundary = match boundary.as_str() {
        "mixed" => "direct and lifecycle mixed",
        "unknown" => "boundary unknown",
        other => other,
    };
    format!("{zone} {grams} g/kWh ({signal}, {boundary}), {}{open}", sources.join(", "))
}

fn timing_line(record: &Record) -> Option<Line> {
    let timing = record.emissions.timing.as_ref()?;
    let source = text::line(&timing.source);
    if timing.waited_seconds == 0.0 {
        let text = format!("not at all: no time was better by {source}'s forecast");
        return Some(Line::text("waited", &text));
    }
    let came = match timing.realised_saving_percent {
        Some(percent) => format!("in fact {}", saving_text(percent)),
        None => "what came of it is not known yet".to_owned(),
    };
    let text = format!(
        "{} for {} instead of {} g/kWh, {} by {source}'s forecast; {came}",
        text::duration(timing.waited_seconds),
        text::number(timing.expected_window_grams_per_kwh),
        text::number(timing.expected_at_once_grams_per_kwh),
        saving_text(timing.expected_saving_percent),
    );
    Some(Line::text("waited", &text))
}

/// `7.6 % less`, `1.2 % more`.
fn saving_text(percent: f64) -> String {
    let word = if percent < 0.0 { "more" } else { "less" };
    format!("{} {word}", text::percent(percent.abs()))
}

fn source_text(part: &IntensityUse) -> String {
    match part.source.strip_prefix("table:") {
        Some(table) => format!("yearly mean by {}", text::line(table)),
        None => format!("{} ({})", text::line(&part.source), part.kind),
    }
}

pub(super) fn quality_lines(record: &Record) -> Vec<Line> {
    let mut lines = Vec::new();
    if record.quality.gaps_seconds > 0.0 {
        let time = text::duration(record.quality.gaps_seconds);
        lines.push(Line::text("gaps", &format!("{time} without readings")));
    }
    let estimated = matches!(record.energy.provenance.as_deref(), Some("estimated" | "mixed"));
    if estimated && import::counted_by(&record.job.origin).is_none() {
        lines.push(Line::text("estimated", "by a model of CPU power, not by a sensor; `aimeter sensors` tells how to get a measurement"));
    }
    lines.extend(record.quality.notes.iter().map(|note| Line::text("note", &text::line(note))));
    for line in &mut lines {
        line.colour = Some(YELLOW);
    }
    lines
}

/// Columns as wide as their widest cell; the figure to the right, all else left.
fn layout(lines: &[Line], style: Style) -> String {
    let figures = |line: &&Line| !line.cells[1].is_empty();
    let width = |column: usize| {
        lines.iter().map(|line| line.cells[column].chars().count()).max().unwrap_or(0)
    };
    let [label, figure, hours, uncertainty] = [0, 1, 2, 3].map(width);
    let mut out = String::new();
    for line in lines {
        let [name, value, watt_hours, plus_minus] = &line.cells;
        let mut text = format!("  {name:<label$}  ");
        if figures(&line) {
            text.push_str(&format!("{value:>figure$}  "));
            if line.cells[2..].iter().any(|cell| !cell.is_empty()) {
                text.push_str(&cell(watt_hours, hours));
                text.push_str(&cell(plus_minus, uncertainty));
            }
        }
        text.push_str(&line.remark);
        out.push_str(&paint(text.trim_end(), line.colour, style));
        out.push('\n');
    }
    out
}

fn cell(text: &str, width: usize) -> String {
    if width == 0 { String::new() } else { format!("{text:<width$}  ") }
}

fn paint(text: &str, colour: Option<&str>, style: Style) -> String {
    match colour.filter(|_| style.colour) {
        Some(colour) => format!("{colour}{text}{RESET}"),
        None => text.to_owned(),
    }
}
