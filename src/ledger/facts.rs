// SPDX-License-Identifier: Apache-2.0
//! What emissions are derived from: facts of intensity, and energy by interval or in
//! sum. With it, what was first told of a job.
//!
//! Nothing here multiplies one by the other: that is `carbon`'s. A year of facts is
//! not read for the sake of an hour, nor a job's lines where its sum is enough.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::query::{FAMILY, Intervals, JobSummary, Reader, summarize};
use super::schema::LedgerError;
use super::{IntensityFact, IntervalEnergy, JobKey, PueFact, Told, rows};
use crate::jobs::JobId;
use crate::units::{Energy, Intensity};

/// Facts of a zone that touch a period: `?1` zone, `?2` its end, `?3` its start, `?4` a
/// day before that. Longer ones than a day have an index of their own.
const TOUCHING: &str = "SELECT * FROM intensity
     WHERE zone = ?1 AND from_ns >= ?4 AND from_ns < ?2 AND to_ns > ?3
     UNION SELECT * FROM intensity
     WHERE zone = ?1 AND from_ns < ?2 AND to_ns > ?3 AND to_ns - from_ns > 86400000000000";

/// The columns of an [`Account`].
const ACCOUNT: &str = "job.key, job.user, job.project, job.zone, job.asked_pue_thousandths, \
     job.pue_thousandths, job.started_ns, job.ended_ns";

/// Which lines of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Its own.
    Own,
    /// Those of jobs nested in it too.
    Nested,
}

/// Of a job, what its user's and its project's emissions depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The job.
    pub key: JobKey,
    /// Whose.
    pub user: String,
    /// Of which project, if any.
    pub project: Option<String>,
    /// The carbon zone in force.
    pub zone: Option<String>,
    /// The PUE that the job asked for, in thousandths.
    pub asked_pue_thousandths: Option<u32>,
    /// The one in force when it started, in thousandths.
    pub pue_thousandths: Option<u32>,
    /// When it started.
    pub started: Timestamp,
    /// When it ended; `None`: it runs.
    pub ended: Option<Timestamp>,
}

/// Whose accounts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Of jobs that ended before.
    EndedBefore(Timestamp),
    /// Of jobs that run, or ended at that moment or after.
    Since(Timestamp),
}

