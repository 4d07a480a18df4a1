// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench`: the benchmark of carbon intensity, one file a subcommand.

mod marker;
mod sign;
mod signature;
mod validate;
mod window;
mod workload;

use std::process::ExitCode;

use super::cli::BenchCommand;
use super::exit::Failure;

/// Does what was asked.
///
/// # Errors
/// As the subcommand says.
pub fn run(command: BenchCommand) -> Result<ExitCode, Failure> {
    match command {
        BenchCommand::Window(args) => window::run(args),
        BenchCommand::Workload(args) => workload::run(&args),
        BenchCommand::Validate(args) => validate::run(&args),
        BenchCommand::Sign(args) => sign::run(&args),
    }
}
