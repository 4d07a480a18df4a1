// SPDX-License-Identifier: Apache-2.0
//! `aimeter run`: runs a command and accounts for its energy.

use std::process::ExitCode;

use super::cli::RunArgs;
use super::exit::{Code, Failure};
use crate::config::Options;

/// All that `aimeter run` was told, checked.
#[derive(Debug)]
pub struct RunOptions {
    /// Its own options.
    pub args: RunArgs,
    /// `--label`, in order.
    pub labels: Vec<(String, String)>,
    /// The configuration.
    pub options: Options,
    /// A configuration file that was left aside because it is wrong: to be said
    /// in the summary, never a reason not to run the job.
    pub config_problem: Option<String>,
}

/// Runs the job; ends with its exit code, or dies of its signal.
///
/// # Errors
/// What keeps the job from being started.
pub fn run(_options: RunOptions) -> Result<ExitCode, Failure> {
    Err(Failure::new(Code::Failed, "`aimeter run` is not part of this build"))
}
