// SPDX-License-Identifier: Apache-2.0
//! The scripted engine and the other users.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command as Process};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aimeter::engine::snapshot::Snapshot;
use aimeter::engine::{Command, EngineError, Handle, Started};
use aimeter::jobs::{GpuRequest, JobId, JobSpec, JobState};
use aimeter::ledger::{JobKey, JobReport, JobRow};
use aimeter::record::*;
use aimeter::server::bind::{Bound, Listen};
use aimeter::server::client::{Client, ClientError};
use aimeter::server::heartbeat::Heartbeat;
use aimeter::server::protocol::SensorList;
use aimeter::server::{Context, Grid, Server};
use aimeter::units::BootTime;
use arc_swap::ArcSwap;

pub const WAIT: Duration = Duration::from_secs(20);
pub const NOBODY: u32 = 65_534;

pub struct Bench {
    _folder: tempfile::TempDir,
    pub socket: PathBuf,
    pub address: SocketAddr,
    pub heartbeat: Arc<Heartbeat>,
    log: Arc<Mutex<Vec<String>>>,
    pub server: Server,
}

impl Bench {
    pub fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let socket = folder.path().join("aimeter.sock");
        let any = Listen::Tcp(([127, 0, 0, 1], 0).into());
        let bound = Bound::take(&[any], &socket, None).unwrap();
        // As a group of which everyone here is a member.
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666)).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let heartbeat = Arc::new(Heartbeat::default());
        let context = Context {
            engine: scripted_engine(log.clone()),
            heartbeat: heartbeat.clone(),
            grid: Grid { record: Arc::new(record_of), known: Arc::new(|_| Default::default()) },
            settlement: Default::default(),
            procfs: "/proc".into(),
            web: None,
            limits: Arc::default(),
            page: Some(aimeter::server::page::Sources::default()),
        };
        let server = Server::start(bound, context).unwrap();
        let address = server.addresses[0];
        Bench { _folder: folder, socket, address, heartbeat, log, server }
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket).unwrap()
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

/// Takes any job, remembers it, and says so.
pub fn scripted_engine(log: Arc<Mutex<Vec<String>>>) -> Handle {
    let (sender, receiver) = sync_channel(256);
    let mut jobs: BTreeMap<JobId, JobSpec> = BTreeMap::new();
    std::thread::spawn(move || {
        for command in receiver {
            let note = |text: String| log.lock().unwrap().push(text);
            match command {
                Command::Start(spec, reply) => {
                    note(format!("start {} of {} {}", spec.id, spec.user, spec.uid));
                    let result = if jobs.contains_key(&spec.id) {
                        Err(EngineError::JobExists(spec.id.clone()))
                    } else {
                        Ok(Started {
                            at: BootTime::from_nanoseconds(7),
                            warnings: vec!["w".into()],
                        })
                    };
                    jobs.insert(spec.id.clone(), *spec);
                    _ = reply.send(result);
                }
                Command::Join { job, pid, reply, .. } => {
                    note(format!("join {job} {pid}"));
                    _ = reply.send(Ok(Started { at: BootTime::default(), warnings: vec![] }));
                }
                Command::End { job, exit, at, reply, .. } => {
                    note(format!("end {job} {exit:?} {}", at.nanoseconds()));
                    if let Some(reply) = reply {
                        _ = reply.send(report(&jobs, job));
                    }
                }
                Command::Show(job, reply) => _ = reply.send(report(&jobs, job)),
                Command::Terminate { job, reply, .. } => {
                    note(format!("terminate {job}"));
                    _ = reply.send(Ok(()));
                }
                Command::Sensors(reply) => _ = reply.send(SensorList::default()),
                Command::GpuRelease(reply) => {
                    note("release".into());
                    _ = reply.send(Ok(()));
                }
                Command::GpuReclaim(reply) => {
                    note("reclaim".into());
                    _ = reply.send(());
                }
                Command::Stop(reply) => _ = reply.send(()),
                Command::Intensity(_)
                | Command::Tell { .. }
                | Command::Reload(_)
                | Command::Wake => {}
            }
        }
    });
    Handle::new(sender, Arc::new(ArcSwap::from_pointee(Snapshot::default())))
}

pub fn report(jobs: &BTreeMap<JobId, JobSpec>, job: JobId) -> Result<Box<JobReport>, EngineError> {
    let spec = jobs.get(&job).ok_or(EngineError::UnknownJob(job))?.clone();
    let row = JobRow {
        key: JobKey(1),
        spec,
        origin: "run".into(),
        state: JobState::Running,
        exit: None,
        started: "2026-11-24T09:00:00Z".parse().unwrap(),
        started_at: BootTime::default(),
        ended: None,
        duration: None,
        boot_id: String::new(),
        claim: None,
        zone: None,
        pue_thousandths: None,
    };
    let (domains, intervals, missing, notes) = (vec![], vec![], vec![], vec![]);
    let (pue, held) = (vec![], Default::default());
    Ok(Box::new(JobReport {
        job: row,
        domains,
        intervals,
        missing,
        notes,
        pue,
        held,
        phases: vec![],
        units: vec![],
    }))
}

pub fn record_of(report: &JobReport) -> Record {
    let spec = &report.job.spec;
    Record {
        schema: SCHEMA.into(),
        job: JobPart {
            id: spec.id.to_string(),
            name: spec.name.clone(),
            user: spec.user.clone(),
            project: None,
            labels: BTreeMap::new(),
            origin: "run".into(),
            command: spec.command.clone(),
            exit_code: None,
            state: "running".into(),
            started_at: String::new(),
            ended_at: None,
            duration_seconds: None,
        },
        host: HostPart::default(),
        energy: EnergyPart {
            total_joules: None,
            uncertainty_joules: None,
            sensor_gain_percent: None,
            provenance: None,
            domains: vec![],
            pue: None,
            facility_joules: None,
        },
        emissions: EmissionsPart {
            total_grams: None,
            operational_grams: None,
            embodied_grams: None,
            embodied: None,
            market_based: None,
            unsettled_grams: None,
            intensity: None,
            timing: None,
            first_told: None,
        },
        phases: vec![],
        work: vec![],
        water: None,
        cost: None,
        quality: QualityPart::default(),
    }
}

pub fn spec(id: &str, pid: i32) -> JobSpec {
    JobSpec {
        id: id.parse().unwrap(),
        name: "train".into(),
        user: "somebody-else".into(),
        uid: 4_711,
        project: None,
        labels: BTreeMap::new(),
        command: vec!["python".into(), "train.py".into()],
        pid,
        wrapper_pid: pid,
        gpus: GpuRequest::All,
        zone: None,
        pue_thousandths: None,
        parent: None,
        reserved_cores: 1,
        timing: None,
    }
}

pub fn own_pid() -> i32 {
    std::process::id() as i32
}

pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root, "only root can speak as another user: run the tests as root");
    root
}

/// A process of another user, ended with the guard.
pub struct Sleeper(Child);

impl Sleeper {
    pub fn of(uid: u32) -> Sleeper {
        Sleeper(Process::new("sleep").arg("600").uid(uid).spawn().unwrap())
    }

    pub fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Runs on a thread that is `nobody`.
pub fn as_nobody<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let nobody = rustix::process::Uid::from_raw(NOBODY);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            run()
        });
        thread.join().unwrap()
    })
}

pub fn code<T: std::fmt::Debug>(result: Result<T, ClientError>) -> String {
    match result.unwrap_err() {
        ClientError::Refused { code, .. } => code,
        other => panic!("{other:?}"),
    }
}
