// SPDX-License-Identifier: Apache-2.0
//! What a starting daemon finds in its ledger, and all that it needs to go on.
//!
//! Nothing here judges: whether a counter ran on or a job still lives is for the
//! engine to say, which knows the present boot and the sensors' epochs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result};

use super::accounts::{accounts_held, pue_facts};
use super::query::{JobSummary, summarize};
use super::rows;
use super::work::{phases, units};
use super::{
    Booking, DomainKey, Held, IntensityFact, JobKey, JobRow, PhaseMark, PueFact, UnitMark, ZoneUse,
};
use crate::clock;
use crate::sensors::{Domain, DomainId, Kind};
use crate::units::{BootTime, Energy};

/// Every (job, domain)'s sum of closed lines, and beside it its open line.
const PARTS: &str = "(SELECT job, domain, energy_uj FROM tally
     UNION ALL SELECT job, domain, energy_uj FROM booking_open) AS part";

/// The ended jobs inside the job `?1` and in no other running job, as `inner`.
const INNER: &str = "WITH RECURSIVE inner (key) AS (
     SELECT key FROM job WHERE parent_key = ?1 AND state <> 'running'
     UNION SELECT job.key FROM job JOIN inner ON job.parent_key = inner.key
     WHERE job.state <> 'running')";
/// How far back facts are read: longer than any feed is asked for what it measured.
const FACTS: SignedDuration = SignedDuration::from_hours(9 * 24);

/// All that a restart needs.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The domains ever seen, by id.
    pub domains: BTreeMap<DomainId, KnownDomain>,
    /// The number for the next new domain; at least 1.
    pub next_domain: i64,
    /// The number for the next new job; at least 1.
    pub next_job: i64,
    /// Jobs that ran when the ledger was last written, outer before nested.
    pub running: Vec<RunningJob>,
    /// The last line of each (job, domain) that still grew, `unattributed` too. A
    /// line sent with the same key replaces it: go on from its amount, or begin a
    /// line with a later `from`.
    pub open: Vec<Booking>,
    /// Totals since the ledger began, by user, own energy of each job.
    pub users: Vec<AccountEnergy>,
    /// The same by project; jobs without one are in none.
    pub projects: Vec<AccountEnergy>,
    /// What each user's jobs held since the ledger began.
    pub users_held: Vec<(String, Held)>,
    /// The same by project.
    pub projects_held: Vec<(String, Held)>,
    /// The PUE that held last, and all since the oldest running job began.
    pub pue: Vec<PueFact>,
    /// Jobs that ended at or after the asked time, nested jobs included in their
    /// figures, newest first.
    pub ended: Vec<JobSummary>,
    /// What feeds said of the last nine days, so that a start without the network has
    /// figures. Yearly means are not among them.
    pub facts: Vec<IntensityFact>,
    /// Zones of the jobs that ran in that time: better figures may still come.
    pub zones: Vec<ZoneUse>,
    /// A corrupt ledger that was set aside under this name: this one is new.
    pub set_aside: Option<PathBuf>,
}

/// A domain as the ledger knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownDomain {
    /// Its number.
    pub key: DomainKey,
    /// Its properties when last seen.
    pub domain: Domain,
    /// Its last reading.
    pub mark: Option<KnownMark>,
    /// All that was booked of it since the ledger began.
    pub total: Energy,
    /// Of that, what no job used.
    pub unattributed: Energy,
}

/// The last reading of a counter, of this life of it or another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownMark {
    /// The boot in which it was read.
    pub boot_id: String,
    /// The life of the counter, as its `Event::Domain` said.
    pub epoch: String,
    /// When it was read, on that boot's clock.
    pub at: BootTime,
    /// When it was read, UTC.
    pub wall: Timestamp,
    /// The raw value.
    pub value: Energy,
}

/// A job that ran.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningJob {
    /// The job.
    pub row: JobRow,
    /// Its CPU time at the last tick, in microseconds.
    pub cpu_microseconds: Option<u64>,
    /// Its own lines, the open ones too, by domain and time.
    pub lines: Vec<Booking>,
    /// Lines of ended jobs that ran inside it and in no other running job.
    pub nested: Vec<Booking>,
    /// What it held so far, its nested jobs apart.
    pub held: Vec<(DomainKey, u64)>,
    /// Up to when that is.
    pub held_until: Option<BootTime>,
    /// What ended jobs held that ran inside it and in no other running job.
    pub nested_held: Vec<(DomainKey, u64)>,
    /// Its phases so far.
    pub phases: Vec<PhaseMark>,
    /// The units that it counted so far.
    pub units: Vec<UnitMark>,
    /// Its remarks so far.
    pub notes: Vec<String>,
    /// What each domain had counted in all when the job's claim on it began.
    pub before: Vec<(DomainKey, Energy)>,
}

/// Energy of one user or project, by what emissions depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEnergy {
    /// The user or project.
    pub name: String,
    /// Of what; counted domains only.
    pub kind: Kind,
    /// The carbon zone in force.
    pub zone: Option<String>,
    /// The PUE in force, in thousandths.
    pub pue_thousandths: Option<u32>,
    /// The energy.
    pub energy: Energy,
}

