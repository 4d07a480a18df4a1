// SPDX-License-Identifier: Apache-2.0
//! From a job's record to the measured parts of a campaign.
//!
//! Energy is gross: each domain's whole joules while the job ran, whatever part of them
//! was the job's. What is uncertain about them is told apart by whether all windows have
//! it in common (`docs/benchmark.md`). Pure.

use std::collections::BTreeMap;

use super::record::{BenchmarkDomain, IdlePart, RepetitionPart, StatePart, WindowIntensity};
use crate::record::{DomainPart, IntensityPart, Record};

/// Why a job's record is no repetition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmeasured {
    /// No domain was read in it.
    #[error("no energy was measured: {0}")]
    Energy(String),
    /// It has no end.
    #[error("its record has no duration")]
    Duration,
    /// The work counted nothing.
    #[error("the work counted no `{0}`: nothing can be told per unit")]
    Units(String),
}

/// What was seen of the machine in a window, beside its energy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// At its start.
    pub before: StatePart,
    /// At its end.
    pub after: StatePart,
    /// Share of the node's CPU time that others used.
    pub other_cpu_share: Option<f64>,
    /// Others on the accelerators.
    pub other_jobs: Vec<String>,
}

/// Seconds between two new values of a sensor, by the domain's id.
pub type Periods = BTreeMap<String, f64>;

/// A repetition of a job's record: `runs` as the window's program counted them, units as
/// they were marked under that name.
///
/// # Errors
/// Where there is nothing to compute with.
pub fn repetition(
    record: &Record,
    (number, runs): (u32, u64),
    unit: &str,
    periods: &Periods,
    seen: Seen,
) -> Result<RepetitionPart, Unmeasured> {
    let seconds = record.job.duration_seconds.ok_or(Unmeasured::Duration)?;
    let domains = domains(record, periods);
    let joules = summed(&domains);
    if !(joules > 0.0 && seconds > 0.0) {
        return Err(Unmeasured::Energy(record.quality.notes.join("; ")));
    }
    let units = units(record, unit);
    if units <= 0.0 {
        return Err(Unmeasured::Units(unit.to_owned()));
    }
    Ok(RepetitionPart {
        number,
        job_id: record.job.id.clone(),
        started_at: record.job.started_at.clone(),
        ended_at: record.job.ended_at.clone().unwrap_or_default(),
        seconds,
        runs,
        units,
        joules,
        domains,
        gaps_seconds: record.quality.gaps_seconds,
        intensity: record.emissions.intensity.as_ref().map(intensity),
        before: seen.before,
        after: seen.after,
        other_cpu_share: seen.other_cpu_share,
        other_jobs: seen.other_jobs,
    })
}

/// The units of that name that a job marked.
pub fn units(record: &Record, unit: &str) -> f64 {
    record.work.iter().find(|work| work.unit == unit).map_or(0.0, |work| work.count)
}

/// The whole joules of the domains that make up a job's total.
pub fn joules(record: &Record) -> f64 {
    summed(&domains(record, &Periods::new()))
}

fn summed(domains: &[BenchmarkDomain]) -> f64 {
    domains.iter().filter(|domain| domain.summed).map(|domain| domain.joules).sum()
}

/// Every domain whose whole energy is known.
fn domains(record: &Record, periods: &Periods) -> Vec<BenchmarkDomain> {
    let coverage = &record.quality.coverage;
    let of = |part: &DomainPart| {
        let joules = part.domain_joules?;
        let (uncertainty_joules, common_percent) = uncertainty(part, joules);
        Some(BenchmarkDomain {
            id: part.id.clone(),
            kind: part.kind.clone(),
            source: part.source.clone(),
            method: part.method.clone(),
            summed: coverage.contains(&part.kind),
            joules,
            uncertainty_joules,
            common_percent,
            update_period_seconds: periods.get(&part.id).copied(),
            share: part.share,
        })
    };
    record.energy.domains.iter().filter_map(of).collect()
}

/// What the meter added in this window, ± joules of the whole domain, and what all windows
/// have in common, ± percent.
fn uncertainty(part: &DomainPart, joules: f64) -> (f64, Option<f64>) {
    let own = part.joules;
    // A job that was metered here states it.
    let stated = part.uncertainty_joules.unwrap_or(0.0);
    if part.method == "estimate" {
        let percent = if own > 0.0 { stated / own * 100.0 } else { 100.0 };
        return (0.0, Some(percent));
    }
    let scale = if own > 0.0 { joules / own } else { 1.0 };
    (stated * scale, part.sensor_gain_percent)
}

/// The intensity of a window as a job's record has it.
pub fn intensity(part: &IntensityPart) -> WindowIntensity {
    WindowIntensity {
        zone: part.zone.clone(),
        grams_per_kwh: part.mean_grams_per_kwh,
        signal: part.signal.clone(),
        boundary: part.boundary.clone(),
        settled: part.settled,
        parts: part.parts.clone(),
    }
}

/// The idle baseline of a job that only waited; its sum is made with [`idle_of`].
///
/// # Errors
/// Where no energy was measured.
pub fn idle(record: &Record) -> Result<IdlePart, Unmeasured> {
    let seconds =
        record.job.duration_seconds.filter(|time| *time > 0.0).ok_or(Unmeasured::Duration)?;
    let all = domains(record, &Periods::new());
    if all.is_empty() {
        return Err(Unmeasured::Energy(record.quality.notes.join("; ")));
    }
    let watts = summed(&all) / seconds;
    let domains = all.into_iter().map(|domain| (domain.id, domain.joules / seconds)).collect();
    Ok(IdlePart { seconds, watts, domains })
}

