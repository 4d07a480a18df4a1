// SPDX-License-Identifier: Apache-2.0
//! Who meters the job: the daemon, this process, a fellow rank's process, or nobody.
//!
//! Every wait here is bounded: a daemon that does not answer costs the job a fifth
//! of a second at its start and at most some seconds at its end, never its run.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::oneshot;

use crate::carbon::resources::Accounting;
use crate::clock;
use crate::commands::{settle, start};
use crate::engine::{self, Command, EngineError, Handle, Parts};
use crate::grid::chain::Poll;
use crate::grid::facts::FactBook;
use crate::grid::live::Live;
use crate::jobs::{Exit, JobId, JobSpec};
use crate::record::Record;
use crate::sensors::Roots;
use crate::server::bind::Bound;
use crate::server::client::{Client, ClientError};
use crate::server::heartbeat::Heartbeat;
use crate::server::{Context, Server};
use crate::wrapper::Outcome;

use super::RunOptions;
use super::identity::Identity;
use super::progress::Watch;

/// The most that a job's start waits for the daemon.
const START_WAIT: Duration = Duration::from_secs(2);
/// The most that a job's end waits for its record: some steps of a GPU's counter.
const END_WAIT: Duration = Duration::from_secs(3);
/// Between two tries to reach a daemon at the end, and the least time for one.
const RETRY: Duration = Duration::from_millis(50);
const LEAST_WAIT: Duration = Duration::from_millis(500);
/// The most that a standalone start waits for NVML, whose own initialisation may
/// take seconds without persistence mode.
const NVML_WAIT: Duration = Duration::from_secs(10);

/// Who meters.
pub struct Meter {
    by: By,
    job: JobId,
    pid: i32,
    /// Whether a daemon meters, which may be restarted and come back.
    daemon: bool,
    roots: Roots,
    accounting: Accounting,
    remarks: Vec<String>,
}

enum By {
    /// The daemon, or the rank that meters for all.
    Client { client: Client, member: bool },
    /// This process.
    Own {
        engine: Handle,
        server: Option<Server>,
        facts: Arc<FactBook>,
        /// Asks feeds as long as it is kept.
        live: Option<Live>,
    },
    /// Nobody: the job runs all the same.
    Nobody,
}

/// What was found before the job's process was made, which is told where its marks go.
pub struct Reached {
    /// The daemon, and its socket.
    daemon: Option<(Client, PathBuf)>,
    /// Where this process, or a fellow rank's, serves where there is no daemon.
    own: Option<PathBuf>,
    remarks: Vec<String>,
}

impl Reached {
    /// Looks for a daemon.
    pub fn look(run: &RunOptions, job: &JobId) -> Reached {
        let mut reached = Reached { daemon: None, own: None, remarks: Vec::new() };
        let sockets = if run.args.standalone { Vec::new() } else { run.options.client_sockets() };
        for socket in sockets {
            match Client::connect(&socket) {
                Ok(client) => {
                    // The job may go to another folder.
                    let socket = std::path::absolute(&socket).unwrap_or(socket);
                    reached.daemon = Some((client, socket));
                    break;
                }
                Err(ClientError::Unreachable { .. }) => {}
                Err(error) => reached.remarks.push(error.to_string()),
            }
        }
        if reached.daemon.is_none() {
            reached.own = rank_socket(job);
        }
        reached
    }

