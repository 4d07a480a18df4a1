// SPDX-License-Identifier: Apache-2.0
//! `aimeter report`: its options.

use clap::{Args, ValueEnum};

use super::Moment;

/// `aimeter report`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  aimeter report record.json --format model-card\n  \
    aimeter report run-1.json run-2.json --format markdown\n  \
    aimeter report 01M86S3S1WY6HWYXNAKEPJBTSV --format html > report.html\n  \
    aimeter report 01M86S3S1WY6HWYXNAKEPJBTSV --format csv > emissions.csv\n  \
    aimeter report --since 30d --project vision --by model")]
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
    /// A period's statement, from this time, or this long ago, on (2h, 7d, 2026-11-01)
    #[arg(long, env = "AIMETER_REPORT_SINCE", value_name = "TIME", value_parser = super::moment, conflicts_with = "job", hide_env_values = true)]
    pub since: Option<Moment>,
    /// With --since: to before this time [default: now]
    #[arg(long, env = "AIMETER_REPORT_UNTIL", value_name = "TIME", value_parser = super::moment, hide_env_values = true)]
    pub until: Option<Moment>,
    /// With --since: what the jobs are put together by
    #[arg(
        long,
        env = "AIMETER_REPORT_BY",
        value_name = "KEY",
        default_value = "project",
        hide_env_values = true
    )]
    pub by: ReportBy,
    /// With --since: only jobs of this user
    #[arg(long, env = "AIMETER_REPORT_USER", value_name = "USER", hide_env_values = true)]
    pub user: Option<String>,
    /// With --since: only jobs of this project
    #[arg(long, env = "AIMETER_REPORT_PROJECT", value_name = "PROJECT", hide_env_values = true)]
    pub project: Option<String>,
}

/// `--by`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportBy {
    /// Who ran them.
    User,
    /// --project.
    Project,
    /// Their label `model`.
    Model,
    /// The models of the GPUs that they used.
    Gpu,
    /// The days in which they ran.
    Day,
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
