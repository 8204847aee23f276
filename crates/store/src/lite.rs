//! The embedded database's writing connection, worked by whoever writes.
//!
//! Invariants: what may wait for the disk or for another process (to begin, to commit, to open) does not hold up
//! other tasks of the same thread; statements do no more than read a page. Values are bound by number: `$n` of the
//! shared texts is `?n` here, which SQLite need not look up by name.
//! Absent on purpose: the async driver, which stays with the readers. Its own thread costs two wake-ups for each of
//! a batch's statements and a copy of every value both ways, a fifth of a webhook's whole cost (0007).

use std::{borrow::Cow, error::Error as StdError, fmt, path::Path, sync::Arc, time::Duration};

use rusqlite::{
    Connection, ToSql,
    types::{FromSql, ToSqlOutput, Value as Owned, ValueRef},
};
use sqlx::error::{DatabaseError, ErrorKind};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};

use crate::{
    many::{self, RowValues},
    values::{Args, Value},
};

/// Pages of the journal after which a commit moves them into the file itself: far beyond what the keeper lets it grow
/// to, but a process without one still ends it.
const JOURNAL_PAGES: i64 = 400_000;

/// To how many bytes the journal's file is cut when the journal is begun anew.
const JOURNAL_LIMIT: i64 = 64 << 20;

/// A new file's pages: half a block of the disk's. Most pages that a webhook changes change by one entry, and the journal
/// takes them whole.
const PAGE: i64 = 2048;

/// The connection that writes.
pub(crate) struct Lite(Connection);

/// A row of its answers.
pub(crate) struct LiteRow {
    columns: Arc<[Box<str>]>,
    values: Vec<Owned>,
}

impl Lite {
    /// Opens the file, or makes it.
    pub(crate) fn open(file: &Path, busy: Duration, prepared: usize) -> Result<Self, sqlx::Error> {
        aside(|| {
            let connection = redialer_wal::open(file, PAGE)?;
            connection.busy_timeout(busy)?;
            connection.set_prepared_statement_cache_capacity(prepared);
            connection.pragma_update(None, "foreign_keys", true)?;
            // Else the pages a statement may have to put back go through a file of their own.
            connection.pragma_update(None, "temp_store", "memory")?;
            connection.pragma_update(None, "wal_autocheckpoint", JOURNAL_PAGES)?;
            // Else the journal's file stays as long as it ever was.
            connection.pragma_update(None, "journal_size_limit", JOURNAL_LIMIT)?;
            Ok(Self(connection))
        })
        .map_err(told)
    }

    /// Begins or rolls back.
    pub(crate) fn turn(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        aside(|| self.run(sql, Args::default(), |_| ())).map(|_| ())
    }

    pub(crate) fn commit(&mut self) -> Result<(), sqlx::Error> {
        aside(|| redialer_wal::gathered(|| self.run("commit", Args::default(), |_| ()))).map(|_| ())
    }

    /// Runs a statement, and hands on the rows of its answer; how many rows it changed, if it changes any.
    pub(crate) fn run(
        &mut self,
        sql: &'static str,
        args: Args,
        answer: impl FnMut(LiteRow),
    ) -> Result<u64, sqlx::Error> {
        self.run_each(many::numbered(sql), &[], vec![args.0], answer)
    }

    /// The same for each of many rows of values, and a few that are the same for all.
    pub(crate) fn run_many(
        &mut self,
        base: &'static str,
        head: &[Value],
        rows: Vec<RowValues>,
        answer: impl FnMut(LiteRow),
    ) -> Result<u64, sqlx::Error> {
        let width = rows.first().map_or(0, Vec::len);
        self.run_each(many::one_by_one(base, width), head, rows, answer)
    }

    fn run_each(
        &mut self,
        sql: &str,
        head: &[Value],
        rows: Vec<RowValues>,
        mut answer: impl FnMut(LiteRow),
    ) -> Result<u64, sqlx::Error> {
        let mut work = || {
            let mut statement = self.0.prepare_cached(sql)?;
            let columns: Arc<[Box<str>]> = statement.column_names().into_iter().map(Box::from).collect();
            let mut changed = 0;
            for row in &rows {
                for (i, value) in row.iter().chain(head).enumerate() {
                    statement.raw_bind_parameter(i + 1, value)?;
                }
                let mut found = statement.raw_query();
                while let Some(row) = found.next()? {
                    let values = (0..columns.len()).map(|i| row.get(i)).collect::<Result<_, _>>()?;
                    answer(LiteRow { columns: Arc::clone(&columns), values });
                }
                changed += self.0.changes();
            }
            Ok(changed)
        };
        work().map_err(told)
    }

    /// Closes the file; what cannot be done is told.
    pub(crate) fn close(self) -> Result<(), sqlx::Error> {
        aside(|| self.0.close().map_err(|(_, error)| told(error)))
    }
}

impl LiteRow {
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
            // It has no columns as values, and `many` makes none for it.
            Self::Column(_) => None,
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

/// Does what may wait, with the other tasks of this thread going on elsewhere.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|here| here.runtime_flavor()) {
        Ok(RuntimeFlavor::CurrentThread) | Err(_) => work(),
        Ok(_) => block_in_place(work),
    }
}

/// What SQLite says, as the drivers' errors are told apart.
#[derive(Debug)]
struct LiteError(rusqlite::Error);

fn told(error: rusqlite::Error) -> sqlx::Error {
    sqlx::Error::Database(Box::new(LiteError(error)))
}

/// Whether the embedded database as a whole cannot do it now; `None` for an error of another engine.
pub(crate) fn is_outage(error: &dyn DatabaseError) -> Option<bool> {
    use rusqlite::ffi::ErrorCode as Code;
    let LiteError(error) = error.try_downcast_ref::<LiteError>()?;
    Some(matches!(
        error.sqlite_error_code(),
        Some(
            Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::OutOfMemory
                | Code::ReadOnly
                | Code::SystemIoFailure
                | Code::DatabaseCorrupt
                | Code::DiskFull
                | Code::CannotOpen
                | Code::NotADatabase
        )
    ))
}

impl fmt::Display for LiteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for LiteError {}

impl DatabaseError for LiteError {
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
        use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
        match self.0.sqlite_error() {
            Some(e) if matches!(e.extended_code, SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE) => {
                ErrorKind::UniqueViolation
            }
            _ => ErrorKind::Other,
        }
    }
}