    /// The socket for the job's marks.
    pub fn mark_socket(&self) -> Option<&Path> {
        self.daemon.as_ref().map(|(_, path)| path.as_path()).or(self.own.as_deref())
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Finished {
    /// The record; `None`: not wanted, or not to be had.
    pub record: Option<Record>,
    /// What the user should know.
    pub remarks: Vec<String>,
    /// Whether the readings of the job's end are in: whoever meters needs it no more.
    pub read: bool,
}

impl Meter {
    /// Has the job metered from now on. Its process waits meanwhile.
    ///
    /// # Errors
    /// The user's mistake, to be said instead of running the job: a GPU that is not there.
    pub fn start(
        run: &RunOptions,
        identity: &Identity,
        spec: JobSpec,
        reached: Reached,
    ) -> Result<Meter, String> {
        let mut meter = Meter {
            by: By::Nobody,
            job: spec.id.clone(),
            pid: spec.pid,
            daemon: false,
            roots: run.options.roots.clone(),
            accounting: run.options.accounting.clone(),
            remarks: identity.warning.iter().chain(&run.config_problem).cloned().collect(),
        };
        let Reached { daemon, own, remarks } = reached;
        meter.remarks.extend(remarks);
        if let Some((client, _)) = daemon {
            meter.start_with(client, identity, &spec)?;
            if !matches!(meter.by, By::Nobody) {
                meter.daemon = true;
                return Ok(meter);
            }
        }
        // A daemon that refused is no place for ranks to meet.
        let own = own.or_else(|| rank_socket(&meter.job));
        meter.start_own(run, identity, spec, own)?;
        Ok(meter)
    }

    /// Something else that the user should know.
    pub fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    /// Who knows the job's figures while it runs; `None`: nobody, or it is a fellow rank's
    /// to show them.
    pub fn watch(&self) -> Option<Watch> {
        match &self.by {
            By::Client { client, member: false } => {
                Some(Watch::Daemon(client.another(), self.job.clone()))
            }
            By::Own { engine, .. } => Some(Watch::Own(engine.clone(), self.job.clone())),
            By::Client { .. } | By::Nobody => None,
        }
    }

    /// Whether another process meters: the daemon, or a fellow rank.
    pub fn is_daemons(&self) -> bool {
        matches!(self.by, By::Client { .. })
    }

    /// Asks a daemon, or a fellow rank.
    fn start_with(
        &mut self,
        mut client: Client,
        identity: &Identity,
        spec: &JobSpec,
    ) -> Result<(), String> {
        if identity.shared
            && let Ok(started) = client.join(&spec.id, spec.pid, spec.wrapper_pid, START_WAIT)
        {
            self.remarks.extend(started.warnings);
            self.by = By::Client { client, member: true };
            return Ok(());
        }
        let mut started = client.start(spec, START_WAIT);
        if identity.shared && matches!(&started, Err(ClientError::Refused { .. })) {
            // Another rank was first by a moment.
            started = client.join(&spec.id, spec.pid, spec.wrapper_pid, START_WAIT).or(started);
        }
        match started {
            Ok(started) => {
                self.remarks.extend(started.warnings);
                self.by = By::Client { client, member: false };
            }
            Err(ClientError::Refused { code, message }) if code == "invalid" => {
                return Err(message);
            }
            Err(error) => self.remarks.push(format!("{error}; metered without the daemon")),
        }
        Ok(())
    }

    /// Meters in this process and serves the job's marks; of several ranks, the first
    /// serves the others.
    fn start_own(
        &mut self,
        run: &RunOptions,
        identity: &Identity,
        spec: JobSpec,
        socket: Option<PathBuf>,
    ) -> Result<(), String> {
        let ranks = socket.as_deref().filter(|_| identity.shared);
        if let Some(client) = ranks.and_then(|path| Client::connect(path).ok()) {
            self.start_with(client, identity, &spec)?;
            if !matches!(self.by, By::Nobody) {
                return Ok(());
            }
        }
        let facts = Arc::new(FactBook::default());
        let zone = spec.zone.clone();
        let parts = Parts {
            roots: run.options.roots.clone(),
            nvml_library: run.options.nvml_library.clone(),
            settings: start::settings(&run.options, &facts, None),
            ledger: None,
            wait_for_gpus: NVML_WAIT,
            observe: false,
        };
        let engine = match engine::start(parts) {
            Ok(engine) => engine,
            Err(error) => {
                self.remarks.push(format!("cannot start metering: {error}"));
                return Ok(());
            }
        };
        let (reply, started) = oneshot::channel();
        // An engine that has ended answers by dropping the reply.
        let _ = engine.send(Command::Start(Box::new(spec), reply));
        match started.blocking_recv().unwrap_or(Err(EngineError::Stopped)) {
            Ok(started) => self.remarks.extend(started.warnings),
            Err(EngineError::UnknownGpu(what)) => return Err(format!("--gpus: {what}")),
            Err(error) => {
                self.remarks.push(format!("not metered: {error}"));
                return Ok(());
            }
        }
        let server = socket.and_then(|path| serve(&path, &engine, &facts, run));
        // On a thread of its own: the job's start waits for nothing of the network.
        let covered = |zone: &String| !run.options.grid.feeds(zone).is_empty();
        let live = zone
            .filter(|zone| run.options.grid.poll != Poll::Off && covered(zone))
            .and_then(|_| start::live(&run.options, &engine, &facts, &[]));
        self.by = By::Own { engine, server, facts, live };
        Ok(())
    }

    /// The command could not be run after all.
    pub fn cancel(self, exit: Exit) {
        let at = clock::now();
        match self.by {
            By::Client { mut client, .. } => {
                // A daemon that is lost finds out by itself.
                let _ = client.end_quietly(&self.job, self.pid, exit, at);
            }
            By::Own { .. } | By::Nobody => {}
        }
    }

    /// The command has ended: waits for the last readings if the record is wanted.
    pub fn finish(self, outcome: &Outcome, wanted: bool) -> Finished {
        let mut finished = Finished { remarks: self.remarks, ..Finished::default() };
        match self.by {
            By::Client { client, member } => {
                let patience = if self.daemon { END_WAIT } else { Duration::ZERO };
                let end = End { patience, job: &self.job, pid: self.pid, outcome };
                end.tell(client, member, wanted, &mut finished);
            }
            By::Own { engine, server, facts, live } => {
                drop(live);
                let (reply, report) = oneshot::channel();
                let command = Command::End {
                    job: self.job,
                    pid: self.pid,
                    exit: outcome.exit,
                    at: outcome.ended,
                    reply: Some(reply),
                };
                if wanted && engine.send(command).is_ok() {
                    match report.blocking_recv() {
                        Ok(Ok(report)) => {
                            let known = settle::known(&report, &facts, None);
                            let record =
                                settle::record(&report, &self.roots, &known, &self.accounting);
                            finished.record = Some(record);
                        }
                        Ok(Err(error)) => finished.remarks.push(error.to_string()),
                        Err(_) => finished.remarks.push("metering ended early".to_owned()),
                    }
                }
                if let Some(server) = server {
                    server.stop();
                }
            }
            By::Nobody => {}
        }
        finished
    }
}

/// The end of a job as a daemon is told of it.
struct End<'a> {
    /// How long to go on where nobody answers.
    patience: Duration,
    job: &'a JobId,
    pid: i32,
    outcome: &'a Outcome,
}

impl End<'_> {
    fn tell(&self, mut client: Client, member: bool, wanted: bool, finished: &mut Finished) {
        let (exit, at) = (self.outcome.exit, self.outcome.ended);
        // What the command left behind is found below this process: it stays until that
        // was looked at.
        if member || !(wanted || self.outcome.adopted_left) {
            let told = self.insist(|_| client.end_quietly(self.job, self.pid, exit, at));
            if let Err(error) = told {
                finished.remarks.push(error.to_string());
            } else if member {
                finished.remarks.push(format!("part of job {}", self.job));
            }
            return;
        }
        match self.insist(|wait| client.end(self.job, self.pid, exit, at, wait)) {
            Ok(record) => {
                finished.read = true;
                finished.record = wanted.then_some(record);
            }
            Err(error) => finished.remarks.push(format!(
                "{error}; once it runs again, the job's energy is in its ledger: aimeter show {}",
                self.job
            )),
        }
    }

