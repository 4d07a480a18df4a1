// SPDX-License-Identifier: Apache-2.0
//! `aimeter mark`: what a job says of itself, from a shell.
//!
//! It runs inside jobs, whose scripts must not fail because of it: only a wrong command line
//! is an error, all else is a warning.

use std::path::PathBuf;

use clap::Args;

use crate::clock;
use crate::config::{Options, Origin};
use crate::jobs::JobId;
use crate::jobs::marks::{Count, Mark, MarkName};
use crate::server::client::{self, ClientError};
use crate::server::protocol::MarkLine;

/// Where a job's marks go; the wrapper sets it for its command.
pub const MARK_SOCKET: &str = "AIMETER_MARK_SOCKET";

/// `aimeter mark`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  aimeter mark epoch\n  aimeter mark tokens=4096\n  \
    aimeter mark --end\n\nIt ends with 0 also where there is no job or nobody meters it: it \
    then warns.")]
pub struct MarkArgs {
    /// A phase that begins (epoch), or units of work that were done (tokens=4096)
    #[arg(value_name = "NAME[=VALUE]", value_parser = parse, required_unless_present = "end")]
    pub mark: Option<Mark>,
    /// The phase ends, and no other begins
    #[arg(long, env = "AIMETER_MARK_END", conflicts_with = "mark", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue, hide_env_values = true)]
    pub end: bool,
    /// The job's id; in a job, its own
    #[arg(long, env = "AIMETER_JOB_ID", value_name = "JOB", hide_env_values = true)]
    pub job: Option<String>,
}

fn parse(text: &str) -> Result<Mark, String> {
    let Some((name, value)) = text.split_once('=') else {
        return text.parse().map(Mark::Phase).map_err(|error| format!("{error}"));
    };
    let name: MarkName = name.parse().map_err(|error| format!("{error}"))?;
    let number: f64 =
        value.parse().map_err(|_| format!("`{value}` is no number: write NAME=VALUE"))?;
    let count = Count::try_from(number).map_err(|error| error.to_string())?;
    Ok(Mark::Count(name, count))
}

/// Sends the mark, or warns.
pub fn run(args: MarkArgs, options: &Options) {
    if let Err(problem) = send(args, options) {
        super::complain(&format!("not marked: {problem}"));
    }
}

fn send(args: MarkArgs, options: &Options) -> Result<(), String> {
    let text = args.job.filter(|text| !text.is_empty());
    let text = text.ok_or("this is no job: run it inside `aimeter run`, or give --job")?;
    let job: JobId = text.parse().map_err(|error| format!("{error}"))?;
    let mark = args.mark.unwrap_or(Mark::End);
    let at = clock::now();
    let named = matches!(options.origin("daemon", "socket"), Origin::Flag(_));
    let own = std::env::var_os(MARK_SOCKET).filter(|path| !path.is_empty() && !named);
    let sockets = own.map_or_else(|| options.client_sockets(), |path| vec![PathBuf::from(path)]);
    let mut last = None;
    for socket in sockets {
        match client::mark(&socket, MarkLine::new(job.clone(), mark.clone(), at)) {
            Ok(()) => return Ok(()),
            Err(error @ ClientError::Unreachable { .. }) => last = Some(error),
            Err(error) => return Err(error.to_string()),
        }
    }
    Err(last.map_or_else(|| "no socket to try".to_owned(), |error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_phase_and_with_a_value_a_count() {
        assert_eq!(parse("epoch"), Ok(Mark::Phase("epoch".parse().unwrap())));
        let tokens = "tokens".parse().unwrap();
        assert_eq!(parse("tokens=2.5"), Ok(Mark::Count(tokens, Count::from_thousandths(2_500))));
        for bad in ["", "1x", "a b", "tokens=", "tokens=x", "tokens=-1", "tokens=inf", "=1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
