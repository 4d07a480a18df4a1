// SPDX-License-Identifier: Apache-2.0
//! The command line: every subcommand and option.
//!
//! Options that are also settings of the configuration come from
//! `config::keys`, where they are declared once for flag, environment and file.
//! The others stand here. Parsing touches nothing of the system.

mod bench;
mod import;
mod report;
mod top;
mod whatif;
mod when;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, Resettable};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};

use crate::config::keys::{Form, KEYS, Key};
use crate::jobs::timing::Policy;
use crate::jobs::{JobId, JobState};

pub use super::mark::MarkArgs;
pub use bench::{
    BenchCommand, BenchInitArgs, BenchRunArgs, CompareArgs, SignArgs, TableArgs, TableFormat,
    ValidateArgs, WindowArgs, WorkloadArgs,
};
pub use import::{CodecarbonArgs, ImportAction, OutputArgs, SlurmArgs};
pub use report::{ReportArgs, ReportBy, ReportFormat};
pub use top::TopArgs;
pub use whatif::WhatifArgs;
pub use when::check as check_when;

/// Books every joule of a training server to the job that used it.
#[derive(Debug, Parser)]
#[command(name = "aimeter", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// Configuration file [default: /etc/aimeter/aimeter.toml, if it is there]
    #[arg(
        long,
        global = true,
        env = "AIMETER_CONFIG",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a command and account for its energy
    Run(RunArgs),
    /// Meter this machine all the time, keep the books, serve /metrics
    Daemon,
    /// Show live what this machine draws and which jobs use it
    Top(TopArgs),
    /// List jobs and their energy
    Jobs(JobsArgs),
    /// Show one job in full
    Show(ShowArgs),
    /// Report jobs, or all of a period, for a paper, a team, a model card or another tool
    Report(ReportArgs),
    /// Benchmark the carbon intensity of a workload
    Bench {
        /// What to do.
        #[command(subcommand)]
        action: BenchCommand,
    },
    /// Read what other tools have counted, as records for reports; the ledger is not touched
    Import {
        /// Whose.
        #[command(subcommand)]
        action: ImportAction,
    },
    /// Print the JSON Schema of a form that aimeter writes
    Schema {
        /// Which form
        #[arg(value_name = "FORM", default_value = "record")]
        form: SchemaForm,
    },
    /// What a job would have emitted elsewhere, at another time, or in a better building
    Whatif(WhatifArgs),
    /// End a running job: SIGTERM to all its processes
    End {
        /// The job's id
        #[arg(value_name = "JOB")]
        job: JobId,
    },
    /// In a job: begin a phase, or count units of work
    Mark(MarkArgs),
    /// List every energy sensor, and why any is missing
    Sensors(SensorsArgs),
    /// Check this machine's set-up, and say how to mend what is wrong
    Doctor {
        /// Print JSON
        #[arg(long, env = "AIMETER_DOCTOR_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
        json: bool,
    },
    /// Show the grid's carbon intensity: now, of a time that is past, or forecast
    Intensity(IntensityArgs),
    /// See to the feeds of carbon intensity
    Grid {
        /// What to do.
        #[command(subcommand)]
        action: GridAction,
    },
    /// Let go of the GPUs for maintenance, or take them up again
    Gpu {
        /// What to do.
        #[command(subcommand)]
        action: GpuAction,
    },
    /// Check the configuration, or show it with where each value comes from
    Config {
        /// What to do.
        #[command(subcommand)]
        action: ConfigAction,
    },
}

/// `aimeter intensity`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  aimeter intensity --zone GB\n  \
    aimeter intensity --from 24h\n  aimeter intensity --forecast --json")]
