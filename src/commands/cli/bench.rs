// SPDX-License-Identifier: Apache-2.0
//! The options of `aimeter bench`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::benchmark::record::{CountedBy, QualityTarget};
use crate::benchmark::window::{Pattern, quality};
use crate::benchmark::workload::Kind;
use crate::config::value;
use crate::jobs::marks::MarkName;

/// `aimeter bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Run a command again and again, whole runs only, and count what it does
    Window(WindowArgs),
    /// Run a built-in workload once, on all cores
    Workload(WorkloadArgs),
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
    /// loss<=0.1; the run is
    /// then ended
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
