// SPDX-License-Identifier: Apache-2.0
//! The options of `aimeter bench`.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Subcommand, ValueEnum};

/// `aimeter bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Check benchmark records: form, hash, arithmetic, level, disclosures, signature
    Validate(ValidateArgs),
    /// Sign a benchmark record with an SSH key, beside it in RECORD.sig
    Sign(SignArgs),
    /// Compare records with the first of them: energy per unit apart from the grid
    Compare(CompareArgs),
    /// Make a leaderboard of a folder of records
    Table(TableArgs),
}

/// `aimeter bench validate`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Every violation is a line: file, JSON pointer, check, what the record says \
    and what was found. Ends with 0 where all are valid, 7 where one is not, 8 where one cannot be \
    read.\n\nA signature is looked for in RECORD.sig. Without --allowed-signers it is shown whose key \
    made it, and nobody is believed.\n\nExamples:\n  aimeter bench validate record.json\n  \
    aimeter bench validate *.json --allowed-signers signers --require-signature"
)]
pub struct ValidateArgs {
    /// The records' files
    #[arg(required = true, value_name = "RECORD")]
    pub record: Vec<PathBuf>,
    /// Print JSON
    #[arg(long, env = "AIMETER_BENCH_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
    /// Whose signatures count: a file of ssh-keygen's form ALLOWED SIGNERS
    #[arg(long, env = "AIMETER_ALLOWED_SIGNERS", value_name = "FILE", hide_env_values = true)]
    pub allowed_signers: Option<PathBuf>,
    /// Only the signature of this one of them [default: of any]
    #[arg(long, value_name = "NAME", requires = "allowed_signers")]
    pub identity: Option<String>,
    /// A record without a signature is not valid
    #[arg(long)]
    pub require_signature: bool,
}

/// `aimeter bench sign`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The signature is of the file's bytes, in the namespace aimeter-benchmark. \
    Anybody checks it without aimeter:\n  ssh-keygen -Y verify -n aimeter-benchmark -f SIGNERS -I \
    NAME -s RECORD.sig < RECORD"
)]
pub struct SignArgs {
    /// The record's file; it must be valid
    #[arg(value_name = "RECORD")]
    pub record: PathBuf,
    /// A private key, or the public key of one that ssh-agent or a security key holds
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

/// `aimeter bench compare`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  aimeter bench compare before.json after.json\n  \
    aimeter bench compare a.json b.json c.json --json")]
pub struct CompareArgs {
    /// Files of benchmark records; the first is the baseline
    #[arg(value_name = "RECORD", required = true)]
    pub record: Vec<PathBuf>,
    /// Print JSON
    #[arg(long, env = "AIMETER_BENCH_COMPARE_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
}

/// `aimeter bench table`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  aimeter bench table records/\n  \
    aimeter bench table records/ --unit token --format html > leaderboard.html")]
pub struct TableArgs {
    /// A folder: every *.json in it and below is looked at
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The form
    #[arg(
        long,
        env = "AIMETER_BENCH_TABLE_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        conflicts_with = "json",
        hide_env_values = true
    )]
    pub format: TableFormat,
    /// Only records of this unit, by kind or name; repeatable, or separated by commas
    #[arg(
        long,
        env = "AIMETER_BENCH_TABLE_UNIT",
        value_name = "UNIT",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub unit: Vec<String>,
    /// Without the models from the literature
    #[arg(long, env = "AIMETER_BENCH_TABLE_NO_REFERENCE", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub no_reference: bool,
    /// Print JSON
    #[arg(long, env = "AIMETER_BENCH_TABLE_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// Aligned columns.
    Text,
    /// Tables for a repository's page.
    Markdown,
    /// Plain numbers, a row for each record.
    Csv,
    /// One file with plots, which stands alone.
    Html,
}