pub struct IntensityArgs {
    /// The figure of this time, or of this long ago
    #[arg(long, env = "AIMETER_INTENSITY_AT", value_name = "TIME", value_parser = moment, conflicts_with_all = ["from", "forecast"], hide_env_values = true)]
    pub at: Option<Moment>,
    /// Figures from this time, or this long ago, on (2h, 7d, 2026-11-24T09:00Z)
    #[arg(long, env = "AIMETER_INTENSITY_FROM", value_name = "TIME", value_parser = moment, hide_env_values = true)]
    pub from: Option<Moment>,
    /// Figures to before this time [default: now]
    #[arg(long, env = "AIMETER_INTENSITY_TO", value_name = "TIME", value_parser = moment, requires = "from", hide_env_values = true)]
    pub to: Option<Moment>,
    /// Figures of the next hours
    #[arg(long, env = "AIMETER_INTENSITY_FORECAST", conflicts_with = "from", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub forecast: bool,
    /// Print JSON
    #[arg(long, env = "AIMETER_INTENSITY_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
}

/// `aimeter grid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum GridAction {
    /// Ask each feed of the chain once and say what works
    Check {
        /// Print JSON
        #[arg(long, env = "AIMETER_GRID_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
        json: bool,
    },
}

/// `aimeter gpu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum GpuAction {
    /// Close NVIDIA's library, so that a GPU can be reset or its driver unloaded
    Release,
    /// Open it again
    Reclaim,
}

/// `aimeter config`.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum ConfigAction {
    /// Check a file as the daemon would take it, and the web file that it names; touches nothing
    #[command(after_help = "Ends with 0 where the daemon would take it, with 2 where not; the \
        message names file and line. Flags and environment are not looked at.")]
    Check {
        /// The file [default: the one of --config, else /etc/aimeter/aimeter.toml]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show the values that are in force and where each comes from, passwords hidden
    Show {
        /// Print JSON
        #[arg(long, env = "AIMETER_CONFIG_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
        json: bool,
    },
}

/// `aimeter run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  aimeter run -- python train.py\n  \
    aimeter run --when greenest --within 12h --needs 3h -- python train.py\n  \
    aimeter run --project vision --json record.json -- torchrun --nproc-per-node 8 train.py")]
pub struct RunArgs {
    /// Name of the job [default: the command's file name]
    #[arg(long, env = "AIMETER_NAME", value_name = "NAME", hide_env_values = true)]
    pub name: Option<String>,
    /// Project that the job belongs to
    #[arg(
        long,
        env = "AIMETER_PROJECT",
        value_name = "PROJECT",
        value_parser = project,
        hide_env_values = true
    )]
    pub project: Option<String>,
    /// Label of the job; repeatable, in the environment separated by commas
    #[arg(long, env = "AIMETER_LABEL", value_name = "KEY=VALUE", hide_env_values = true)]
    pub label: Vec<String>,
    /// GPUs that the job holds: auto (by CUDA_VISIBLE_DEVICES), all, none, or a list of indices, UUIDs or MIG UUIDs
    #[arg(long, env = "AIMETER_GPUS", value_name = "GPUS", default_value = "auto",
          value_parser = gpu_choice, hide_env_values = true)]
    pub gpus: GpuChoice,
    /// Meter without the daemon, also where there is one
    #[arg(long, env = "AIMETER_STANDALONE", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub standalone: bool,
    /// Print no summary
    #[arg(long, short, env = "AIMETER_QUIET", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub quiet: bool,
    /// While the job runs, show its power, energy, CO2e and time on the terminal, where the job
    /// itself does not write to it; else in the terminal's title
    #[arg(long, env = "AIMETER_PROGRESS", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub progress: bool,
    /// Wait for the best time of the forecast: greenest (least mean carbon intensity). Without a
    /// forecast it starts at once, and says so
    #[arg(long, env = "AIMETER_WHEN", value_name = "POLICY", value_parser = when::policy, hide_env_values = true)]
    pub when: Option<Policy>,
    /// With --when: the hours that the job needs are to lie within this time from now
    #[arg(long, env = "AIMETER_WITHIN", value_name = "TIME", default_value = "12h", value_parser = when::time, hide_env_values = true)]
    pub within: SignedDuration,
    /// With --when: how long the job is expected to run
    #[arg(long, env = "AIMETER_NEEDS", value_name = "TIME", default_value = "1h", value_parser = when::time, hide_env_values = true)]
    pub needs: SignedDuration,
    /// Write the job's record to this file (- for standard output)
    #[arg(long, env = "AIMETER_JSON", value_name = "FILE", hide_env_values = true)]
    pub json: Option<PathBuf>,
    /// The command and its arguments
    // No `allow_hyphen_values`: a misspelt option of ours must not become the command.
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `--gpus`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpuChoice {
    /// As the job will see them.
    Auto,
    /// Every one.
    All,
    /// None.
    None,
    /// These: indices, UUIDs, MIG UUIDs.
    List(Vec<String>),
}

