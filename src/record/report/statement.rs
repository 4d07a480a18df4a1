// SPDX-License-Identifier: Apache-2.0
//! The ML CO2 statement for a paper's appendix, in Markdown: filled, with the
//! uncertainty and the method.

use std::fmt::Write;

use super::{
    PROGRAM, distinct, facility_kwh, hardware, imported, machine_kwh, provenance, sum, zones,
};
use crate::record::{Record, text};

const UNKNOWN: &str = "not known";

/// The statement on these jobs.
pub fn markdown(records: &[Record]) -> String {
    let mut out = String::from("## Energy and carbon emissions\n\n");
    out.push_str(&paragraph(records));
    out.push_str("\n| Job | Started | Time | Energy | ± (95 %) | PUE | g/kWh | CO2e |\n");
    out.push_str("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    for record in records {
        out.push_str(&row(record));
    }
    out.push_str("\n### Method\n\n");
    for line in method(records) {
        _ = writeln!(out, "- {line}");
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

fn method(records: &[Record]) -> Vec<String> {
    let domains = records.iter().flat_map(|record| &record.quality.coverage);
    let kinds: Vec<String> = domains.map(|kind| text::kind(kind)).collect();
    let kinds = distinct(kinds.iter().map(String::as_str));
    let readings = distinct(
        records.iter().flat_map(|record| &record.energy.domains).map(|one| one.source.as_str()),
    );
    let mut lines = vec![
        format!(
            "{PROGRAM}; counted: {}; read by: {}. Devices that are not counted (such as \
             disks, network, fans) are not in the energy.",
            kinds.as_deref().unwrap_or("nothing"),
            readings.as_deref().unwrap_or("nothing"),
        ),
        "± is the half-width at 95 % of the energy by edges, splits, gaps, resolution and the \
         model of an estimate, without the sensors' gain; the carbon intensity's own error is not known."
            .to_owned(),
    ];
    if let Some(whose) = imported(records) {
        lines.push(format!(
            "Not all of it was counted by aimeter: some is of {whose}, whose uncertainty is not known."
        ));
    }
    let gains = records.iter().filter_map(|record| record.energy.sensor_gain_percent);
    if let Some(most) = gains.reduce(f64::max) {
        lines.push(format!(
            "Gain error of the sensors as published: at most ± {} (95 %), where published.",
            text::percent(most)
        ));
    }
    let intensities = records.iter().filter_map(|record| record.emissions.intensity.as_ref());
    let mut words: Vec<String> = Vec::new();
    for one in intensities {
        for part in &one.parts {
            words
                .push(format!("{} ({}; {}, {})", part.source, part.kind, one.signal, one.boundary));
        }
    }
    let sources = distinct(words.iter().map(String::as_str));
    lines.push(format!("Carbon intensity: {}.", cell(sources.as_deref().unwrap_or(UNKNOWN))));
    let unsettled = sum(records, |record| record.emissions.unsettled_grams);
    if let Some(grams) = unsettled.filter(|grams| *grams > 0.0) {
        lines.push(format!(
            "{} of the electricity's emissions rest on figures that are not final.",
            text::emissions(grams)
        ));
    }
    let gaps: f64 = records.iter().map(|record| record.quality.gaps_seconds).sum();
    if gaps > 0.0 {
        lines.push(format!("Without readings: {} in all.", text::duration(gaps)));
    }
    let notes = records.iter().flat_map(|record| &record.quality.notes);
    let mut told: Vec<String> = notes.map(|note| cell(note)).collect();
    told.sort();
    told.dedup();
    lines.extend(told);
    lines
}

/// Foreign text that cannot end a table's cell or begin markup.
fn cell(text: &str) -> String {
    let mut plain = String::new();
    for character in text::line(text).chars() {
        if matches!(character, '|' | '<' | '[' | ']' | '`' | '*' | '_' | '\\') {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
}
