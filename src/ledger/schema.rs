// SPDX-License-Identifier: Apache-2.0
//! The ledger's file: where it lies, how it is opened, and its migrations.
//!
//! `PRAGMA user_version` counts the migrations that a file has had. A file of a
//! newer aimeter is refused and left alone; a corrupt one is renamed, with its
//! log, and never overwritten. The schema is described in `docs/ledger.md`.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::clock;

/// The ledger's file within its directory.
pub const FILE_NAME: &str = "ledger.db";

/// Held by the one process that writes the ledger; holds its process id.
pub const LOCK_NAME: &str = "ledger.lock";

/// The migrations, in order; a file of version n has had the first n.
const MIGRATIONS: [&str; 8] = [
    include_str!("migrations/0001_facts.sql"),
    include_str!("migrations/0002_tally.sql"),
    include_str!("migrations/0003_recovery.sql"),
    include_str!("migrations/0004_settlement.sql"),
    include_str!("migrations/0005_accounts.sql"),
    include_str!("migrations/0006_timing.sql"),
    include_str!("migrations/0007_work.sql"),
    include_str!("migrations/0008_stays.sql"),
];

/// The schema version that this build writes.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// Owner and group: the ledger holds the command lines of all users.
const MODE: u32 = 0o640;

/// How long the writer waits for another writer's lock (a person with `sqlite3`).
const BUSY: Duration = Duration::from_millis(250);

/// Why the ledger could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The directory or a file in it cannot be made or opened.
    #[error("cannot open the ledger {path}: {cause}; check who may use that directory and file")]
    Open {
        /// What.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// Another process writes it.
    #[error(
        "the ledger {path} is being written by process {holder}; end it, or choose another state directory"
    )]
    Locked {
        /// Which ledger.
        path: PathBuf,
        /// The other's process id, or `unknown`.
        holder: String,
    },
    /// A newer aimeter wrote it.
    #[error(
        "the ledger {path} has schema version {found}, this aimeter knows {VERSION}; install the newer aimeter again"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// An older aimeter wrote it and no daemon has opened it since.
    #[error(
        "the ledger {path} has schema version {found}, this aimeter reads {VERSION}; start the daemon once to upgrade it"
    )]
    Older {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// There is none.
    #[error("there is no ledger at {0}; start `aimeter daemon`, or name its state directory")]
    Absent(PathBuf),
    /// SQLite failed.
    #[error("the ledger {path} cannot be used: {cause}")]
    Database {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        cause: rusqlite::Error,
    },
    /// SQLite's own check found damage.
    #[error("the ledger {path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What SQLite says.
        what: String,
    },
    /// At the end not all could be written.
    #[error("{lines} lines of the books could not be saved in the ledger {path}: {cause}")]
    Unsaved {
        /// Which file.
        path: PathBuf,
        /// Lines that are lost; what they hold since the last good write.
        lines: u64,
        /// Why.
        cause: String,
    },
}

/// An exclusive claim on a ledger's directory; given back when dropped, also by
/// the death of the process.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// Takes the claim without waiting.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] where another process has it.
    pub fn take(directory: &Path) -> Result<Lock, LedgerError> {
        let path = directory.join(LOCK_NAME);
        let open = |cause| LedgerError::Open { path: path.clone(), cause };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .mode(MODE)
            .truncate(false)
            .open(&path)
            .map_err(open)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
                let holder = if known { holder.trim().to_owned() } else { "unknown".to_owned() };
                return Err(LedgerError::Locked { path: directory.join(FILE_NAME), holder });
            }
            Err(TryLockError::Error(cause)) => return Err(open(cause)),
        }
        // The number is only for the other's message: a full disk must not matter.
        let _ = file.rewind();
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Lock(file))
    }
}

/// Opens the file for writing and brings its schema up to [`VERSION`].
///
/// # Errors
/// [`LedgerError::Newer`] for a file of a newer aimeter; [`LedgerError::Database`]
/// for all else, [`is_corrupt`] tells a corrupt file.
pub fn open_for_writing(path: &Path) -> Result<Connection, LedgerError> {
    let database = |cause| LedgerError::Database { path: path.to_owned(), cause };
    // SQLite gives its log and index the mode of the file.
    File::options()
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
        .map_err(|cause| LedgerError::Open { path: path.to_owned(), cause })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(database)?;
    let found = version(&connection).map_err(database)?;
    if found > VERSION {
        return Err(LedgerError::Newer { path: path.to_owned(), found });
    }
    configure(&connection).map_err(database)?;
    migrate(&mut connection, found).map_err(database)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(database)?;
    Ok(connection)
}

/// The number of migrations that a file has had.
pub fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// The pragmas of the writing connection: few pages cached and none mapped,
/// because the memory is the training job's.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = NORMAL;
         PRAGMA cache_size = -256;
         PRAGMA mmap_size = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = 4194304;",
    )
}

/// Applies what is missing, each migration in a transaction of its own.
fn migrate(connection: &mut Connection, found: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(found).unwrap_or(0);
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(done) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", index as i64 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Whether an error means that the file's content is no (sound) ledger.
pub fn is_corrupt(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, InvalidColumnType};
    matches!(error, FromSqlConversionFailure(..) | InvalidColumnType(..))
        || matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
}

/// Renames a corrupt file, with its log, to `ledger.db.corrupt-<time>`, a name
/// that nothing has; `sqlite3` opens it there. Returns the new name.
///
/// # Errors
/// [`LedgerError::Open`] where it cannot be renamed: then it is not touched.
pub fn set_aside(path: &Path) -> Result<PathBuf, LedgerError> {
    let stamp = clock::wall().strftime("%Y%m%dT%H%M%SZ").to_string();
    let base = with_suffix(path, &format!(".corrupt-{stamp}"));
    let aside = (1..)
        .map(|n| if n == 1 { base.clone() } else { with_suffix(&base, &format!("-{n}")) })
        .find(|name| !name.exists())
        .unwrap_or(base);
    let open = |cause| LedgerError::Open { path: path.to_owned(), cause };
    // The log first: were we killed between, the database would be found corrupt
    // again rather than a new one meet an old log.
    for part in ["-wal", "-shm"] {
        match fs::rename(with_suffix(path, part), with_suffix(&aside, part)) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => return Err(open(cause)),
            _ => {}
        }
    }
    fs::rename(path, &aside).map_err(open)?;
    Ok(aside)
}

/// A path with text added to its file name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