/// `aimeter jobs`.
#[derive(Debug, Args)]
pub struct JobsArgs {
    /// Only jobs of this user
    #[arg(long, env = "AIMETER_JOBS_USER", value_name = "USER", hide_env_values = true)]
    pub user: Option<String>,
    /// Only jobs of this project
    #[arg(long, env = "AIMETER_JOBS_PROJECT", value_name = "PROJECT", hide_env_values = true)]
    pub project: Option<String>,
    /// Only jobs of this name
    #[arg(long, env = "AIMETER_JOBS_NAME", value_name = "NAME", hide_env_values = true)]
    pub name: Option<String>,
    /// Only jobs with this label; repeatable: with all of them
    #[arg(long, env = "AIMETER_JOBS_LABEL", value_name = "KEY=VALUE", value_parser = label, hide_env_values = true)]
    pub label: Vec<(String, String)>,
    /// Only jobs in this state: running, finished, or lost (their end was not seen)
    #[arg(
        long,
        env = "AIMETER_JOBS_STATE",
        value_name = "STATE",
        hide_possible_values = true,
        hide_env_values = true
    )]
    pub state: Option<StateFilter>,
    /// Only jobs that started at or after this time, or this long ago (2h, 7d, 2026-11-24T09:00Z)
    #[arg(long, env = "AIMETER_JOBS_SINCE", value_name = "TIME", value_parser = moment, hide_env_values = true)]
    pub since: Option<Moment>,
    /// Only jobs that started before this time
    #[arg(long, env = "AIMETER_JOBS_UNTIL", value_name = "TIME", value_parser = moment, hide_env_values = true)]
    pub until: Option<Moment>,
    /// At most this many, the newest; 0 for all
    #[arg(
        long,
        env = "AIMETER_JOBS_LIMIT",
        value_name = "N",
        default_value_t = 50,
        hide_env_values = true
    )]
    pub limit: usize,
    /// Print JSON
    #[arg(long, env = "AIMETER_JOBS_JSON", conflicts_with = "csv", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
    /// Print CSV
    #[arg(long, env = "AIMETER_JOBS_CSV", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub csv: bool,
}

/// `--state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateFilter {
    /// It runs.
    Running,
    /// It ended.
    Finished,
    /// Its end was not seen.
    Lost,
}

impl StateFilter {
    /// As the ledger knows it.
    pub fn state(self) -> JobState {
        match self {
            StateFilter::Running => JobState::Running,
            StateFilter::Finished => JobState::Finished,
            StateFilter::Lost => JobState::Lost,
        }
    }
}

/// `aimeter schema`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaForm {
    /// A job's record.
    Record,
    /// A benchmark's record.
    Benchmark,
}

/// `aimeter show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The job's id
    #[arg(value_name = "JOB")]
    pub job: JobId,
    /// Print the job's record as JSON
    #[arg(long, env = "AIMETER_SHOW_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
}

/// `aimeter sensors`.
#[derive(Debug, Args)]
pub struct SensorsArgs {
    /// Print JSON
    #[arg(long, env = "AIMETER_SENSORS_JSON", value_parser = FalseyValueParser::new(), action = ArgAction::SetTrue, hide_env_values = true)]
    pub json: bool,
}

/// A time as a filter takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// This one.
    At(Timestamp),
    /// So long before now.
    Ago(SignedDuration),
}

impl Moment {
    /// As a time; `now` is the clock's.
    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Moment::At(time) => time,
            Moment::Ago(time) => now.checked_sub(time).unwrap_or(Timestamp::MIN),
        }
    }
}

