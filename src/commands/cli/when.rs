// SPDX-License-Identifier: Apache-2.0
//! The values of `aimeter run --when`, `--within` and `--needs`.

use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;
use jiff::SignedDuration;

use super::RunArgs;
use crate::config::value;
use crate::jobs::timing::Policy;

/// What is wrong with `--when` and its options.
///
/// # Errors
/// What to tell the user.
pub fn check(args: &RunArgs, matches: &ArgMatches) -> Result<(), String> {
    // In the environment they may wait for a `--when`.
    let given = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    if args.when.is_none() && (given("within") || given("needs")) {
        return Err("--within and --needs are of --when: add `--when greenest`".to_owned());
    }
    if args.when.is_some() && args.needs > args.within {
        let (needs, within) = (args.needs, args.within);
        return Err(format!("--needs {needs:#} does not fit into --within {within:#}"));
    }
    Ok(())
}

pub(super) fn policy(text: &str) -> Result<Policy, String> {
    match text {
        "greenest" => Ok(Policy::Greenest),
        _ => Err("write greenest".to_owned()),
    }
}

/// How long to wait, or how long a job runs: no forecast reaches farther.
pub(super) fn time(text: &str) -> Result<SignedDuration, String> {
    let (least, most) = (Duration::from_secs(1), Duration::from_secs(7 * 86_400));
    let time = value::duration(text, least, most)?;
    SignedDuration::try_from(time).map_err(|error| error.to_string())
}
