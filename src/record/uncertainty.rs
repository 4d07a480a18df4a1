// SPDX-License-Identifier: Apache-2.0
//! How uncertainties combine: of a domain, and of a job's total.
//!
//! Half-widths at 95 % in joules. Within a domain the causes are independent of
//! one another and add in quadrature. Over domains a cause adds in quadrature
//! where its errors are independent (edges, resolution) and linearly where one
//! error hits all (the CPU times of one split, a gap, a model). The sensor's gain
//! error never enters: it is a figure of its own. Rules and reasons:
//! `docs/accuracy.md`; sensors.md 6.2 is their source.

use std::collections::BTreeMap;

use crate::ledger::DomainReport;
use crate::sensors::{Kind, Method};

/// The model error of an estimate that states none: as large as the estimate.
const UNSTATED_MODEL_PERCENT: f64 = 100.0;

/// Uncertainty of one domain's energy in joules.
pub fn of_domain(report: &DomainReport) -> f64 {
    let causes = &report.amount.uncertainty;
    quadrature([
        causes.edge.joules(),
        causes.split.joules(),
        causes.gap.joules(),
        causes.resolution.joules(),
        model(report),
    ])
}

/// Uncertainty of the sum of these domains' energies in joules.
pub fn of_sum(domains: &[&DomainReport]) -> f64 {
    let causes = |cause: fn(&DomainReport) -> f64| domains.iter().map(move |report| cause(report));
    let split = |report: &DomainReport| report.amount.uncertainty.split.joules();
    let by_cpu_time = domains.iter().filter(|report| split_by_cpu_time(report));
    let otherwise = domains.iter().filter(|report| !split_by_cpu_time(report));
    quadrature([
        quadrature(causes(|report| report.amount.uncertainty.edge.joules())),
        quadrature(causes(|report| report.amount.uncertainty.resolution.joules())),
        by_cpu_time.map(|report| split(report)).sum(),
        quadrature(otherwise.map(|report| split(report))),
        causes(|report| report.amount.uncertainty.gap.joules()).sum(),
        causes(model).sum(),
    ])
}

/// The published gain error of the sum, ± percent at 95 %: linear over domains of
/// one device (`rapl:package-0` and `rapl:package-0/dram`), in quadrature over
/// devices, relative to the energy of the domains that have a figure. `None`
/// where no domain has one.
pub fn gain_percent_of_sum(domains: &[&DomainReport]) -> Option<f64> {
    let mut devices: BTreeMap<&str, f64> = BTreeMap::new();
    let mut largest: Option<f64> = None;
    let mut energy = 0.0;
    for report in domains {
        let Some(percent) = report.domain.gain_percent.filter(|percent| percent.is_finite()) else {
            continue;
        };
        let joules = report.amount.energy.joules();
        *devices.entry(device(report)).or_default() += joules * percent.abs();
        energy += joules;
        largest = Some(largest.unwrap_or(0.0).max(percent.abs()));
    }
    // Without any energy there is nothing to weigh by; the largest stands for all.
    if energy > 0.0 { Some(quadrature(devices.into_values()) / energy) } else { largest }
}

/// Whether a domain's part was computed from CPU times, of which one job has only
/// one: their error is the same in all such domains.
pub fn split_by_cpu_time(report: &DomainReport) -> bool {
    !report.exclusive && report.domain.kind != Kind::Gpu && report.domain.method != Method::Estimate
}

fn model(report: &DomainReport) -> f64 {
    if report.domain.method != Method::Estimate {
        return 0.0;
    }
    let stated = report.domain.model_percent.filter(|percent| percent.is_finite());
    report.amount.energy.joules() * stated.unwrap_or(UNSTATED_MODEL_PERCENT).abs() / 100.0
}

fn device(report: &DomainReport) -> &str {
    let id = report.domain.id.as_str();
    id.split_once('/').map_or(id, |(device, _)| device)
}

/// √(Σ x²).
pub fn quadrature(parts: impl IntoIterator<Item = f64>) -> f64 {
    parts.into_iter().map(|part| part * part).sum::<f64>().sqrt()
}
