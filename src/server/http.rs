// SPDX-License-Identifier: Apache-2.0
//! The pages, read-only:
//!
//! - `GET /metrics`: the latest snapshot in Prometheus's text format 0.0.4 or in
//!   OpenMetrics, as the scraper asks, packed with gzip where it takes that.
//! - `GET /healthz`: 200 `ok`, or 503 and in words why the sampler stands still.
//! - `GET /` and what is below `/jobs`, `/static` and `/api`: the live page ([`super::page`]).
//!
//! How connections are held within bounds is in [`super::accept`].

use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::Semaphore;

use crate::clock;
use crate::export::prometheus::Exporter;
use crate::export::prometheus::negotiation::{Format, takes_gzip};

use super::Context;
use super::heartbeat::Heartbeat;
use super::page;
use super::web::guard::guard;

#[derive(Clone)]
struct Pages {
    exporter: Arc<Exporter>,
    heartbeat: Arc<Heartbeat>,
    /// One page of metrics is made at a time.
    turn: Arc<Semaphore>,
}

/// The pages. Must be called on the server's runtime.
pub fn pages(context: &Context) -> Router {
    let (engine, limits) = (context.engine.clone(), context.limits.clone());
    let settlement = context.settlement.clone();
    let exporter = Exporter::within(move || **limits.load(), move || engine.snapshot(), settlement);
    let state = Pages {
        exporter: Arc::new(exporter),
        heartbeat: context.heartbeat.clone(),
        turn: Arc::new(Semaphore::new(1)),
    };
    let live = context.page.clone().map(|sources| page::routes(context, sources));
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .fallback(no_page)
        .with_state(state)
        .merge(live.unwrap_or_default())
        .layer(middleware::from_fn_with_state(context.web.clone(), guard))
}

/// The page is made on another thread: while a long one is written, commands of the
/// control socket are answered.
async fn metrics(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    let format = Format::accepted(&all(&headers, header::ACCEPT));
    let gzip = takes_gzip(&all(&headers, header::ACCEPT_ENCODING));
    let Ok(turn) = pages.turn.acquire_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let made = tokio::task::spawn_blocking(move || {
        let page = page(&pages.exporter, format, gzip);
        drop(turn);
        page
    });
    let page = made.await.map_err(|error| error.to_string()).and_then(|page| page);
    match page {
        Ok(page) => {
            let mut response = page.into_response();
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
            headers.insert(header::VARY, VARY);
            if gzip {
                headers.insert(header::CONTENT_ENCODING, GZIP);
            }
            response
        }
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

const VARY: HeaderValue = HeaderValue::from_static("accept, accept-encoding");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");

fn page(exporter: &Exporter, format: Format, gzip: bool) -> Result<Vec<u8>, String> {
    let page = exporter.page(format).map_err(|error| error.to_string())?;
    if !gzip {
        return Ok(page);
    }
    // The fast level: a page is mostly names that repeat.
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let written = packed.write_all(&page);
    written.and_then(|()| packed.finish()).map_err(|error| error.to_string())
}

/// All values of a header in one text, as if they had been sent so.
fn all(headers: &HeaderMap, name: HeaderName) -> String {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.collect::<Vec<_>>().join(",")
}

async fn healthz(State(pages): State<Pages>) -> Response {
    match pages.heartbeat.check(clock::now()) {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn no_page() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "no such page; there are /, /metrics, /healthz and /api/v1\n")
}
