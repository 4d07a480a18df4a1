// SPDX-License-Identifier: Apache-2.0
//! Reading the ledger, also while a daemon writes it and as another user.
//!
//! A reader never writes, never waits for the writer and never keeps it waiting.
//! Figures of a job include the jobs nested in it. Sums are made here, in integers
//! that cannot overflow, not by SQL's `sum`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Result, params_from_iter};

use super::accounts::{held, pue_facts};
use super::rows;
use super::schema::{self, FILE_NAME, LedgerError, with_suffix};
use super::work::{phases, units};
use super::{
    Amount, Booking, DomainKey, DomainReport, Held, IntervalEnergy, JobKey, JobReport, JobRow,
    Uncertainty,
};
use crate::jobs::{JobId, JobState};
use crate::sensors::{Domain, Kind, Method, Missing};
use crate::units::Energy;

/// Jobs listed where no limit is given.
pub const LIMIT: u32 = 50;

/// How long a reader waits while the writer starts or ends.
const BUSY: Duration = Duration::from_secs(2);

/// The job `?1` and all that are nested in it, as the table `family`.
pub(super) const FAMILY: &str = "WITH RECURSIVE family (key) AS (
     SELECT ?1 UNION SELECT job.key FROM job JOIN family ON job.parent_key = family.key)";

/// Which jobs to list. Everything that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this user.
    pub user: Option<String>,
    /// Of this project.
    pub project: Option<String>,
    /// Of this name.
    pub name: Option<String>,
    /// With each of these labels.
    pub labels: Vec<(String, String)>,
    /// In this state.
    pub state: Option<JobState>,
    /// That started at or after this moment.
    pub since: Option<Timestamp>,
    /// That started before this moment.
    pub until: Option<Timestamp>,
    /// At most so many; `None`: [`LIMIT`]; 0: all.
    pub limit: Option<u32>,
}

/// One job of a list. Its figures include nested jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct JobSummary {
    /// The job.
    pub row: JobRow,
    /// Energy of counted domains, in the order of [`Kind::ALL`]; `None`: nothing of
    /// that kind was counted.
    pub energy: [Option<Energy>; Kind::ALL.len()],
    /// Energy of domains that overlap the counted ones, likewise; never added to them.
    pub overlapping: [Option<Energy>; Kind::ALL.len()],
    /// The part of `energy` that rests on a model; `None`: nothing of that kind does.
    pub estimated: [Option<Energy>; Kind::ALL.len()],
    /// Whether any counted domain has a sensor.
    pub measured: bool,
    /// What it held.
    pub held: Held,
}

impl JobSummary {
    /// Energy of all counted domains; `None`: nothing could be counted.
    pub fn total(&self) -> Option<Energy> {
        self.energy.iter().flatten().copied().reduce(Energy::saturating_add)
    }

    /// `measured`, `estimated`, or `mixed`; `None` where nothing was counted.
    pub fn provenance(&self) -> Option<&'static str> {
        match (self.measured, self.estimated.iter().any(Option::is_some)) {
            (true, false) => Some("measured"),
            (true, true) => Some("mixed"),
            (false, true) => Some("estimated"),
            (false, false) => None,
        }
    }
}

/// What was booked of a domain in a period.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainTotal {
    /// The domain.
    pub domain: Domain,
    /// By all jobs and nobody.
    pub total: Energy,
    /// Of that, by nobody.
    pub unattributed: Energy,
}

/// A ledger opened for reading only.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: std::path::PathBuf,
}

impl Reader {
    /// Opens the ledger of a state directory.
    ///
    /// Without a log beside it the file is complete; where SQLite cannot make its
    /// own files there (a read-only directory), it is then read as it stands.
    ///
    /// # Errors
    /// [`LedgerError::Absent`], [`LedgerError::Newer`], [`LedgerError::Older`], or
    /// [`LedgerError::Database`] for what SQLite says.
    pub fn open(directory: &Path) -> std::result::Result<Reader, LedgerError> {
        let path = directory.join(FILE_NAME);
        // Asked, not opened: closing the file here would undo the locks of a writer
        // in this process.
        if let Err(cause) = rustix::fs::access(&path, rustix::fs::Access::READ_OK) {
            return Err(match std::io::Error::from(cause) {
                cause if cause.kind() == std::io::ErrorKind::NotFound => {
                    LedgerError::Absent(directory.to_owned())
                }
                cause => LedgerError::Open { path, cause },
            });
        }
        let log = std::fs::metadata(with_suffix(&path, "-wal")).map_or(0, |file| file.len());
        let (connection, found) = match connect(&path, false) {
            Err(_) if log == 0 => connect(&path, true),
            other => other,
        }
        .map_err(|cause| LedgerError::Database { path: path.clone(), cause })?;
        match found {
            schema::VERSION => Ok(Reader { connection, path }),
            found if found > schema::VERSION => Err(LedgerError::Newer { path, found }),
            found => Err(LedgerError::Older { path, found }),
        }
    }

