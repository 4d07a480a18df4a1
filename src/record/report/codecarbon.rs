// SPDX-License-Identifier: Apache-2.0
//! `emissions.csv` as CodeCarbon 3 writes it: a row for each job.
//!
//! Its conventions hold: kilograms, kilowatt-hours, watts and seconds; energies
//! contain the building's part, powers do not; emissions are those of the
//! electricity. A cell that is unknown is empty.

use jiff::Timestamp;

use super::{KWH, PROGRAM, facility_kwh};
use crate::record::{Record, text};

/// The columns, in CodeCarbon's order.
pub const COLUMNS: [&str; 38] = [
    "timestamp",
    "project_name",
    "run_id",
    "experiment_id",
    "duration",
    "emissions",
    "emissions_rate",
    "cpu_power",
    "gpu_power",
    "ram_power",
    "cpu_energy",
    "gpu_energy",
    "ram_energy",
    "energy_consumed",
    "water_consumed",
    "country_name",
    "country_iso_code",
    "region",
    "cloud_provider",
    "cloud_region",
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "longitude",
    "latitude",
    "ram_total_size",
    "tracking_mode",
    "cpu_utilization_percent",
    "gpu_utilization_percent",
    "ram_utilization_percent",
    "ram_used_gb",
    "on_cloud",
    "pue",
    "wue",
];

/// The file.
///
/// # Errors
/// Where it cannot be written as CSV.
pub fn csv(records: &[Record]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for record in records {
        let cells = COLUMNS.map(|column| cell(record, column).unwrap_or_default());
        writer.write_record(cells)?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

fn cell(record: &Record, column: &str) -> Option<String> {
    let seconds = record.job.duration_seconds;
    let kilograms = record.emissions.operational_grams.map(|grams| grams / 1e3);
    let pue = record.energy.pue.as_ref().map(|pue| pue.value);
    let power = |kind| per_second(joules(record, kind)?, seconds);
    let energy = |kind| Some(joules(record, kind)? / KWH * pue.unwrap_or(1.0));
    let one = std::slice::from_ref(record);
    let number = match column {
        "duration" => seconds,
        "emissions" => kilograms,
        "emissions_rate" => kilograms.and_then(|kilograms| per_second(kilograms, seconds)),
        "cpu_power" => power("cpu"),
        "gpu_power" => power("gpu"),
        "ram_power" => power("dram"),
        "cpu_energy" => energy("cpu"),
        "gpu_energy" => energy("gpu"),
        "ram_energy" => energy("dram"),
        "energy_consumed" => facility_kwh(record),
        "water_consumed" => record.water.as_ref().and_then(|water| water.site_litres),
        "gpu_count" => Some(record.host.gpus.len() as f64),
        "pue" => pue,
        "wue" => record.water.as_ref().and_then(|water| water.site_litres_per_kwh),
        _ => None,
    };
    let word = match column {
        "timestamp" => timestamp(record),
        "project_name" => Some(record.job.project.as_ref().unwrap_or(&record.job.name).clone()),
        "run_id" => Some(record.job.id.clone()),
        "region" => super::zones(one),
        "os" => record.host.os.clone(),
        // Whose figures these are.
        "codecarbon_version" => Some(origin(record)),
        "cpu_model" => super::cpus(one),
        "gpu_model" => super::gpus(one),
        "tracking_mode" => Some("process".to_owned()),
        _ => None,
    };
    number.map(|number| number.to_string()).or(word.map(|word| text::line(&word)))
}

/// The end of the job, or its start while it runs, in UTC and in CodeCarbon's form.
fn timestamp(record: &Record) -> Option<String> {
    let at = record.job.ended_at.as_ref().unwrap_or(&record.job.started_at);
    Some(at.parse::<Timestamp>().ok()?.strftime("%Y-%m-%dT%H:%M:%S").to_string())
}

fn origin(record: &Record) -> String {
    let whose = super::imported(std::slice::from_ref(record));
    let whose = whose.map(|whose| format!("imported from {whose}"));
    let words: Vec<String> = record.energy.provenance.clone().into_iter().chain(whose).collect();
    if words.is_empty() { PROGRAM.to_owned() } else { format!("{PROGRAM} ({})", words.join(", ")) }
}

/// Of the counted domains of a kind; `None` where none was.
fn joules(record: &Record, kind: &str) -> Option<f64> {
    if !record.quality.coverage.iter().any(|counted| counted == kind) {
        return None;
    }
    let of_kind = record.energy.domains.iter().filter(|domain| domain.kind == kind);
    Some(of_kind.map(|domain| domain.joules).sum())
}

fn per_second(amount: f64, seconds: Option<f64>) -> Option<f64> {
    seconds.filter(|seconds| *seconds > 0.0).map(|seconds| amount / seconds)
}