/// The whole command line with the settings' flags.
pub fn command() -> clap::Command {
    let mut command = Cli::command();
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let keys = KEYS.iter().filter(|key| key.commands.contains(&name.as_str()));
        let global = name == "gpu" || name == "grid";
        command = command
            .mut_subcommand(name.clone(), |sub| sub.args(keys.map(|key| flag(key).global(global))));
    }
    // A campaign's jobs get what is said here.
    let run = KEYS.iter().filter(|key| key.commands.contains(&"run")).map(flag);
    command = command
        .mut_subcommand("bench", |sub| sub.mut_subcommand("run", |command| command.args(run)));
    // What the daemon would take, were it started so.
    let daemon = KEYS.iter().filter(|key| key.commands.contains(&"daemon")).map(flag);
    command.mut_subcommand("config", |sub| sub.mut_subcommand("show", |show| show.args(daemon)))
}

/// The flag of a setting.
fn flag(key: &Key) -> Arg {
    let action = if key.form == Form::List { ArgAction::Append } else { ArgAction::Set };
    let help = if key.unset {
        key.help.to_owned()
    } else {
        let default = key.default.trim_matches(['"', '[', ']']).trim_matches('"');
        format!("{} [default: {default}]", key.help)
    };
    Arg::new(key.path())
        .long(key.flag())
        .visible_aliases(key.aliases().iter().copied())
        .env(key.environment)
        .hide_env_values(true)
        .value_name(key.value_name)
        .action(action)
        .help(help)
}

/// The command line without the variables that are empty: an empty variable
/// counts as unset, as is the custom.
pub fn ignore_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(ignore_empty_variables)
}

/// The settings that were given as flags on the subcommand's command line.
/// (The environment is the configuration's business.)
pub fn setting_flags(matches: &ArgMatches) -> Vec<(usize, Vec<String>)> {
    let given = |id: &str| {
        matches.try_contains_id(id).unwrap_or(false)
            && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    KEYS.iter()
        .enumerate()
        .filter(|(_, key)| given(&key.path()))
        .map(|(place, key)| {
            let values = matches.get_many::<String>(&key.path()).into_iter().flatten();
            (place, values.cloned().collect())
        })
        .collect()
}

/// The same settings as the variables that pass them on to a process in another folder.
pub fn setting_variables(flags: &[(usize, Vec<String>)]) -> Vec<(String, String)> {
    let variable = |(place, values): &(usize, Vec<String>)| {
        let key = &KEYS[*place];
        let is_path = matches!(
            (key.section, key.name),
            ("daemon", "socket") | ("sensors", "sysfs" | "procfs" | "nvml_library")
        );
        let value = values.join(",");
        let path = std::path::absolute(&value).ok().filter(|_| is_path);
        let value = path.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or(value);
        (key.environment.to_owned(), value)
    };
    flags.iter().map(variable).collect()
}

/// The job's labels: the flags as they are, the variable split at its commas.
pub fn labels(args: &RunArgs, matches: &ArgMatches) -> Result<Vec<(String, String)>, String> {
    let from_environment = matches.value_source("label") == Some(ValueSource::EnvVariable);
    let split: Vec<&str> = if from_environment {
        args.label.iter().flat_map(|text| text.split(',')).filter(|text| !text.is_empty()).collect()
    } else {
        args.label.iter().map(String::as_str).collect()
    };
    let named = |error| format!("--label: {error}");
    split.into_iter().map(|text| label(text).map_err(named)).collect()
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is no label: write KEY=VALUE")),
    }
}

/// A project becomes a label of metrics; the daemon refuses a longer one.
fn project(text: &str) -> Result<String, String> {
    if text.len() > 128 {
        return Err(format!("it has {} bytes, at most 128 are possible", text.len()));
    }
    Ok(text.to_owned())
}

