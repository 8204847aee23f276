//! One connection to the embedded database.
//!
//! Invariants: a statement runs on the calling thread, so statements run in the order of their calls (the simulation
//! depends on it). Slow work (opening, beginning, committing, reading outside a transaction) does not block other tasks
//! of the same thread. A statement inside a transaction reads and writes few pages.

use std::{borrow::Cow, error::Error as StdError, fmt, path::Path, sync::Arc, time::Duration};

use rusqlite::{
    Connection, OpenFlags, ToSql,
    ffi::{ErrorCode, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE},
    types::{FromSql, ToSqlOutput, Value as Owned, ValueRef},
};
use sqlx::error::{DatabaseError, ErrorKind};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use crate::db::{
    tx_kind::TxKind,
    values::{Args, Value},
};

/// How long to wait for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements cached per connection: more than the store has.
const STATEMENT_CACHE: usize = 1024;
/// Log size, in pages, at which a commit checkpoints the log while all writers wait. Maintenance
/// ([`crate::Store::maintain`]) normally checkpoints earlier.
const AUTOCHECKPOINT_PAGES: i64 = 64_000;
/// The writer's page cache in KiB. A transaction whose pages do not fit writes some of them into the log more than once.
const WRITER_CACHE_KIB: i64 = 32 << 10;
/// The log file is truncated to this many bytes when the log restarts; otherwise it keeps its largest size.
const JOURNAL_SIZE_LIMIT: i64 = 64 << 20;

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Reads and writes; creates the file if it does not exist.
    Write,
    /// Only reads an existing file.
    Read,
    /// Reads and writes a file other than the database, such as a backup, without changing its journal mode.
    OtherFile,
}

/// A connection to a SQLite file.
pub(crate) struct SqliteConn {
    connection: Connection,
    /// The current setting: whether commits wait for the disk.
    synchronous: &'static str,
}

/// A result row.
pub(crate) struct SqliteRow {
    columns: Arc<[Box<str>]>,
    values: Vec<Owned>,
}

impl SqliteConn {
    /// Opens the file.
    pub(crate) fn open(file: &Path, mode: Mode) -> Result<Self, sqlx::Error> {
        blocking(|| {
            let flags = match mode {
                Mode::Write | Mode::OtherFile => {
                    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
                }
                Mode::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            };
            let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
            connection.pragma_update(None, "foreign_keys", true)?;
            // Otherwise the pages that a failing statement would restore go through a file.
            connection.pragma_update(None, "temp_store", "memory")?;
            if mode == Mode::Write {
                connection.pragma_update(None, "journal_mode", "wal")?;
                connection.pragma_update(None, "synchronous", "full")?;
                connection.pragma_update(None, "wal_autocheckpoint", AUTOCHECKPOINT_PAGES)?;
                connection.pragma_update(None, "journal_size_limit", JOURNAL_SIZE_LIMIT)?;
                connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
            }
            Ok(Self { connection, synchronous: "full" })
        })
        .map_err(error)
    }

    /// Begins a transaction with the write lock; `kind` says whether its commit waits for the disk.
    pub(crate) fn begin(&mut self, kind: TxKind) -> Result<(), sqlx::Error> {
        let synchronous = if kind == TxKind::Deferred { "normal" } else { "full" };
        if self.synchronous != synchronous {
            self.connection.pragma_update(None, "synchronous", synchronous).map_err(error)?;
            self.synchronous = synchronous;
        }
        self.control("begin immediate")
    }

    /// Runs a statement without parameters that may wait for the disk or for another process.
    pub(crate) fn control(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        blocking(|| self.run(sql, Args::default(), |_| ())).map(|_| ())
    }

    /// Runs a statement and passes each result row to `answer`; returns the number of changed rows, if it changes any.
    pub(crate) fn run(
        &mut self,
        sql: &str,
        args: Args,
        mut answer: impl FnMut(SqliteRow),
    ) -> Result<u64, sqlx::Error> {
        let mut work = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let columns: Arc<[Box<str>]> = statement.column_names().into_iter().map(Box::from).collect();
            for (i, value) in args.0.iter().enumerate() {
                statement.raw_bind_parameter(i + 1, value)?;
            }
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                let values = (0..columns.len()).map(|i| row.get(i)).collect::<Result<_, _>>()?;
                answer(SqliteRow { columns: Arc::clone(&columns), values });
            }
            Ok(self.connection.changes())
        };
        work().map_err(error)
    }

    /// Runs several statements without parameters.
    pub(crate) fn run_script(&self, sql: &str) -> Result<(), sqlx::Error> {
        blocking(|| self.connection.execute_batch(sql)).map_err(error)
    }

    /// Runs a statement and returns its rows.
    pub(crate) fn rows(&mut self, sql: &str, args: Args) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut rows = Vec::new();
        self.run(sql, args, |row| rows.push(row))?;
        Ok(rows)
    }

    /// Closes the file.
    pub(crate) fn close(self) -> Result<(), sqlx::Error> {
        blocking(|| self.connection.close().map_err(|(_, why)| error(why)))
    }
}

impl SqliteRow {
    pub(crate) fn get<T: FromSql>(&self, column: &str) -> Result<T, sqlx::Error> {
        let at = self.columns.iter().position(|name| **name == *column);
        let value = at.and_then(|i| self.values.get(i)).map(ValueRef::from);
        let value = value.ok_or_else(|| sqlx::Error::ColumnNotFound(column.to_owned()))?;
        T::column_result(value)
            .map_err(|e| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(e) })
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Int(v) => v.map(ValueRef::Integer),
            Self::Bool(v) => v.map(|v| ValueRef::Integer(v.into())),
            Self::Text(v) => v.as_ref().map(|v| ValueRef::Text(v.as_bytes())),
            Self::Blob(v) => v.as_deref().map(ValueRef::Blob),
            Self::Uuid(v) => v.as_ref().map(|v| ValueRef::Blob(v.as_bytes())),
            // SQLite has no arrays, and `bulk_sql` builds none for it.
            Self::Column(_) => None,
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

/// Runs slow work. On a multi-threaded runtime, the other tasks of this thread continue on another thread.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) | Err(_) => work(),
        Ok(_) => block_in_place(work),
    }
}

/// A SQLite error as a database error, like those of Postgres: callers distinguish them by kind and code.
#[derive(Debug)]
struct SqliteError(rusqlite::Error);

pub(crate) fn error(error: rusqlite::Error) -> sqlx::Error {
    sqlx::Error::Database(Box::new(SqliteError(error)))
}

/// Whether the embedded database as a whole is unavailable; `None` for an error of another engine.
pub(crate) fn is_outage(error: &dyn DatabaseError) -> Option<bool> {
    let SqliteError(error) = error.try_downcast_ref::<SqliteError>()?;
    Some(matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::DiskFull
                | ErrorCode::CannotOpen
                | ErrorCode::NotADatabase
        )
    ))
}

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for SqliteError {}

impl DatabaseError for SqliteError {
    fn message(&self) -> &str {
        match &self.0 {
            rusqlite::Error::SqliteFailure(_, Some(message)) => message,
            _ => "the embedded database failed",
        }
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.0.sqlite_error().map(|e| e.extended_code.to_string().into())
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        match self.0.sqlite_error() {
            Some(e) if matches!(e.extended_code, SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE) => {
                ErrorKind::UniqueViolation
            }
            _ => ErrorKind::Other,
        }
    }
}
