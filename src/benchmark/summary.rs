// SPDX-License-Identifier: Apache-2.0
//! A campaign's record as people read it at its end: the score with its parts, how sure it
//! is, the level with its reasons, every exception by its name. Pure.

use std::fmt::Write as _;

use super::exceptions::word;
use super::record::{
    BenchmarkRecord, ExceptionPart, ScorePart, StatisticsPart, StoppedBy, UnitKind, UnitPart,
};
use crate::record::text::{self, duration, emissions, energy, number, percent};

/// The text, with a line break at its end.
pub fn summary(record: &BenchmarkRecord) -> String {
    let derived = &record.derived;
    let unit = unit(&record.unit);
    let mut out = String::new();
    let name = text::line(&record.campaign.name);
    let level = derived.level.level;
    _ = writeln!(out, "{name}: {} per {unit}, level {level:?}", {
        energy(derived.score.joules_per_unit)
    });
    _ = writeln!(out, "  {:<12} {}", "repetitions", repetitions(record));
    statistics(&mut out, &derived.statistics);
    score(&mut out, record, &derived.score);
    if let Some(idle) = &record.idle {
        let watts = number(idle.watts);
        _ = writeln!(out, "  {:<12} {watts} W over {}", "idle", duration(idle.seconds));
    }
    if !derived.level.unmet.is_empty() {
        _ = writeln!(out, "  not level A:");
    }
    for unmet in &derived.level.unmet {
        let found = text::line(&unmet.found);
        _ = writeln!(out, "    {} (allows {:?}): {found}", unmet.condition, unmet.allows);
    }
    if !record.exceptions.is_empty() {
        _ = writeln!(out, "  exceptions:");
    }
    for exception in &record.exceptions {
        _ = writeln!(out, "    {}", said(exception));
    }
    out
}

/// An exception on one line.
pub fn said(exception: &ExceptionPart) -> String {
    let place =
        exception.repetition.map_or(String::new(), |number| format!(", repetition {number}"));
    format!("{}{place}: {}", word(exception.rule), text::line(&exception.found))
}

/// What a unit is, as after "per".
pub fn unit(unit: &UnitPart) -> &'static str {
    match unit.kind {
        UnitKind::Token => "token",
        UnitKind::Sample => "sample",
        UnitKind::Step => "step",
        UnitKind::Run => "run",
        UnitKind::Quality => "run to its quality",
    }
}

fn repetitions(record: &BenchmarkRecord) -> String {
    let units: f64 = record.repetitions.iter().map(|one| one.units).sum();
    let seconds: f64 = record.repetitions.iter().map(|one| one.seconds).sum();
    let ended = match record.protocol.stopped_by {
        StoppedBy::Repetitions => "all were run",
        StoppedBy::Confidence => "ended by the wanted confidence",
        StoppedBy::Energy => "ended by the budget of energy",
        StoppedBy::Time => "ended by the budget of time",
        StoppedBy::Interrupt => "interrupted",
    };
    let name = text::line(&record.unit.name);
    format!(
        "{}, {ended}: {} {name} in {}",
        record.repetitions.len(),
        number(units),
        duration(seconds)
    )
}

fn statistics(out: &mut String, statistics: &StatisticsPart) {
    let share = |half_width: f64| percent(half_width / statistics.mean * 100.0);
    let repetition = statistics.repetition_half_width.map_or_else(|| "unknown".to_owned(), share);
    _ = writeln!(
        out,
        "  {:<12} {} to {} (95 %): ± {}",
        "interval",
        energy(statistics.low),
        energy(statistics.high),
        share(statistics.combined_half_width)
    );
    _ = writeln!(
        out,
        "  {:<12} repetition ± {repetition}, meter ± {}, common to all ± {}",
        "of these",
        share(statistics.meter_half_width),
        share(statistics.common_half_width)
    );
    if let Some(outlier) = statistics.outlier {
        _ = writeln!(out, "  {:<12} repetition {outlier} is far from the others", "outlier");
    }
    if let (true, Some(slope)) = (statistics.drift_shown, statistics.drift_per_repetition) {
        let sign = if slope < 0.0 { "-" } else { "+" };
        let slope = energy(slope.abs());
        _ = writeln!(out, "  {:<12} {sign}{slope} from one repetition to the next", "drift");
    }
}

fn score(out: &mut String, record: &BenchmarkRecord, score: &ScorePart) {
    let unit = unit(&record.unit);
    let grams = |grams: f64| format!("{} CO2e per {unit}", emissions(grams));
    let mut row = |name: &str, value: Option<String>, unknown: &str| {
        _ = writeln!(out, "  {name:<12} {}", value.unwrap_or_else(|| unknown.to_owned()));
    };
    let facility = score.facility_joules_per_unit.zip(record.pue.as_ref()).map(|(joules, pue)| {
        format!(
            "{} per {unit}, with PUE {} ({})",
            energy(joules),
            pue.value,
            text::line(&pue.source)
        )
    });
    row("facility", facility, "PUE not stated");
    let zone = record.repetitions.first().and_then(|one| one.intensity.as_ref());
    let intensity = score.grams_per_kwh.zip(zone).map(|(grams, zone)| {
        let settled = record
            .repetitions
            .iter()
            .all(|one| one.intensity.as_ref().is_some_and(|intensity| intensity.settled));
        let settled = if settled { "settled" } else { "not settled" };
        let zone_name = text::line(&zone.zone);
        format!(
            "{} gCO2e/kWh, {zone_name}, {}, {}, {settled}",
            number(grams),
            zone.signal,
            zone.boundary
        )
    });
    row("intensity", intensity, "not known");
    row("operational", score.operational_grams_per_unit.map(grams), "not known");
    row("embodied", score.embodied_grams_per_unit.map(grams), "not known");
    row("SCI", score.sci_grams_per_unit.map(grams), "not known: a part of it is missing");
}
