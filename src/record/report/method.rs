// SPDX-License-Identifier: Apache-2.0
//! How the figures of records came about, in words: what was counted and read by what,
//! what the uncertainty holds and what not, whose carbon intensity, gaps, remarks.

use super::{PROGRAM, distinct, imported, sum};
use crate::record::{Record, text};

/// What was counted and how, one line each.
pub fn lines(records: &[Record]) -> Vec<String> {
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
    lines.push(format!("Carbon intensity: {}.", sources.as_deref().unwrap_or("not known")));
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
    lines
}

/// The remarks of all records, each once.
pub fn remarks(records: &[Record]) -> Vec<String> {
    let notes = records.iter().flat_map(|record| &record.quality.notes);
    let mut told: Vec<String> = notes.map(|note| text::line(note)).collect();
    told.sort();
    told.dedup();
    told
}
