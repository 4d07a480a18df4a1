// SPDX-License-Identifier: Apache-2.0
//! From what the books know to the public record.
//!
//! Pure: the report, the host and the intensity facts come in, the record goes
//! out, and the same input gives the same record. What is not known becomes null.

use jiff::Timestamp;

use super::uncertainty::{gain_percent_of_sum, of_domain, of_sum, split_by_cpu_time};
use super::{
    DomainPart, EmissionsPart, EnergyPart, FirstTold, GpuPart, HostPart, IntensityPart,
    IntensityUse, JobPart, PuePart, QualityPart, Record, SCHEMA, text, timing, work,
};
use crate::carbon::pue::{MeanPue, PueByTime};
use crate::carbon::{Known, Operational, Use, operational, settled};
use crate::grid;
use crate::jobs::Exit;
use crate::ledger::{DomainReport, IntensityFact, IntensityKind, JobReport, JobRow};
use crate::sensors::{Kind, Method, Missing};
use crate::units::Energy;

/// The record of a job; [`super::account`] adds what the configuration asks for. The
/// facts known are those of the job's zone and of the world; the world's are used only
/// where there is none of the zone.
pub fn build(report: &JobReport, host: &HostPart, known: &Known) -> Record {
    let counted: Vec<&DomainReport> =
        report.domains.iter().filter(|one| one.domain.counted()).collect();
    let coverage: Vec<Kind> = Kind::ALL
        .into_iter()
        .filter(|kind| counted.iter().any(|one| one.domain.kind == *kind))
        .collect();
    let (zone_facts, zone_note) = facts_in_force(report.job.zone.as_deref(), &known.facts);
    let pue = PueByTime::of_job(&report.job, &report.pue);
    let mean_pue = pue.mean(&report.intervals);
    let carbon = operational(&report.intervals, &zone_facts, pue.clone());
    let nothing_used = counted.iter().all(|one| one.amount.energy == Energy::ZERO);
    let mut emissions = emissions_part(&carbon, !counted.is_empty(), nothing_used, known.at);
    emissions.timing = timing::part(report, &zone_facts, &carbon);
    emissions.first_told = first_told(report, known, &zone_facts, pue);
    let total = counted.iter().map(|one| one.amount.energy).reduce(Energy::saturating_add);
    let grams = emissions.operational_grams;
    let grid_notes = zone_note.into_iter().chain(settled_notes(&carbon, known.at)).collect();
    Record {
        schema: SCHEMA.to_owned(),
        job: job_part(&report.job),
        host: host_part(host, &counted),
        energy: energy_part(report, &counted, &coverage, mean_pue),
        quality: QualityPart {
            gaps_seconds: longest_gap(&counted),
            coverage: coverage.iter().map(|kind| kind.as_str().to_owned()).collect(),
            notes: notes(report, &counted, grid_notes, &emissions),
        },
        phases: work::phases(report, total, grams),
        work: work::work(report, total, grams),
        emissions,
        water: None,
        cost: None,
    }
}

fn job_part(row: &JobRow) -> JobPart {
    let spec = &row.spec;
    JobPart {
        id: spec.id.to_string(),
        name: spec.name.clone(),
        user: spec.user.clone(),
        project: spec.project.clone(),
        labels: spec.labels.clone(),
        origin: row.origin.clone(),
        command: spec.command.clone(),
        exit_code: match row.exit {
            Some(Exit::Code(code)) => Some(code),
            Some(Exit::Signal(signal)) => Some(128 + signal),
            Some(Exit::Unknown) | None => None,
        },
        state: row.state.as_str().to_owned(),
        started_at: rfc3339(row.started),
        ended_at: row.ended.map(rfc3339),
        duration_seconds: row.duration.map(|time| time.as_micros() as f64 / 1e6),
    }
}

/// The host with the GPUs of the job.
fn host_part(host: &HostPart, counted: &[&DomainReport]) -> HostPart {
    let gpus = counted.iter().filter(|one| one.domain.kind == Kind::Gpu).filter_map(|one| {
        let uuid = one.domain.id.as_str().strip_prefix("nvml:")?;
        Some(GpuPart {
            uuid: uuid.to_owned(),
            model: Some(one.domain.device.clone()),
            driver: one.domain.driver.clone(),
            power_limit_watts: one.domain.power_limit.map(|limit| limit.watts()),
        })
    });
    HostPart { gpus: gpus.collect(), ..host.clone() }
}