/// Reads it all. `ended_since`: how far back ended jobs are wanted.
pub fn read(connection: &Connection, ended_since: Timestamp) -> Result<Recovered> {
    let next = |table: &str| -> Result<i64> {
        let sql = format!("SELECT ifnull(max(key), 0) + 1 FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0))
    };
    let now = clock::wall();
    let facts_since = now.checked_sub(FACTS).unwrap_or(now);
    let domains = domains(connection)?;
    let sql = format!("SELECT {} FROM booking_open", rows::LINE);
    let open = connection.prepare(&sql)?.query_map([], rows::line)?.collect::<Result<_>>()?;
    let running = running(connection)?;
    let oldest = running.iter().map(|job| job.row.started).min().unwrap_or(Timestamp::MAX);
    Ok(Recovered {
        next_domain: next("domain")?,
        next_job: next_job(connection, next("job")?)?,
        users_held: accounts_held(connection, "user")?,
        projects_held: accounts_held(connection, "project")?,
        pue: pue_facts(connection, oldest, None)?,
        running,
        open,
        users: accounts(connection, "user")?,
        projects: accounts(connection, "project")?,
        ended: ended(connection, ended_since)?,
        facts: facts(connection, facts_since)?,
        zones: zones(connection, facts_since, now)?,
        domains,
        set_aside: None,
    })
}

/// A job's row may have been lost where its lines were not: skip its number too.
fn next_job(connection: &Connection, by_rows: i64) -> Result<i64> {
    let most = |table: &str| -> Result<i64> {
        let sql = format!("SELECT ifnull(max(job), 0) + 1 FROM {table}");
        connection.query_row(&sql, [], |row| row.get(0))
    };
    Ok(by_rows.max(most("tally")?).max(most("booking_open")?))
}

fn domains(connection: &Connection) -> Result<BTreeMap<DomainId, KnownDomain>> {
    let sql = format!(
        "SELECT domain.key, counter.boot, counter.epoch, counter.at_ns, counter.wall_ns,
                counter.value_uj, {} FROM domain LEFT JOIN counter ON counter.domain = domain.key",
        rows::DOMAIN
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    let mut domains = BTreeMap::new();
    let mut ids = BTreeMap::new();
    while let Some(row) = found.next()? {
        let key = DomainKey(row.get(0)?);
        let mark = match row.get::<_, Option<String>>(1)? {
            None => None,
            Some(boot_id) => Some(KnownMark {
                boot_id,
                epoch: row.get(2)?,
                at: BootTime::from_nanoseconds(rows::unsigned(row, 3)?),
                wall: rows::timestamp(row, 4)?,
                value: rows::energy(row, 5)?,
            }),
        };
        let domain = rows::domain(row, 6)?;
        ids.insert(key, domain.id.clone());
        let (total, unattributed) = (Energy::ZERO, Energy::ZERO);
        let known = KnownDomain { key, mark, total, unattributed, domain };
        domains.insert(known.domain.id.clone(), known);
    }
    let mut statement =
        connection.prepare(&format!("SELECT domain, job, energy_uj FROM {PARTS}"))?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let energy = rows::energy(row, 2)?;
        let id = ids.get(&DomainKey(row.get(0)?));
        if let Some(known) = id.and_then(|id| domains.get_mut(id)) {
            known.total = known.total.saturating_add(energy);
            if JobKey(row.get(1)?) == JobKey::UNATTRIBUTED {
                known.unattributed = known.unattributed.saturating_add(energy);
            }
        }
    }
    Ok(domains)
}

fn running(connection: &Connection) -> Result<Vec<RunningJob>> {
    let sql = format!("SELECT {} FROM job WHERE state = 'running' ORDER BY key", rows::JOB);
    let found: Vec<JobRow> =
        connection.prepare(&sql)?.query_map([], rows::job)?.collect::<Result<_>>()?;
    found.into_iter().map(|row| running_job(connection, row)).collect()
}

fn running_job(connection: &Connection, row: JobRow) -> Result<RunningJob> {
    let key = row.key.0;
    let cpu: Option<i64> = connection
        .query_row("SELECT used_us FROM cpu WHERE job = ?", [key], |row| row.get(0))
        .optional()?;
    let lines = |sql: &str| -> Result<Vec<Booking>> {
        connection.prepare_cached(sql)?.query_map([key], rows::line)?.collect()
    };
    let own = format!("SELECT {} FROM line WHERE job = ? ORDER BY domain, from_us", rows::LINE);
    let columns = rows::LINE;
    let nested = format!(
        "{INNER} SELECT {columns} FROM inner CROSS JOIN booking ON booking.job = inner.key
         UNION ALL
         SELECT {columns} FROM inner CROSS JOIN booking_open ON booking_open.job = inner.key"
    );
    let held = |sql: &str| -> Result<Vec<(DomainKey, u64)>> {
        let part = |row: &rusqlite::Row<'_>| Ok((DomainKey(row.get(0)?), rows::unsigned(row, 1)?));
        connection.prepare_cached(sql)?.query_map([key], part)?.collect()
    };
    let held_nested = format!(
        "{INNER} SELECT held.domain, held.held_us FROM inner CROSS JOIN held
         ON held.job = inner.key"
    );
    let notes = connection
        .prepare_cached("SELECT text FROM note WHERE job = ? ORDER BY seq")?
        .query_map([key], |row| row.get(0))?
        .collect::<Result<_>>()?;
    let until: Option<i64> = connection
        .prepare_cached("SELECT max(until_ns) FROM held WHERE job = ?")?
        .query_row([key], |row| row.get(0))?;
    Ok(RunningJob {
        phases: phases(connection, row.key)?,
        units: units(connection, row.key)?,
        held_until: until.map(|until| BootTime::from_nanoseconds(until.unsigned_abs())),
        cpu_microseconds: cpu.and_then(|used| u64::try_from(used).ok()),
        lines: lines(&own)?,
        nested: lines(&nested)?,
        held: held("SELECT domain, held_us FROM held WHERE job = ?")?,
        nested_held: held(&held_nested)?,
        before: connection
            .prepare_cached("SELECT domain, total_uj FROM before WHERE job = ?")?
            .query_map([key], |row| Ok((DomainKey(row.get(0)?), rows::energy(row, 1)?)))?
            .collect::<Result<_>>()?,
        notes,
        row,
    })
}

/// Sums by user or project (`column`), what is open included, in the order of their
/// first jobs: the order in which the engine met them, so that a limit on their number
/// finds the same ones before and after a restart.
fn accounts(connection: &Connection, column: &str) -> Result<Vec<AccountEnergy>> {
    let sql = format!(
        "SELECT job.{column}, domain.kind, job.zone, job.pue_thousandths, part.energy_uj, job.key
         FROM {PARTS} JOIN job ON job.key = part.job JOIN domain ON domain.key = part.domain
         WHERE domain.overlap IS NULL AND job.{column} IS NOT NULL"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    let mut sums: BTreeMap<(String, Kind, Option<String>, Option<u32>), Energy> = BTreeMap::new();
    let mut first: BTreeMap<String, i64> = BTreeMap::new();
    while let Some(row) = found.next()? {
        let word: String = row.get(1)?;
        let Some(kind) = Kind::from_word(&word) else { continue };
        let sum = sums.entry((row.get(0)?, kind, row.get(2)?, row.get(3)?)).or_default();
        *sum = sum.saturating_add(rows::energy(row, 4)?);
        let key: i64 = row.get(5)?;
        first.entry(row.get(0)?).and_modify(|first| *first = key.min(*first)).or_insert(key);
    }
    let account = |((name, kind, zone, pue_thousandths), energy)| AccountEnergy {
        name,
        kind,
        zone,
        pue_thousandths,
        energy,
    };
    let mut accounts: Vec<AccountEnergy> = sums.into_iter().map(account).collect();
    accounts.sort_by_key(|account| first.get(&account.name).copied());
    Ok(accounts)
}

fn ended(connection: &Connection, since: Timestamp) -> Result<Vec<JobSummary>> {
    let sql = format!(
        "SELECT {} FROM job WHERE state <> 'running' AND ended_ns >= ? ORDER BY ended_ns DESC",
        rows::JOB
    );
    let jobs: Vec<JobRow> = connection
        .prepare(&sql)?
        .query_map([rows::wall_nanoseconds(since)], rows::job)?
        .collect::<Result<_>>()?;
    jobs.into_iter().map(|row| summarize(connection, row)).collect()
}

/// The table is in the order of zones and times: one look a zone, not at every fact.
fn facts(connection: &Connection, since: Timestamp) -> Result<Vec<IntensityFact>> {
    connection
        .prepare(
            "WITH RECURSIVE known (zone) AS (
                 SELECT min(zone) FROM intensity
                 UNION ALL
                 SELECT (SELECT min(zone) FROM intensity WHERE zone > known.zone) FROM known
                 WHERE known.zone IS NOT NULL)
             SELECT intensity.* FROM known JOIN intensity ON intensity.zone = known.zone
             WHERE from_ns >= ? AND kind <> 'table'
             ORDER BY from_ns, fetched_ns",
        )?
        .query_map([rows::wall_nanoseconds(since)], rows::intensity)?
        .collect()
}

fn zones(connection: &Connection, since: Timestamp, now: Timestamp) -> Result<Vec<ZoneUse>> {
    connection
        .prepare(
            "SELECT zone, min(started_ns), max(CASE state WHEN 'running' THEN ?2 ELSE ended_ns END)
             FROM job WHERE zone IS NOT NULL AND (state = 'running' OR ended_ns >= ?1)
             GROUP BY zone",
        )?
        .query_map((rows::wall_nanoseconds(since), rows::wall_nanoseconds(now)), |row| {
            let (from, to) = (rows::timestamp(row, 1)?, rows::timestamp(row, 2)?);
            Ok(ZoneUse { zone: row.get(0)?, from, to })
        })?
        .collect()
}
