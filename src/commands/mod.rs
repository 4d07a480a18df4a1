// SPDX-License-Identifier: Apache-2.0
//! The subcommands: one file each; they only wire rooms together.
//!
//! Standard output is data, everything else goes to standard error. The only
//! room that prints. Errors are one line: `aimeter: what, to what, what next`.

pub mod bench;
pub mod changes;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod doctor;
pub mod end;
pub mod exit;
pub mod gpu;
pub mod grid;
pub mod import;
pub mod intensity;
pub mod jobs;
pub mod log;
pub mod mark;
pub mod place;
pub mod reference;
pub mod report;
pub mod run;
pub mod sensors;
pub mod settle;
pub mod show;
pub mod start;
pub mod systemd;
pub mod top;
pub mod whatif;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};

use crate::benchmark::record::BenchmarkRecord;
use crate::carbon::Known;
use crate::clock;
use crate::config::{FileChoice, Options, Sources};
use crate::engine;
use crate::jobs::JobId;
use crate::ledger::JobReport;
use crate::ledger::query::{Filter, JobSummary, Reader};
use crate::record::report::Reported;
use crate::record::summary::Style;
use crate::record::{account, build, host, schema};
use crate::server::client::{Client, ClientError};
use crate::settlement;
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
    // Who only asks the daemon needs nothing of a file that is closed to them but the
    // socket's path, which is mostly the default.
    let resolve_to_ask = |file: FileChoice| match resolve(file) {
        Err(error) if error.is_closed() && !named => {
            complain(&format!("{error}; the defaults are taken"));
            resolve(FileChoice::None)
        }
        other => other,
    };
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
        cli::check_when(&args, sub).map_err(|what| Failure::new(Code::Usage, what))?;
        // A job that waits for its time can also wait for its place.
        let options = if args.when.is_some() { place::found_out(options) } else { options };
        return run::run(run::RunOptions { args, labels, options, config_problem });
    }
    if let Command::Top(args) = cli.command {
        // Without the lock on standard output: a panic on any thread gives the terminal back.
        return top::run(&args, &resolve_to_ask(file)?, &mut io::stdout());
    }
    if let Command::Bench { action } = cli.command {
        return bench::run(action, || {
            let mut passed = cli::setting_variables(&flags);
            if let FileChoice::Named(path) = &file {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                passed.push(("AIMETER_CONFIG".to_owned(), path.to_string_lossy().into_owned()));
            }
            Ok((resolve(file)?, passed))
        });
    }
    let out: &mut dyn Write = &mut io::stdout().lock();
    if let Command::Doctor { json } = cli.command {
        // A broken file is a finding, not an end.
        let (options, problem) = match resolve(file) {
            Err(error) if error.is_of_file() => (resolve(FileChoice::None)?, Some(error)),
            other => (other?, None),
        };
        doctor::run(json, &place::found_out(options), problem.as_ref(), out)?;
        return Ok(Code::Success.into());
    }
    if let Command::Config { action: cli::ConfigAction::Check { file: named } } = cli.command {
        let file = match file {
            FileChoice::Named(path) => Some(path),
            _ => None,
        };
        config::check(named.or(file), out)?;
        out.flush().map_err(Failure::of_output)?;
        return Ok(Code::Success.into());
    }
    if let Command::Mark(args) = cli.command {
        // A script in a job must not fail for the machine's configuration.
        let options = resolve(file).or_else(|_| resolve(FileChoice::None))?;
        mark::run(args, &options);
        return Ok(Code::Success.into());
    }
    if let Command::Schema { form } = cli.command {
        let text = match form {
            cli::SchemaForm::Record => schema::text(),
            cli::SchemaForm::Benchmark => schema::text_of::<BenchmarkRecord>(),
        };
        out.write_all(text.as_bytes()).map_err(Failure::of_output)?;
        out.flush().map_err(Failure::of_output)?;
        return Ok(Code::Success.into());
    }
    let options = match cli.command {
        Command::End { .. } | Command::Sensors(_) | Command::Gpu { .. } => {
            resolve_to_ask(file.clone())?
        }
        _ => resolve(file.clone())?,
    };
    match cli.command {
        // These have been seen to above.
        Command::Run(_)
        | Command::Schema { .. }
        | Command::Doctor { .. }
        | Command::Mark(_)
        | Command::Top(_)
        | Command::Bench { .. }
        | Command::Config { action: cli::ConfigAction::Check { .. } } => {}
        Command::Config { action: cli::ConfigAction::Show { json } } => {
            config::show(json, &options, out)?;
        }
        Command::Daemon => {
            let again = || resolve(file.clone()).map(place::found_out);
            return daemon::run(place::found_out(options), &again);
        }
        Command::Jobs(args) => list_jobs(args, &options, out)?,
        Command::Show(args) => show_job(args, &options, out)?,
        Command::Report(args) => report_jobs(&args, &options, out)?,
        Command::Whatif(args) => what_if(&args, &options, out)?,
        Command::Import { action } => {
            let code = import::run(&action, &place::found_out(options), out)?;
            out.flush().map_err(Failure::of_output)?;
            return Ok(code.into());
        }
        Command::End { job } => end::run(&job, &options)?,
        Command::Sensors(args) => sensors::run(&args, &options, &start::sensor_list, out)?,
        Command::Intensity(args) => intensity::run(&args, &place::found_out(options), out)?,
        Command::Grid { action: cli::GridAction::Check { json } } => {
            grid::check(json, &place::found_out(options), out)?;
        }
        Command::Gpu { action } => gpu::run(action, &options)?,
    }
    out.flush().map_err(Failure::of_output)?;
    Ok(Code::Success.into())
}

