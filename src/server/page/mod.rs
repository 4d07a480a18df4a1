// SPDX-License-Identifier: Apache-2.0
//! The page: what the machine draws now and who uses it, for people with a browser, and
//! the JSON behind it (`docs/page.md`).
//!
//! Read-only, and for whoever reaches the port: names, users, projects and figures, as
//! `/metrics` has them; never a command line or a label. It reads the published snapshot
//! and, for jobs that ended earlier, the ledger on another thread; it keeps an hour of
//! power in memory. Nothing is loaded from elsewhere and no script stands in a page, by
//! the strictest policy that a browser knows.

mod assets;
mod curve;
mod events;
mod history;
mod intensity;
mod jobs;
mod live;
mod view;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::engine::Handle;
use crate::grid::facts::FactBook;

use super::heartbeat::Heartbeat;
use super::{Context, RecordOf};
use events::{Listeners, event};
use live::Live;

/// Time between two looks at the snapshot.
const LOOK: Duration = Duration::from_secs(1);

/// Where a browser that was refused or let go comes back after, in milliseconds.
const RETRY: &str = "retry: 2000\n\n";

/// Everything from here, nothing in place, nothing framed, nothing sent.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      frame-ancestors 'none'; form-action 'none'";

/// What the page needs beside what every part of the server has.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Where the ledger is; `None`: none is kept.
    pub state_dir: Option<PathBuf>,
    /// The facts of intensity at hand.
    pub facts: Arc<FactBook>,
}

/// What its handlers share.
struct Page {
    engine: Handle,
    heartbeat: Arc<Heartbeat>,
    record: RecordOf,
    sources: Sources,
    live: Mutex<Live>,
    listeners: Listeners,
    recent: jobs::Recent,
    /// One looks into the ledger at a time.
    turn: Semaphore,
}

/// A page's state as its handlers get it.
type Shared = State<Arc<Page>>;

/// The page's routes; begins to remember. Must be called on the server's runtime.
pub fn routes(context: &Context, sources: Sources) -> Router {
    let page = Arc::new(Page {
        engine: context.engine.clone(),
        heartbeat: context.heartbeat.clone(),
        record: context.grid.record.clone(),
        sources,
        live: Mutex::default(),
        listeners: Listeners::default(),
        recent: jobs::Recent::default(),
        turn: Semaphore::new(1),
    });
    tokio::spawn(follow(Arc::clone(&page)));
    assets::routes()
        .route("/api/v1/now", get(now))
        .route("/api/v1/history", get(history))
        .route("/api/v1/intensity", get(intensity::day))
        .route("/api/v1/jobs", get(jobs::list))
        .route("/api/v1/jobs/{id}", get(jobs::show))
        .route("/api/v1/jobs/{id}/record", get(jobs::record))
        .route("/api/v1/events", get(listen))
        .with_state(page)
        .layer(map_response(guarded))
}

/// Looks at each snapshot, and tells who listens.
async fn follow(page: Arc<Page>) {
    let mut clock = tokio::time::interval(LOOK);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let ended = page.live().observe(&page.engine.snapshot());
        if page.listeners.is_empty() {
            continue;
        }
        let now = clock::now();
        if ended {
            let lines = page.live().history.lines(true);
            page.listeners.tell(now, &event("slot", &text(&view::history(&lines))));
        }
        page.listeners.tell(now, &event("now", &page.now()));
    }
}

impl Page {
    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is drawn now, as JSON on one line.
    fn now(&self) -> String {
        let snapshot = self.engine.snapshot();
        let health = self.heartbeat.check(clock::now()).err();
        text(&view::now(&snapshot, self.live().unattributed_watts(), health))
    }
}

async fn now(State(page): Shared) -> Response {
    json(page.now())
}

async fn history(State(page): Shared) -> Response {
    let lines = page.live().history.lines(false);
    json(text(&view::history(&lines)))
}

async fn listen(State(page): Shared) -> Response {
    let first = [RETRY.as_bytes(), &event("now", &page.now())].concat();
    match page.listeners.join(clock::now(), first.into()) {
        Some(events) => {
            let kind = HeaderValue::from_static("text/event-stream");
            let mut response = Body::new(events).into_response();
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        None => {
            let mut response = failure(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("{} listen already; ask /api/v1/now", events::LISTENERS),
            );
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
            response
        }
    }
}

/// Plain values only, which always can be written.
fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn failure(status: StatusCode, error: &str) -> Response {
    (status, json(text(&serde_json::json!({ "error": error })))).into_response()
}

/// With the headers that keep a browser to what was sent.
async fn guarded(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        // Browsers hold connections in case; scrapers need them.
        (header::CONNECTION, "close"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Figures are of their moment; files say themselves how long they hold.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
