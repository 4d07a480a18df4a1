// SPDX-License-Identifier: Apache-2.0
//! The subcommands: one file each; they only wire rooms together.
//!
//! Standard output is data, everything else goes to standard error. The only
//! room that prints. Errors are one line: `aimeter: what, to what, what next`.

pub mod cli;
pub mod daemon;
pub mod end;
pub mod exit;
pub mod gpu;
pub mod jobs;
pub mod log;
pub mod reference;
pub mod run;
pub mod sensors;
pub mod show;
pub mod start;
pub mod systemd;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};

use crate::config::{FileChoice, Options, Sources};
use crate::server::client::{Client, ClientError};
use cli::{Cli, Command};
use exit::{Code, Failure};

/// The program: parses the command line and calls one command.
pub fn main() -> ExitCode {
    let matches = match cli::ignore_empty_variables(cli::command()).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return not_parsed(&error),
    };
    match dispatch(&matches) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.message.is_empty() {
                complain(&failure.message);
            }
            failure.code.into()
        }
    }
}

fn dispatch(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let cli = Cli::from_arg_matches(matches)
        .map_err(|error| Failure::new(Code::Usage, one_line(&error)))?;
    let file = cli.config.map_or(FileChoice::Search, FileChoice::Named);
    let sub = match matches.subcommand() {
        Some((_, sub)) => sub.subcommand().map_or(sub, |(_, inner)| inner),
        None => matches,
    };
    let flags = cli::setting_flags(sub);
    let resolve = |file: FileChoice| {
        Options::resolve(&Sources {
            flags: flags.clone(),
            environment: &|name| std::env::var(name).ok(),
            file,
            root: rustix::process::geteuid().is_root(),
        })
    };
    let named = sub.value_source("config") == Some(ValueSource::CommandLine);
    if let Command::Run(args) = cli.command {
        let (options, config_problem) = match resolve(file) {
            // The job comes first: a broken file of the machine's must not keep it
            // from running. One that this command line names is a wrong option.
            Err(error) if error.is_of_file() && !named => {
                (resolve(FileChoice::None)?, Some(error.to_string()))
            }
            other => (other?, None),
        };
        let labels = cli::labels(&args, sub).map_err(|what| Failure::new(Code::Usage, what))?;
        return run::run(run::RunOptions { args, labels, options, config_problem });
    }
    let options = resolve(file.clone())?;
    let out: &mut dyn Write = &mut io::stdout().lock();
    match cli.command {
        Command::Run(_) => {}
        Command::Daemon => return daemon::run(options, &|| resolve(file.clone())),
        Command::Jobs(args) => jobs::run(&args, &options, out)?,
        Command::Show(args) => show::run(&args, &options, out)?,
        Command::End { job } => end::run(&job, &options)?,
        Command::Sensors(args) => sensors::run(&args, &options, &start::sensor_list, out)?,
        Command::Gpu { action } => gpu::run(action, &options)?,
    }
    out.flush().map_err(Failure::of_output)?;
    Ok(Code::Success.into())
}

/// One line on standard error. A closed standard error is nobody's failure.
pub fn complain(message: &str) {
    _ = writeln!(io::stderr(), "aimeter: {message}");
}

/// A connection to the daemon: the first socket that answers.
///
/// # Errors
/// Where none answers, with the remedy; the error of the last one tried.
pub fn connect(options: &Options) -> Result<Client, Failure> {
    let mut last = None;
    for path in options.client_sockets() {
        match Client::connect(&path) {
            Ok(client) => return Ok(client),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| Failure::new(Code::Unreachable, "no socket to try"), Failure::from))
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        let code = match &error {
            ClientError::Unreachable { .. } | ClientError::Version { .. } => Code::Unreachable,
            ClientError::Refused { code, .. } if code == "not_permitted" => Code::NotPermitted,
            ClientError::Refused { code, .. } if code == "unknown_job" => Code::UnknownJob,
            ClientError::NotPermitted { .. } => Code::NotPermitted,
            _ => Code::Failed,
        };
        Failure::new(code, error.to_string())
    }
}

fn not_parsed(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that went away wanted no more.
            _ = error.print();
            Code::Success.into()
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            _ = error.print();
            Code::Usage.into()
        }
        _ => {
            complain(&one_line(error));
            Code::Usage.into()
        }
    }
}

/// clap's message without its usage block, in one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.trim_start_matches("error: ").split_whitespace().collect();
    let mut line = words.join(" ");
    let suggested = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand];
    let near = suggested.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(word) => Some(word.clone()),
        ContextValue::Strings(words) => words.first().cloned(),
        _ => None,
    });
    match near {
        Some(word) => line.push_str(&format!("; did you mean '{word}'?")),
        None => line.push_str("; see 'aimeter --help'"),
    }
    line
}
