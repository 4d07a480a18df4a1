// SPDX-License-Identifier: Apache-2.0
//! The engine: one thread that owns the meter, the jobs and the open books.
//!
//! It wires the rooms left of it: readings become deltas, deltas are split over
//! jobs, the splits are booked. The daemon and the standalone `aimeter run` use
//! the same engine. It never waits for the network, a client, the disk or a GPU:
//! commands come by a channel, GPU readings by another, batches leave to the
//! ledger's writer, and readers take the latest [`snapshot::Snapshot`].

mod booking;
mod core;
mod domains;
mod end;
mod gpus;
mod held;
mod inbox;
mod intensity;
mod job;
mod life;
mod phase_edge;
mod publish;
mod pue;
mod recover;
mod remarks;
mod report;
pub mod snapshot;
mod start;
mod work;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use crate::carbon::embodied::EmbodiedSettings;
use crate::carbon::pue::PuePlan;
use crate::grid::facts::FactBook;
use crate::jobs::marks::Mark;
use crate::jobs::{Exit, JobId, JobSpec};
use crate::ledger::{IntensityFact, JobKey, JobReport, Told};
use crate::sensors::DomainId;
use crate::server::protocol::SensorList;
use crate::units::BootTime;

use inbox::Inbox;
use snapshot::Snapshot;

pub use start::{Parts, boot_id, start};

/// Why the engine refused or failed a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No running or recently finished job of that id.
    #[error("no running job `{0}`")]
    UnknownJob(JobId),
    /// The id is taken by a job that is running (join it) or known.
    #[error("a job `{0}` exists already")]
    JobExists(JobId),
    /// The process to be metered is not there.
    #[error("process {0} does not exist")]
    NoProcess(i32),
    /// The user asked for a GPU that is not there.
    #[error("{0}")]
    UnknownGpu(String),
    /// NVML could not be let go of.
    #[error("the GPUs are not released: {0}")]
    GpusHeld(String),
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Stopped,
    /// Its queue of commands is full: it stands still.
    #[error("the engine does not answer; try again")]
    Busy,
}

/// The answer to a start or a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The moment from which energy is the job's.
    pub at: BootTime,
    /// What the user should know at once.
    pub warnings: Vec<String>,
}

/// What can be changed while the engine runs (SIGHUP).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time between readings; 100 ms to 10 s.
    pub period: std::time::Duration,
    /// Length of a booking interval; default 5 minutes.
    pub interval: std::time::Duration,
    /// How long a finished job stays in snapshots.
    pub keep_finished: std::time::Duration,
    /// Who pays for idle CPU energy.
    pub idle_policy: crate::attribution::IdlePolicy,
    /// The zone of jobs that name none; `None`: not set.
    pub zone: Option<String>,
    /// The PUE of jobs that name none.
    pub pue: PuePlan,
    /// What making the hardware emitted.
    pub embodied: EmbodiedSettings,
    /// The facts of intensity at hand; the live counters follow them.
    pub facts: Arc<FactBook>,
    /// How long after its interval a fact is still taken for now.
    pub stale_after: std::time::Duration,
    /// Gain errors of calibrated devices, by domain: ± percent at 95 %.
    pub calibration: Vec<(DomainId, f64)>,
}

/// Who waits until NVML is let go of.
pub type ReleaseReply = oneshot::Sender<Result<(), EngineError>>;

/// What one can ask the engine for.
#[derive(Debug)]
pub enum Command {
    /// Meter a new job; its process has not exec'ed yet.
    Start(Box<JobSpec>, oneshot::Sender<Result<Started, EngineError>>),
    /// One more process of a running job.
    Join {
        /// The job.
        job: JobId,
        /// The new process.
        pid: i32,
        /// Its wrapper.
        wrapper_pid: i32,
        /// The answer.
        reply: oneshot::Sender<Result<Started, EngineError>>,
    },
    /// A main process ended. The job ends with its last process. With `reply`, the
    /// report is sent when the readings of the end are in (at most one counter step).
    End {
        /// The job.
        job: JobId,
        /// The process given at start or join.
        pid: i32,
        /// How.
        exit: Exit,
        /// When.
        at: BootTime,
        /// Who waits for the report.
        reply: Option<oneshot::Sender<Result<Box<JobReport>, EngineError>>>,
    },
    /// The state of a running or recently finished job.
    Show(JobId, oneshot::Sender<Result<Box<JobReport>, EngineError>>),
    /// SIGTERM to the processes of a running job.
    Terminate {
        /// The job.
        job: JobId,
        /// The user who asks, whose own processes are ended; root ends all.
        by: u32,
        /// The answer.
        reply: oneshot::Sender<Result<(), EngineError>>,
    },
    /// Have the ledger keep what was first told of an ended job's emissions.
    Tell {
        /// The job.
        job: JobKey,
        /// What was told.
        told: Told,
    },
    /// The domains.
    Sensors(oneshot::Sender<SensorList>),
    /// Let go of NVML; answered when it is shut down.
    GpuRelease(ReleaseReply),
    /// Take NVML up again.
    GpuReclaim(oneshot::Sender<()>),
    /// Facts of intensity that are new, for the ledger.
    Intensity(Vec<IntensityFact>),
    /// New settings.
    Reload(Box<Settings>),
    /// A GPU thread or a mark has something that should not wait for the next tick.
    Wake,
    /// Book what is open, hand it to the writer, end.
    Stop(oneshot::Sender<()>),
}

/// The engine as others see it. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    commands: SyncSender<Command>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    inbox: Arc<Inbox>,
}

impl Handle {
    /// A handle to whoever takes commands and publishes snapshots.
    pub fn new(commands: SyncSender<Command>, snapshot: Arc<ArcSwap<Snapshot>>) -> Handle {
        Handle { commands, snapshot, inbox: Arc::default() }
    }

    /// Sends a command without ever waiting, for callers that serve others.
    ///
    /// # Errors
    /// [`EngineError::Busy`] where the queue is full, [`EngineError::Stopped`]
    /// where the engine has ended.
    pub fn try_send(&self, command: Command) -> Result<(), EngineError> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => EngineError::Busy,
            TrySendError::Disconnected(_) => EngineError::Stopped,
        })
    }

    /// Hands over what a running job says of itself. Never waits: what comes
    /// faster than the engine looks is summed up meanwhile.
    pub fn mark(&self, job: &JobId, at: BootTime, mark: Mark) {
        if self.inbox.put(job, at, mark) {
            // A full queue needs no wake-up: the engine is awake then.
            let _ = self.commands.try_send(Command::Wake);
        }
    }

    /// The latest snapshot. Never waits for the engine.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Sends a command; the engine takes commands at once, between ticks.
    ///
    /// # Errors
    /// [`EngineError::Stopped`] where the engine has ended.
    pub fn send(&self, command: Command) -> Result<(), EngineError> {
        self.commands.send(command).map_err(|_| EngineError::Stopped)
    }
}
