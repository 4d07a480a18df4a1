// SPDX-License-Identifier: Apache-2.0
//! `aimeter bench`: the benchmark of carbon intensity, one file a subcommand.

mod compare;
mod files;
mod init;
mod marker;
mod run;
mod sign;
mod signature;
mod table;
mod validate;
mod window;
mod workload;

use std::io::{self, Write};
use std::process::ExitCode;

use super::cli::BenchCommand;
use super::exit::{Code, Failure};
use crate::config::Options;

/// Does what was asked; `options` are the settings, and the variables that pass them on.
///
/// # Errors
/// As the subcommand says.
pub fn run(
    command: BenchCommand,
    options: impl FnOnce() -> Result<(Options, Vec<(String, String)>), Failure>,
) -> Result<ExitCode, Failure> {
    match command {
        BenchCommand::Init(args) => init::run(&args).map(|()| Code::Success.into()),
        BenchCommand::Run(args) => {
            let (options, passed) = options()?;
            let out = &mut io::stdout();
            let code = run::run(&args, &options, &passed, out)?;
            out.flush().map_err(Failure::of_output)?;
            Ok(code)
        }
        BenchCommand::Window(args) => window::run(args),
        BenchCommand::Workload(args) => workload::run(&args),
        BenchCommand::Validate(args) => validate::run(&args),
        BenchCommand::Sign(args) => sign::run(&args),
        BenchCommand::Compare(args) => compare::run(&args),
        BenchCommand::Table(args) => table::run(&args),
    }
}
