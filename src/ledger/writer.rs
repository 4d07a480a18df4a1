// SPDX-License-Identifier: Apache-2.0
//! The one thread that writes the ledger.
//!
//! The engine hands over a batch a second and is never kept waiting: not by the
//! disk, not by a lock, not by a failure. While writing fails, what is unsaved
//! waits in memory (`ledger::pending`), is tried again with growing pauses, and
//! arrives whole when the cause is gone. Nothing but [`Writer::close`] ends it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::apply::{Applier, CLOSE_ENDED, Refused};
use super::outage::Outages;
use super::pending::Pending;
use super::recover::{self, Recovered};
use super::schema::{self, FILE_NAME, LedgerError, Lock};
use super::{Batch, DomainKey, Event, JobKey, LedgerView};
use crate::clock;
use crate::jobs::JobState;
use crate::units::BootTime;

/// A write that takes longer is a failing one: a disk that does not answer.
const STUCK: Duration = Duration::from_secs(5);

/// How long [`Writer::close`] waits for the last write: milliseconds on a healthy disk,
/// longer on one that is slow, since nothing is lost by waiting.
const CLOSING: Duration = Duration::from_secs(8);

/// Tries of the last write, and the pause between them.
const LAST_TRIES: u32 = 3;
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// The engine's end of the ledger.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

/// What both ends see. The locks are held for moments, never across a write.
#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    /// Something came in, or the end was asked for.
    news: Condvar,
    /// The thread is done.
    done: Condvar,
}

#[derive(Debug, Default)]
struct Inbox {
    pending: Pending,
    /// The writer holds lines that it could not write.
    held: u64,
    /// A write began and has not ended.
    writing_since: Option<BootTime>,
    closing: bool,
    /// How the end went; `Some` once the thread is done.
    ended: Option<Result<(), Unsaved>>,
    view: LedgerView,
}

/// What was lost at the end.
#[derive(Clone, Debug)]
struct Unsaved {
    lines: u64,
    cause: String,
}

impl Shared {
    /// A panic elsewhere leaves plain data behind: go on with it.
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Opens the ledger of a state directory, which must exist, and starts its
    /// thread. `boot_id`: the present boot. `ended_since`: how far back the caller
    /// wants to know of ended jobs.
    ///
    /// A corrupt file is set aside and a new one begun ([`Recovered::set_aside`]).
    ///
    /// # Errors
    /// [`LedgerError::Locked`] where another process writes it,
    /// [`LedgerError::Newer`] where a newer aimeter wrote it, else what failed.
    pub fn open(
        directory: &Path,
        boot_id: &str,
        ended_since: Timestamp,
    ) -> Result<(Writer, Recovered), LedgerError> {
        let lock = Lock::take(directory)?;
        let path = directory.join(FILE_NAME);
        let (connection, recovered) = match open_and_read(&path, ended_since) {
            Err(LedgerError::Database { cause, .. }) if schema::is_corrupt(&cause) => {
                let aside = schema::set_aside(&path)?;
                tracing::error!(
                    %cause, set_aside = %aside.display(),
                    "the ledger is corrupt: it was set aside and a new one begun"
                );
                let (connection, recovered) = open_and_read(&path, ended_since)?;
                (connection, Recovered { set_aside: Some(aside), ..recovered })
            }
            other => other?,
        };
        let shared = Arc::new(Shared::default());
        shared.inbox().view.up = true;
        let state = State {
            shared: Arc::clone(&shared),
            path: path.clone(),
            boot_id: boot_id.to_owned(),
            current: Pending::default(),
            outages: Outages::new(&path),
            known: recovered.running.iter().map(|job| Event::Job(job.row.clone().into())).collect(),
            lock,
        };
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || state.run(connection))
            .map_err(|cause| LedgerError::Open { path: path.clone(), cause })?;
        Ok((Writer { shared, thread: Some(thread), path }, recovered))
    }

    /// Hands over a batch and leaves it empty, with its room kept. Never waits for
    /// the disk; allocates nothing once its buffers have grown to a batch's size.
    pub fn submit(&self, batch: &mut Batch) {
        let mut inbox = self.shared.inbox();
        inbox.pending.absorb(batch);
        drop(inbox);
        self.shared.news.notify_one();
    }

    /// How the ledger does.
    pub fn health(&self) -> LedgerView {
        let inbox = self.shared.inbox();
        let now = clock::now();
        let stuck = inbox.writing_since.is_some_and(|since| now.since(since) > STUCK);
        let up = inbox.view.up && !stuck;
        let waiting = if up { 0 } else { inbox.pending.bookings.len() as u64 };
        LedgerView { up, pending: inbox.held + waiting, ..inbox.view }
    }

    /// Writes what is left, empties the log into the file and ends the thread.
    /// Waits at most 8 s.
    ///
    /// # Errors
    /// [`LedgerError::Unsaved`] with the number of lines that are lost.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), LedgerError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let mut inbox = self.shared.inbox();
        inbox.closing = true;
        self.shared.news.notify_one();
        let (mut inbox, _) = self
            .shared
            .done
            .wait_timeout_while(inbox, CLOSING, |inbox| {
                inbox.ended.is_none() && !thread.is_finished()
            })
            .unwrap_or_else(PoisonError::into_inner);
        let late = || Unsaved {
            lines: 0,
            cause: "the disk does not answer; the last second may be missing".into(),
        };
        let ended = inbox.ended.take().unwrap_or_else(|| Err(late()));
        drop(inbox);
        ended.map_err(|Unsaved { lines, cause }| LedgerError::Unsaved {
            path: self.path.clone(),
            lines,
            cause,
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Err(error) = self.finish() {
            tracing::error!("{error}");
        }
    }
}

