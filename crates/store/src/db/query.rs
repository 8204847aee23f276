//! Runs one statement on a connection of either engine.

use sqlx::{Postgres, SqlSafeStr, postgres::PgArguments, query::Query};

use crate::{
    StoreError,
    db::{
        Args, Column, Row, Value, bulk_sql,
        pool::{Conn, Guard, Pool, in_time},
        sqlite::{SqliteConn, blocking},
    },
};

pub(crate) fn postgres_query(sql: impl SqlSafeStr, args: Args) -> Query<'static, Postgres, PgArguments> {
    let mut query = sqlx::query(sql);
    for value in args.0 {
        query = match value {
            Value::Int(v) => query.bind(v),
            Value::Text(v) => query.bind(v),
            Value::Blob(v) => query.bind(v),
            Value::Uuid(v) => query.bind(v),
            Value::Bool(v) => query.bind(v),
            Value::Column(Column::Int(v)) => query.bind(v),
            Value::Column(Column::Text(v)) => query.bind(v),
            Value::Column(Column::Blob(v)) => query.bind(v),
            Value::Column(Column::Uuid(v)) => query.bind(v),
            Value::Column(Column::Bool(v)) => query.bind(v),
        };
    }
    query
}

fn fetch_sqlite(connection: &mut SqliteConn, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    connection.run(bulk_sql::numbered(sql), args, |row| rows.push(Row::Sqlite(row)))?;
    Ok(rows)
}

impl Conn {
    pub(crate) async fn execute(&mut self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Sqlite(c) => c.run(bulk_sql::numbered(sql), args, |_| ())?,
            Self::Postgres(c) => in_time(postgres_query(sql, args).execute(c)).await?.rows_affected(),
        })
    }

    pub(crate) async fn fetch(&mut self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Sqlite(c) => fetch_sqlite(c, sql, args)?,
            Self::Postgres(c) => in_time(postgres_query(sql, args).fetch_all(c))
                .await?
                .into_iter()
                .map(Row::Postgres)
                .collect(),
        })
    }
}

/// Runs one statement outside any transaction.
pub(crate) async fn fetch_once(pool: &Pool, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
    let mut guard = pool.acquire().await?;
    let fetched = match guard.busy()? {
        // It may read many rows, unlike a statement inside a transaction.
        Conn::Sqlite(connection) => blocking(|| fetch_sqlite(connection, sql, args)),
        postgres => postgres.fetch(sql, args).await,
    };
    match &fetched {
        Ok(_) => guard.done(),
        Err(error) => replace_if_broken(&mut guard, error),
    }
    fetched
}

/// Replaces the connection if the error makes it unusable.
pub(crate) fn replace_if_broken(guard: &mut Guard, error: &StoreError) {
    if let StoreError::Unavailable(error) = error {
        guard.failed(error);
    }
}
