// SPDX-License-Identifier: Apache-2.0
//! `aimeter daemon`: the life of the daemon.
//!
//! The order is a contract: the configuration is checked whole before a port, a
//! file or the socket is touched; what runs is said first in the log; then ports
//! and socket, then the engine, then the server; ready only after the first good
//! tick. One loop on the main thread takes signals and watches the engine's
//! heartbeat, from which READY, the watchdog and `/healthz` follow. At the end
//! the books are written before anything else is waited for.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::oneshot;

use crate::carbon::resources::Accounting;
use crate::clock;
use crate::config::{ConfigError, Options};
use crate::engine::{Command, EngineError, Handle};
use crate::export::prometheus::bounds::Limits;
use crate::grid::facts::FactBook;
use crate::grid::live::Live;
use crate::grid::pue;
use crate::server::bind::Bound;
use crate::server::heartbeat::Heartbeat;
use crate::server::web::Web;
use crate::server::{Context, Server, page};
use crate::settlement::task::Shared;

use super::config;
use super::exit::{Code, Failure};
use super::log::{self, Level};
use super::settle;
use super::start;
use super::systemd::Systemd;

/// The longest wait for the engine's last write; a slow disk may need more than
/// the second that a clean end takes.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two looks at the heartbeat while ready …
const LOOK: Duration = Duration::from_secs(1);
/// … and before.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// Runs until a signal ends it. `again` resolves the configuration anew.
///
/// # Errors
/// What keeps it from starting, or a part that ended without being asked.
pub fn run(
    options: Options,
    again: &dyn Fn() -> Result<Options, ConfigError>,
) -> Result<ExitCode, Failure> {
    // Before any thread: every thread inherits the mask, and signals come here only.
    let signals = Signals::take().context("cannot take signals")?;
    let level = log::start(options.log_level)?;
    say_what_runs(&options);
    let web = options.web_config_file.as_deref().map(config::web_file).transpose()?.map(Arc::new);
    let bound = Bound::take(&options.listen, &options.socket, options.socket_group.as_deref())
        .map_err(anyhow::Error::from)?;
    if !bound.unserved.is_empty() {
        tracing::warn!(
            "the service manager handed sockets over that nobody serves ({}): add \"systemd\", or \
             systemd:NAME for each, to listen",
            bound.unserved.join(", ")
        );
    }
    let running = start::engine(&options).context("cannot start metering")?;
    let heartbeat = Arc::new(Heartbeat::default());
    let view = Shared::default();
    let ledger = running.keeps_ledger.then(|| options.state_dir.clone());
    let context = Context {
        engine: running.engine.clone(),
        heartbeat: heartbeat.clone(),
        grid: settle::grid_of(
            options.roots.clone(),
            running.facts.clone(),
            ledger,
            running.accounting.clone(),
        ),
        settlement: view.clone(),
        procfs: options.roots.procfs.clone(),
        web: web.clone(),
        limits: Arc::new(ArcSwap::from_pointee(options.limits)),
        page: Some(page::Sources {
            state_dir: Some(options.state_dir.clone()),
            facts: Arc::clone(&running.facts),
        }),
    };
    let limits = context.limits.clone();
    let server = Server::start(bound, context).context("cannot start the server")?;
    say_where(&server, web.as_deref());
    tracing::info!("socket {}", options.socket.display());
    let settlement = running
        .keeps_ledger
        .then(|| settle::settlement(&options, &running.engine, &running.facts, view))
        .transpose()
        .context("cannot start the settlement")?;
    let mut daemon = Daemon {
        options,
        level,
        signals,
        heartbeat,
        engine: running.engine,
        facts: running.facts,
        live: running.live,
        pue: running.pue,
        accounting: running.accounting,
        server,
        web,
        limits,
        systemd: Systemd::new(),
        ready: false,
    };
    let result = daemon.watch(again);
    // Before the last write: it reads the ledger.
    drop(settlement);
    let clean = daemon.end();
    match result {
        Ok(()) if clean => Ok(Code::Success.into()),
        Ok(()) => Err(Failure::new(Code::Failed, "the books were not closed in time")),
        Err(failure) => Err(failure),
    }
}

fn say_what_runs(options: &Options) {
    let file = options.file.as_ref().map_or("none".into(), |path| path.display().to_string());
    let version = env!("CARGO_PKG_VERSION");
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    tracing::info!(
        pid = std::process::id(),
        configuration = %file,
        state_dir = %options.state_dir.display(),
        period = ?options.period,
        "aimeter {version} ({build}, {})",
        std::env::consts::ARCH
    );
}

/// Where HTTP is served, and what one should know about it.
fn say_where(server: &Server, web: Option<&Web>) {
    let now = web.map(Web::latest);
    let tls = now.as_ref().is_some_and(|config| config.tls.is_some());
    let scheme = if tls { "https" } else { "http" };
    for place in &server.places {
        match place.strip_prefix("unix:") {
            Some(path) => tracing::info!("listening on unix:{path} ({scheme})"),
            None => tracing::info!("listening on {scheme}://{place}"),
        }
    }
    let passwords = now.is_some_and(|config| config.has_users());
    let open = server.addresses.iter().any(|address| !address.ip().is_loopback());
    if passwords && !tls && open {
        tracing::warn!(
            "passwords go over the network as they are: add tls_server_config to the web file"
        );
    }
}

