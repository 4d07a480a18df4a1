// SPDX-License-Identifier: Apache-2.0
//! What the daemon does for a request, once the peer's rights are checked.
//!
//! Before anything is done to a job, its owner is looked up; what a request
//! claims about its user is overwritten by what the kernel says.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clock;
use crate::engine::{Command, EngineError, Started};
use crate::jobs::marks::{Count, Mark};
use crate::jobs::{JobId, JobSpec, JobState};
use crate::ledger::{JobReport, JobRow, Told};
use crate::record::Record;
use crate::server::Context;
use crate::server::now::Now;
use crate::server::protocol::{MarkLine, Request, Response};
use crate::server::rights::{Denied, Peer};
use crate::units::{BootTime, Intensity};

/// The longest wait for the engine: an end waits for one counter step.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest name, user or project: they become labels of metrics.
const MAX_NAME: usize = 128;
/// How old a mark may be that says when it was.
const MARK_AGE: Duration = Duration::from_secs(1);
/// The most labels, and the longest of them.
const MAX_LABELS: usize = 64;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0}")]
    Denied(#[from] Denied),
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Invalid(String),
    #[error("the engine did not answer in {ENGINE_TIMEOUT:?}")]
    Timeout,
}

impl Refused {
    /// The protocol's code. `invalid` is a mistake that the user is told of instead of
    /// running the job; whatever else hinders metering must not keep it from running.
    fn code(&self) -> &'static str {
        match self {
            Refused::Invalid(_) | Refused::Engine(EngineError::UnknownGpu(_)) => "invalid",
            Refused::Denied(Denied::NoProcess(_)) => "failed",
            Refused::Denied(_) => "not_permitted",
            Refused::Engine(EngineError::UnknownJob(_)) => "unknown_job",
            Refused::Engine(EngineError::Busy) => "busy",
            Refused::Engine(_) | Refused::Timeout => "failed",
        }
    }
}

/// Does it, and answers.
pub async fn handle(context: &Context, peer: Peer, request: Request) -> Response {
    match perform(context, peer, request).await {
        Ok(response) => response,
        Err(refused) => {
            tracing::debug!(uid = peer.uid, %refused, "refused a request");
            Response::Error { code: refused.code().to_owned(), message: refused.to_string() }
        }
    }
}

async fn perform(context: &Context, peer: Peer, request: Request) -> Result<Response, Refused> {
    peer.may_ask(&request)?;
    match request {
        Request::Hello { .. } => Err(Refused::Invalid("hello was said already".into())),
        Request::Start(spec) => start(context, peer, spec).await,
        Request::Join { job, pid, wrapper_pid } => {
            peer.may_meter(&context.procfs, pid)?;
            peer.may_meter(&context.procfs, wrapper_pid)?;
            owned(context, peer, &job).await?;
            let send = |reply| Command::Join { job: job.clone(), pid, wrapper_pid, reply };
            let started = ask(context, send).await??;
            Ok(answer_started(job, started))
        }
        Request::End { job, pid, exit, at, want_record } => {
            owned(context, peer, &job).await?;
            if !want_record {
                context.engine.try_send(Command::End { job, pid, exit, at, reply: None })?;
                return Ok(Response::Noted);
            }
            let send = |reply| Command::End { job, pid, exit, at, reply: Some(reply) };
            let report = ask(context, send).await??;
            let record = context.grid.record.clone();
            let (report, record) = with_ledger(report, move |report| record(report)).await?;
            tell(context, &report.job, &record);
            Ok(Response::Ended(Box::new(record)))
        }
        Request::Show { job } => {
            let report = owned(context, peer, &job).await?;
            let known = context.grid.known.clone();
            let (report, known) = with_ledger(report, move |report| known(report)).await?;
            Ok(Response::Job { report, known: Box::new(known) })
        }
        Request::Terminate { job } => {
            owned(context, peer, &job).await?;
            ask(context, |reply| Command::Terminate { job, by: peer.uid, reply }).await??;
            Ok(Response::Done)
        }
        Request::Mark(line) => mark(context, peer, line),
        Request::Sensors => Ok(Response::Sensors(ask(context, Command::Sensors).await?)),
        Request::Now { job } => {
            let trouble = context.heartbeat.check(clock::now()).err();
            let now = Now::of(&context.engine.snapshot(), trouble, job.as_ref());
            Ok(Response::Now(Box::new(now)))
        }
        Request::GpuRelease => {
            ask(context, Command::GpuRelease).await??;
            Ok(Response::Done)
        }
        Request::GpuReclaim => {
            ask(context, Command::GpuReclaim).await?;
            Ok(Response::Done)
        }
    }
}

/// Takes a mark, by the latest snapshot alone: marks are many, and wait for nobody.
fn mark(context: &Context, peer: Peer, line: MarkLine) -> Result<Response, Refused> {
    let job = line.job.clone();
    let snapshot = context.engine.snapshot();
    let running = snapshot.jobs.iter().find(|view| view.running && view.meta.id == job);
    let uid = running.ok_or_else(|| EngineError::UnknownJob(job.clone()))?.meta.uid;
    peer.may_touch_job_of(uid)?;
    let now = clock::now();
    // The moment is the client's word: of another clock, or of long ago, it is that of now.
    let recent = |at: &BootTime| *at <= now && now.since(*at) <= MARK_AGE;
    let at = line.at.filter(recent).unwrap_or(now);
    let mark = line.mark().map_err(Refused::Invalid)?;
    // A count of nothing asks only whether all before it has been taken.
    if !matches!(mark, Mark::Count(_, count) if count == Count::default()) {
        context.engine.mark(&job, at, mark);
    }
    Ok(Response::Marked(true))
}

