//! The state of a database, read before any key is needed and without changing it.
//!
//! Invariant: nothing here creates a file, a table or a row.

use std::{io, path::Path, str::FromStr as _, time::Duration};

use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::{
    StoreError,
    db::{
        schema,
        sqlite::{Mode, SqliteConn},
        values::Args,
    },
};

/// The state of a database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Applied migrations; 0 for a database that redialer has not used yet.
    pub applied: usize,
    /// Migrations that this version knows.
    pub known: usize,
    /// Whether it holds sealed data, which only the same key-encryption key opens.
    pub sealed: bool,
}

/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(10);

const SEALED: &str = "select count(*) as n from meta where name = 'kek_check'";
const APPLIED: &str = "select count(*) as n from _sqlx_migrations where success";

impl Inspection {
    /// The state of the embedded database in that file.
    pub fn of_sqlite(file: &Path) -> Result<Self, StoreError> {
        const TABLES: &str =
            "select count(*) as n from sqlite_master where name in ('meta', '_sqlx_migrations')";
        let known = schema::LITE.iter().count();
        if !file.exists() {
            return Ok(Self { known, ..Self::default() });
        }
        // A read-only connection would leave the log's files behind if it is the last one.
        let mut db = SqliteConn::open(file, Mode::OtherFile)?;
        let mut n = |sql| -> Result<i64, sqlx::Error> {
            db.rows(sql, Args::default())?.first().map_or(Ok(0), |row| row.get("n"))
        };
        let mut inspection = Self { known, ..Self::default() };
        if n(TABLES)? == 2 {
            inspection.applied = count(n(APPLIED)?);
            inspection.sealed = n(SEALED)? > 0;
        }
        db.close()?;
        Ok(inspection)
    }

    /// The state of a Postgres database. Connects once; the error names the reason.
    pub async fn of_postgres(url: &str) -> Result<Self, StoreError> {
        const TABLES: &str =
            "select to_regclass('meta') is not null and to_regclass('_sqlx_migrations') is not null";
        let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
        let late =
            || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", CONNECT.as_secs()));
        let connecting = tokio::time::timeout(CONNECT, PgConnection::connect_with(&options)).await;
        let mut db = connecting.map_err(|_| sqlx::Error::Io(late()))??;
        let mut inspection = Self { known: schema::PG.iter().count(), ..Self::default() };
        if sqlx::query_scalar(TABLES).fetch_one(&mut db).await? {
            inspection.applied = count(sqlx::query_scalar(APPLIED).fetch_one(&mut db).await?);
            inspection.sealed = count(sqlx::query_scalar(SEALED).fetch_one(&mut db).await?) > 0;
        }
        db.close().await?;
        Ok(inspection)
    }
}

impl StoreError {
    /// Whether the database's address refused the connection, as it does while the database starts.
    pub fn is_connection_refused(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::Io(e)) if e.kind() == io::ErrorKind::ConnectionRefused)
    }
}

fn count(n: i64) -> usize {
    usize::try_from(n).unwrap_or(0)
}
