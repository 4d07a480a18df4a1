// SPDX-License-Identifier: Apache-2.0
//! Models whose training is known from the literature, as rows of reference.
//!
//! The data are `reference/luccioni-2022.toml`, with its source. Level D, without an
//! interval, and never ranked with what was measured. Energy is that of the machines:
//! where the print contains the PUE it is taken out.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::record::{Level, Origin};

const LUCCIONI: &str = include_str!("reference/luccioni-2022.toml");

const JOULES_PER_MEGAWATT_HOUR: f64 = 3.6e9;
const GRAMS_PER_TONNE: f64 = 1e6;

/// A published model as the file has it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Its name.
    pub name: String,
    /// Of its publication.
    pub year: u16,
    /// As printed.
    pub megawatt_hours: f64,
    /// Whether these contain the PUE.
    pub energy_contains_pue: bool,
    /// Power usage effectiveness.
    pub pue: f64,
    /// Of the grid.
    pub grams_per_kwh: f64,
    /// CO2e as printed, without PUE.
    pub tonnes: f64,
    /// CO2e as printed, with PUE.
    pub tonnes_with_pue: f64,
    /// Of making the hardware; not there: not known.
    pub embodied_tonnes: Option<f64>,
    /// The fields that the source inferred and the model's authors did not report.
    pub inferred: Vec<String>,
    /// What a reader must know.
    pub note: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    source: String,
    model: Vec<Published>,
}

static FILE: LazyLock<Option<File>> = LazyLock::new(|| toml::from_str(LUCCIONI).ok());

/// The models as they were published.
pub fn published() -> &'static [Published] {
    FILE.as_ref().map_or(&[], |file| &file.model)
}

/// A model as a row of a table: one run is one training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// Of its publication.
    pub year: u16,
    /// `literature`.
    pub origin: Origin,
    /// D.
    pub level: Level,
    /// Of the machines, without PUE.
    pub joules_per_run: f64,
    /// Power usage effectiveness.
    pub pue: f64,
    /// Of the grid.
    pub grams_per_kwh: f64,
    /// Of the electricity with PUE, computed from the parts before.
    pub operational_grams_per_run: f64,
    /// The same as it was printed.
    pub printed_grams_per_run: f64,
    /// Of making the hardware; null: not known.
    pub embodied_grams_per_run: Option<f64>,
    /// The printed columns that were inferred by the source.
    pub inferred: Vec<String>,
    /// What a reader must know.
    pub note: String,
    /// Who says so.
    pub source: String,
}

/// The rows, the least energy first.
pub fn rows() -> Vec<Reference> {
    let mut rows: Vec<Reference> = published().iter().map(row).collect();
    rows.sort_by(|one, other| one.joules_per_run.total_cmp(&other.joules_per_run));
    rows
}

fn row(model: &Published) -> Reference {
    let contained = if model.energy_contains_pue { model.pue } else { 1.0 };
    let megawatt_hours = model.megawatt_hours / contained;
    Reference {
        name: model.name.clone(),
        year: model.year,
        origin: Origin::Literature,
        level: Level::D,
        joules_per_run: megawatt_hours * JOULES_PER_MEGAWATT_HOUR,
        pue: model.pue,
        grams_per_kwh: model.grams_per_kwh,
        operational_grams_per_run: megawatt_hours * 1e3 * model.pue * model.grams_per_kwh,
        printed_grams_per_run: model.tonnes_with_pue * GRAMS_PER_TONNE,
        embodied_grams_per_run: model.embodied_tonnes.map(|tonnes| tonnes * GRAMS_PER_TONNE),
        inferred: model.inferred.clone(),
        note: model.note.clone(),
        source: FILE.as_ref().map_or_else(String::new, |file| file.source.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_has_the_four_models() {
        let rows = rows();
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["OPT-175B", "BLOOM", "Gopher", "GPT-3"]);
        let gpt = &rows[3];
        assert_eq!(gpt.joules_per_run / JOULES_PER_MEGAWATT_HOUR, 1_170.0);
        assert_eq!((gpt.operational_grams_per_run / GRAMS_PER_TONNE).round(), 552.0);
        assert!(rows.iter().all(|row| row.level == Level::D && row.origin == Origin::Literature));
    }
}