/// Opens the file, reads what a restart needs and closes the lines of ended jobs.
fn open_and_read(
    path: &Path,
    ended_since: Timestamp,
) -> Result<(Connection, Recovered), LedgerError> {
    let connection = schema::open_for_writing(path)?;
    let read = || -> rusqlite::Result<Recovered> {
        for sql in CLOSE_ENDED {
            connection.execute(sql, [])?;
        }
        recover::read(&connection, ended_since)
    };
    let recovered = match read() {
        // A full disk must not keep the daemon from its books: read without tidying.
        Err(cause) if !schema::is_corrupt(&cause) => recover::read(&connection, ended_since),
        other => other,
    };
    match recovered {
        Ok(recovered) => Ok((connection, recovered)),
        Err(cause) => Err(LedgerError::Database { path: path.to_owned(), cause }),
    }
}

/// What the thread owns.
struct State {
    shared: Arc<Shared>,
    path: PathBuf,
    boot_id: String,
    /// Taken from the inbox and not yet written.
    current: Pending,
    outages: Outages,
    /// The rows that a new file would need if this one turned out corrupt.
    known: Vec<Event>,
    lock: Lock,
}

/// Why a connection is no longer served.
enum End {
    Closed(Result<(), Unsaved>),
    Again,
    Corrupt(rusqlite::Error),
}

impl State {
    fn run(mut self, mut connection: Connection) {
        let ended = loop {
            match self.serve(&connection) {
                End::Closed(ended) => {
                    drop(connection);
                    break ended;
                }
                End::Again => {}
                End::Corrupt(cause) => {
                    drop(connection);
                    match self.begin_anew(cause) {
                        Ok(fresh) => connection = fresh,
                        Err(error) => break self.give_up(error),
                    }
                }
            }
        };
        // All is let go before the end is told: who closes may open at once.
        let State { shared, lock, .. } = self;
        drop(lock);
        let mut inbox = shared.inbox();
        inbox.ended = Some(ended);
        inbox.view.up = false;
        drop(inbox);
        shared.done.notify_all();
    }

    /// Writes batches until the end is asked for or the file is found corrupt.
    fn serve(&mut self, connection: &Connection) -> End {
        let mut applier = match Applier::new(connection, &self.boot_id) {
            Ok(applier) => applier,
            Err(cause) if schema::is_corrupt(&cause) => return End::Corrupt(cause),
            Err(cause) => return self.try_later(cause),
        };
        loop {
            let closing = self.wait();
            if closing {
                let ended = self.last_write(&mut applier);
                drop(applier);
                // Not needed for safety: only a shorter start, and a file in one
                // piece. So a reader is not waited for.
                let _ = connection.busy_timeout(Duration::ZERO);
                let _ = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
                return End::Closed(ended);
            }
            if let Err(cause) = self.write(&mut applier)
                && schema::is_corrupt(&cause)
            {
                return End::Corrupt(cause);
            }
        }
    }

    /// The file could not even be prepared for: waits until it may be tried again.
    fn try_later(&mut self, cause: rusqlite::Error) -> End {
        self.failed(&cause);
        if self.wait() { End::Closed(Err(self.unsaved(&cause))) } else { End::Again }
    }