/// Lists jobs of the ledger.
fn list_jobs(args: cli::JobsArgs, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let now = clock::wall();
    let limit = u32::try_from(args.limit).unwrap_or(u32::MAX);
    let list = jobs::Options {
        state_directory: options.ledger_to_read(),
        filter: Filter {
            user: args.user,
            project: args.project,
            name: args.name,
            labels: args.label,
            state: args.state.map(cli::StateFilter::state),
            since: args.since.map(|moment| moment.resolve(now)),
            until: args.until.map(|moment| moment.resolve(now)),
            limit: Some(if limit == 0 { u32::MAX } else { limit }),
        },
        format: match (args.json, args.csv) {
            (true, _) => jobs::Format::Json,
            (false, true) => jobs::Format::Csv,
            (false, false) => jobs::Format::Table,
        },
        boot_id: Some(engine::boot_id(&options.roots)).filter(|id| !id.is_empty()),
        time_zone: jiff::tz::TimeZone::system(),
    };
    let figure = |reader: &Reader, job: &JobSummary| settlement::of_listed(reader, job, now);
    Ok(jobs::run(&list, &figure, out)?)
}

/// Shows a job as the daemon knows it, else as the ledger does.
fn show_job(args: cli::ShowArgs, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let style = output_style();
    let accounting = options.accounting.clone();
    let show = show::Options { job: args.job, json: args.json, style, accounting };
    let load = |job: &JobId| load_job(job, options);
    let host = host::gather(&options.roots);
    show::show(&show, &host, load, out).map_err(as_failure)
}

/// Reports jobs of the daemon, the ledger or records' files, or a period.
fn report_jobs(
    args: &cli::ReportArgs,
    options: &Options,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if let Some(since) = args.since {
        let now = clock::wall();
        let since = since.resolve(now);
        return report::period::run(args, since, now, options, output_style(), out);
    }
    let load = |job: &str| {
        if report::is_file(job) {
            let record = report::of_file(Path::new(job))?;
            return Ok(Reported { record, intervals: None });
        }
        let job = job_id(job)?;
        let (found, known) = load_job(&job, options).map_err(as_failure)?;
        let mut record = build(&found, &host::gather(&options.roots), &known);
        account(&mut record, &found, &options.accounting);
        Ok(Reported { record, intervals: Some(found.intervals) })
    };
    report::run(args, output_style(), load, out)
}

fn job_id(text: &str) -> Result<JobId, Failure> {
    text.parse().map_err(|error| Failure::new(Code::Usage, format!("{error}")))
}

/// How a text on standard output looks.
fn output_style() -> Style {
    let colour = io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Style { colour }
}

/// Shows what a job of the daemon, the ledger or a record's file would have emitted.
fn what_if(args: &cli::WhatifArgs, options: &Options, out: &mut dyn Write) -> Result<(), Failure> {
    let base = if report::is_file(&args.job) {
        whatif::Base::of_file(Path::new(&args.job))?
    } else {
        let (report, known) = load_job(&job_id(&args.job)?, options).map_err(as_failure)?;
        whatif::Base::of_report(&report, build(&report, &host::gather(&options.roots), &known))
    };
    whatif::run(args, &base, options, out)
}

/// What an error stands for: a command's own failure, a closed output, or a surprise.
fn as_failure(error: anyhow::Error) -> Failure {
    match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => match error.downcast::<io::Error>() {
            Ok(error) => Failure::of_output(error),
            Err(error) => error.into(),
        },
    }
}

fn load_job(job: &JobId, options: &Options) -> anyhow::Result<(JobReport, Known)> {
    if let Ok(mut client) = connect(options)
        && let Ok(found) = client.show(job)
    {
        return Ok(found);
    }
    let reader = Reader::open(&options.ledger_to_read())?;
    let report = reader.report(job)?.ok_or_else(|| {
        let message = format!("no job `{job}` in the ledger; see `aimeter jobs`");
        Failure::new(Code::UnknownJob, message)
    })?;
    let known = settlement::known(&reader, &report.job, clock::wall())?;
    Ok((report, known))
}

/// One line on standard error. A closed standard error is nobody's failure.
pub fn complain(message: &str) {
    _ = writeln!(io::stderr(), "aimeter: {}", without_error_numbers(message));
}

/// The standard library ends a system's error by its number, such as
/// ` (os error 2)`, which tells a reader nothing beside the words before it.
fn without_error_numbers(message: &str) -> String {
    let mut pieces = message.split(" (os error ");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push_str(
            piece.trim_start_matches(|digit: char| digit.is_ascii_digit()).trim_start_matches(')'),
        );
    }
    text
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

/// The command that the command line names, such as `aimeter grid check`.
fn command_named() -> String {
    let mut command = &cli::command();
    let mut name = command.get_name().to_owned();
    for word in std::env::args_os().skip(1) {
        if let Some(sub) = command.find_subcommand(word) {
            name = format!("{name} {}", sub.get_name());
            command = sub;
        }
    }
    name
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
        None => line.push_str(&format!("; see '{} --help'", command_named())),
    }
    line
}
