// SPDX-License-Identifier: Apache-2.0
//! HTTP, read-only:
//!
//! - `GET /metrics`: the latest snapshot in Prometheus's text format 0.0.4.
//! - `GET /healthz`: 200 `ok`, or 503 and in words why the sampler stands still.
//! - `GET /`: a small page with links.
//!
//! Connections are few, short-lived and bounded in every direction, so that a
//! slow client holds nothing but its own connection.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::clock;
use crate::export::prometheus::{CONTENT_TYPE, Exporter};

use super::Context;
use super::heartbeat::Heartbeat;

/// Connections at a time; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;
/// Time for a request's head, and between two requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time in which the peer must take what we send, by the kernel's `TCP_USER_TIMEOUT`.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Life of a connection; a scraper opens another.
const LIFETIME: Duration = Duration::from_secs(120);
/// Time for the answer under way when a connection is asked to end.
const GRACE: Duration = Duration::from_millis(200);
/// Header lines of a request.
const MAX_HEADERS: usize = 64;
/// Bytes of a request's head.
const MAX_HEAD: usize = 16 * 1024;

#[derive(Clone)]
struct Pages {
    exporter: Arc<Exporter>,
    heartbeat: Arc<Heartbeat>,
}

/// The pages.
pub fn pages(context: &Context) -> Router {
    let engine = context.engine.clone();
    let state = Pages {
        exporter: Arc::new(Exporter::new(move || engine.snapshot(), context.settlement.clone())),
        heartbeat: context.heartbeat.clone(),
    };
    Router::new()
        .route("/", get(landing))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .fallback(no_page)
        .with_state(state)
}

async fn metrics(State(pages): State<Pages>) -> Response {
    match pages.exporter.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response()
        }
    }
}

async fn healthz(State(pages): State<Pages>) -> Response {
    match pages.heartbeat.check(clock::now()) {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn no_page() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "no such page; there are /, /metrics and /healthz\n")
}

async fn landing() -> Html<&'static str> {
    Html(concat!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>aimeter</title></head>\n",
        "<body>\n<h1>aimeter ",
        env!("CARGO_PKG_VERSION"),
        "</h1>\n<p>Books every joule of this server to the job that used it.</p>\n",
        "<ul>\n<li><a href=\"/metrics\">Metrics</a></li>\n",
        "<li><a href=\"/healthz\">Health</a></li>\n</ul>\n</body>\n</html>\n"
    ))
}

/// Accepts and serves until `stop` turns true.
pub async fn serve(listener: TcpListener, pages: Router, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let (pages, stop) = (pages.clone(), stop.clone());
                tokio::spawn(async move {
                    connection(stream, pages, stop).await;
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of descriptors, mostly: it passes, and asking at once would spin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    drop(listener);
    _ = slots.acquire_many(MAX_CONNECTIONS as u32).await;
}

async fn connection(stream: TcpStream, pages: Router, mut stop: watch::Receiver<bool>) {
    let send_timeout = SEND_TIMEOUT.as_millis() as u32;
    // Without it a client that reads nothing holds its slot for LIFETIME.
    _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, send_timeout);
    _ = stream.set_nodelay(true);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    let service = TowerToHyperService::new(pages);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // How a connection ends is the client's business.
        _ = connection.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => {}
        () = tokio::time::sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    _ = tokio::time::timeout(GRACE, connection).await;
}
