// SPDX-License-Identifier: Apache-2.0
//! A job as the engine holds it while it runs.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::jobs::cpu::CpuClaim;
use crate::ledger::books::Slot;
use crate::ledger::{Amount, IntervalEnergy, JobReport, JobRow};
use crate::units::{BootTime, Emissions, Energy, Intensity, Power};

use super::EngineError;
use super::held::Hold;
use super::snapshot::{ByKind, JobMeta};
use super::work::Work;

/// Who waits for a report.
pub(super) type ReportReply = oneshot::Sender<Result<Box<JobReport>, EngineError>>;

/// A main process with what it brought along.
#[derive(Debug)]
pub(super) struct Member {
    pub pid: i32,
    pub wrapper_pid: i32,
    /// Whether its main process has ended.
    pub ended: bool,
    /// `None`: its processes are in the first member's cgroup.
    pub claim: Option<CpuClaim>,
}

/// Where a job is in its life.
#[derive(Debug)]
pub(super) enum Phase {
    /// Its processes run.
    Running,
    /// Its last process has ended; readings of that moment are awaited.
    Ending {
        /// GPUs whose reading is awaited.
        waiting: Vec<usize>,
        /// When we stop waiting.
        deadline: BootTime,
    },
}

/// A running job.
#[derive(Debug)]
pub(super) struct Job {
    pub row: JobRow,
    pub meta: Arc<JobMeta>,
    pub slot: Slot,
    pub parent: Option<Slot>,
    pub members: Vec<Member>,
    pub phase: Phase,
    pub replies: Vec<ReportReply>,
    /// CPU time so far, nested jobs included.
    pub cpu_used: u64,
    /// What of it was used in the present tick, nested jobs included.
    pub cpu_delta: u64,
    pub intensity: Intensity,
    pub pue_thousandths: u32,
    pub user: usize,
    pub project: Option<usize>,
    /// By domain, nested jobs included.
    pub inclusive: Vec<Amount>,
    /// By domain: its total when the job began, and what it moved once the job ended.
    pub before: Vec<Option<Energy>>,
    pub moved: Vec<Option<Energy>>,
    /// Counted energy by kind, the node's apart; nested jobs included.
    pub energy: ByKind,
    pub node: Energy,
    pub emissions: Emissions,
    /// Of making the hardware that it held, nested jobs included.
    pub embodied: Emissions,
    /// What it held, nested jobs included, and itself alone.
    pub held: Hold,
    pub held_own: Hold,
    /// By counted domain: energy since the last look at power, and the power seen then.
    pub since_power: Vec<Energy>,
    pub powers: Vec<Power>,
    pub power: Power,
    /// Closed pieces of counted energy, nested jobs included.
    pub pieces: Vec<IntervalEnergy>,
    /// The open piece: own energy only.
    pub piece: Option<IntervalEnergy>,
    pub notes: Vec<String>,
    /// Its phases and units of work; `None`: it has marked none.
    pub work: Option<Box<Work>>,
    /// Looks since all its processes were seen gone without its wrapper saying so.
    pub gone_looks: u32,
    /// Whether it was taken up from the ledger after a restart.
    pub resumed: bool,
    /// It ended while the daemon was away: after the first, before the second.
    pub ended_between: Option<(BootTime, BootTime)>,
}

impl Job {
    /// Adds a domain that appeared while the job runs.
    pub fn resize(&mut self, domains: usize) {
        self.inclusive.resize(domains, Amount::default());
        self.before.resize(domains, None);
        self.moved.resize(domains, None);
        self.since_power.resize(domains, Energy::ZERO);
        self.powers.resize(domains, Power::ZERO);
    }

    /// Cores that it keeps from others; none once its processes have ended.
    pub fn reserved_cores(&self) -> u32 {
        if self.ending() { 0 } else { self.row.spec.reserved_cores }
    }

    /// Whether its end is being read.
    pub fn ending(&self) -> bool {
        matches!(self.phase, Phase::Ending { .. })
    }
}
