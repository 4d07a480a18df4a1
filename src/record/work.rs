// SPDX-License-Identifier: Apache-2.0
//! The record's parts of what a job marked: energy by phase, energy by unit of work.
//!
//! The phases and what is outside them make up the job's energy to the microjoule. Grams
//! are derived: the job's own mean grams per joule, which holds its intensities and its
//! PUE weighted by energy, times the energy.

use crate::jobs::marks::Count;
use crate::ledger::{JobReport, UnitReport};
use crate::units::Energy;

use super::{PhasePart, WorkPart, WorkPhase};

/// Energy by phase; what is outside any phase comes last, without a name.
pub(super) fn phases(
    report: &JobReport,
    total: Option<Energy>,
    grams: Option<f64>,
) -> Vec<PhasePart> {
    let Some(total) = total else { return Vec::new() };
    if report.phases.is_empty() {
        return Vec::new();
    }
    let part = |name: Option<String>, times, seconds: Option<f64>, energy: Energy| PhasePart {
        name,
        times,
        seconds: seconds.map(micro),
        joules: energy.joules(),
        grams: grams_of(energy.joules(), total, grams).map(micro),
    };
    let mut parts: Vec<PhasePart> = report
        .phases
        .iter()
        .map(|one| {
            let seconds = Some(one.time.as_secs_f64());
            part(Some(one.name.clone()), Some(one.times), seconds, one.energy)
        })
        .collect();
    let inside = report.phases.iter().fold(Energy::ZERO, |sum, one| sum.saturating_add(one.energy));
    let time: std::time::Duration = report.phases.iter().map(|one| one.time).sum();
    let seconds = report.job.duration.map(|all| all.saturating_sub(time).as_secs_f64());
    parts.push(part(None, None, seconds, total.saturating_sub(inside)));
    parts
}

/// Units of work, each with the energy of the whole job and of the phases that it was
/// counted in.
pub(super) fn work(report: &JobReport, total: Option<Energy>, grams: Option<f64>) -> Vec<WorkPart> {
    let mut names: Vec<&str> = report.units.iter().map(|unit| unit.unit.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| unit(name, report, total, grams)).collect()
}

fn unit(name: &str, report: &JobReport, total: Option<Energy>, grams: Option<f64>) -> WorkPart {
    let of_name = |unit: &&UnitReport| unit.unit == name;
    let sum = |units: &mut dyn Iterator<Item = &UnitReport>| {
        units.fold(Count::default(), |sum, unit| sum.saturating_add(unit.count)).units()
    };
    let count = sum(&mut report.units.iter().filter(of_name));
    let joules = total.map(Energy::joules);
    let in_phase = |phase: &crate::ledger::PhaseReport| {
        let mut units = report
            .units
            .iter()
            .filter(of_name)
            .filter(|unit| unit.phase.as_deref() == Some(phase.name.as_str()))
            .peekable();
        units.peek()?;
        let count = sum(&mut units);
        Some(WorkPhase {
            name: phase.name.clone(),
            count,
            joules_per_unit: per(Some(phase.energy.joules()), count),
        })
    };
    WorkPart {
        unit: name.to_owned(),
        count,
        joules_per_unit: per(joules, count),
        grams_per_unit: per(grams, count),
        phases: report.phases.iter().filter_map(in_phase).collect(),
    }
}

/// A part of the job's grams by its part of the job's energy.
fn grams_of(joules: f64, total: Energy, grams: Option<f64>) -> Option<f64> {
    let all = total.joules();
    grams.map(|grams| if all > 0.0 { grams * joules / all } else { 0.0 })
}

fn per(whole: Option<f64>, count: f64) -> Option<f64> {
    whole.filter(|_| count > 0.0).map(|whole| whole / count)
}

/// To a millionth of the unit: more is noise.
fn micro(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
