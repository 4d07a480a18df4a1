// SPDX-License-Identifier: Apache-2.0
//! Reading what a job's account needs beside energy: who held what for how long, and
//! the building's PUE by time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, Result};

use super::query::FAMILY;
use super::{Held, JobKey, PueFact, rows};

/// What a job and all nested in it held.
pub fn held(connection: &Connection, job: JobKey) -> Result<Held> {
    let sql = format!(
        "{FAMILY} SELECT domain.device, held.held_us FROM family CROSS JOIN held
         ON held.job = family.key LEFT JOIN domain ON domain.key = held.domain"
    );
    held_of(connection, &sql, job)
}

/// What a job held, nested jobs apart.
pub fn own_held(connection: &Connection, job: JobKey) -> Result<Held> {
    let sql = "SELECT domain.device, held.held_us FROM held
               LEFT JOIN domain ON domain.key = held.domain WHERE held.job = ?1";
    held_of(connection, sql, job)
}

fn held_of(connection: &Connection, sql: &str, job: JobKey) -> Result<Held> {
    let mut held = Held::default();
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([job.0])?;
    while let Some(row) = found.next()? {
        held.add(row.get::<_, Option<String>>(0)?.as_deref(), rows::unsigned(row, 1)?);
    }
    Ok(held)
}

/// The PUE from a moment (the fact that holds then included) to another, or for good.
pub fn pue_facts(
    connection: &Connection,
    since: Timestamp,
    until: Option<Timestamp>,
) -> Result<Vec<PueFact>> {
    let until = until.map_or(i64::MAX, Timestamp::as_microsecond);
    connection
        .prepare_cached(
            "SELECT from_us, thousandths, source FROM pue WHERE from_us < ?2 AND from_us >=
             ifnull((SELECT max(from_us) FROM pue WHERE from_us <= ?1), ?1) ORDER BY from_us",
        )?
        .query_map((since.as_microsecond(), until), rows::pue)?
        .collect()
}

/// What was held by user or project (`column`).
pub fn accounts_held(connection: &Connection, column: &str) -> Result<Vec<(String, Held)>> {
    let sql = format!(
        "SELECT job.{column}, domain.device, held.held_us FROM held JOIN job ON job.key = held.job
         LEFT JOIN domain ON domain.key = held.domain WHERE job.{column} IS NOT NULL"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    let mut sums: BTreeMap<String, Held> = BTreeMap::new();
    while let Some(row) = found.next()? {
        let sum = sums.entry(row.get(0)?).or_default();
        sum.add(row.get::<_, Option<String>>(1)?.as_deref(), rows::unsigned(row, 2)?);
    }
    Ok(sums.into_iter().collect())
}
