// SPDX-License-Identifier: Apache-2.0
//! The options of `aimeter bench`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Subcommand, ValueEnum};

use crate::benchmark::record::{CountedBy, QualityTarget};
use crate::benchmark::window::{Pattern, quality};
use crate::benchmark::workload::Kind;
use crate::config::value;
use crate::jobs::marks::MarkName;

/// `aimeter bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Write a spec with comments, to be changed
    Init(BenchInitArgs),
    /// Run or take up the campaign of a spec, and write its record
    Run(BenchRunArgs),
    /// Run a command again and again, whole runs only, and count what it does
    Window(WindowArgs),
    /// Run a built-in workload once, on all cores
    Workload(WorkloadArgs),
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

/// `aimeter bench init`.
#[derive(Debug, Args)]
pub struct BenchInitArgs {
    /// The file, which must not be there yet
    #[arg(value_name = "FILE", default_value = "bench.toml")]
    pub file: PathBuf,
}

/// `aimeter bench run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  aimeter bench init bench.toml\n  aimeter bench run bench.toml \
    --zone GB --output record.json\n\nCtrl-C ends it and keeps what is complete; the same command \
    takes it up again. On a campaign that is complete it measures nothing, and writes the record \
    anew with the carbon intensity that is known by then."
)]
pub struct BenchRunArgs {
    /// The spec (docs/benchmark.md)
    #[arg(value_name = "SPEC")]
    pub spec: PathBuf,
    /// Write the record to this file [default: record.json in the campaign's folder]
    #[arg(long, env = "AIMETER_BENCH_OUTPUT", value_name = "FILE", hide_env_values = true)]
    pub output: Option<PathBuf>,
    /// Folder of the campaign, where each part is kept [default: the spec's name with .campaign
    /// in place of .toml]
    #[arg(long, env = "AIMETER_BENCH_DIR", value_name = "DIR", hide_env_values = true)]
    pub dir: Option<PathBuf>,
    /// Measure although others use the accelerators; the record says so, and its level is C at best
    #[arg(long, env = "AIMETER_BENCH_ALLOW_SHARED", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub allow_shared: bool,
    /// Show no progress
    #[arg(long, short, env = "AIMETER_BENCH_QUIET", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub quiet: bool,
    /// Print the record as JSON in place of its summary
    #[arg(long, env = "AIMETER_BENCH_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
}

/// `aimeter bench window`.
#[derive(Debug, Args)]
#[command(
    after_help = "`bench run` has it run inside a job, once for each repetition; it is of use \
    by hand to try a pattern:\n  aimeter bench window --least 0s --report /dev/stderr \
    --unit samples --counted-by pattern --pattern 'samples=(?<count>\\d+)' -- python train.py\n\n\
    It ends with 0, or as the command did where that failed or was interrupted."
)]
pub struct WindowArgs {
    /// Runs are begun until so much time has passed; one at least
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = least)]
    pub least: Duration,
    /// Write what was done to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: PathBuf,
    /// Name of the unit [default: runs, or the metric]
    #[arg(long, value_name = "NAME")]
    pub unit: Option<MarkName>,
    /// What counts a unit: mark (the command by itself), pattern (a match in its output), or exit
    /// (its end with 0)
    #[arg(long, value_name = "HOW", default_value = "exit", value_parser = counted_by)]
    pub counted_by: CountedBy,
    /// Regular expression, looked for in each line; a group `count` holds how many units, a group
    /// `value` what the metric is
    #[arg(long, value_name = "RE", value_parser = Pattern::compile, required_if_eq("counted_by", "pattern"))]
    pub pattern: Option<Pattern>,
    /// A unit is the first time at which a run's output says so, such as accuracy>=0.9 or
    /// loss<=0.1; the run is then ended
    #[arg(long, value_name = "QUALITY", value_parser = quality::target)]
    pub quality: Option<QualityTarget>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `aimeter bench workload`.
#[derive(Debug, Args)]
#[command(
    after_help = "Its result is the same to the last bit on every machine, and checked: a wrong one \
    ends with 1. In a job it marks its units: `products` or `samples`."
)]
pub struct WorkloadArgs {
    /// Which
    #[arg(value_name = "WORKLOAD")]
    pub workload: Workload,
    /// Rows of a matrix [default: 2048], or samples of an epoch [default: 65536]; runs of
    /// another size than the default are not comparable
    #[arg(long, value_name = "N")]
    pub size: Option<usize>,
    /// Threads [default: as many as there are cores for it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

/// The built-in workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// matrix/1: 8 products of matrices of f32, 2 n³ operations each
    Matrix,
    /// training/1: 32 epochs of a network of two layers on generated data
    Training,
}

impl Workload {
    /// As the benchmark knows it.
    pub const fn kind(self) -> Kind {
        match self {
            Workload::Matrix => Kind::Matrix,
            Workload::Training => Kind::Training,
        }
    }
}

fn least(text: &str) -> Result<Duration, String> {
    value::duration(text, Duration::ZERO, Duration::from_secs(7 * 86_400))
}

fn counted_by(text: &str) -> Result<CountedBy, String> {
    match text {
        "mark" => Ok(CountedBy::Mark),
        "pattern" => Ok(CountedBy::Pattern),
        "exit" => Ok(CountedBy::Exit),
        _ => Err("write mark, pattern or exit".to_owned()),
    }
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
