// SPDX-License-Identifier: Apache-2.0
//! From the measured parts of a benchmark record to all that follows from them.
//!
//! The one place where a score is computed: the program that runs a campaign and the
//! one that checks a record both ask here. Pure; the formulas are those of
//! `docs/benchmark.md`.

use std::collections::BTreeMap;

use super::level;
use super::record::{
    BenchmarkDomain, BenchmarkRecord, Derived, RepetitionPart, ScorePart, StatisticsPart,
};
use super::statistics::{Repetition, Summary, Unusable, drift, outlier, summary};

const JOULES_PER_KWH: f64 = 3.6e6;

/// The model error of an estimate that states none.
const UNSTATED_MODEL_PERCENT: f64 = 100.0;

/// What follows from the measured parts of a record; its own `derived` is not looked at.
///
/// # Errors
/// [`Unusable`], where there is no repetition or a figure that cannot be computed with:
/// a window without units or energy too.
pub fn derive(record: &BenchmarkRecord) -> Result<Derived, Unusable> {
    let statistics = statistics(record)?;
    let score = score(record, statistics.mean);
    let values = values(record).iter().map(|one| one.value).collect();
    let level = level::of(record, &statistics);
    Ok(Derived { values, statistics, score, level })
}

/// The statistics' own form of a record, which two of them are compared by.
///
/// # Errors
/// As [`derive()`].
pub fn summed_up(record: &BenchmarkRecord) -> Result<Summary, Unusable> {
    summary(&values(record), common_percent(&record.repetitions))
}

fn values(record: &BenchmarkRecord) -> Vec<Repetition> {
    let value = |one: &RepetitionPart| Repetition {
        value: one.joules / one.units,
        uncertainty: uncertainty(one) / one.units,
    };
    record.repetitions.iter().map(value).collect()
}

fn statistics(record: &BenchmarkRecord) -> Result<StatisticsPart, Unusable> {
    let values = values(record);
    let common_percent = common_percent(&record.repetitions);
    let summary = summary(&values, common_percent)?;
    let (low, high) = summary.interval();
    let drift = drift(&values);
    let outlier = outlier(&values, &summary);
    Ok(StatisticsPart {
        repetitions: u32::try_from(summary.repetitions).unwrap_or(u32::MAX),
        mean: summary.mean,
        deviation: summary.deviation,
        repetition_half_width: summary.repetition,
        meter_half_width: summary.meter,
        common_half_width: summary.common,
        common_percent,
        combined_half_width: summary.combined.half_width,
        degrees_of_freedom: Some(summary.combined.freedom).filter(|freedom| freedom.is_finite()),
        low,
        high,
        outlier: outlier.and_then(|one| u32::try_from(one.index + 1).ok()),
        drift_per_repetition: drift.map(|drift| drift.slope),
        drift_shown: drift.is_some_and(|drift| drift.shown),
    })
}

fn summed(one: &RepetitionPart) -> impl Iterator<Item = &BenchmarkDomain> {
    one.domains.iter().filter(|domain| domain.summed)
}

/// ± joules at 95 % that the meter added in this window: domains in quadrature.
fn uncertainty(one: &RepetitionPart) -> f64 {
    summed(one).fold(0.0, |sum: f64, domain| sum.hypot(domain.uncertainty_joules))
}

/// ± percent at 95 % that is common to all windows: by energy, linear over the domains
/// of one device and over all estimates, in quadrature otherwise. As in a job's record it
/// is of the energy whose domains state one, so that a small known part does not make the
/// whole look good (`docs/accuracy.md`); an estimate that states none is taken for as
/// wrong as it is large.
fn common_percent(repetitions: &[RepetitionPart]) -> f64 {
    let mut devices: BTreeMap<&str, f64> = BTreeMap::new();
    let mut joules = 0.0;
    for domain in repetitions.iter().flat_map(summed) {
        let unstated = (domain.method == "estimate").then_some(UNSTATED_MODEL_PERCENT);
        let Some(percent) = domain.common_percent.or(unstated) else { continue };
        joules += domain.joules;
        *devices.entry(device(domain)).or_default() += domain.joules * percent;
    }
    let all = devices.into_values().fold(0.0, |sum: f64, one| sum.hypot(one));
    if joules > 0.0 { all / joules } else { 0.0 }
}

fn device(domain: &BenchmarkDomain) -> &str {
    if domain.method == "estimate" {
        return "estimate";
    }
    domain.id.split_once('/').map_or(domain.id.as_str(), |(device, _)| device)
}

fn score(record: &BenchmarkRecord, joules_per_unit: f64) -> ScorePart {
    let pue = record.pue.as_ref().map(|pue| pue.value);
    let grams_per_kwh = grams_per_kwh(&record.repetitions);
    let facility = joules_per_unit * pue.unwrap_or(1.0);
    let operational = grams_per_kwh.map(|grams| facility * grams / JOULES_PER_KWH);
    let embodied = embodied_per_unit(record);
    ScorePart {
        joules_per_unit,
        facility_joules_per_unit: pue.map(|_| facility),
        grams_per_kwh,
        operational_grams_per_unit: operational,
        embodied_grams_per_unit: embodied,
        sci_grams_per_unit: operational.zip(embodied).map(|(o, m)| o + m),
    }
}

fn grams_per_kwh(repetitions: &[RepetitionPart]) -> Option<f64> {
    let mut grams = 0.0;
    let mut joules = 0.0;
    for one in repetitions {
        grams += one.joules * one.intensity.as_ref()?.grams_per_kwh;
        joules += one.joules;
    }
    (joules > 0.0).then(|| grams / joules)
}

/// M / R = TE × TiR / EL × RR / ToR / R, where TiR is the time of all windows.
fn embodied_per_unit(record: &BenchmarkRecord) -> Option<f64> {
    let embodied = record.embodied.as_ref()?;
    let seconds: f64 = record.repetitions.iter().map(|one| one.seconds).sum();
    let units: f64 = record.repetitions.iter().map(|one| one.units).sum();
    let part = embodied.te_grams * seconds / embodied.el_seconds * embodied.rr / embodied.tor;
    Some(part / units).filter(|grams| grams.is_finite())
}

#[cfg(test)]
mod tests;
