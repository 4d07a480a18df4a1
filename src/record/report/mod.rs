// SPDX-License-Identifier: Apache-2.0
//! Records in the forms of other people's papers, model cards and tools.
//!
//! No figure is made here that does not follow from a record by arithmetic alone;
//! what is unknown stays empty or is said. See `docs/reports.md`.

pub mod citation;
pub mod codecarbon;
pub mod html;
mod method;
pub mod model_card;
pub mod period;
pub mod statement;

use std::collections::BTreeMap;

use super::{Record, import, text};
use crate::ledger::IntervalEnergy;

/// A job as it is reported.
pub struct Reported {
    /// Its record.
    pub record: Record,
    /// Its energy over time, of all counted domains; `None`: a record alone does not tell.
    pub intervals: Option<Vec<IntervalEnergy>>,
}

/// Joules of a kilowatt-hour.
const KWH: f64 = 3.6e6;

/// Name and version of this program.
const PROGRAM: &str = concat!("aimeter ", env!("CARGO_PKG_VERSION"));

/// The sum of a figure over records; `None` where it is unknown of any.
fn sum(records: &[Record], figure: impl Fn(&Record) -> Option<f64>) -> Option<f64> {
    records.iter().map(figure).sum()
}

/// Kilowatt-hours of the machines.
fn machine_kwh(record: &Record) -> Option<f64> {
    record.energy.total_joules.map(|joules| joules / KWH)
}

/// Kilowatt-hours with the building's part where it is known.
fn facility_kwh(record: &Record) -> Option<f64> {
    record.energy.facility_joules.or(record.energy.total_joules).map(|joules| joules / KWH)
}

/// Different words in their first order, joined; `None` without any.
fn distinct<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    for word in words.into_iter().map(text::line) {
        if !word.is_empty() && !found.contains(&word) {
            found.push(word);
        }
    }
    (!found.is_empty()).then(|| found.join(", "))
}

/// How the energy came about: `measured`, `mixed`, ….
fn provenance(records: &[Record]) -> Option<String> {
    distinct(records.iter().filter_map(|record| record.energy.provenance.as_deref()))
}

/// Who counted, of those that are imported.
fn imported(records: &[Record]) -> Option<String> {
    distinct(records.iter().filter_map(|record| import::counted_by(&record.job.origin)))
}

/// The zones of the electricity.
fn zones(records: &[Record]) -> Option<String> {
    let zone = |record: &'_ Record| record.emissions.intensity.as_ref().map(|i| i.zone.clone());
    let zones: Vec<String> = records.iter().filter_map(zone).collect();
    distinct(zones.iter().map(String::as_str))
}

/// `4 x NVIDIA H100, 2 x AMD EPYC 9654`: each device once, however many jobs used it.
fn hardware(records: &[Record]) -> Option<String> {
    let lists: Vec<String> = [gpus(records), cpus(records)].into_iter().flatten().collect();
    distinct(lists.iter().map(String::as_str))
}

fn gpus(records: &[Record]) -> Option<String> {
    let devices: BTreeMap<&str, &str> = records
        .iter()
        .flat_map(|record| &record.host.gpus)
        .filter_map(|gpu| Some((gpu.uuid.as_str(), gpu.model.as_deref()?)))
        .collect();
    counted(devices.into_values().map(|model| (model.to_owned(), 1)))
}

fn cpus(records: &[Record]) -> Option<String> {
    // A machine without an id counts as one with its name.
    let machines: BTreeMap<_, _> = records
        .iter()
        .map(|record| ((&record.host.machine_id_hash, &record.host.name), &record.host.cpus))
        .collect();
    let cpus = machines.into_values().flatten();
    counted(cpus.map(|cpu| (cpu.model.clone(), cpu.sockets.unwrap_or(1))))
}

fn counted(devices: impl Iterator<Item = (String, u32)>) -> Option<String> {
    let mut models: BTreeMap<String, u32> = BTreeMap::new();
    for (model, count) in devices {
        let sum = models.entry(text::line(&model)).or_default();
        *sum = sum.saturating_add(count);
    }
    let words: Vec<String> =
        models.into_iter().map(|(model, count)| format!("{count} x {model}")).collect();
    (!words.is_empty()).then(|| words.join(", "))
}
