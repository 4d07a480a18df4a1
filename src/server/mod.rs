// SPDX-License-Identifier: Apache-2.0
//! The server: HTTP for scrapers and the control socket for local commands, on
//! one thread with its own small runtime.
//!
//! It never waits for the sampler and the sampler never waits for it: a scrape
//! reads the latest snapshot, a command goes through a queue and its answer is
//! awaited with a bound. A slow or hostile client costs one of a limited number
//! of connections for a limited time, nothing else.

pub mod accept;
pub mod activation;
pub mod bind;
pub mod client;
pub mod control;
pub mod heartbeat;
pub mod http;
pub mod now;
pub mod page;
pub mod protocol;
pub mod rights;
pub mod web;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{oneshot, watch};

use crate::carbon::Known;
use crate::engine::Handle;
use crate::export::prometheus::bounds::Limits;
use crate::ledger::JobReport;
use crate::record::Record;
use crate::settlement::task::Shared;

use accept::{Door, Service};
use bind::Bound;
use heartbeat::Heartbeat;
use web::Web;

/// How long answers under way may take to leave when the server stops.
const GRACE: Duration = Duration::from_millis(250);

/// Makes the public record of a report. May read the ledger.
pub type RecordOf = Arc<dyn Fn(&JobReport) -> Record + Send + Sync>;

/// Finds what is known of a job's grid. May read the ledger.
pub type KnownOf = Arc<dyn Fn(&JobReport) -> Known + Send + Sync>;

/// What needs facts of the grid.
#[derive(Clone)]
pub struct Grid {
    /// Makes records.
    pub record: RecordOf,
    /// Finds what is known of a job's grid.
    pub known: KnownOf,
}

/// What the server serves.
#[derive(Clone)]
pub struct Context {
    /// The engine.
    pub engine: Handle,
    /// Whether the sampler lives, as the daemon sees it.
    pub heartbeat: Arc<Heartbeat>,
    /// Makes records, and finds what they are made with.
    pub grid: Grid,
    /// The settled view of emissions.
    pub settlement: Shared,
    /// Where processes' owners are looked up.
    pub procfs: PathBuf,
    /// TLS and basic auth of HTTP, where there is a web file.
    pub web: Option<Arc<Web>>,
    /// How many series the metrics may have.
    pub limits: Arc<ArcSwap<Limits>>,
    /// For the live page; `None`: there is none.
    pub page: Option<page::Sources>,
}

/// The running server.
pub struct Server {
    /// The HTTP addresses, with the ports that were really taken.
    pub addresses: Vec<SocketAddr>,
    /// All places that HTTP is served on: `IP:PORT` or `unix:PATH`.
    pub places: Vec<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves what was bound, on a thread of its own.
    ///
    /// # Errors
    /// Where the system gives no thread or no event queue.
    pub fn start(bound: Bound, context: Context) -> io::Result<Server> {
        let addresses = bound.addresses();
        let places = bound.listeners.iter().map(bind::Listener::place).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("server".into()).spawn(move || {
            let result = runtime.block_on(serve(bound, context, stopped));
            if let Err(error) = result {
                tracing::error!(%error, "the server ended");
            }
            // Look-ups of names may hang in the name service; nobody waits for them.
            runtime.shutdown_background();
        })?;
        Ok(Server { addresses, places, stop: Some(stop), thread: Some(thread) })
    }

    /// Whether it has ended without being asked.
    pub fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Takes no more connections, lets answers under way leave, ends.
    pub fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its own message; there is nothing to add.
            _ = thread.join();
        }
    }
}

async fn serve(bound: Bound, context: Context, stopped: oneshot::Receiver<()>) -> io::Result<()> {
    let (stopping, stop) = watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    let service = Service { pages: http::pages(&context), web: context.web.clone() };
    for listener in bound.listeners {
        tasks.spawn(accept::serve(Door::new(listener)?, service.clone(), stop.clone()));
    }
    if let Some(socket) = bound.socket {
        let listener = tokio::net::UnixListener::from_std(socket.listener.try_clone()?)?;
        tasks.spawn(async move {
            control::serve(listener, context, stop).await;
            drop(socket);
        });
    }
    // The sender is never used, only dropped: that is the sign.
    _ = stopped.await;
    stopping.send_replace(true);
    let all = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::warn!("some connections were cut: they did not end in {GRACE:?}");
    }
    Ok(())
}
