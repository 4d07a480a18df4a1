// SPDX-License-Identifier: Apache-2.0
//! A part of a campaign as a job of its own: `aimeter run` of this executable.
//!
//! The job is in a process group of its own and without the terminal, so that Ctrl-C
//! reaches the campaign alone, which then ends the job and waits for it. What the work
//! writes goes to a file of the campaign's folder.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::signals;
use crate::clock;
use crate::record::{Record, read};

/// Time between two looks at the machine.
const LOOK: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// How long a job has to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Variables that are meant for another `aimeter run` than this one.
const NOT_OURS: [&str; 8] = [
    "AIMETER_NAME",
    "AIMETER_GPUS",
    "AIMETER_JSON",
    "AIMETER_PROGRESS",
    "AIMETER_WHEN",
    "AIMETER_WITHIN",
    "AIMETER_NEEDS",
    "AIMETER_JOB_ID",
];

/// A job to be run.
pub struct Job<'a> {
    /// Its name.
    pub name: String,
    /// Its label `benchmark`.
    pub campaign: &'a str,
    /// As `aimeter run --gpus` takes them.
    pub gpus: &'a str,
    /// What runs in it.
    pub command: Vec<OsString>,
    /// Where.
    pub directory: &'a Path,
    /// Variables that are added.
    pub environment: &'a [(OsString, OsString)],
    /// Where its record goes.
    pub record: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
}

/// Why there is no record of a job.
#[derive(Debug, thiserror::Error)]
pub enum NoRecord {
    /// A signal asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// The job failed.
    #[error("{0}")]
    Failed(String),
}

impl Job<'_> {
    /// Runs it to its end; `look` is called about once a second with its process's id.
    ///
    /// # Errors
    /// Where it could not be run, failed, or was interrupted.
    pub fn run(&self, look: &mut dyn FnMut(i32)) -> Result<Record, NoRecord> {
        let failed = |what: String| NoRecord::Failed(format!("{}: {what}", self.name));
        // What lies there is of an interrupted try.
        let _ = std::fs::remove_file(&self.record);
        let mut child =
            self.start().map_err(|error| failed(format!("cannot start it: {error}")))?;
        let status = wait(&mut child, look).map_err(|error| failed(error.to_string()))?;
        if signals::came().is_some() {
            return Err(NoRecord::Interrupted);
        }
        if !status.success() {
            return Err(failed(format!("it ended with {status}; {}", last_words(&self.log))));
        }
        let text = std::fs::read_to_string(&self.record);
        let text = text.map_err(|error| {
            failed(format!("it was not metered ({error}); {}", last_words(&self.log)))
        })?;
        read(&text).map_err(|error| failed(format!("its record cannot be read: {error}")))
    }

    fn start(&self) -> std::io::Result<Child> {
        let log = File::create(&self.log)?;
        let mut command = Command::new(std::env::current_exe()?);
        let label = format!("benchmark={}", self.campaign);
        command.arg("run").arg("--quiet").arg("--json").arg(&self.record);
        command.args(["--name", &self.name, "--label", &label, "--gpus", self.gpus]);
        command.arg("--").args(&self.command).current_dir(self.directory);
        for name in NOT_OURS {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.process_group(0).spawn()
    }
}

/// Waits for its end; a signal to this process ends it.
fn wait(child: &mut Child, look: &mut dyn FnMut(i32)) -> std::io::Result<std::process::ExitStatus> {
    let pid = Pid::from_child(child);
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let mut asked: Option<crate::units::BootTime> = None;
    loop {
        let mut ready = [PollFd::new(&handle, PollFlags::IN)];
        // A signal ends the wait early.
        let ended = poll(&mut ready, Some(&LOOK)).is_ok_and(|count| count > 0);
        if ended {
            return child.wait();
        }
        match (signals::came(), asked) {
            (None, _) => look(pid.as_raw_nonzero().get()),
            (Some(_), None) => {
                // It may have ended meanwhile.
                let _ = kill_process_group(pid, Signal::TERM);
                asked = Some(clock::now());
            }
            (Some(_), Some(since)) if clock::now().since(since) >= PATIENCE => {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            (Some(_), Some(_)) => {}
        }
    }
}

/// The last line that the work wrote, and where the others are.
fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(4_096)..]).into_owned();
    let last = tail.lines().rev().find(|line| !line.trim().is_empty());
    let said = last.map_or(String::new(), |line| {
        let short: String = crate::record::text::line(line).chars().take(300).collect();
        format!("its last line: {short}; ")
    });
    format!("{said}its output is in {}", log.display())
}

/// A wait as `sleep` takes it.
pub fn sleep(time: Duration) -> Vec<OsString> {
    let seconds = time.as_millis();
    let text = match seconds % 1_000 {
        0 => format!("{}", seconds / 1_000),
        part => format!("{}.{part:03}", seconds / 1_000),
    };
    vec![OsStr::new("sleep").to_owned(), text.into()]
}
