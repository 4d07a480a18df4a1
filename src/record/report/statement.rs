// SPDX-License-Identifier: Apache-2.0
//! The ML CO2 statement for a paper's appendix, in Markdown: filled, with the
//! uncertainty and the method.

use std::fmt::Write;

use super::{facility_kwh, hardware, machine_kwh, method, provenance, sum, zones};
use crate::record::{Record, text};

const UNKNOWN: &str = "not known";
/// The row of what is in no phase.
const OUTSIDE: &str = "(outside any phase)";

/// The statement on these jobs.
pub fn markdown(records: &[Record]) -> String {
    let mut out = String::from("## Energy and carbon emissions\n\n");
    out.push_str(&paragraph(records));
    out.push_str("\n| Job | Started | Time | Energy | ± (95 %) | PUE | g/kWh | CO2e |\n");
    out.push_str("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for record in records {
        out.push_str(&row(record));
    }
    out.push_str(&phases(records));
    out.push_str(&work(records));
    out.push_str("\n### Method\n\n");
    for line in method::lines(records).into_iter().chain(method::remarks(records)) {
        _ = writeln!(out, "- {}", cell(&line));
    }
    out
}

fn paragraph(records: &[Record]) -> String {
    let known = |figure: Option<String>| figure.unwrap_or_else(|| UNKNOWN.to_owned());
    let kilograms = |grams: Option<f64>| {
        known(grams.map(|grams| format!("{} kgCO2eq", text::number(grams / 1e3))))
    };
    let kwh = |kwh: Option<f64>| known(kwh.map(|kwh| format!("{} kWh", text::number(kwh))));
    let hours = sum(records, |record| record.job.duration_seconds.map(|time| time / 3_600.0));
    let operational = sum(records, |record| record.emissions.operational_grams);
    let facility = sum(records, facility_kwh);
    let mean = operational
        .zip(facility)
        .filter(|(_, kwh)| *kwh > 0.0)
        .map(|(grams, kwh)| format!("{} kgCO2eq/kWh", text::number(grams / kwh / 1e3)));
    let embodied = sum(records, |record| record.emissions.embodied_grams);
    format!(
        "Experiments were conducted on {} in the electricity zone {}, which had a mean carbon \
         intensity of {} over the energy used. A cumulative {} hours of computation used {} in \
         the machines (energy {}), {} with the power usage effectiveness where it is known. \
         Emissions of the electricity are {}; those of making the hardware, by the time held, \
         are {}. Offsets and contracts are not counted.\n",
        cell(&known(hardware(records))),
        cell(&known(zones(records))),
        known(mean),
        known(hours.map(text::number)),
        kwh(sum(records, machine_kwh)),
        known(provenance(records)),
        kwh(facility),
        kilograms(operational),
        kilograms(embodied),
    )
}

fn row(record: &Record) -> String {
    let known = |figure: Option<String>| figure.unwrap_or_else(|| UNKNOWN.to_owned());
    let intensity = record.emissions.intensity.as_ref();
    let time = match record.job.state.as_str() {
        "finished" => record.job.duration_seconds.map(text::duration),
        state => Some(state.to_owned()),
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
        cell(&record.job.name),
        record.job.started_at,
        known(time),
        known(record.energy.total_joules.map(text::energy)),
        known(record.energy.uncertainty_joules.map(text::uncertainty)),
        known(record.energy.pue.as_ref().map(|pue| text::number(pue.value))),
        known(intensity.map(|intensity| text::number(intensity.mean_grams_per_kwh))),
        known(record.emissions.operational_grams.map(text::emissions)),
    )
}

/// Energy by phase of the jobs that marked any.
fn phases(records: &[Record]) -> String {
    let known = |figure: Option<String>| figure.unwrap_or_else(|| UNKNOWN.to_owned());
    let mut rows = String::new();
    for record in records {
        for phase in &record.phases {
            let name = phase.name.as_deref().map_or_else(|| OUTSIDE.to_owned(), cell);
            _ = writeln!(
                rows,
                "| {} | {name} | {} | {} | {} | {} |",
                cell(&record.job.name),
                phase.times.map_or_else(String::new, |times| times.to_string()),
                known(phase.seconds.map(text::duration)),
                text::energy(phase.joules),
                known(phase.grams.map(text::emissions)),
            );
        }
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\n### Phases\n\n| Job | Phase | Times | Time | Energy | CO2e |\n\
         | --- | --- | ---: | ---: | ---: | ---: |\n{rows}"
    )
}

/// What a unit of work took, in all and in the phases that it was counted in.
fn work(records: &[Record]) -> String {
    let known = |figure: Option<String>| figure.unwrap_or_else(|| UNKNOWN.to_owned());
    let mut rows = String::new();
    for record in records {
        let job = cell(&record.job.name);
        for work in &record.work {
            let unit = cell(&work.unit);
            let joules = known(work.joules_per_unit.map(text::energy));
            let grams = known(work.grams_per_unit.map(text::emissions));
            _ = writeln!(rows, "| {job} | {unit} | all | {} | {joules} | {grams} |", work.count);
            for phase in &work.phases {
                let joules = known(phase.joules_per_unit.map(text::energy));
                let (name, count) = (cell(&phase.name), phase.count);
                _ = writeln!(rows, "| {job} | {unit} | {name} | {count} | {joules} | |");
            }
        }
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\n### Work\n\n| Job | Unit | Phase | Count | Energy each | CO2e each |\n\
         | --- | --- | --- | ---: | ---: | ---: |\n{rows}"
    )
}

/// Foreign text that cannot end a table's cell or begin markup.
pub(super) fn cell(text: &str) -> String {
    let mut plain = String::new();
    for character in text::line(text).chars() {
        if matches!(character, '|' | '<' | '[' | ']' | '`' | '*' | '_' | '\\') {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
}