impl Reader {
    /// The intensity facts of a zone that touch a period, oldest first.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn intensities(
        &self,
        zone: &str,
        since: Timestamp,
        until: Timestamp,
    ) -> std::result::Result<Vec<IntensityFact>, LedgerError> {
        self.told(|connection| intensities(connection, zone, since, until))
    }

    /// What was first said of a job's emissions.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn first_told(&self, job: JobKey) -> std::result::Result<Option<Told>, LedgerError> {
        self.told(|connection| {
            connection
                .prepare_cached(
                    "SELECT at_ns, micrograms, mean_milligrams_per_kwh FROM told WHERE job = ?",
                )?
                .query_row([job.0], |row| {
                    Ok(Told {
                        at: rows::timestamp(row, 0)?,
                        micrograms: rows::unsigned(row, 1)?,
                        mean: Intensity::from_milligrams_per_kwh(row.get(2)?),
                    })
                })
                .optional()
        })
    }

    /// Jobs that ended at a moment or after, and of which nothing was said.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn untold(&self, since: Timestamp) -> std::result::Result<Vec<JobSummary>, LedgerError> {
        let sql = format!(
            "SELECT {} FROM job WHERE ended_ns >= ? AND state <> 'running'
             AND NOT EXISTS (SELECT 1 FROM told WHERE told.job = job.key)",
            rows::JOB
        );
        self.told(|connection| {
            let jobs: Vec<_> = connection
                .prepare_cached(&sql)?
                .query_map([rows::wall_nanoseconds(since)], rows::job)?
                .collect::<Result<_>>()?;
            jobs.into_iter().map(|row| summarize(connection, row)).collect()
        })
    }

    /// A job's sums; of several with that id, the newest.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn summary(&self, id: &JobId) -> std::result::Result<Option<JobSummary>, LedgerError> {
        let sql = format!("SELECT {} FROM job WHERE id = ? ORDER BY key DESC LIMIT 1", rows::JOB);
        self.told(|connection| {
            let found =
                connection.prepare_cached(&sql)?.query_row([id.as_str()], rows::job).optional()?;
            found.map(|row| summarize(connection, row)).transpose()
        })
    }

    /// The building's PUE from a moment (the fact that holds then included) to another, or
    /// for good.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn pue(
        &self,
        since: Timestamp,
        until: Option<Timestamp>,
    ) -> std::result::Result<Vec<PueFact>, LedgerError> {
        self.told(|connection| super::accounts::pue_facts(connection, since, until))
    }

    /// A job's energy of counted domains by interval.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn intervals(
        &self,
        job: JobKey,
        scope: Scope,
    ) -> std::result::Result<Vec<IntervalEnergy>, LedgerError> {
        let sql = of_counted(scope, "part.from_us, part.to_us, part.energy_uj", "booking");
        self.told(|connection| {
            let mut intervals = Intervals::default();
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = statement.query([job.0])?;
            while let Some(row) = found.next()? {
                intervals.add(row.get(0)?, row.get(1)?, rows::energy(row, 2)?);
            }
            Ok(intervals.sorted())
        })
    }

    /// A job's energy of counted domains in sum; zero where it has none.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn energy(&self, job: JobKey, scope: Scope) -> std::result::Result<Energy, LedgerError> {
        let sql = of_counted(scope, "part.energy_uj", "tally");
        self.told(|connection| {
            let mut sum = Energy::ZERO;
            let mut statement = connection.prepare_cached(&sql)?;
            let mut found = statement.query([job.0])?;
            while let Some(row) = found.next()? {
                sum = sum.saturating_add(rows::energy(row, 0)?);
            }
            Ok(sum)
        })
    }

    /// So many jobs at most with a key above `after`, in the order of their keys.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn accounts(
        &self,
        span: Span,
        after: JobKey,
        most: u32,
    ) -> std::result::Result<Vec<Account>, LedgerError> {
        let (moment, condition) = match span {
            Span::EndedBefore(moment) => (moment, "state <> 'running' AND ended_ns < ?1"),
            Span::Since(moment) => (moment, "(state = 'running' OR ended_ns >= ?1)"),
        };
        let sql = format!(
            "SELECT {ACCOUNT} FROM job WHERE {condition} AND key > ?2 ORDER BY key LIMIT ?3"
        );
        self.told(|connection| {
            let values = (rows::wall_nanoseconds(moment), after.0, most);
            connection.prepare_cached(&sql)?.query_map(values, account)?.collect()
        })
    }
}

/// Of the lines or the tally of a job's counted domains, the open lines too.
fn of_counted(scope: Scope, columns: &str, closed: &str) -> String {
    let (family, of) = match scope {
        Scope::Own => ("", "?1"),
        Scope::Nested => (FAMILY, "(SELECT key FROM family)"),
    };
    let from = |table: &str| {
        format!(
            "SELECT {columns} FROM {table} AS part JOIN domain ON domain.key = part.domain
             WHERE part.job IN ({of}) AND domain.overlap IS NULL"
        )
    };
    format!("{family} {} UNION ALL {}", from(closed), from("booking_open"))
}

fn intensities(
    connection: &Connection,
    zone: &str,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<IntensityFact>> {
    let day_before = since.saturating_sub(SignedDuration::from_hours(24)).unwrap_or(since);
    connection
        .prepare_cached(&format!("{TOUCHING} ORDER BY from_ns, fetched_ns"))?
        .query_map(
            (
                zone,
                rows::wall_nanoseconds(until),
                rows::wall_nanoseconds(since),
                rows::wall_nanoseconds(day_before),
            ),
            rows::intensity,
        )?
        .collect()
}

fn account(row: &Row<'_>) -> Result<Account> {
    Ok(Account {
        key: JobKey(row.get(0)?),
        user: row.get(1)?,
        project: row.get(2)?,
        zone: row.get(3)?,
        asked_pue_thousandths: row.get(4)?,
        pue_thousandths: row.get(5)?,
        started: rows::timestamp(row, 6)?,
        ended: rows::optional_timestamp(row, 7)?,
    })
}
