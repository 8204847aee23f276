//! A row of either engine.

use rusqlite::types::FromSql;
use sqlx::{Decode, Postgres, Row as _, Type, postgres::PgRow};

use crate::{StoreError, db::sqlite::SqliteRow};

/// A row of either engine.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    pub(crate) fn get<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: FromSql + for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        Ok(match self {
            Self::Sqlite(row) => row.get(column)?,
            Self::Postgres(row) => row.try_get(column)?,
        })
    }

    /// Reads the keyed hash of a number.
    pub(crate) fn phone_hash(&self, column: &str) -> Result<[u8; 16], StoreError> {
        self.get::<Vec<u8>>(column)?.try_into().map_err(|_| StoreError::Corrupt("number index"))
    }
}
