// SPDX-License-Identifier: Apache-2.0
//! One transaction: what is pending, put into the tables.
//!
//! A row that the schema refuses (a bug, or a value that does not fit) is counted
//! and left out, so that it can never keep the others from being written; every
//! other error undoes the whole transaction.

use std::collections::HashMap;

use rusqlite::{Connection, Error, ErrorCode, Params, Result, Statement, params};

use super::pending::Pending;
use super::rows::{exact, exit_columns, held, nanoseconds, to_json, wall_nanoseconds};
use super::{Booking, CounterMark, DomainKey, Event, IntensityFact, JobKey, JobRow};
use crate::clock;
use crate::jobs::JobState;
use crate::sensors::{Domain, Missing};
use crate::units::BootTime;

/// Transactions between two that are forced to the disk, where nothing happened
/// that deserves it sooner: at one a second, a power cut costs at most this.
const UNFORCED: u32 = 10;

/// Transactions between two sweeps for lines that came after their job's end.
const SWEEP: u32 = 60;

const UPDATE_OPEN: &str = "UPDATE booking_open SET to_us = ?4, energy_uj = ?5, edge_uj = ?6,
     split_uj = ?7, gap_uj = ?8, resolution_uj = ?9, gap_ns = ?10
     WHERE job = ?1 AND domain = ?2 AND from_us = ?3";
const UPDATE_CLOSED: &str = "UPDATE booking SET to_us = ?4, energy_uj = ?5, edge_uj = ?6,
     split_uj = ?7, gap_uj = ?8, resolution_uj = ?9, gap_ns = ?10
     WHERE job = ?1 AND domain = ?2 AND from_us = ?3";
const INSERT_OPEN: &str =
    "INSERT INTO booking_open VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
     ON CONFLICT (job, domain) DO UPDATE SET from_us = excluded.from_us, to_us = excluded.to_us,
     energy_uj = excluded.energy_uj, edge_uj = excluded.edge_uj, split_uj = excluded.split_uj,
     gap_uj = excluded.gap_uj, resolution_uj = excluded.resolution_uj, gap_ns = excluded.gap_ns
     WHERE excluded.from_us > booking_open.from_us";
const INSERT_CLOSED: &str = "INSERT INTO booking VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const UPSERT_COUNTER: &str = "INSERT INTO counter VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (domain) DO UPDATE SET boot = excluded.boot, epoch = excluded.epoch,
     at_ns = excluded.at_ns, value_uj = excluded.value_uj, wall_ns = excluded.wall_ns";
const UPSERT_CPU: &str = "INSERT INTO cpu VALUES (?1, ?2)
     ON CONFLICT (job) DO UPDATE SET used_us = excluded.used_us";
const UPSERT_HELD: &str = "INSERT INTO held VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (job, domain) DO UPDATE SET held_us = excluded.held_us,
     until_ns = excluded.until_ns";
const UPSERT_PHASE: &str = "INSERT INTO phase VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
     ON CONFLICT (job, place) DO UPDATE SET name = excluded.name, times = excluded.times,
     elapsed_ns = excluded.elapsed_ns, energy_uj = excluded.energy_uj,
     until_ns = excluded.until_ns, began_ns = excluded.began_ns, ended_ns = excluded.ended_ns";
const UPSERT_WORK: &str = "INSERT INTO work VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (job, unit, phase) DO UPDATE SET
     count_thousandths = excluded.count_thousandths";
const INSERT_PUE: &str = "INSERT INTO pue VALUES (?1, ?2, ?3)
     ON CONFLICT (from_us) DO UPDATE SET thousandths = excluded.thousandths,
     source = excluded.source";
const UPSERT_DOMAIN: &str =
    "INSERT INTO domain VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
     ON CONFLICT (key) DO UPDATE SET kind = excluded.kind, source = excluded.source,
     method = excluded.method, resolution_uj = excluded.resolution_uj,
     range_uj = excluded.range_uj, update_period_ns = excluded.update_period_ns,
     max_power_uw = excluded.max_power_uw, overlap = excluded.overlap,
     gain_percent = excluded.gain_percent, model_percent = excluded.model_percent,
     device = excluded.device, epoch = excluded.epoch, boot = excluded.boot,
     driver = excluded.driver, power_limit_uw = excluded.power_limit_uw";