    /// Asks until there is an answer or the time is over: a daemon that is being
    /// started anew takes the job up, one that is busy is so for a moment.
    fn insist<T>(
        &self,
        mut ask: impl FnMut(Duration) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = clock::now().plus(self.patience);
        loop {
            let left = deadline.since(clock::now());
            match ask(left.max(LEAST_WAIT)) {
                Err(error) if error.passes() && !left.is_zero() => {
                    std::thread::sleep(RETRY.min(left));
                }
                answer => return answer,
            }
        }
    }
}

/// Where the first of several ranks without a daemon meters for all; `None` where
/// somebody else could stand there.
fn rank_socket(job: &JobId) -> Option<PathBuf> {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(
        || std::env::temp_dir().join(format!("aimeter-{}", rustix::process::getuid().as_raw())),
        |folder| PathBuf::from(folder).join("aimeter"),
    );
    // One that cannot be made is seen at the look at it.
    let _ = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    is_own(&folder).then(|| folder.join(format!("job-{job}.sock")))
}

/// Whether a folder is this user's alone to write: in a place for everybody's
/// temporary files anyone may have made it before.
fn is_own(folder: &Path) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|found| {
        let user = rustix::process::getuid().as_raw();
        found.is_dir() && found.uid() == user && found.mode() & 0o002 == 0
    })
}

/// Serves the job's marks and the other ranks; without that, those meter for themselves.
fn serve(path: &Path, engine: &Handle, facts: &Arc<FactBook>, run: &RunOptions) -> Option<Server> {
    let bound = Bound::take(&[], path, None).ok()?;
    let (roots, facts) = (run.options.roots.clone(), Arc::clone(facts));
    let accounting = Arc::new(ArcSwap::from_pointee(run.options.accounting.clone()));
    let context = Context {
        engine: engine.clone(),
        heartbeat: Arc::new(Heartbeat::default()),
        grid: settle::grid_of(roots, facts, None, accounting),
        settlement: Default::default(),
        procfs: run.options.roots.procfs.clone(),
        web: None,
        limits: Arc::default(),
        page: None,
    };
    Server::start(bound, context).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_end_is_told_again_where_the_daemon_was_busy_and_no_other_refusal_is() {
        let (job, exit) = ("j".parse().unwrap(), Exit::Code(0));
        let (adopted_left, usage) = (false, Default::default());
        let outcome = Outcome { exit, ended: clock::now(), adopted_left, usage };
        let end = End { patience: END_WAIT, job: &job, pid: 1, outcome: &outcome };
        let mut codes = vec!["not_permitted", "busy", "busy"];
        let mut ask = |_| -> Result<(), ClientError> {
            let code = codes.pop().unwrap_or_default().to_owned();
            Err(ClientError::Refused { message: code.clone(), code })
        };
        assert_eq!(end.insist(&mut ask).unwrap_err().to_string(), "not_permitted");
        assert!(codes.is_empty());
    }

    #[test]
    fn a_folder_that_others_may_write_or_point_elsewhere_is_not_our_own() {
        let folder = tempfile::tempdir().unwrap();
        assert!(is_own(folder.path()));
        let link = folder.path().join("link");
        symlink(folder.path(), &link).unwrap();
        assert!(!is_own(&link));
        assert!(!is_own(&folder.path().join("none")));
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        assert!(!is_own(folder.path()));
    }
}
