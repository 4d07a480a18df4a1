// SPDX-License-Identifier: Apache-2.0
//! Jobs: the list, one job with its curve, its record to take along.
//!
//! What runs or ended lately comes from the engine, the rest from the ledger, which is
//! read on another thread, by one at a time. Command lines and labels are left out: who
//! reads this is not known.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::clock;
use crate::engine::{Command, EngineError};
use crate::jobs::{JobId, JobState};
use crate::ledger::JobReport;
use crate::ledger::query::{Filter, Reader};
use crate::record::Record;
use crate::record::curve::Stretch;
use crate::units::BootTime;

use super::curve;
use super::view::Job;
use super::{Page, Shared, failure, json, text};

/// The longest wait for the engine.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(5);
/// Jobs of the ledger in the list.
const LISTED: u32 = 25;
/// How long what was read of the ledger serves the next who ask.
const KEPT: Duration = Duration::from_secs(2);

/// The ledger's jobs as they were last read.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Option<(BootTime, Arc<[Job]>)>>);

impl Recent {
    fn get(&self, now: BootTime) -> Option<Arc<[Job]>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(at, _)| now.since(*at) < KEPT).map(|(_, jobs)| Arc::clone(jobs))
    }

    fn put(&self, now: BootTime, jobs: &Arc<[Job]>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((now, Arc::clone(jobs)));
    }
}

#[derive(Debug, Serialize)]
struct List {
    jobs: Vec<Job>,
    /// Why the ledger's jobs are not there; null where they are.
    trouble: Option<String>,
}

#[derive(Debug, Serialize)]
struct One {
    job: Job,
    /// Power over time: the last hour in slots, what is older in the books' intervals.
    power: Vec<Stretch>,
    record: Record,
}

/// Why a job is not shown.
#[derive(Debug, thiserror::Error)]
enum NotShown {
    #[error("no job `{0}` is known here")]
    Unknown(String),
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("the engine did not answer in {ENGINE_TIMEOUT:?}")]
    Timeout,
    #[error("the ledger could not be read; the daemon's log says why")]
    Ledger,
}