    /// Has SQLite look through the file for damage.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] with the first that it finds, or
    /// [`LedgerError::Database`] where it cannot look.
    pub fn check(&self) -> std::result::Result<(), LedgerError> {
        let look = "PRAGMA quick_check(1)";
        let said: String =
            self.told(|connection| connection.query_row(look, [], |row| row.get(0)))?;
        if said == "ok" {
            return Ok(());
        }
        Err(LedgerError::Damaged { path: self.path.clone(), what: said })
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn jobs(&self, filter: &Filter) -> std::result::Result<Vec<JobSummary>, LedgerError> {
        self.told(|connection| list(connection, filter))
    }

    /// All that is known of a job; of several with that id, the newest.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn report(&self, id: &JobId) -> std::result::Result<Option<JobReport>, LedgerError> {
        self.told(|connection| report(connection, id))
    }

    /// What was booked by domain, in lines that begin within the period.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn totals(
        &self,
        since: Timestamp,
        until: Timestamp,
    ) -> std::result::Result<Vec<DomainTotal>, LedgerError> {
        self.told(|connection| totals(connection, since, until))
    }

    /// Reads within one transaction, so that all of an answer is of one moment.
    pub(super) fn told<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T>,
    ) -> std::result::Result<T, LedgerError> {
        let answer = self.connection.unchecked_transaction().and_then(|moment| read(&moment));
        answer.map_err(|cause| LedgerError::Database { path: self.path.clone(), cause })
    }
}