    /// Waits for something to write, or out the pause of an outage. `true`: end.
    fn wait(&mut self) -> bool {
        let mut inbox = self.shared.inbox();
        loop {
            if inbox.closing {
                break;
            }
            let pause = self.outages.pause();
            let has_work = !inbox.pending.is_empty() || !self.current.is_empty();
            inbox = match (has_work, pause.is_zero()) {
                (true, true) => break,
                (true, false) => {
                    let woken = self.shared.news.wait_timeout(inbox, pause);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                (false, _) => self.shared.news.wait(inbox).unwrap_or_else(PoisonError::into_inner),
            };
        }
        if self.current.is_empty() {
            std::mem::swap(&mut self.current, &mut inbox.pending);
        } else {
            self.current.absorb_later(&mut inbox.pending);
        }
        inbox.closing
    }

    /// One try to write what is current.
    fn write(&mut self, applier: &mut Applier<'_>) -> rusqlite::Result<()> {
        self.shared.inbox().writing_since = Some(clock::now());
        match applier.write(&self.current) {
            Ok(refused) => {
                self.remember();
                self.succeeded(&refused);
                Ok(())
            }
            Err(cause) => {
                self.failed(&cause);
                Err(cause)
            }
        }
    }

    /// Keeps the rows that lines refer to: domains, and jobs that run.
    fn remember(&mut self) {
        for event in self.current.events.drain(..) {
            match &event {
                Event::Domain { key, .. } => {
                    let place = self.known.iter().position(|known| domain_of(known) == Some(*key));
                    replace(&mut self.known, place, event);
                }
                Event::Job(row) => {
                    let place = self.known.iter().position(|known| job_of(known) == Some(row.key));
                    if row.state == JobState::Running {
                        replace(&mut self.known, place, event);
                    } else if let Some(place) = place {
                        self.known.remove(place);
                    }
                }
                _ => {}
            }
        }
    }

    fn succeeded(&mut self, refused: &Refused) {
        let mut inbox = self.shared.inbox();
        inbox.held = 0;
        inbox.writing_since = None;
        inbox.view.up = true;
        inbox.view.errors += refused.rows;
        inbox.view.last_write = Some(clock::wall());
        drop(inbox);
        self.outages.over(self.current.dropped);
        self.outages.refused(refused);
        self.current.clear();
    }

    fn failed(&mut self, cause: &rusqlite::Error) {
        let held = self.current.bookings.len() as u64;
        let mut inbox = self.shared.inbox();
        inbox.held = held;
        inbox.writing_since = None;
        inbox.view.up = false;
        inbox.view.errors += 1;
        drop(inbox);
        self.outages.failed(cause, held, self.current.dropped);
    }

    /// The final write, which no pause and no earlier failure skips.
    fn last_write(&mut self, applier: &mut Applier<'_>) -> Result<(), Unsaved> {
        let mut tries = 1;
        loop {
            if self.current.is_empty() {
                return Ok(());
            }
            match self.write(applier) {
                Ok(()) => return Ok(()),
                Err(_) if tries < LAST_TRIES => std::thread::sleep(LAST_PAUSE),
                Err(cause) => return Err(self.unsaved(&cause)),
            }
            tries += 1;
        }
    }

    fn unsaved(&self, cause: &rusqlite::Error) -> Unsaved {
        Unsaved { lines: self.current.bookings.len() as u64, cause: cause.to_string() }
    }

    /// Sets the corrupt file aside and opens a new one that knows the domains and
    /// the running jobs.
    fn begin_anew(&mut self, cause: rusqlite::Error) -> Result<Connection, LedgerError> {
        let aside = schema::set_aside(&self.path)?;
        let fresh = schema::open_for_writing(&self.path)?;
        tracing::error!(
            %cause, set_aside = %aside.display(),
            "the ledger is corrupt: it was set aside and a new one begun"
        );
        let mut first = Pending::default();
        first.absorb(&mut Batch { events: std::mem::take(&mut self.known), ..Batch::default() });
        first.absorb_later(&mut self.current);
        self.current = first;
        Ok(fresh)
    }

    /// The ledger cannot be had any more: says so and waits for the end.
    fn give_up(&mut self, error: LedgerError) -> Result<(), Unsaved> {
        tracing::error!("{error}; metering goes on, nothing is saved until the next start");
        let mut inbox = self.shared.inbox();
        inbox.view.up = false;
        inbox.view.errors += 1;
        let inbox = self
            .shared
            .news
            .wait_while(inbox, |inbox| !inbox.closing)
            .unwrap_or_else(PoisonError::into_inner);
        let lines = (self.current.bookings.len() + inbox.pending.bookings.len()) as u64;
        Err(Unsaved { lines, cause: error.to_string() })
    }
}

/// Puts an event in the place of an earlier one, so that jobs stay in their order.
fn replace(known: &mut Vec<Event>, place: Option<usize>, event: Event) {
    match place {
        Some(place) => known[place] = event,
        None => known.push(event),
    }
}

fn domain_of(event: &Event) -> Option<DomainKey> {
    if let Event::Domain { key, .. } = event { Some(*key) } else { None }
}

fn job_of(event: &Event) -> Option<JobKey> {
    if let Event::Job(row) = event { Some(row.key) } else { None }
}
