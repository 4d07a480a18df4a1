// SPDX-License-Identifier: Apache-2.0
//! Reading what was booked in a period: its jobs, and the lines of each account that
//! touch it. A line that crosses an edge of the period comes whole.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::accounts::own_held;
use super::query::{Reader, all_domains};
use super::schema::LedgerError;
use super::{Booking, DomainKey, Held, JobKey, JobRow, rows};
use crate::sensors::Domain;

/// Lines lie at most so far outside of their job's start and end: the sensors' last
/// readings, and a wall clock that was set meanwhile.
const AROUND: SignedDuration = SignedDuration::from_hours(1);

impl Reader {
    /// The jobs that ran in a period, or nearly, in the order of their keys.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn ran_within(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> std::result::Result<Vec<JobRow>, LedgerError> {
        let sql = format!(
            "SELECT {} FROM job WHERE started_ns < ?2
             AND ifnull(ended_ns, 9223372036854775807) >= ?1 ORDER BY key",
            rows::JOB
        );
        let bounds = (
            rows::wall_nanoseconds(since.saturating_sub(AROUND).unwrap_or(since)),
            rows::wall_nanoseconds(until.saturating_add(AROUND).unwrap_or(until)),
        );
        self.told(|connection| connection.prepare(&sql)?.query_map(bounds, rows::job)?.collect())
    }

    /// Calls `each` with the lines of an account (nested jobs apart) that touch a period.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn lines_within(
        &self,
        job: JobKey,
        since: Timestamp,
        until: Timestamp,
        each: &mut dyn FnMut(&Booking),
    ) -> std::result::Result<(), LedgerError> {
        let columns = rows::LINE;
        let part = |table: &str| {
            format!(
                "SELECT {columns} FROM {table} WHERE job = ?1 AND from_us < ?3
                 AND (to_us > ?2 OR from_us >= ?2)"
            )
        };
        let sql = format!("{} UNION ALL {}", part("booking"), part("booking_open"));
        self.told(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let bounds = (job.0, since.as_microsecond(), until.as_microsecond());
            let mut found = statement.query(bounds)?;
            while let Some(row) = found.next()? {
                each(&rows::line(row)?);
            }
            Ok(())
        })
    }

    /// The domains ever seen.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn domains(&self) -> std::result::Result<BTreeMap<DomainKey, Domain>, LedgerError> {
        self.told(all_domains)
    }

    /// What a job held, nested jobs apart.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn own_held(&self, job: JobKey) -> std::result::Result<Held, LedgerError> {
        self.told(|connection| own_held(connection, job))
    }
}
