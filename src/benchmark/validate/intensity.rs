// SPDX-License-Identifier: Apache-2.0
//! The grid in each window: its mean is made of its facts, they cover the window, and
//! each of them can be.

use jiff::{SignedDuration, Timestamp};

use super::arithmetic::same;
use super::{Check, Findings};
use crate::benchmark::record::{BenchmarkRecord, RepetitionPart, WindowIntensity};
use crate::grid::feeds::MOST_GRAMS;
use crate::grid::plausible;
use crate::ledger::{IntensityFact, IntensityKind};
use crate::record::IntensityUse;
use crate::units::Intensity;

/// Facts are told by the readings that they were used for, of a second or two.
const BETWEEN_READINGS: SignedDuration = SignedDuration::from_secs(2);

pub(super) fn check(record: &BenchmarkRecord, findings: &mut Findings) {
    for (i, one) in record.repetitions.iter().enumerate() {
        if let Some(intensity) = &one.intensity {
            let at = format!("/repetitions/{i}/intensity");
            mean(&at, intensity, findings);
            facts(&at, intensity, findings);
            cover(&at, one, intensity, findings);
        }
    }
}

fn mean(at: &str, intensity: &WindowIntensity, findings: &mut Findings) {
    let (at, grams) = (format!("{at}/grams_per_kwh"), intensity.grams_per_kwh);
    possible(&at, grams, findings);
    let parts = || intensity.parts.iter().map(|part| part.grams_per_kwh);
    let low = parts().fold(f64::INFINITY, f64::min);
    let high = parts().fold(f64::NEG_INFINITY, f64::max);
    let inside = (low..=high).contains(&grams);
    let edge = same(grams, low, 0.0) || same(grams, high, 0.0);
    let found = format!("its parts are from {low} to {high}");
    let is = intensity.parts.is_empty() || inside || edge;
    findings.expect(is, Check::Arithmetic, at, grams, &found);
}

fn possible(at: &str, grams: f64, findings: &mut Findings) {
    let is = (0.0..=MOST_GRAMS).contains(&grams);
    let found = format!("0 to {MOST_GRAMS} is possible");
    findings.expect(is, Check::Plausible, at, grams, &found);
}

fn facts(at: &str, intensity: &WindowIntensity, findings: &mut Findings) {
    for (i, part) in intensity.parts.iter().enumerate() {
        possible(&format!("{at}/parts/{i}/grams_per_kwh"), part.grams_per_kwh, findings);
    }
    let yearly = intensity.parts.iter().any(|part| part.kind == IntensityKind::Table.as_str());
    let found = "a yearly mean never settles";
    let is = !(yearly && intensity.settled);
    findings.expect(is, Check::Arithmetic, format!("{at}/settled"), intensity.settled, found);
    // With boundaries mixed nobody knows which part has which.
    if intensity.boundary == "mixed" {
        return;
    }
    let known: Vec<Option<IntensityFact>> =
        intensity.parts.iter().map(|part| fact(intensity, part)).collect();
    for (i, pair) in known.windows(2).enumerate() {
        if let [Some(before), Some(now)] = pair {
            let at = format!("{at}/parts/{}/grams_per_kwh", i + 1);
            let said = now.intensity.grams_per_kwh();
            let found = format!("a leap from {} is not believed", before.intensity.grams_per_kwh());
            findings.expect(!plausible::jump(before, now), Check::Plausible, at, said, &found);
        }
    }
}

/// A part as the ledger's fact that it was made of.
fn fact(intensity: &WindowIntensity, part: &IntensityUse) -> Option<IntensityFact> {
    Some(IntensityFact {
        zone: intensity.zone.clone(),
        from: part.from.parse().ok()?,
        to: part.to.parse().ok()?,
        intensity: Intensity::from_grams_per_kwh(part.grams_per_kwh)?,
        signal: intensity.signal.clone(),
        boundary: intensity.boundary.clone(),
        source: part.source.clone(),
        kind: IntensityKind::from_word(&part.kind)?,
        fetched_at: part.fetched_at.parse().ok()?,
        provider_updated_at: None,
    })
}

/// No second of the window is without a fact, and no fact ends before it begins.
fn cover(at: &str, one: &RepetitionPart, intensity: &WindowIntensity, findings: &mut Findings) {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let Some((started, ended)) = time(&one.started_at).zip(time(&one.ended_at)) else { return };
    let mut parts: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (i, part) in intensity.parts.iter().enumerate() {
        let Some((from, to)) = time(&part.from).zip(time(&part.to)) else { return };
        let found = format!("it begins at {from}");
        findings.expect(from <= to, Check::Arithmetic, format!("{at}/parts/{i}/to"), to, &found);
        parts.push((from, to));
    }
    if parts.is_empty() {
        return;
    }
    parts.sort();
    let mut known = started;
    let mut missing = None;
    for (from, to) in parts {
        if from.duration_since(known) > BETWEEN_READINGS && known < ended {
            missing.get_or_insert(known);
        }
        known = known.max(to);
    }
    if ended.duration_since(known) > BETWEEN_READINGS {
        missing.get_or_insert(known);
    }
    if let Some(missing) = missing {
        let said = format!("{} facts", intensity.parts.len());
        let found = format!("none is of {missing}, in a window of {started} to {ended}");
        findings.add(Check::Arithmetic, format!("{at}/parts"), said, found);
    }
}