const UPSERT_JOB: &str =
    "INSERT INTO job VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,
     (SELECT max(key) FROM job WHERE id = ?14 AND key < ?1
      AND (state = 'running' OR uid = ?5 OR ?5 = 0)),
     ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)
     ON CONFLICT (key) DO UPDATE SET name = excluded.name, user = excluded.user,
     uid = excluded.uid, project = excluded.project, labels = excluded.labels,
     command = excluded.command, pid = excluded.pid, wrapper_pid = excluded.wrapper_pid,
     gpus = excluded.gpus, asked_zone = excluded.asked_zone,
     asked_pue_thousandths = excluded.asked_pue_thousandths,
     reserved_cores = excluded.reserved_cores, origin = excluded.origin,
     state = excluded.state, exit = excluded.exit, exit_value = excluded.exit_value,
     started_ns = excluded.started_ns, started_at_ns = excluded.started_at_ns,
     ended_ns = excluded.ended_ns, duration_ns = excluded.duration_ns, boot = excluded.boot,
     claim = excluded.claim, zone = excluded.zone, pue_thousandths = excluded.pue_thousandths,
     timing = excluded.timing";
const UPSERT_SHARE: &str = "INSERT INTO share VALUES (?1, ?2, ?3)
     ON CONFLICT (job, domain) DO UPDATE SET moved_uj = excluded.moved_uj";
const INSERT_BEFORE: &str = "INSERT INTO before VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
const INSERT_NOTE: &str = "INSERT INTO note VALUES
     (?1, (SELECT ifnull(max(seq), 0) + 1 FROM note WHERE job = ?1), ?2)";
const UPSERT_MISSING: &str = "INSERT INTO missing VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (job, source, what) DO UPDATE SET state = excluded.state, why = excluded.why,
     remedy = excluded.remedy";
const INSERT_INTENSITY: &str =
    "INSERT INTO intensity VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING";
const INSERT_TOLD: &str = "INSERT INTO told VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";

/// Closes the lines of jobs that run no more, and forgets their CPU times.
pub const CLOSE_ENDED: [&str; 2] = [
    "DELETE FROM booking_open
     WHERE job <> 0 AND job NOT IN (SELECT key FROM job WHERE state = 'running')",
    "DELETE FROM cpu WHERE job NOT IN (SELECT key FROM job WHERE state = 'running')",
];

/// Rows that the schema refused.
#[derive(Debug, Default)]
pub struct Refused {
    /// How many.
    pub rows: u64,
    /// Why the first of them.
    pub first: Option<String>,
}

impl Refused {
    /// Runs a statement; `Some` of the rows it changed, `None` where it was refused.
    fn row<P: Params>(&mut self, done: Result<P>, to: &mut Statement<'_>) -> Result<Option<usize>> {
        match done.and_then(|values| to.execute(values)) {
            Ok(changed) => Ok(Some(changed)),
            Err(cause) if is_refusal(&cause) => {
                self.rows += 1;
                self.first.get_or_insert_with(|| cause.to_string());
                Ok(None)
            }
            Err(cause) => Err(cause),
        }
    }
}

/// Whether an error concerns one row and will be the same at every try.
fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::ToSqlConversionFailure(_))
        || matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
        )
}

/// The prepared statements, and what they need to know.
pub struct Applier<'c> {
    connection: &'c Connection,
    boot_id: String,
    epochs: HashMap<DomainKey, String>,
    since_forced: u32,
    since_sweep: u32,
    begin: Statement<'c>,
    commit: Statement<'c>,
    update_open: Statement<'c>,
    update_closed: Statement<'c>,
    insert_open: Statement<'c>,
    insert_closed: Statement<'c>,
    counter: Statement<'c>,
    cpu: Statement<'c>,
    held: Statement<'c>,
}

impl<'c> Applier<'c> {
    /// Prepares for a connection and a boot.
    pub fn new(connection: &'c Connection, boot_id: &str) -> Result<Self> {
        let mut epochs = HashMap::new();
        let mut known = connection.prepare("SELECT key, epoch FROM domain")?;
        let mut rows = known.query([])?;
        while let Some(row) = rows.next()? {
            epochs.insert(DomainKey(row.get(0)?), row.get(1)?);
        }
        Ok(Applier {
            connection,
            boot_id: boot_id.to_owned(),
            epochs,
            since_forced: UNFORCED,
            since_sweep: 0,
            begin: connection.prepare("BEGIN IMMEDIATE")?,
            commit: connection.prepare("COMMIT")?,
            update_open: connection.prepare(UPDATE_OPEN)?,
            update_closed: connection.prepare(UPDATE_CLOSED)?,
            insert_open: connection.prepare(INSERT_OPEN)?,
            insert_closed: connection.prepare(INSERT_CLOSED)?,
            counter: connection.prepare(UPSERT_COUNTER)?,
            cpu: connection.prepare(UPSERT_CPU)?,
            held: connection.prepare(UPSERT_HELD)?,
        })
    }

