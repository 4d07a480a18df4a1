// SPDX-License-Identifier: Apache-2.0
//! A job's phases and units of work, as the ledger is told of them and tells of them.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Result, Row};
use serde::{Deserialize, Serialize};

use super::{JobKey, rows};
use crate::jobs::marks::Count;
use crate::units::{BootTime, Energy};

/// A phase so far, cumulative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseMark {
    /// Whose.
    pub job: JobKey,
    /// Its place among the job's phases.
    pub place: u32,
    /// Its name.
    pub phase: Arc<str>,
    /// How often it began.
    pub times: u64,
    /// How long the job was in it.
    pub nanoseconds: u64,
    /// Energy of counted domains, nested jobs included.
    pub energy: Energy,
    /// Of the present phase: up to when its time is counted.
    pub until: Option<BootTime>,
    /// When it last began; `None`: not known.
    pub began: Option<BootTime>,
    /// When that ended; `None`: not known, or it goes on.
    pub ended: Option<BootTime>,
}

/// Units counted in one phase so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitMark {
    /// Whose.
    pub job: JobKey,
    /// The unit's name.
    pub unit: Arc<str>,
    /// The phase's name; empty: in none.
    pub phase: Arc<str>,
    /// How many.
    pub count: Count,
}

/// A phase of a job, for records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// How often it began.
    pub times: u64,
    /// How long the job was in it.
    pub time: Duration,
    /// Energy of counted domains, nested jobs included.
    pub energy: Energy,
}

/// Units of a job counted in one phase, for records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnitReport {
    /// The unit's name.
    pub unit: String,
    /// The phase; `None`: in none.
    pub phase: Option<String>,
    /// How many.
    pub count: Count,
}

/// A job's phases, in the order of their first beginning.
pub fn phases(connection: &Connection, job: JobKey) -> Result<Vec<PhaseMark>> {
    let phase = |row: &Row<'_>| {
        let moment = |column| -> Result<Option<BootTime>> {
            let nanoseconds: Option<i64> = row.get(column)?;
            Ok(nanoseconds.map(|moment| BootTime::from_nanoseconds(moment.unsigned_abs())))
        };
        Ok(PhaseMark {
            job,
            place: row.get(0)?,
            phase: row.get_ref(1)?.as_str()?.into(),
            times: rows::unsigned(row, 2)?,
            nanoseconds: rows::unsigned(row, 3)?,
            energy: rows::energy(row, 4)?,
            until: moment(5)?,
            began: moment(6)?,
            ended: moment(7)?,
        })
    };
    connection
        .prepare_cached(
            "SELECT place, name, times, elapsed_ns, energy_uj, until_ns, began_ns, ended_ns
             FROM phase WHERE job = ? ORDER BY place",
        )?
        .query_map([job.0], phase)?
        .collect()
}

/// A job's units.
pub fn units(connection: &Connection, job: JobKey) -> Result<Vec<UnitMark>> {
    let unit = |row: &Row<'_>| {
        Ok(UnitMark {
            job,
            unit: row.get_ref(0)?.as_str()?.into(),
            phase: row.get_ref(1)?.as_str()?.into(),
            count: Count::from_thousandths(rows::unsigned(row, 2)?),
        })
    };
    connection
        .prepare_cached("SELECT unit, phase, count_thousandths FROM work WHERE job = ?")?
        .query_map([job.0], unit)?
        .collect()
}

impl From<PhaseMark> for PhaseReport {
    fn from(mark: PhaseMark) -> PhaseReport {
        PhaseReport {
            name: mark.phase.to_string(),
            times: mark.times,
            time: Duration::from_nanos(mark.nanoseconds),
            energy: mark.energy,
        }
    }
}

impl From<UnitMark> for UnitReport {
    fn from(mark: UnitMark) -> UnitReport {
        let phase = (!mark.phase.is_empty()).then(|| mark.phase.to_string());
        UnitReport { unit: mark.unit.to_string(), phase, count: mark.count }
    }
}
