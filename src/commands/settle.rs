// SPDX-License-Identifier: Apache-2.0
//! Where facts of intensity come from for a record: those at hand, the ledger's, and
//! the shipped table behind both. And the thread that settles a daemon's ledger.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;

use crate::carbon::Known;
use crate::carbon::known::zones_of;
use crate::carbon::resources::Accounting;
use crate::clock;
use crate::config::Options;
use crate::engine::{Command, Handle};
use crate::grid::facts::FactBook;
use crate::grid::poller::KEPT;
use crate::jobs::JobId;
use crate::ledger::query::Reader;
use crate::ledger::{IntensityFact, JobReport};
use crate::record::{Record, account, build, host};
use crate::sensors::Roots;
use crate::server::Grid;
use crate::settlement;
use crate::settlement::task::{Inputs, Shared, Task};

/// The record of a report: of this host, with what is known of the job's grid.
pub fn record(report: &JobReport, roots: &Roots, known: &Known, accounting: &Accounting) -> Record {
    let mut record = build(report, &host::gather(roots), known);
    account(&mut record, report, accounting);
    record
}

/// What is known of a job's grid by the facts at hand and, where it is named, the
/// ledger of a state directory. Where that cannot be read, it goes without.
pub fn known(report: &JobReport, book: &FactBook, ledger: Option<&Path>) -> Known {
    let (job, at) = (&report.job, clock::wall());
    let until = job.ended.unwrap_or(at);
    let since = settlement::since(job);
    let touches = |fact: &&IntensityFact| fact.from <= until && since < fact.to;
    let zone = job.zone.as_deref();
    let mut facts = Vec::new();
    for name in zones_of(zone) {
        facts.extend(book.of(&name).iter().filter(touches).cloned());
    }
    let read = |directory: &Path| {
        let found =
            Reader::open(directory).and_then(|reader| settlement::known(&reader, &report.job, at));
        found.inspect_err(|error| tracing::debug!("no facts of the ledger: {error}")).ok()
    };
    let mut told = None;
    if let Some(known) = ledger.and_then(read) {
        // A fact may be in both: it is only once what holds.
        facts.extend(known.facts);
        told = known.told;
    }
    Known { told, ..Known::of(zone, job.ended, facts, at) }
}

/// What the server needs for records and for showing jobs.
pub fn grid_of(
    roots: Roots,
    book: Arc<FactBook>,
    ledger: Option<PathBuf>,
    accounting: Arc<ArcSwap<Accounting>>,
) -> Grid {
    let (shown_book, shown_ledger) = (Arc::clone(&book), ledger.clone());
    Grid {
        record: Arc::new(move |report| {
            // At a job's end the disk is asked only for what memory no longer has.
            let ledger = ledger.as_deref().filter(|_| is_older(settlement::since(&report.job)));
            record(report, &roots, &known(report, &book, ledger), &accounting.load())
        }),
        known: Arc::new(move |report| known(report, &shown_book, shown_ledger.as_deref())),
    }
}

/// Whether the facts of a moment may have left the book.
fn is_older(moment: Timestamp) -> bool {
    clock::wall().duration_since(moment) > KEPT
}

/// The thread that keeps the settled view of a daemon's ledger fresh.
///
/// # Errors
/// Where the system gives no thread.
pub fn settlement(
    options: &Options,
    engine: &Handle,
    book: &Arc<FactBook>,
    view: Shared,
) -> std::io::Result<Task> {
    let (shown, changed, teller) = (engine.clone(), engine.clone(), engine.clone());
    let book = Arc::clone(book);
    let version = move || {
        let mut hasher = DefaultHasher::new();
        book.version().hash(&mut hasher);
        for job in &changed.snapshot().jobs {
            (job.meta.id.as_str(), job.running).hash(&mut hasher);
        }
        hasher.finish()
    };
    let ids = move || -> Vec<JobId> {
        shown.snapshot().jobs.iter().map(|job| job.meta.id.clone()).collect()
    };
    let inputs = Inputs {
        directory: options.state_dir.clone(),
        shown: Box::new(ids),
        version: Box::new(version),
        tell: Box::new(move |job, told| {
            // Were it busy: the next look tells it.
            let _ = teller.try_send(Command::Tell { job, told });
        }),
    };
    Task::start(inputs, view)
}