async fn start(context: &Context, peer: Peer, mut spec: Box<JobSpec>) -> Result<Response, Refused> {
    peer.may_meter(&context.procfs, spec.pid)?;
    peer.may_meter(&context.procfs, spec.wrapper_pid)?;
    if !peer.is_root() {
        spec.uid = peer.uid;
        spec.user = user_name(peer.uid).await;
    }
    let cut = cut_name(&mut spec.name);
    check_names(&spec)?;
    let job = spec.id.clone();
    let mut started = ask(context, |reply| Command::Start(spec, reply)).await??;
    started.warnings.extend(cut);
    Ok(answer_started(job, started))
}

/// A long name is cut, not refused: it tells jobs apart for people only.
fn cut_name(name: &mut String) -> Option<String> {
    if name.len() <= MAX_NAME {
        return None;
    }
    name.truncate(name.floor_char_boundary(MAX_NAME));
    Some(format!("the job's name was cut after {MAX_NAME} bytes"))
}

/// Refuses identities that would swell metrics and listings; cut, one could
/// become another.
fn check_names(spec: &JobSpec) -> Result<(), Refused> {
    let project = spec.project.as_deref().unwrap_or_default();
    for (what, text) in [("project", project), ("user", &spec.user)] {
        if text.len() > MAX_NAME {
            let found = text.len();
            return Err(Refused::Invalid(format!(
                "the job's {what} is too long: {found} bytes, at most {MAX_NAME}"
            )));
        }
    }
    let timing = spec
        .timing
        .iter()
        .flat_map(|timing| [&timing.zone, &timing.signal, &timing.boundary, &timing.source]);
    if timing.clone().any(|text| text.len() > MAX_NAME) {
        let message = format!("the choice of its start has a text of more than {MAX_NAME} bytes");
        return Err(Refused::Invalid(message));
    }
    let long = |(key, value): (&String, &String)| key.len().max(value.len()) > 4 * MAX_NAME;
    if spec.labels.len() > MAX_LABELS || spec.labels.iter().any(long) {
        return Err(Refused::Invalid(format!(
            "too many labels, or one that is too long: at most {MAX_LABELS}, of {} bytes",
            4 * MAX_NAME
        )));
    }
    Ok(())
}

fn answer_started(job: JobId, started: Started) -> Response {
    Response::Started { job, at: started.at, warnings: started.warnings }
}

/// The job's report, if the peer may touch the job.
async fn owned(context: &Context, peer: Peer, job: &JobId) -> Result<Box<JobReport>, Refused> {
    let report = ask(context, |reply| Command::Show(job.clone(), reply)).await??;
    peer.may_touch_job_of(report.job.spec.uid)?;
    Ok(report)
}

/// Finds something of a report on another thread, since the disk may be slow.
async fn with_ledger<T: Send + 'static>(
    report: Box<JobReport>,
    find: impl FnOnce(&JobReport) -> T + Send + 'static,
) -> Result<(Box<JobReport>, T), Refused> {
    let found = tokio::task::spawn_blocking(move || {
        let found = find(&report);
        (report, found)
    });
    timeout(ENGINE_TIMEOUT, found).await.ok().and_then(Result::ok).ok_or(Refused::Timeout)
}

/// Has the ledger keep what is told of a job that has ended.
fn tell(context: &Context, job: &JobRow, record: &Record) {
    let emissions = &record.emissions;
    let mean = emissions.intensity.as_ref().map(|intensity| intensity.mean_grams_per_kwh);
    let mean = mean.and_then(Intensity::from_grams_per_kwh);
    if job.state == JobState::Running {
        return;
    }
    if let (Some(grams), Some(mean)) = (emissions.operational_grams, mean) {
        let micrograms = (grams * 1e6).round() as u64;
        let told = Told { at: clock::wall(), micrograms, mean };
        // Were it busy: the settlement's next look tells it.
        let _ = context.engine.try_send(Command::Tell { job: job.key, told });
    }
}

/// Sends a command and waits, within bounds, for its answer.
async fn ask<T>(
    context: &Context,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, Refused> {
    let (reply, answer) = oneshot::channel();
    context.engine.try_send(command(reply))?;
    match timeout(ENGINE_TIMEOUT, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(EngineError::Stopped.into()),
        Err(_) => Err(Refused::Timeout),
    }
}

/// The user's name, else the uid in digits. The name service may be a network
/// away, so it is asked on another thread and not for long.
async fn user_name(uid: u32) -> String {
    let look_up = tokio::task::spawn_blocking(move || {
        nix::unistd::User::from_uid(uid.into()).ok().flatten().map(|user| user.name)
    });
    match timeout(Duration::from_millis(100), look_up).await {
        Ok(Ok(Some(name))) => name,
        _ => uid.to_string(),
    }
}