/// Connects and reads the schema version, which touches file and log.
fn connect(path: &Path, immutable: bool) -> Result<(Connection, i64)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = if immutable {
        Connection::open_with_flags(uri(path), flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    connection.busy_timeout(BUSY)?;
    let found = schema::version(&connection)?;
    // In WAL mode the version alone may come from the file's first page.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok((connection, found))
}

/// A path as a URI that tells SQLite that nobody writes the file.
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut text = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                text.push(char::from(*byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text + "?immutable=1"
}

fn list(connection: &Connection, filter: &Filter) -> Result<Vec<JobSummary>> {
    let (mut clauses, mut values) = (vec!["1".to_owned()], Vec::<Value>::new());
    let mut require = |clause: &str, value: Value| {
        clauses.push(clause.to_owned());
        values.push(value);
    };
    for (clause, text) in
        [("user = ?", &filter.user), ("project = ?", &filter.project), ("name = ?", &filter.name)]
    {
        if let Some(text) = text {
            require(clause, text.clone().into());
        }
    }
    if let Some(state) = filter.state {
        require("state = ?", state.as_str().to_owned().into());
    }
    if let Some(since) = filter.since {
        require("started_ns >= ?", rows::wall_nanoseconds(since).into());
    }
    if let Some(until) = filter.until {
        require("started_ns < ?", rows::wall_nanoseconds(until).into());
    }
    for (key, value) in &filter.labels {
        clauses.push("EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ? AND value = ?)".into());
        values.extend([key.clone().into(), value.clone().into()]);
    }
    let sql = format!(
        "SELECT {} FROM job WHERE {} ORDER BY started_ns DESC, key DESC LIMIT {}",
        rows::JOB,
        clauses.join(" AND "),
        match filter.limit.unwrap_or(LIMIT) {
            0 => -1,
            limit => i64::from(limit),
        }
    );
    let jobs: Vec<JobRow> = connection
        .prepare(&sql)?
        .query_map(params_from_iter(values), rows::job)?
        .collect::<Result<_>>()?;
    jobs.into_iter().map(|row| summarize(connection, row)).collect()
}

/// A job's energy by kind, nested jobs included.
pub(super) fn summarize(connection: &Connection, row: JobRow) -> Result<JobSummary> {
    let sql = format!(
        "{FAMILY} SELECT domain.kind, domain.method, domain.overlap IS NULL, part.energy_uj
         FROM family CROSS JOIN tally AS part ON part.job = family.key
         JOIN domain ON domain.key = part.domain
         UNION ALL
         SELECT domain.kind, domain.method, domain.overlap IS NULL, part.energy_uj
         FROM family CROSS JOIN booking_open AS part ON part.job = family.key
         JOIN domain ON domain.key = part.domain"
    );
    let none = [None; Kind::ALL.len()];
    let held = held(connection, row.key)?;
    let (overlapping, estimated) = (none, none);
    let mut summary =
        JobSummary { energy: none, overlapping, estimated, measured: false, held, row };
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = statement.query([summary.row.key.0])?;
    while let Some(row) = found.next()? {
        let word = row.get_ref(0)?.as_str()?;
        let Some(kind) = Kind::ALL.iter().position(|kind| kind.as_str() == word) else { continue };
        let estimate = row.get_ref(1)?.as_str()? == Method::Estimate.as_str();
        let (counted, energy) = (row.get::<_, bool>(2)?, rows::energy(row, 3)?);
        let add = |sums: &mut [Option<Energy>]| {
            sums[kind] = Some(sums[kind].unwrap_or_default().saturating_add(energy));
        };
        add(if counted { &mut summary.energy } else { &mut summary.overlapping });
        if counted && estimate {
            add(&mut summary.estimated);
        }
        summary.measured |= counted && !estimate;
    }
    Ok(summary)
}

fn report(connection: &Connection, id: &JobId) -> Result<Option<JobReport>> {
    let sql = format!("SELECT {} FROM job WHERE id = ? ORDER BY key DESC LIMIT 1", rows::JOB);
    let Some(job) = connection.query_row(&sql, [id.as_str()], rows::job).optional()? else {
        return Ok(None);
    };
    let lines = lines(connection, job.key)?;
    let domains = all_domains(connection)?;
    let moved = shares(connection, job.key)?;
    let mut sums: BTreeMap<DomainKey, Sum> = BTreeMap::new();
    let mut intervals = Intervals::default();
    for line in &lines {
        sums.entry(line.domain).or_default().add(&line.amount);
        if domains.get(&line.domain).is_some_and(Domain::counted) {
            intervals.add(line.from_microseconds, line.to_microseconds, line.amount.energy);
        }
    }
    let domains = sums.into_iter().filter_map(|(key, sum)| {
        let amount = sum.amount();
        let moved = moved.get(&key).copied();
        let exclusive = moved == Some(amount.energy);
        Some(DomainReport { domain: domains.get(&key)?.clone(), amount, moved, exclusive })
    });
    Ok(Some(JobReport {
        domains: domains.collect(),
        intervals: intervals.sorted(),
        missing: missing(connection, job.key)?,
        notes: notes(connection, job.key)?,
        pue: pue_facts(connection, job.started, job.ended)?,
        held: held(connection, job.key)?,
        phases: phases(connection, job.key)?.into_iter().map(Into::into).collect(),
        units: units(connection, job.key)?.into_iter().map(Into::into).collect(),
        job,
    }))
}

/// Energy by interval, of several domains.
#[derive(Default)]
pub(super) struct Intervals(BTreeMap<(i64, i64), Energy>);

impl Intervals {
    /// Adds a line's.
    pub fn add(&mut self, from: i64, to: i64, energy: Energy) {
        let sum = self.0.entry((from, to)).or_default();
        *sum = sum.saturating_add(energy);
    }

    /// By their start.
    pub fn sorted(self) -> Vec<IntervalEnergy> {
        let interval = |((from_microseconds, to_microseconds), energy)| IntervalEnergy {
            from_microseconds,
            to_microseconds,
            energy,
        };
        self.0.into_iter().map(interval).collect()
    }
}

/// Amounts added up as `docs/accuracy.md` says: edge and resolution in quadrature,
/// split and gap linearly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    energy: Energy,
    edge_squared: u128,
    resolution_squared: u128,
    split: Energy,
    gap: Energy,
    gap_nanoseconds: u64,
}

impl Sum {
    /// Adds an amount.
    pub fn add(&mut self, amount: &Amount) {
        let squared = |energy: Energy| u128::from(energy.microjoules()).pow(2);
        let error = &amount.uncertainty;
        self.energy = self.energy.saturating_add(amount.energy);
        self.edge_squared = self.edge_squared.saturating_add(squared(error.edge));
        self.resolution_squared = self.resolution_squared.saturating_add(squared(error.resolution));
        self.split = self.split.saturating_add(error.split);
        self.gap = self.gap.saturating_add(error.gap);
        self.gap_nanoseconds = self.gap_nanoseconds.saturating_add(amount.gap_nanoseconds);
    }

    /// Adds the amounts of another sum.
    pub fn merge(&mut self, other: &Sum) {
        self.energy = self.energy.saturating_add(other.energy);
        self.edge_squared = self.edge_squared.saturating_add(other.edge_squared);
        self.resolution_squared = self.resolution_squared.saturating_add(other.resolution_squared);
        self.split = self.split.saturating_add(other.split);
        self.gap = self.gap.saturating_add(other.gap);
        self.gap_nanoseconds = self.gap_nanoseconds.saturating_add(other.gap_nanoseconds);
    }

    /// The whole.
    pub fn amount(&self) -> Amount {
        // The root of 128 bits has 64.
        let root = |squares: u128| Energy::from_microjoules(squares.isqrt() as u64);
        Amount {
            energy: self.energy,
            uncertainty: Uncertainty {
                edge: root(self.edge_squared),
                split: self.split,
                gap: self.gap,
                resolution: root(self.resolution_squared),
            },
            gap_nanoseconds: self.gap_nanoseconds,
        }
    }
}

/// The lines of a job and of all nested in it.
fn lines(connection: &Connection, job: JobKey) -> Result<Vec<Booking>> {
    let columns = rows::LINE;
    let sql = format!(
        "{FAMILY} SELECT {columns} FROM family CROSS JOIN booking ON booking.job = family.key
         UNION ALL
         SELECT {columns} FROM family CROSS JOIN booking_open ON booking_open.job = family.key"
    );
    connection.prepare(&sql)?.query_map([job.0], rows::line)?.collect()
}

pub(super) fn all_domains(connection: &Connection) -> Result<BTreeMap<DomainKey, Domain>> {
    let sql = format!("SELECT domain.key, {} FROM domain", rows::DOMAIN);
    connection
        .prepare(&sql)?
        .query_map([], |row| Ok((DomainKey(row.get(0)?), rows::domain(row, 1)?)))?
        .collect()
}

fn shares(connection: &Connection, job: JobKey) -> Result<BTreeMap<DomainKey, Energy>> {
    connection
        .prepare("SELECT domain, moved_uj FROM share WHERE job = ?")?
        .query_map([job.0], |row| Ok((DomainKey(row.get(0)?), rows::energy(row, 1)?)))?
        .collect()
}

fn missing(connection: &Connection, job: JobKey) -> Result<Vec<Missing>> {
    connection
        .prepare("SELECT source, what, state, why, remedy FROM missing WHERE job = ?")?
        .query_map([job.0], |row| {
            Ok(Missing {
                source: row.get(0)?,
                what: row.get(1)?,
                state: row.get(2)?,
                why: row.get(3)?,
                remedy: row.get(4)?,
            })
        })?
        .collect()
}

fn notes(connection: &Connection, job: JobKey) -> Result<Vec<String>> {
    connection
        .prepare("SELECT text FROM note WHERE job = ? ORDER BY seq")?
        .query_map([job.0], |row| row.get(0))?
        .collect()
}

fn totals(connection: &Connection, since: Timestamp, until: Timestamp) -> Result<Vec<DomainTotal>> {
    // Only the lines of jobs that ran in the period are looked at.
    let sql = "WITH account (key) AS (
             SELECT 0 UNION ALL SELECT key FROM job
             WHERE started_ns < ?4 AND ifnull(ended_ns, 9223372036854775807) >= ?3)
         SELECT line.domain, line.job, line.energy_uj FROM account CROSS JOIN line
         ON line.job = account.key WHERE line.from_us >= ?1 AND line.from_us < ?2";
    let bounds = (
        since.as_microsecond(),
        until.as_microsecond(),
        rows::wall_nanoseconds(since),
        rows::wall_nanoseconds(until),
    );
    let mut sums: BTreeMap<DomainKey, (Energy, Energy)> = BTreeMap::new();
    let mut statement = connection.prepare(sql)?;
    let mut found = statement.query(bounds)?;
    while let Some(row) = found.next()? {
        let energy = rows::energy(row, 2)?;
        let (total, unattributed) = sums.entry(DomainKey(row.get(0)?)).or_default();
        *total = total.saturating_add(energy);
        if JobKey(row.get(1)?) == JobKey::UNATTRIBUTED {
            *unattributed = unattributed.saturating_add(energy);
        }
    }
    let domains = all_domains(connection)?;
    let total = |(key, domain)| {
        let (total, unattributed) = sums.get(&key).copied().unwrap_or_default();
        DomainTotal { domain, total, unattributed }
    };
    Ok(domains.into_iter().map(total).collect())
}
