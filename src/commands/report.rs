// SPDX-License-Identifier: Apache-2.0
//! `aimeter report JOB…`: jobs in the forms of papers, model cards and other tools.
//!
//! Records come from the books or from files; nothing here computes a figure.

pub mod period;

use std::io::Write;
use std::path::Path;

use crate::record::report::{Reported, citation, codecarbon, html, model_card, statement};
use crate::record::summary::{Style, summary};
use crate::record::{Record, read};

use super::cli::{ReportArgs, ReportFormat};
use super::exit::{Code, Failure};

/// Whether a JOB is the name of a record's file.
pub fn is_file(job: &str) -> bool {
    job.contains('/') || job.ends_with(".json")
}

/// The record of a file.
///
/// # Errors
/// Where the file cannot be read or holds no record.
pub fn of_file(path: &Path) -> Result<Record, Failure> {
    let failed =
        |what: String| Failure::new(Code::Failed, format!("cannot use {}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    read(&text).map_err(|error| failed(error.to_string()))
}

/// Writes the report; `load` finds the record of a JOB.
///
/// # Errors
/// Where a job is not found or named twice, its figures do not allow the form, or
/// `out` fails.
pub fn run(
    args: &ReportArgs,
    style: Style,
    load: impl Fn(&str) -> Result<Reported, Failure>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if args.training_type.is_some() && args.format != ReportFormat::ModelCard {
        let message = "--training-type is a field of --format model-card";
        return Err(Failure::new(Code::Usage, message));
    }
    if args.user.is_some() || args.until.is_some() || args.project.is_some() {
        let message = "--user, --project and --until are of a period: add --since";
        return Err(Failure::new(Code::Usage, message));
    }
    if args.job.is_empty() && args.format != ReportFormat::Citation {
        let message = "no job is named, and no period by --since; see `aimeter jobs`";
        return Err(Failure::new(Code::Usage, message));
    }
    let mut jobs: Vec<Reported> = Vec::new();
    for job in &args.job {
        let found = load(job)?;
        let id = &found.record.job.id;
        if jobs.iter().any(|other| other.record.job.id == *id) {
            let message = format!("job {id} is named twice and would count twice");
            return Err(Failure::new(Code::Usage, message));
        }
        jobs.push(found);
    }
    let unexpected = |error: anyhow::Error| Failure::from(error);
    let records: Vec<Record> = jobs.iter().map(|job| job.record.clone()).collect();
    let text: Vec<u8> = match args.format {
        ReportFormat::Text => {
            let parts: Vec<String> = records.iter().map(|record| summary(record, style)).collect();
            parts.join("\n").into_bytes()
        }
        ReportFormat::Json => {
            let mut json =
                serde_json::to_vec_pretty(&records).map_err(|error| unexpected(error.into()))?;
            json.push(b'\n');
            json
        }
        ReportFormat::Csv => codecarbon::csv(&records).map_err(|error| unexpected(error.into()))?,
        ReportFormat::Markdown => statement::markdown(&records).into_bytes(),
        ReportFormat::ModelCard => {
            let training_type = args.training_type.map(|one| one.as_str());
            model_card::block(&records, training_type)
                .map_err(|error| Failure::new(Code::Failed, error.to_string()))?
                .into_bytes()
        }
        ReportFormat::Citation => citation::bibtex().into_bytes(),
        ReportFormat::Html => {
            html::file(&jobs).map_err(|error| unexpected(error.into()))?.into_bytes()
        }
    };
    out.write_all(&text).map_err(Failure::of_output)
}
