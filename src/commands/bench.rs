// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench`: the benchmark of carbon intensity, one file a subcommand.

mod compare;
mod files;
mod sign;
mod signature;
mod table;
mod validate;

use std::process::ExitCode;

use super::cli::BenchCommand;
use super::exit::Failure;

/// Does what was asked.
///
/// # Errors
/// As the subcommand says.
pub fn run(command: BenchCommand) -> Result<ExitCode, Failure> {
    match command {
        BenchCommand::Validate(args) => validate::run(&args),
        BenchCommand::Sign(args) => sign::run(&args),
        BenchCommand::Compare(args) => compare::run(&args),
        BenchCommand::Table(args) => table::run(&args),
    }
}