struct Daemon {
    options: Options,
    level: Level,
    signals: Signals,
    heartbeat: Arc<Heartbeat>,
    engine: Handle,
    facts: Arc<FactBook>,
    live: Option<Live>,
    pue: Option<Arc<pue::Live>>,
    accounting: Arc<ArcSwap<Accounting>>,
    server: Server,
    web: Option<Arc<Web>>,
    limits: Arc<ArcSwap<Limits>>,
    systemd: Systemd,
    ready: bool,
}

impl Daemon {
    /// Until SIGTERM or SIGINT.
    fn watch(&mut self, again: &dyn Fn() -> Result<Options, ConfigError>) -> Result<(), Failure> {
        loop {
            let wait = if self.ready { self.systemd.look().min(LOOK) } else { FIRST_LOOK };
            match self.signals.next(wait) {
                Some(Signal::SIGHUP) => self.reload(again),
                Some(signal) => {
                    tracing::info!("{signal}: closing the books");
                    return Ok(());
                }
                None => {}
            }
            self.look_at_heartbeat();
            if self.server.is_dead() {
                return Err(Failure::new(Code::Failed, "the server ended without being asked"));
            }
        }
    }

    fn look_at_heartbeat(&mut self) {
        let snapshot = self.engine.snapshot();
        let moved = self.heartbeat.observe(snapshot.ticks, clock::now(), self.options.period);
        if moved && !self.ready {
            self.ready = true;
            self.systemd.ready();
            tracing::info!(domains = snapshot.domains.len(), "ready: metering");
        }
        if moved {
            self.systemd.feed_watchdog();
        }
        if self.ready {
            let health = self.heartbeat.check(clock::now());
            self.systemd.status(&snapshot, health.err());
        }
    }

    fn reload(&mut self, again: &dyn Fn() -> Result<Options, ConfigError>) {
        self.systemd.reloading();
        if let Some(web) = &self.web {
            // It says itself what came of it.
            web.look();
        }
        match again() {
            Err(error) => {
                tracing::error!(
                    "the configuration was not taken up, the earlier one stays: {error}"
                );
            }
            Ok(options) => {
                for key in options.needs_restart(&self.options) {
                    tracing::warn!("{key} changed: restart the daemon for it to take effect");
                }
                self.level.set(options.log_level);
                self.limits.store(Arc::new(options.limits));
                let grid_changed = options.grid != self.options.grid;
                let settings =
                    Box::new(start::settings(&options, &self.facts, self.pue.as_deref()));
                let pue = settings.pue.live.clone();
                match self.engine.try_send(Command::Reload(settings)) {
                    Ok(()) => {
                        tracing::info!("configuration taken up");
                        self.pue = pue;
                        self.accounting.store(Arc::new(options.accounting.clone()));
                        if let Some(live) = self.live.as_ref().filter(|_| grid_changed) {
                            live.set(options.grid.clone());
                        }
                        self.options = self.options.reloaded(options);
                    }
                    Err(error) => tracing::error!("the configuration was not taken up: {error}"),
                }
            }
        }
        if self.ready {
            self.systemd.ready();
        }
    }

    /// Closes the books, then the server; whether the books were closed.
    fn end(self) -> bool {
        self.systemd.stopping();
        drop(self.live);
        let closed = close_books(&self.engine);
        self.server.stop();
        if closed {
            tracing::info!("ended: the books are closed");
        } else {
            tracing::error!(
                "ended without the last write: the engine did not stop in {STOP_TIMEOUT:?}"
            );
        }
        closed
    }
}

/// Asks the engine to end and waits, within bounds, for its last write.
fn close_books(engine: &Handle) -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
        return false;
    };
    let stop = async {
        loop {
            let (reply, closed) = oneshot::channel();
            match engine.try_send(Command::Stop(reply)) {
                Ok(()) => return closed.await.is_ok(),
                // Behind a slow moment: the last write must not be skipped for that.
                Err(EngineError::Busy) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(_) => return false,
            }
        }
    };
    runtime.block_on(async { tokio::time::timeout(STOP_TIMEOUT, stop).await }).unwrap_or(false)
}

/// SIGTERM, SIGINT and SIGHUP as something to wait for.
struct Signals(SignalFd);

impl Signals {
    fn take() -> nix::Result<Signals> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            set.add(signal);
        }
        set.thread_block()?;
        Ok(Signals(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
    }

    /// The next signal, if one comes within `wait`.
    fn next(&self, wait: Duration) -> Option<Signal> {
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        // Interrupted or not: what counts is whether a signal can be read.
        _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&wait));
        let info = self.0.read_signal().ok().flatten()?;
        Signal::try_from(info.ssi_signo as i32).ok()
    }
}