/// The baseline with the sum of those domains that the repetitions sum up.
pub fn idle_of(mut idle: IdlePart, repetitions: &[RepetitionPart]) -> IdlePart {
    if let Some(first) = repetitions.first() {
        let watts = |domain: &BenchmarkDomain| idle.domains.get(&domain.id).copied();
        idle.watts = first.domains.iter().filter(|domain| domain.summed).filter_map(watts).sum();
    }
    idle
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{EnergyPart, JobPart, QualityPart, WorkPart};

    fn part(id: &str, kind: &str, method: &str, joules: f64, whole: f64) -> DomainPart {
        DomainPart {
            id: id.into(),
            kind: kind.into(),
            source: "x".into(),
            method: method.into(),
            provenance: "measured".into(),
            joules,
            uncertainty_joules: Some(2.0),
            sensor_gain_percent: (method == "counter").then_some(5.0),
            share: None,
            domain_joules: Some(whole),
        }
    }

    fn record(domains: Vec<DomainPart>, units: f64) -> Record {
        let job = JobPart {
            id: "j".into(),
            name: "n".into(),
            user: "u".into(),
            project: None,
            labels: BTreeMap::new(),
            origin: "run".into(),
            command: Vec::new(),
            exit_code: Some(0),
            state: "finished".into(),
            started_at: "2026-11-24T09:00:00Z".into(),
            ended_at: Some("2026-11-24T09:01:00Z".into()),
            duration_seconds: Some(60.0),
        };
        let energy = EnergyPart {
            total_joules: None,
            uncertainty_joules: None,
            sensor_gain_percent: None,
            provenance: None,
            domains,
            pue: None,
            facility_joules: None,
        };
        let work = WorkPart {
            unit: "samples".into(),
            count: units,
            joules_per_unit: None,
            grams_per_unit: None,
            phases: Vec::new(),
        };
        let coverage = vec!["gpu".to_owned(), "cpu".to_owned()];
        let quality = QualityPart { coverage, ..QualityPart::default() };
        let mut json = serde_json::json!({
            "schema": "aimeter-record/1", "host": crate::record::HostPart::default(),
            "emissions": {}, "water": null, "cost": null,
        });
        json["job"] = serde_json::to_value(job).unwrap();
        json["energy"] = serde_json::to_value(energy).unwrap();
        json["work"] = serde_json::to_value([work]).unwrap();
        json["quality"] = serde_json::to_value(quality).unwrap();
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn energy_is_the_whole_domains_and_overlapping_ones_are_not_added() {
        let record = record(
            vec![
                part("nvml:a", "gpu", "counter", 100.0, 400.0),
                part("rapl:0", "cpu", "counter", 0.0, 50.0),
                part("hwmon:node", "node", "power", 500.0, 500.0),
            ],
            8.0,
        );
        let periods = Periods::from([("nvml:a".to_owned(), 0.1)]);
        let one = repetition(&record, (1, 2), "samples", &periods, Seen::default()).unwrap();
        assert_eq!((one.joules, one.units, one.runs), (450.0, 8.0, 2));
        // ± 2 J of a quarter is ± 8 J of the whole; of nothing, it stays as it is.
        assert_eq!(one.domains[0].uncertainty_joules, 8.0);
        assert_eq!(one.domains[1].uncertainty_joules, 2.0);
        assert_eq!(one.domains[0].common_percent, Some(5.0));
        assert_eq!(one.domains[0].update_period_seconds, Some(0.1));
        assert!(!one.domains[2].summed);
    }

    #[test]
    fn an_estimates_error_is_common_to_all_windows() {
        let record = record(vec![part("estimate:cpu", "cpu", "estimate", 4.0, 8.0)], 1.0);
        let one = repetition(&record, (1, 1), "samples", &Periods::new(), Seen::default()).unwrap();
        assert_eq!(one.domains[0].uncertainty_joules, 0.0);
        assert_eq!(one.domains[0].common_percent, Some(50.0));
    }

    #[test]
    fn without_energy_or_units_there_is_no_repetition() {
        let of = |record: &Record, unit: &str| {
            repetition(record, (1, 1), unit, &Periods::new(), Seen::default())
        };
        let whole = record(vec![part("rapl:0", "cpu", "counter", 1.0, 2.0)], 1.0);
        assert_eq!(of(&whole, "tokens"), Err(Unmeasured::Units("tokens".into())));
        assert!(matches!(of(&record(Vec::new(), 1.0), "samples"), Err(Unmeasured::Energy(_))));
    }

    #[test]
    fn idle_power_is_of_the_domains_that_a_repetition_sums_up() {
        let waited = record(
            vec![
                part("rapl:0", "cpu", "counter", 0.0, 600.0),
                part("nvml:a", "gpu", "counter", 60.0, 60.0),
            ],
            0.0,
        );
        let idle = idle(&waited).unwrap();
        assert_eq!((idle.seconds, idle.watts), (60.0, 11.0));
        let worked = record(vec![part("rapl:0", "cpu", "counter", 1.0, 2.0)], 1.0);
        let one = repetition(&worked, (1, 1), "samples", &Periods::new(), Seen::default()).unwrap();
        assert_eq!(idle_of(idle, &[one]).watts, 10.0);
    }
}
