// SPDX-License-Identifier: Apache-2.0
//! The thread that keeps the settled view fresh, beside the engine and the server.
//!
//! It reads the ledger as any reader does and publishes what it found; a scrape takes
//! the latest and never waits for it. It rests so much longer than it works that it
//! takes no job's time, and the system runs it after everything else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::SignedDuration;

use super::{Settlement, Settler, of_listed};
use crate::clock;
use crate::jobs::JobId;
use crate::ledger::query::Reader;
use crate::ledger::schema::LedgerError;
use crate::ledger::{JobKey, Told};

/// Time between two looks where nothing changed: running jobs go on.
const PERIOD: Duration = Duration::from_secs(60);
/// From a look for a change to the next one: what changed is in memory first, and may
/// have reached the ledger only after the look.
const AFTER_CHANGE: Duration = Duration::from_secs(3);
/// Between two looks for a change.
const NOTICE: Duration = Duration::from_secs(1);
/// The rest after a look, as a multiple of the CPU time that it took: half a percent of a
/// core at most, however busy the machine is.
const REST: u32 = 200;
/// How far back it is looked for ended jobs of which nothing was said.
const UNTOLD: SignedDuration = SignedDuration::from_hours(1);

/// Where the view is published.
pub type Shared = Arc<ArcSwap<Settlement>>;

/// What the thread needs of others.
pub struct Inputs {
    /// The state directory.
    pub directory: PathBuf,
    /// The jobs whose figures are wanted.
    pub shown: Box<dyn Fn() -> Vec<JobId> + Send>,
    /// A number that changes when facts or jobs do.
    pub version: Box<dyn Fn() -> u64 + Send>,
    /// Keeps what was told of a job.
    pub tell: Box<dyn Fn(JobKey, Told) + Send>,
}

/// The running thread; ends when dropped.
pub struct Task {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Task {
    /// Starts it.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(inputs: Inputs, view: Shared) -> std::io::Result<Task> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("settlement".into()).spawn(move || {
            Looker { inputs, view, settler: Settler::default(), failing: false }.run(&stopped)
        })?;
        Ok(Task { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by its own message.
            let _ = thread.join();
        }
    }
}

struct Looker {
    inputs: Inputs,
    view: Shared,
    settler: Settler,
    failing: bool,
}

impl Looker {
    fn run(mut self, stopped: &Receiver<()>) {
        // On Linux a thread's own. Refused or not: it only orders who runs first.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
        let mut seen = None;
        loop {
            let version = (self.inputs.version)();
            let period = if seen.replace(version) == Some(version) { PERIOD } else { AFTER_CHANGE };
            let (began, used) = (clock::now(), clock::thread_cpu());
            match self.look() {
                Ok(()) => self.failing = false,
                Err(error) if !self.failing => {
                    self.failing = true;
                    tracing::warn!("the settled emissions are not brought up to date: {error}");
                }
                Err(_) => {}
            }
            let rest = (clock::thread_cpu().saturating_sub(used) * REST).max(NOTICE);
            let (soon, late) = (began.plus(rest), began.plus(period.max(rest)));
            loop {
                match stopped.recv_timeout(NOTICE) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return,
                }
                let now = clock::now();
                if now >= late || now >= soon && (self.inputs.version)() != version {
                    break;
                }
            }
        }
    }

    fn look(&mut self) -> Result<(), LedgerError> {
        // Opened for the look alone, so that no log is kept from being cut and a file
        // that was begun anew is found.
        let reader = Reader::open(&self.inputs.directory)?;
        let at = clock::wall();
        let shown = (self.inputs.shown)();
        let settlement = self.settler.look(&reader, shown.iter(), at)?;
        self.view.store(Arc::new(settlement));
        for job in reader.untold(at - UNTOLD)? {
            if let Some(told) = of_listed(&reader, &job, at)?.and_then(|figure| figure.told(at)) {
                (self.inputs.tell)(job.row.key, told);
            }
        }
        Ok(())
    }
}
