// SPDX-License-Identifier: Apache-2.0
//! Jobs: what the user accounts for, and what ties a job to energy.
//!
//! A job claims CPU time (its cgroup, or its process tree) and GPUs. This room
//! knows processes and cgroups; it knows nothing of energy.

pub mod cgroup;
pub mod cpu;
pub mod gpus;
pub mod marks;
pub mod processes;
pub mod timing;
pub mod tree;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::BootTime;

pub use timing::Timing;

/// A job's id: a ULID of ours, or what the user set as `AIMETER_JOB_ID`:
/// 1 to 64 characters of `A-Z a-z 0-9 . _ -`, not starting with a dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

/// A text that cannot be a job id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no job id: it takes 1 to 64 characters of A-Z a-z 0-9 . _ - and no leading dot")]
pub struct InvalidJobId(pub String);

impl JobId {
    /// A new id, sortable by time.
    pub fn generate() -> Self {
        JobId(ulid::Ulid::generate().to_string())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidJobId;

    fn try_from(text: String) -> Result<Self, InvalidJobId> {
        let fits = (1..=64).contains(&text.len())
            && !text.starts_with('.')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if fits { Ok(JobId(text)) } else { Err(InvalidJobId(text)) }
    }
}

impl std::str::FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        text.to_owned().try_into()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> String {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Which GPUs the user says the job holds (`--gpus`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GpuRequest {
    /// By `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER` as the job will see
    /// them; all GPUs are visible where the first is `None`.
    Auto {
        /// `CUDA_VISIBLE_DEVICES`; `None`: unset.
        visible_devices: Option<String>,
        /// `CUDA_DEVICE_ORDER`; `None`: unset.
        device_order: Option<String>,
    },
    /// Every GPU of the host.
    All,
    /// None.
    #[default]
    None,
    /// These: NVML indices, GPU UUIDs, or MIG UUIDs.
    List(Vec<String>),
}

/// What is known of a job when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Its id.
    pub id: JobId,
    /// `--name`, else the command's file name.
    pub name: String,
    /// The user's name, else the uid in digits.
    pub user: String,
    /// The user's id.
    pub uid: u32,
    /// `--project`.
    pub project: Option<String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// The command line. Kept in the ledger and the record, never in metrics.
    pub command: Vec<String>,
    /// The command's process: the root of the job.
    pub pid: i32,
    /// The wrapper's process, which reaps the job's orphans.
    pub wrapper_pid: i32,
    /// `--gpus`.
    pub gpus: GpuRequest,
    /// `--zone`; `None`: the daemon's.
    pub zone: Option<String>,
    /// `--pue`, at least 1.0; `None`: the daemon's. In thousandths, so that it is exact.
    pub pue_thousandths: Option<u32>,
    /// The job inside which this one runs, whose energy includes this one's.
    pub parent: Option<JobId>,
    /// Cores the job may use (its affinity), for the policy `reserved`.
    pub reserved_cores: u32,
    /// How the moment of its start was chosen; `None`: it began when it was told to.
    #[serde(default)]
    pub timing: Option<Box<Timing>>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// Killed by this signal.
    Signal(i32),
    /// It ended and nobody saw how (the wrapper was killed before).
    Unknown,
}

/// The life of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It runs.
    Running,
    /// Its last process has ended.
    Finished,
    /// It was taken up again after a crash and found gone: its end is not known exactly.
    Lost,
}

impl JobState {
    /// The word in records and the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Finished => "finished",
            JobState::Lost => "lost",
        }
    }
}

/// A job's cumulative CPU time at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuReading {
    /// When it was read.
    pub at: BootTime,
    /// Microseconds of CPU time since the job began, all its processes, dead ones too.
    pub used_microseconds: u64,
}

/// The decimal number at the start of `text` and what follows it; `None` where
/// there is no digit or it does not fit. Allocates nothing: it parses the
/// kernel's files in every tick.
pub(crate) fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let number = text[..digits].iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    Some((number, &text[digits..]))
}