impl NotShown {
    fn answer(&self) -> Response {
        let status = match self {
            NotShown::Unknown(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        failure(status, &self.to_string())
    }
}

/// `/api/v1/jobs`: running jobs, and those that ended last.
pub async fn list(State(page): Shared) -> Response {
    let (recent, trouble) = match recent(&page).await {
        Ok(recent) => (recent, None),
        Err(error) => (Arc::from([]), Some(error.to_string())),
    };
    let snapshot = page.engine.snapshot();
    let mut jobs: Vec<Job> = snapshot
        .jobs
        .iter()
        .map(|view| {
            let mut job = Job::of_view(view);
            // The ledger knows which of them were lost.
            let kept = recent.iter().find(|kept| !view.running && kept.id == job.id);
            if let Some(kept) = kept.filter(|kept| kept.state != "running") {
                job.state = kept.state;
            }
            job
        })
        .collect();
    let known = |job: &Job| snapshot.jobs.iter().any(|view| view.meta.id.as_str() == job.id);
    // What the ledger calls running and the engine does not know is about to end.
    let earlier = recent.iter().filter(|job| !known(job) && job.state != "running");
    jobs.extend(earlier.cloned());
    json(text(&List { jobs, trouble }))
}

/// `/api/v1/jobs/ID`.
pub async fn show(State(page): Shared, Path(id): Path<String>) -> Response {
    match one(&page, id).await {
        Ok(one) => json(text(&one)),
        Err(error) => error.answer(),
    }
}

/// `/api/v1/jobs/ID/record`: the record as a file.
pub async fn record(State(page): Shared, Path(id): Path<String>) -> Response {
    let one = match one(&page, id).await {
        Ok(one) => one,
        Err(error) => return error.answer(),
    };
    let mut response = json(serde_json::to_string_pretty(&one.record).unwrap_or_default() + "\n");
    // An id has no character that means something in a header.
    let name = format!("attachment; filename=\"aimeter-{}.json\"", one.job.id);
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

async fn one(page: &Arc<Page>, id: String) -> Result<One, NotShown> {
    let id: JobId = id.parse().map_err(|_| NotShown::Unknown(id))?;
    let _turn = page.turn.acquire().await;
    let report = report(page, &id).await?;
    let make = page.record.clone();
    let made = tokio::task::spawn_blocking(move || {
        let record = make(&report);
        (report, record)
    });
    let (report, mut record) = made.await.map_err(|_| NotShown::Ledger)?;
    record.job.command.clear();
    record.job.labels.clear();
    let snapshot = page.engine.snapshot();
    let view = snapshot.jobs.iter().find(|view| view.running && view.meta.id == id);
    let state = if view.is_some() { JobState::Running } else { report.job.state };
    let watts = view.map(|view| view.power.watts());
    let slots = page.live().history.of_job(id.as_str());
    let power = curve::curve(&report, &slots);
    Ok(One { job: Job::of_record(&record, state, watts), power, record })
}

/// From the engine, else from the ledger.
async fn report(page: &Arc<Page>, id: &JobId) -> Result<Box<JobReport>, NotShown> {
    let (reply, answer) = oneshot::channel();
    page.engine.try_send(Command::Show(id.clone(), reply))?;
    let answer = timeout(ENGINE_TIMEOUT, answer).await.map_err(|_| NotShown::Timeout)?;
    match answer.unwrap_or(Err(EngineError::Stopped)) {
        Ok(report) => return Ok(report),
        Err(EngineError::UnknownJob(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let wanted = id.clone();
    let found = of_ledger(page, move |ledger, _| ledger.report(&wanted)).await?;
    found.flatten().map(Box::new).ok_or_else(|| NotShown::Unknown(id.to_string()))
}

/// The jobs that the ledger has last, newest first, with their emissions.
async fn recent(page: &Arc<Page>) -> Result<Arc<[Job]>, NotShown> {
    let _turn = page.turn.acquire().await;
    let now = clock::now();
    if let Some(kept) = page.recent.get(now) {
        return Ok(kept);
    }
    let read = of_ledger(page, |ledger, page| {
        let jobs = ledger.jobs(&Filter { limit: Some(LISTED), ..Filter::default() })?;
        let with_emissions = |job| {
            let snapshot = page.engine.snapshot();
            let Job { id, .. } = Job::of_summary(&job, None);
            // Those of the snapshot have theirs.
            if snapshot.jobs.iter().any(|view| view.meta.id.as_str() == id) {
                return Ok(Job::of_summary(&job, None));
            }
            let report = ledger.report(&job.row.spec.id)?;
            let grams = report.and_then(|report| (page.record)(&report).emissions.total_grams);
            Ok(Job::of_summary(&job, grams))
        };
        jobs.into_iter().map(with_emissions).collect()
    });
    let jobs: Vec<Job> = read.await?.unwrap_or_default();
    let jobs: Arc<[Job]> = jobs.into();
    page.recent.put(now, &jobs);
    Ok(jobs)
}

/// Reads the ledger on another thread; `None` where none is kept.
async fn of_ledger<T: Send + 'static>(
    page: &Arc<Page>,
    read: impl FnOnce(&Reader, &Page) -> Result<T, crate::ledger::schema::LedgerError> + Send + 'static,
) -> Result<Option<T>, NotShown> {
    let Some(directory) = page.sources.state_dir.clone() else { return Ok(None) };
    let page = Arc::clone(page);
    let task = tokio::task::spawn_blocking(move || {
        Reader::open(&directory).and_then(|ledger| read(&ledger, &page)).map_err(|e| e.to_string())
    });
    let done = task.await.map_err(|error| error.to_string()).and_then(|done| done);
    done.map(Some).map_err(|error| {
        tracing::warn!(%error, "the ledger could not be read for the page");
        NotShown::Ledger
    })
}