fn energy_part(
    report: &JobReport,
    counted: &[&DomainReport],
    coverage: &[Kind],
    pue: Option<MeanPue>,
) -> EnergyPart {
    let total = counted.iter().map(|one| one.amount.energy).reduce(Energy::saturating_add);
    let pue = pue.map(|MeanPue { value, source }| PuePart { value, source });
    EnergyPart {
        total_joules: total.map(Energy::joules),
        uncertainty_joules: total.map(|_| microjoules(of_sum(counted))),
        sensor_gain_percent: gain_percent_of_sum(counted).map(hundredths),
        provenance: provenance_of_total(counted).map(str::to_owned),
        // A duplicate of a counted kind would break the rule that coverage tells
        // what the total is made of.
        domains: report
            .domains
            .iter()
            .filter(|one| one.domain.counted() || !coverage.contains(&one.domain.kind))
            .map(domain_part)
            .collect(),
        facility_joules: total
            .zip(pue.as_ref())
            .map(|(total, pue)| microjoules(total.joules() * pue.value)),
        pue,
    }
}

fn domain_part(report: &DomainReport) -> DomainPart {
    let domain = &report.domain;
    let share = report.moved.filter(|moved| *moved > Energy::ZERO).map(|moved| {
        let share = report.amount.energy.joules() / moved.joules();
        // Edges are interpolated: a job alone on a device may exceed it by a hair.
        (share.min(1.0) * 1e6).round() / 1e6
    });
    DomainPart {
        id: domain.id.to_string(),
        kind: domain.kind.as_str().to_owned(),
        source: domain.source.clone(),
        method: domain.method.as_str().to_owned(),
        provenance: provenance(report).to_owned(),
        joules: report.amount.energy.joules(),
        uncertainty_joules: Some(microjoules(of_domain(report))),
        sensor_gain_percent: domain.gain_percent.filter(|percent| percent.is_finite()),
        share,
        domain_joules: report.moved.map(Energy::joules),
    }
}

fn provenance(report: &DomainReport) -> &'static str {
    match (report.domain.method, report.exclusive) {
        (Method::Estimate, _) => "estimated",
        (_, true) => "measured",
        (_, false) => "derived",
    }
}

fn provenance_of_total(counted: &[&DomainReport]) -> Option<&'static str> {
    let estimated = counted.iter().filter(|one| one.domain.method == Method::Estimate).count();
    let all_derived = counted.iter().all(|one| !one.exclusive);
    match estimated {
        _ if counted.is_empty() => None,
        0 if all_derived => Some("derived"),
        0 => Some("measured"),
        all if all == counted.len() => Some("estimated"),
        _ => Some("mixed"),
    }
}

/// The facts of the zone, else the world's with a remark; never another zone's.
fn facts_in_force(
    zone: Option<&str>,
    facts: &[IntensityFact],
) -> (Vec<IntensityFact>, Option<String>) {
    let of = |zone: &str| -> Vec<IntensityFact> {
        facts.iter().filter(|fact| fact.zone.eq_ignore_ascii_case(zone)).cloned().collect()
    };
    let own = zone.map(of).unwrap_or_default();
    if own.is_empty() { (of(grid::WORLD), Some(grid::world_note(zone))) } else { (own, None) }
}

pub(super) fn emissions_part(
    carbon: &Operational,
    known: bool,
    nothing_used: bool,
    at: Timestamp,
) -> EmissionsPart {
    // No energy is no emission, at any intensity.
    let covered = nothing_used || !carbon.uses.is_empty();
    let complete = known && carbon.uncovered == Energy::ZERO && covered;
    let operational_grams = complete.then(|| carbon.emissions.grams());
    EmissionsPart {
        total_grams: operational_grams,
        operational_grams,
        embodied_grams: None,
        embodied: None,
        market_based: None,
        unsettled_grams: complete.then(|| carbon.unsettled(at).grams()),
        intensity: if known { intensity_part(carbon, at) } else { None },
        timing: None,
        first_told: None,
    }
}

