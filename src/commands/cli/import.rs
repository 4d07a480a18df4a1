// SPDX-License-Identifier: Apache-2.0
//! The options of `aimeter import`.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Subcommand};
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;

use crate::config::value;

/// `aimeter import`.
#[derive(Debug, Subcommand)]
pub enum ImportAction {
    /// CodeCarbon's emissions.csv
    Codecarbon(CodecarbonArgs),
    /// Slurm's accounting with energy: sacct --parsable2 or sacct --json
    Slurm(SlurmArgs),
}

/// `aimeter import codecarbon`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  aimeter import codecarbon emissions.csv --timezone Europe/Paris\n  \
    aimeter import codecarbon emissions.csv --output records\n  \
    aimeter report records/*.json --format markdown"
)]
pub struct CodecarbonArgs {
    /// The file (- for standard input)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How it is read and written.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `aimeter import slurm`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sacct --parsable2 --starttime 2026-11-01 --format JobID,JobName,User,Account,State,\
    ExitCode,Start,End,Elapsed,NNodes,AllocCPUS,AllocTRES,NodeList,ConsumedEnergyRaw |\n    \
    aimeter import slurm --cpus-per-node 128 --zone FR --timezone Europe/Paris\n  \
    sacct --json | aimeter import slurm --zone FR --output records"
)]
pub struct SlurmArgs {
    /// The file (- for standard input)
    #[arg(value_name = "FILE", default_value = "-")]
    pub file: PathBuf,
    /// Electricity zone of the cluster, such as FR or US-CA [default: carbon.zone of the config];
    /// without one, emissions are not computed
    #[arg(long, env = "AIMETER_IMPORT_ZONE", value_name = "ZONE", value_parser = value::zone, hide_env_values = true)]
    pub zone: Option<String>,
    /// Power usage effectiveness of the cluster's building, 1 to 10
    #[arg(long, env = "AIMETER_IMPORT_PUE", value_name = "FACTOR", value_parser = value::pue, hide_env_values = true)]
    pub pue: Option<u32>,
    /// CPUs of each node as Slurm counts them, which shows the jobs that held whole nodes
    #[arg(long, env = "AIMETER_IMPORT_CPUS_PER_NODE", value_name = "N", value_parser = clap::value_parser!(u64).range(1..), hide_env_values = true)]
    pub cpus_per_node: Option<u64>,
    /// How it is read and written.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What all imports take.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// Time zone of the file's times, such as Europe/Paris or +02:00 [default: UTC, and said so]
    #[arg(long, env = "AIMETER_IMPORT_TIMEZONE", value_name = "ZONE", value_parser = time_zone, hide_env_values = true)]
    pub timezone: Option<TimeZone>,
    /// Print the records as a JSON list; what is refused goes to standard error
    #[arg(long, env = "AIMETER_IMPORT_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
    /// Write each record to DIR/ID.json for `aimeter report`; a file that is there stays as it is
    #[arg(long, env = "AIMETER_IMPORT_OUTPUT", value_name = "DIR", hide_env_values = true)]
    pub output: Option<PathBuf>,
}

/// A zone of the system's database, or an offset.
fn time_zone(text: &str) -> Result<TimeZone, String> {
    DateTimeParser::new().parse_time_zone(text).map_err(|_| {
        "write a zone such as Europe/Paris, UTC, or an offset such as +02:00".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_zone_is_a_name_or_an_offset() {
        for good in ["UTC", "Europe/Paris", "+02:00", "-0530"] {
            assert!(time_zone(good).is_ok(), "{good}");
        }
        for bad in ["", "Paris", "two", "+26:00"] {
            assert!(time_zone(bad).is_err(), "{bad}");
        }
    }
}
