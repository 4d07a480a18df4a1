// SPDX-License-Identifier: Apache-2.0
//! `aimeter show`: one job in full.

use std::io::Write;

use super::cli::ShowArgs;
use super::exit::{Code, Failure};
use crate::config::Options;

/// Shows a job on `out`: of the daemon where it runs, else of the ledger in
/// [`Options::ledger_to_read`].
///
/// # Errors
/// Where the job is unknown or the ledger cannot be read.
pub fn run(_args: &ShowArgs, _options: &Options, _out: &mut dyn Write) -> Result<(), Failure> {
    Err(Failure::new(Code::Failed, "`aimeter show` is not part of this build"))
}
