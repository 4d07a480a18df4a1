// SPDX-License-Identifier: Apache-2.0
//! `aimeter run`: wraps a command, has it metered, prints what it cost.
//!
//! The job comes first: whatever of aimeter fails, the command runs and its exit
//! code is passed on. Metering is the daemon's where one answers, else our own
//! ([`Meter`]); both give the same report, so the record is the same. Nothing of
//! ours is written to stdout unless `--json -` asks for it.

mod identity;
mod meter;
mod output;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::engine::Settings;
use crate::jobs::{Exit, GpuRequest, JobSpec};
use crate::sensors::Roots;
use crate::wrapper::{self, Launch, Outcome, Running, WrapperError};

use identity::Identity;
use meter::Meter;

/// What `aimeter run` was asked to do, checked.
#[derive(Debug)]
pub struct Options {
    /// The command and its arguments; at least one.
    pub command: Vec<OsString>,
    /// `--name`.
    pub name: Option<String>,
    /// `--project`.
    pub project: Option<String>,
    /// `--label KEY=VALUE`.
    pub labels: Vec<(String, String)>,
    /// `--zone`, known to the shipped table.
    pub zone: Option<String>,
    /// `--pue` in thousandths.
    pub pue_thousandths: Option<u32>,
    /// `--gpus`; `None`: auto.
    pub gpus: Option<GpuRequest>,
    /// `--standalone`: never ask a daemon.
    pub standalone: bool,
    /// The daemon's socket.
    pub socket: PathBuf,
    /// `--sysfs`, `--procfs`.
    pub roots: Roots,
    /// `--nvml-library`.
    pub nvml_library: Option<PathBuf>,
    /// How the engine behaves in standalone mode; its zone and PUE are the config's.
    pub settings: Settings,
    /// `--quiet`: no summary.
    pub quiet: bool,
    /// `--json FILE`; `-`: stdout.
    pub json: Option<PathBuf>,
    /// Whether stderr takes colour.
    pub colour: bool,
}

/// Runs the command and never returns: ends as the command did.
pub fn run(options: Options) -> ! {
    let outcome = match run_metered(&options) {
        Ok(outcome) => outcome.exit,
        Err(error) => {
            eprintln!("aimeter: {error}");
            Exit::Code(error.exit_code())
        }
    };
    wrapper::exit_like(outcome)
}

/// Runs the command with metering around it.
fn run_metered(options: &Options) -> Result<Outcome, WrapperError> {
    let identity = Identity::from_environment(|name| std::env::var(name).ok());
    let launch = Launch {
        command: options.command.clone(),
        environment: identity.variables().map(|(k, v)| (k.into(), v.into())).collect(),
    };
    let paused = wrapper::spawn(&launch)?;
    let spec = spec(options, &identity, paused.pid());
    let meter = Meter::start(options, &identity, spec);
    let mut running: Running = match paused.release() {
        Ok(running) => running,
        Err(error) => {
            meter.cancel(Exit::Code(error.exit_code()));
            return Err(error);
        }
    };
    let outcome = running.wait()?;
    let wanted = !options.quiet || options.json.is_some();
    if let Some(finished) = meter.finish(&outcome, wanted) {
        output::show(options, &finished);
    }
    Ok(outcome)
}

/// The job as it will be told to the meter.
fn spec(options: &Options, identity: &Identity, pid: i32) -> JobSpec {
    let command: Vec<String> =
        options.command.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let uid = rustix::process::getuid().as_raw();
    JobSpec {
        id: identity.job.clone(),
        name: options.name.clone().unwrap_or_else(|| default_name(&command)),
        user: identity::user_name(uid),
        uid,
        project: options.project.clone(),
        labels: options.labels.iter().cloned().collect(),
        pid,
        wrapper_pid: rustix::process::getpid().as_raw_nonzero().get(),
        gpus: options.gpus.clone().unwrap_or_else(|| GpuRequest::Auto {
            visible_devices: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
            device_order: std::env::var("CUDA_DEVICE_ORDER").ok(),
        }),
        zone: options.zone.clone(),
        pue_thousandths: options.pue_thousandths,
        parent: identity.inside.clone(),
        reserved_cores: reserved_cores(),
        command,
    }
}

/// The command's file name: `python` of `/usr/bin/python train.py`.
fn default_name(command: &[String]) -> String {
    let first = command.first().map_or("", String::as_str);
    let name = first.rsplit('/').next().unwrap_or(first);
    if name.is_empty() { "job".to_owned() } else { name.to_owned() }
}

/// Cores that the command may run on: its CPU affinity.
fn reserved_cores() -> u32 {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count())
}
