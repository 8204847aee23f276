//! A row of either engine, and what its columns hold.

use sqlx::{Postgres, Row as _, Sqlite, postgres::PgRow, sqlite::SqliteRow};

use crate::{StoreError, lite::LiteRow};

/// A row of either engine.
pub(crate) enum Row {
    Lite(LiteRow),
    Read(SqliteRow),
    Pg(PgRow),
}

impl Row {
    pub(crate) fn get<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: for<'r> sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
        T: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
        T: rusqlite::types::FromSql,
    {
        Ok(match self {
            Self::Lite(row) => row.get(column)?,
            Self::Read(row) => row.try_get(column)?,
            Self::Pg(row) => row.try_get(column)?,
        })
    }
}
