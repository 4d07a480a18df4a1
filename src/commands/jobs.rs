// SPDX-License-Identifier: Apache-2.0
//! `aimeter jobs`: the ledger's jobs as a table, JSON or CSV.

use std::io::Write;

use super::cli::JobsArgs;
use super::exit::{Code, Failure};
use crate::config::Options;

/// Lists jobs on `out`. The ledger is in [`Options::ledger_to_read`].
///
/// # Errors
/// Where the ledger cannot be read.
pub fn run(_args: &JobsArgs, _options: &Options, _out: &mut dyn Write) -> Result<(), Failure> {
    Err(Failure::new(Code::Failed, "`aimeter jobs` is not part of this build"))
}
