// SPDX-License-Identifier: Apache-2.0
//! `aimeter report`: its options.

use clap::{Args, ValueEnum};

/// `aimeter report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  aimeter report record.json --format model-card\n  \
    aimeter report run-1.json run-2.json --format markdown\n  \
    aimeter report 01M86S3S1WY6HWYXNAKEPJBTSV --format csv > emissions.csv")]
pub struct ReportArgs {
    /// Jobs: ids, or files of records (a name with a / or that ends in .json)
    #[arg(value_name = "JOB")]
    pub job: Vec<String>,
    /// The form
    #[arg(
        long,
        env = "AIMETER_REPORT_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        hide_env_values = true
    )]
    pub format: ReportFormat,
    /// With model-card: what the training was
    #[arg(long, env = "AIMETER_REPORT_TRAINING_TYPE", value_name = "TYPE", hide_env_values = true)]
    pub training_type: Option<TrainingType>,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// The summary of each job.
    Text,
    /// Their records, in a list.
    Json,
    /// A row for each job in the columns of CodeCarbon's emissions.csv.
    Csv,
    /// A statement for a paper's appendix, in Markdown.
    Markdown,
    /// One HTML file with plots, for screen and paper; it needs nothing beside it.
    Html,
    /// The co2_eq_emissions block of a Hugging Face model card, of all jobs together.
    ModelCard,
    /// How to cite aimeter, in BibTeX; needs no job.
    Citation,
}

/// `--training-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TrainingType {
    /// From nothing.
    PreTraining,
    /// Of a model that was there.
    FineTuning,
}

impl TrainingType {
    /// The Hub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            TrainingType::PreTraining => "pre-training",
            TrainingType::FineTuning => "fine-tuning",
        }
    }
}