    /// Writes all that is pending in one transaction, or nothing of it.
    pub fn write(&mut self, pending: &Pending) -> Result<Refused> {
        let forced = !pending.events.is_empty() || self.since_forced >= UNFORCED;
        if forced {
            self.connection.execute_batch("PRAGMA synchronous = FULL")?;
        }
        let written = self.transaction(pending);
        if written.is_err() && !self.connection.is_autocommit() {
            // The first error tells the cause; SQLite has often undone it already.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        if forced {
            self.connection.execute_batch("PRAGMA synchronous = NORMAL")?;
        }
        let refused = written?;
        self.since_forced = if forced { 0 } else { self.since_forced + 1 };
        Ok(refused)
    }

    fn transaction(&mut self, pending: &Pending) -> Result<Refused> {
        let mut refused = Refused::default();
        self.begin.execute([])?;
        for event in &pending.events {
            self.event(event, &mut refused)?;
        }
        for booking in pending.bookings.values() {
            self.line(booking, &mut refused)?;
        }
        for mark in pending.counters.values() {
            self.mark(mark, &mut refused)?;
        }
        for mark in pending.cpu.values() {
            let values = exact(mark.used_microseconds).map(|used| (mark.job.0, used));
            refused.row(values, &mut self.cpu)?;
        }
        for mark in pending.held.values() {
            let until = held(mark.until.nanoseconds());
            let values =
                exact(mark.microseconds).map(|time| (mark.job.0, mark.domain.0, time, until));
            refused.row(values, &mut self.held)?;
        }
        self.work(pending, &mut refused)?;
        self.since_sweep += 1;
        let ended =
            |event: &Event| matches!(event, Event::Job(row) if row.state != JobState::Running);
        if self.since_sweep >= SWEEP || pending.events.iter().any(ended) {
            for sql in CLOSE_ENDED {
                self.connection.prepare_cached(sql)?.execute([])?;
            }
            self.since_sweep = 0;
        }
        self.commit.execute([])?;
        Ok(refused)
    }

    /// What jobs have marked.
    fn work(&mut self, pending: &Pending, refused: &mut Refused) -> Result<()> {
        for mark in pending.phases.values() {
            let values = exact(mark.energy.microjoules()).map(|energy| {
                let moment = |at: Option<BootTime>| at.map(|at| held(at.nanoseconds()));
                let (times, elapsed) = (held(mark.times), held(mark.nanoseconds));
                let [until, began, ended] = [mark.until, mark.began, mark.ended].map(moment);
                (mark.job.0, mark.place, &*mark.phase, times, elapsed, energy, until, began, ended)
            });
            refused.row(values, &mut *self.connection.prepare_cached(UPSERT_PHASE)?)?;
        }
        for mark in pending.units.values() {
            let count = held(mark.count.thousandths());
            let values = (mark.job.0, &*mark.unit, &*mark.phase, count);
            refused.row(Ok(values), &mut *self.connection.prepare_cached(UPSERT_WORK)?)?;
        }
        Ok(())
    }

    /// A line grows in place; a later one closes it; an old one is corrected.
    fn line(&mut self, booking: &Booking, refused: &mut Refused) -> Result<()> {
        let ways = [
            &mut self.update_open,
            &mut self.update_closed,
            &mut self.insert_open,
            &mut self.insert_closed,
        ];
        for statement in ways {
            if refused.row(line_values(booking), statement)? != Some(0) {
                break;
            }
        }
        Ok(())
    }

    fn mark(&mut self, mark: &CounterMark, refused: &mut Refused) -> Result<()> {
        // No domain row yet: the schema refuses the mark.
        let epoch = self.epochs.get(&mark.domain).map_or("", String::as_str);
        let wall = wall_nanoseconds(clock::wall_at(mark.at));
        let values = exact(mark.value.microjoules()).map(|value| {
            (mark.domain.0, &self.boot_id, epoch, held(mark.at.nanoseconds()), value, wall)
        });
        refused.row(values, &mut self.counter).map(drop)
    }

    fn event(&mut self, event: &Event, refused: &mut Refused) -> Result<()> {
        match event {
            Event::Domain { key, domain, epoch } => self.domain(*key, domain, epoch, refused),
            Event::Job(row) => self.job(row, refused),
            Event::Share { job, domain, moved } => {
                let values = exact(moved.microjoules()).map(|moved| (job.0, domain.0, moved));
                refused.row(values, &mut *self.connection.prepare_cached(UPSERT_SHARE)?).map(drop)
            }
            Event::Before { job, domain, total } => {
                let values = exact(total.microjoules()).map(|total| (job.0, domain.0, total));
                refused.row(values, &mut *self.connection.prepare_cached(INSERT_BEFORE)?).map(drop)
            }
            Event::Note { job, text } => {
                let mut statement = self.connection.prepare_cached(INSERT_NOTE)?;
                refused.row(Ok((job.0, text)), &mut statement).map(drop)
            }
            Event::Missing { job, missing } => self.missing(*job, missing, refused),
            Event::Intensity(fact) => self.intensity(fact, refused),
            Event::Pue(fact) => {
                let values = (fact.from.as_microsecond(), fact.thousandths, &fact.source);
                let mut statement = self.connection.prepare_cached(INSERT_PUE)?;
                refused.row(Ok(values), &mut statement).map(drop)
            }
            Event::Told { job, told } => {
                let at = wall_nanoseconds(told.at);
                let mean = told.mean.milligrams_per_kwh();
                let values = exact(told.micrograms).map(|grams| (job.0, at, grams, mean));
                refused.row(values, &mut *self.connection.prepare_cached(INSERT_TOLD)?).map(drop)
            }
        }
    }

