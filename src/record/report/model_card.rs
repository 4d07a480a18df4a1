// SPDX-License-Identifier: Apache-2.0
//! The `co2_eq_emissions` block of a Hugging Face model card.
//!
//! Its emissions are grams of CO2e of the electricity, as other tools give them;
//! what kind of figure that is stands in `source`. Texts are JSON strings, which
//! YAML reads as they are.

use serde_json::Value;

use super::{PROGRAM, hardware, imported, provenance, sum, zones};
use crate::record::Record;

/// Why there is no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelCardError {
    /// A job still runs.
    #[error("job {0} is still running; its emissions are known when it has ended")]
    Running(String),
    /// The Hub wants a number.
    #[error("the emissions of job {0} are not known; `aimeter show` says why")]
    Unknown(String),
}

/// The block of these jobs together.
///
/// # Errors
/// [`ModelCardError`] where the emissions of any are not known, or not yet.
pub fn block(records: &[Record], training_type: Option<&str>) -> Result<String, ModelCardError> {
    if let Some(record) = records.iter().find(|record| record.job.state == "running") {
        return Err(ModelCardError::Running(record.job.id.clone()));
    }
    let unknown = records.iter().find(|record| record.emissions.operational_grams.is_none());
    if let Some(record) = unknown {
        return Err(ModelCardError::Unknown(record.job.id.clone()));
    }
    let grams = sum(records, |record| record.emissions.operational_grams).unwrap_or(0.0);
    let lines = [
        Some(format!("  emissions: {}", Value::from(grams))),
        Some(source(records)).map(|text| entry("source", text)),
        training_type.map(|text| entry("training_type", text.to_owned())),
        zones(records).map(|text| entry("geographical_location", text)),
        hardware(records).map(|text| entry("hardware_used", text)),
    ];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    Ok(format!("co2_eq_emissions:\n{}\n", lines.join("\n")))
}

fn entry(name: &str, text: String) -> String {
    format!("  {name}: {}", Value::from(text))
}

/// Who says so, and what kind of figure it is.
fn source(records: &[Record]) -> String {
    let mut words = vec![PROGRAM.to_owned()];
    words.extend(imported(records).map(|whose| format!("imported from {whose}")));
    words.extend(provenance(records).map(|word| format!("energy {word}")));
    let with_pue = records.iter().filter(|record| record.energy.pue.is_some()).count();
    words.push(match with_pue {
        0 => "electricity of the machines, no PUE".to_owned(),
        count if count == records.len() => "electricity with PUE".to_owned(),
        _ => "electricity, PUE of some jobs".to_owned(),
    });
    let settled = records
        .iter()
        .all(|record| record.emissions.intensity.as_ref().is_some_and(|one| one.settled));
    if !settled {
        words.push("carbon intensity not settled".to_owned());
    }
    words.join(", ")
}
