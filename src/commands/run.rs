// SPDX-License-Identifier: Apache-2.0
//! `aimeter run`: wraps a command, has it metered, prints what it cost.
//!
//! The job comes first: whatever of aimeter fails, the command runs and its exit
//! code is passed on. Metering is the daemon's where one answers, else our own
//! (`run::meter`); both give the same record. Nothing of ours is written to standard
//! output unless `--json -` asks for it.

mod identity;
mod meter;
mod output;
mod progress;
mod when;

use std::os::fd::AsFd;
use std::process::ExitCode;

use super::cli::{GpuChoice, RunArgs};
use super::exit::{Code, Failure};
use super::mark::MARK_SOCKET;
use crate::config::{Options, Origin};
use crate::jobs::cgroup::Cradle;
use crate::jobs::{Exit, GpuRequest, JobSpec, Timing};
use crate::wrapper::{self, Launch, Outcome, WrapperError};

use identity::Identity;
use meter::{Meter, Reached};
use progress::Progress;
use when::Start;

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
pub fn run(run: RunOptions) -> Result<ExitCode, Failure> {
    match metered(&run) {
        Ok(outcome) => wrapper::exit_like(outcome.exit),
        Err(Stopped::Usage(message)) => Err(Failure::new(Code::Usage, message)),
        Err(Stopped::Wrapper(error)) => {
            super::complain(&error.to_string());
            wrapper::exit_like(Exit::Code(error.exit_code()))
        }
    }
}

/// Why no command was run.
enum Stopped {
    /// The user named a GPU that is not there.
    Usage(String),
    /// It could not be run.
    Wrapper(WrapperError),
}

impl From<WrapperError> for Stopped {
    fn from(error: WrapperError) -> Stopped {
        Stopped::Wrapper(error)
    }
}

/// Runs the command with metering around it.
fn metered(run: &RunOptions) -> Result<Outcome, Stopped> {
    let identity = Identity::from_environment(|name| std::env::var(name).ok());
    let mut launch = Launch {
        command: run.args.command.clone(),
        environment: identity.variables().map(|(k, v)| (k.into(), v.into())).collect(),
    };
    let start = match run.args.when {
        Some(policy) => {
            wrapper::look_for(&launch)?;
            when::wait(policy, run, identity.inside.as_ref())
        }
        None => Start::default(),
    };
    let reached = Reached::look(run, &identity.job);
    if let Some(socket) = reached.mark_socket() {
        launch.environment.push((MARK_SOCKET.into(), socket.into()));
    }
    // Ranks share one cgroup, which the first one's meter makes.
    let cradle =
        if identity.shared { None } else { Cradle::make(&run.options.roots, &identity.job).ok() };
    let mut in_use = false;
    let result =
        metered_in(run, &identity, &launch, (start, reached), cradle.as_ref(), &mut in_use);
    // A daemon that has still to read it removes it after that, if it has the right to.
    if let (Some(cradle), false) = (cradle, in_use) {
        cradle.remove();
    }
    result
}

/// The same, the command's process in that cgroup; says whether a daemon still reads it.
fn metered_in(
    run: &RunOptions,
    identity: &Identity,
    launch: &Launch,
    (start, reached): (Start, Reached),
    cradle: Option<&Cradle>,
    in_use: &mut bool,
) -> Result<Outcome, Stopped> {
    let paused = wrapper::spawn(launch, cradle.map(Cradle::as_fd))?;
    let spec = spec(run, identity, paused.pid(), start.timing);
    let mut meter = Meter::start(run, identity, spec, reached).map_err(Stopped::Usage)?;
    start.remark.into_iter().for_each(|remark| meter.remark(remark));
    *in_use = meter.is_daemons();
    let watch = meter.watch().filter(|_| run.args.progress);
    let progress = watch.and_then(|watch| Progress::start(watch, run.args.quiet));
    // A failed exec shows at the wait; `running` holds signals until the record is out.
    let mut running = match paused.release() {
        Ok(running) => running,
        Err(error) => return Err(cancelled(meter, error)),
    };
    let shown = |stops| progress.iter().for_each(|progress| progress.stopping(stops));
    let outcome = match running.wait(&shown) {
        Ok(outcome) => outcome,
        Err(error) => return Err(cancelled(meter, error)),
    };
    drop(progress);
    let wanted = !run.args.quiet || run.args.json.is_some();
    let finished = meter.finish(&outcome, wanted);
    *in_use &= !finished.read;
    output::show(run, finished);
    Ok(outcome)
}

/// Ends the metering of a command that was not run.
fn cancelled(meter: Meter, error: WrapperError) -> Stopped {
    meter.cancel(Exit::Code(error.exit_code()));
    error.into()
}

/// The job as the meter is told of it.
fn spec(run: &RunOptions, identity: &Identity, pid: i32, timing: Option<Timing>) -> JobSpec {
    let command: Vec<String> =
        run.args.command.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let uid = rustix::process::getuid().as_raw();
    let options = &run.options;
    // The daemon has a configuration of its own: only what was set here overrides it.
    let set = |name| !matches!(options.origin("carbon", name), Origin::Default | Origin::File(..));
    let own = run.args.standalone;
    JobSpec {
        id: identity.job.clone(),
        name: run.args.name.clone().unwrap_or_else(|| default_name(&command)),
        user: identity::user_name(uid),
        uid,
        project: run.args.project.clone(),
        labels: run.labels.iter().cloned().collect(),
        pid,
        wrapper_pid: rustix::process::getpid().as_raw_nonzero().get(),
        gpus: gpu_request(&run.args.gpus),
        zone: options.zone.clone().filter(|_| own || set("zone") || set("cloud_region")),
        pue_thousandths: options.pue_thousandths.filter(|_| set("pue")),
        parent: identity.inside.clone(),
        reserved_cores: reserved_cores(),
        timing: timing.map(Box::new),
        command,
    }
}

fn gpu_request(choice: &GpuChoice) -> GpuRequest {
    match choice {
        GpuChoice::Auto => GpuRequest::Auto {
            visible_devices: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
            device_order: std::env::var("CUDA_DEVICE_ORDER").ok(),
        },
        GpuChoice::All => GpuRequest::All,
        GpuChoice::None => GpuRequest::None,
        GpuChoice::List(list) => GpuRequest::List(list.clone()),
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