/// What was told at the job's end, with the facts of that moment.
fn first_told(
    report: &JobReport,
    known: &Known,
    facts: &[IntensityFact],
    pue: PueByTime,
) -> Option<FirstTold> {
    let told = known.told?;
    let mut then = facts.to_vec();
    then.retain(|fact| fact.kind == IntensityKind::Table || fact.fetched_at <= told.at);
    Some(FirstTold {
        at: rfc3339(told.at),
        operational_grams: told.micrograms as f64 / 1e6,
        mean_grams_per_kwh: told.mean.grams_per_kwh(),
        parts: operational(&report.intervals, &then, pue).uses.iter().map(intensity_use).collect(),
    })
}

/// Which figures are taken as final without being the provider's measurement.
pub(super) fn settled_notes(carbon: &Operational, at: Timestamp) -> Vec<String> {
    let unmeasured =
        |used: &&Use| used.fact.kind != IntensityKind::Actual && settled(used.fact, at);
    let mut notes: Vec<String> = Vec::new();
    for fact in carbon.uses.iter().filter(unmeasured).map(|used| used.fact) {
        let (kind, source) = (fact.kind.as_str(), text::line(&fact.source));
        let note = format!(
            "{kind} figures of {source} are taken as final: its measured ones have not come and are no longer expected"
        );
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

fn intensity_part(carbon: &Operational, at: Timestamp) -> Option<IntensityPart> {
    let first = carbon.uses.first()?.fact;
    Some(IntensityPart {
        zone: first.zone.clone(),
        mean_grams_per_kwh: carbon.mean_grams_per_kwh()?,
        signal: first.signal.clone(),
        boundary: carbon.boundary()?.to_owned(),
        settled: carbon.settled(at),
        parts: carbon.uses.iter().map(intensity_use).collect(),
    })
}

fn intensity_use(used: &Use) -> IntensityUse {
    let moment =
        |microseconds| Timestamp::from_microsecond(microseconds).map(rfc3339).unwrap_or_default();
    IntensityUse {
        from: moment(used.from_microseconds),
        to: moment(used.to_microseconds),
        grams_per_kwh: used.fact.intensity.grams_per_kwh(),
        source: used.fact.source.clone(),
        kind: used.fact.kind.as_str().to_owned(),
        fetched_at: rfc3339(used.fact.fetched_at),
    }
}

fn notes(
    report: &JobReport,
    counted: &[&DomainReport],
    grid_notes: Vec<String>,
    emissions: &EmissionsPart,
) -> Vec<String> {
    let mut notes: Vec<String> = report.missing.iter().filter_map(missing_note).collect();
    notes.extend(report.notes.iter().map(|note| text::line(note)));
    let shared: Vec<String> = Kind::ALL
        .into_iter()
        .filter(|kind| counted.iter().any(|one| one.domain.kind == *kind && split_by_cpu_time(one)))
        .map(|kind| text::kind(kind.as_str()))
        .collect();
    if !shared.is_empty() {
        notes.push(format!("{} energy is split between jobs by CPU time", shared.join(" and ")));
    }
    match (emissions.operational_grams, counted.is_empty()) {
        (Some(_), _) => notes.extend(grid_notes),
        (None, false) => notes.push(
            "emissions are not computed: no carbon intensity is known for all of its time"
                .to_owned(),
        ),
        (None, true) => {}
    }
    notes
}

/// What was not measured and why; nothing for what is measured by another domain.
fn missing_note(missing: &Missing) -> Option<String> {
    if matches!(missing.state.as_str(), "overlap" | "no_device") {
        return None;
    }
    let remedy = missing.remedy.as_ref().map_or(String::new(), |remedy| format!("; {remedy}"));
    let Missing { source, what, why, .. } = missing;
    Some(text::line(&format!("not measured: {what} ({source}): {why}{remedy}")))
}

fn longest_gap(counted: &[&DomainReport]) -> f64 {
    let longest = counted.iter().map(|one| one.amount.gap_nanoseconds).max().unwrap_or(0);
    (longest / 1_000) as f64 / 1e6
}

/// RFC 3339 in UTC with milliseconds.
pub(super) fn rfc3339(moment: Timestamp) -> String {
    format!("{moment:.3}")
}

/// To a whole microjoule, the unit of the books.
fn microjoules(joules: f64) -> f64 {
    (joules * 1e6).round() / 1e6
}

pub(super) fn hundredths(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}