    fn domain(
        &mut self,
        key: DomainKey,
        domain: &Domain,
        epoch: &str,
        refused: &mut Refused,
    ) -> Result<()> {
        let update_period = nanoseconds(domain.update_period);
        let values = params![
            key.0,
            domain.id.as_str(),
            domain.kind.as_str(),
            domain.source,
            domain.method.as_str(),
            held(domain.resolution.microjoules()),
            domain.range.map(|range| held(range.microjoules())),
            update_period,
            held(domain.max_power.microwatts()),
            domain.overlap,
            domain.gain_percent,
            domain.model_percent,
            domain.device,
            epoch,
            self.boot_id,
            domain.driver,
            domain.power_limit.map(|limit| held(limit.microwatts())),
        ];
        let known =
            refused.row(Ok(values), &mut *self.connection.prepare_cached(UPSERT_DOMAIN)?)?;
        if known.is_some() && self.epochs.get(&key).is_none_or(|known| known != epoch) {
            // Marks from here on are of this life of the counter, also where this
            // transaction fails: it is written again, with the same event.
            self.epochs.insert(key, epoch.to_owned());
        }
        Ok(())
    }

    fn job(&mut self, row: &JobRow, refused: &mut Refused) -> Result<()> {
        let spec = &row.spec;
        let (exit, exit_value) = exit_columns(row.exit);
        let values = params![
            row.key.0,
            spec.id.as_str(),
            spec.name,
            spec.user,
            spec.uid,
            spec.project,
            to_json(&spec.labels)?,
            to_json(&spec.command)?,
            spec.pid,
            spec.wrapper_pid,
            to_json(&spec.gpus)?,
            spec.zone,
            spec.pue_thousandths,
            spec.parent.as_ref().map(|parent| parent.as_str()),
            spec.reserved_cores,
            row.origin,
            row.state.as_str(),
            exit,
            exit_value,
            wall_nanoseconds(row.started),
            held(row.started_at.nanoseconds()),
            row.ended.map(wall_nanoseconds),
            row.duration.map(nanoseconds),
            row.boot_id,
            row.claim,
            row.zone,
            row.pue_thousandths,
            spec.timing.as_ref().map(to_json).transpose()?,
        ];
        refused.row(Ok(values), &mut *self.connection.prepare_cached(UPSERT_JOB)?).map(drop)
    }

    fn missing(&mut self, job: JobKey, missing: &Missing, refused: &mut Refused) -> Result<()> {
        let Missing { source, what, state, why, remedy } = missing;
        let values = (job.0, source, what, state, why, remedy);
        refused.row(Ok(values), &mut *self.connection.prepare_cached(UPSERT_MISSING)?).map(drop)
    }

    fn intensity(&mut self, fact: &IntensityFact, refused: &mut Refused) -> Result<()> {
        let values = params![
            fact.zone,
            wall_nanoseconds(fact.from),
            wall_nanoseconds(fact.to),
            fact.intensity.milligrams_per_kwh(),
            fact.signal,
            fact.boundary,
            fact.source,
            fact.kind.as_str(),
            wall_nanoseconds(fact.fetched_at),
            fact.provider_updated_at.map(wall_nanoseconds),
        ];
        refused.row(Ok(values), &mut *self.connection.prepare_cached(INSERT_INTENSITY)?).map(drop)
    }
}

/// The columns of a line.
fn line_values(booking: &Booking) -> Result<[i64; 10]> {
    let Booking { job, domain, from_microseconds, to_microseconds, amount } = booking;
    let error = &amount.uncertainty;
    Ok([
        job.0,
        domain.0,
        *from_microseconds,
        *to_microseconds,
        exact(amount.energy.microjoules())?,
        exact(error.edge.microjoules())?,
        exact(error.split.microjoules())?,
        exact(error.gap.microjoules())?,
        exact(error.resolution.microjoules())?,
        exact(amount.gap_nanoseconds)?,
    ])
}