fn gpu_choice(text: &str) -> Result<GpuChoice, String> {
    match text {
        "auto" => Ok(GpuChoice::Auto),
        "all" => Ok(GpuChoice::All),
        "none" => Ok(GpuChoice::None),
        list => {
            let names: Vec<String> = list.split(',').map(|name| name.trim().to_owned()).collect();
            if names.iter().any(String::is_empty) {
                return Err("write auto, all, none, or a list such as 0,1 or GPU-6f0c".into());
            }
            Ok(GpuChoice::List(names))
        }
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(ago) = text.parse::<jiff::Span>() {
        // Days of 24 hours: a filter, not a calendar.
        if let Ok(ago) = ago.to_duration(jiff::SpanRelativeTo::days_are_24_hours()) {
            return Ok(Moment::Ago(ago.abs()));
        }
    }
    if let Ok(time) = text.parse() {
        return Ok(Moment::At(time));
    }
    let local = text
        .parse::<jiff::civil::DateTime>()
        .ok()
        .and_then(|time| time.to_zoned_datetime(jiff::tz::TimeZone::system()).ok());
    local.map(|time| Moment::At(time.timestamp())).ok_or_else(|| {
        "write a time such as 2026-11-24T09:00Z or 2026-11-24, or how long ago, such as 2h or 7d"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    fn run(line: &[&str]) -> (RunArgs, Vec<(usize, Vec<String>)>) {
        let matches = command().try_get_matches_from(line).unwrap();
        let flags = setting_flags(matches.subcommand().unwrap().1);
        match Cli::from_arg_matches(&matches).unwrap().command {
            Command::Run(args) => (args, flags),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_declaration_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn everything_after_the_command_is_the_commands() {
        let (args, flags) =
            run(&["aimeter", "run", "--name", "a", "python", "--name", "b", "--config", "c", "--"]);
        assert_eq!(args.name.as_deref(), Some("a"));
        assert_eq!(args.command, ["python", "--name", "b", "--config", "c", "--"]);
        assert_eq!(flags, []);
        let (args, _) = run(&["aimeter", "run", "--", "-x", "--help"]);
        assert_eq!(args.command, ["-x", "--help"]);
    }

    #[test]
    fn a_misspelt_option_is_not_the_command() {
        let error = command().try_get_matches_from(["aimeter", "run", "--nmae", "x", "true"]);
        assert_eq!(error.unwrap_err().kind(), clap::error::ErrorKind::UnknownArgument);
    }

    #[test]
    fn settings_are_taken_as_flags() {
        let (_, flags) = run(&["aimeter", "run", "--zone", "GB", "--pue=1.2", "--", "true"]);
        let mut paths: Vec<_> =
            flags.iter().map(|(place, v)| (KEYS[*place].path(), &v[0])).collect();
        paths.sort();
        assert_eq!(paths[0], ("carbon.pue".into(), &"1.2".to_owned()));
        assert_eq!(paths[1], ("carbon.zone".into(), &"GB".to_owned()));
    }

    #[test]
    fn gpus_are_a_word_or_a_list() {
        assert_eq!(gpu_choice("none"), Ok(GpuChoice::None));
        assert_eq!(gpu_choice("0, GPU-a"), Ok(GpuChoice::List(vec!["0".into(), "GPU-a".into()])));
        assert!(gpu_choice("0,,1").is_err());
        assert!(gpu_choice("").is_err());
    }

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now: Timestamp = "2026-11-24T09:00:00Z".parse().unwrap();
        let check = |text: &str, time: &str| {
            let expected: Timestamp = time.parse().unwrap();
            assert_eq!(moment(text).unwrap().resolve(now), expected, "{text}");
        };
        check("2h", "2026-11-24T07:00:00Z");
        check("7d", "2026-11-17T09:00:00Z");
        check("2026-11-20T01:02:03Z", "2026-11-20T01:02:03Z");
        assert!(moment("2026-11-20").is_ok());
        assert!(moment("yesterday").is_err());
    }

    #[test]
    fn every_option_has_help_and_an_environment_name() {
        for sub in command().get_subcommands() {
            for arg in sub.get_arguments().filter(|arg| !arg.is_positional()) {
                assert!(arg.get_help().is_some(), "{} {}", sub.get_name(), arg.get_id());
                let name = arg.get_env().map(|name| name.to_string_lossy().into_owned());
                assert!(
                    name.is_some_and(|name| name.starts_with("AIMETER_")),
                    "{} {}",
                    sub.get_name(),
                    arg.get_id()
                );
            }
        }
    }
}
