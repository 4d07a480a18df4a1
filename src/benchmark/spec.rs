// SPDX-License-Identifier: Apache-2.0
//! The spec of a campaign: what is run, what is counted and for how long.
//!
//! A TOML file that is checked whole before anything is started: an unknown field, a
//! wrong value or a combination without sense is an error that names line and field.
//! Values shorter than the specification's are taken, since they are an exception of the
//! record and no mistake ([`super::exceptions`]). Pure: text in, spec out.

mod check;
mod form;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::record::{PueStatement, SciEmbodied, UnitPart};

pub use template::TEMPLATE;

/// A campaign as it was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Its name.
    pub name: String,
    /// In the words of who runs it.
    pub description: Option<String>,
    /// Who answers for it.
    pub contact: Option<String>,
    /// The functional unit.
    pub unit: UnitPart,
    /// The regular expression that finds units in the work's output. Its group `count` is
    /// how many a match stands for, else it is one; for a unit of kind `quality` its group
    /// `value` is the metric's value, and without a pattern it is looked for by its name.
    pub pattern: Option<String>,
    /// What is run.
    pub work: Work,
    /// How long and how often.
    pub protocol: Protocol,
    /// When it is enough.
    pub stop: Stop,
    /// What they say of the work: framework, model, data set, ….
    pub disclosures: BTreeMap<String, String>,
    /// The building's PUE; `None`: as aimeter is configured.
    pub pue: Option<PueStatement>,
    /// Embodied carbon; `None`: by aimeter's table.
    pub embodied: Option<SciEmbodied>,
}

/// What is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// A built-in workload, or a command line.
    pub run: WorkRun,
    /// Where it is run; relative: to the folder of the spec.
    pub directory: PathBuf,
    /// Variables that are added to its environment.
    pub environment: BTreeMap<String, String>,
    /// Accelerators that are reserved for it.
    pub gpus: Gpus,
}

/// A built-in workload, or a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkRun {
    /// `aimeter bench workload NAME`.
    Builtin(String),
    /// A command and its arguments.
    Command(Vec<String>),
}

/// Accelerators that are reserved for the work, idle or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Gpus {
    /// Those of `CUDA_VISIBLE_DEVICES`, where it is set, else all.
    #[default]
    Auto,
    /// All of the node.
    All,
    /// None.
    None,
    /// These: indices or UUIDs, as `aimeter run --gpus` takes them.
    List(Vec<String>),
}

/// How long and how often. The defaults are the specification's for level B.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Idling before the work.
    pub idle: Duration,
    /// Warm-up at least.
    pub warm_up: Duration,
    /// A measured window at least.
    pub window: Duration,
    /// Repetitions at least.
    pub repetitions: u32,
    /// Repetitions at most.
    pub max_repetitions: u32,
    /// How long to wait at most between two of them for the power to go back.
    pub settle: Duration,
}

impl Default for Protocol {
    fn default() -> Protocol {
        let minute = Duration::from_secs(60);
        Protocol {
            idle: minute,
            warm_up: minute,
            window: minute,
            repetitions: 5,
            max_repetitions: 5,
            settle: minute,
        }
    }
}

/// When it is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stop {
    /// A combined half-width of so many percent.
    pub confidence_percent: Option<f64>,
    /// Joules of all windows.
    pub max_joules: Option<f64>,
    /// Time of the campaign.
    pub max_time: Option<Duration>,
}

/// What is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SpecError {
    /// From 1.
    pub line: usize,
    /// Which field, what is wrong, what would be right.
    pub what: String,
}

/// Reads a spec.
///
/// # Errors
/// The first thing that is wrong, with its line.
pub fn parse(text: &str) -> Result<Spec, SpecError> {
    let form: form::SpecForm = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let words: Vec<&str> = error.message().split_whitespace().collect();
        SpecError { line: line_at(text, start), what: words.join(" ") }
    })?;
    check::spec(form).map_err(|wrong| SpecError {
        line: line_of(text, wrong.section, wrong.name),
        what: wrong.what(),
    })
}

fn line_at(text: &str, place: usize) -> usize {
    let before = text.as_bytes().iter().take(place);
    before.filter(|byte| **byte == b'\n').count() + 1
}

/// The line of a field, else of its table, else the first.
fn line_of(text: &str, section: &str, name: &str) -> usize {
    let mut now = String::new();
    let mut table = 1;
    for (place, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            now = header.split(']').next().unwrap_or_default().trim().to_owned();
            if now == section {
                table = place + 1;
            }
        } else if now == section
            && line.split('=').next().is_some_and(|key| key.trim().trim_matches('"') == name)
        {
            return place + 1;
        }
    }
    table
}
