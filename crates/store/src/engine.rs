//! Two engines, one SQL text: SQLite in the data directory, or Postgres by URL.
//!
//! Invariants: statements are `&'static str` with `$1` placeholders that both engines take; values are
//! bound, never pasted. SQLite has exactly one writing connection, so writers queue instead of failing, and
//! syncs fully: what is acknowledged is on disk.
//! Absent on purpose: any business meaning.

use std::{path::Path, str::FromStr as _, time::Duration};

use sqlx::{
    ConnectOptions as _, PgConnection, PgPool, Postgres, Row as _, Sqlite, SqliteConnection, SqlitePool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};
use uuid::Uuid;

use crate::StoreError;

static LITE: Migrator = sqlx::migrate!("migrations/sqlite");
static PG: Migrator = sqlx::migrate!("migrations/postgres");

/// A database, either kind.
#[derive(Clone)]
pub(crate) enum Db {
    Lite { writer: SqlitePool, reader: SqlitePool },
    Pg(PgPool),
}

const BUSY: Duration = Duration::from_secs(5);
const ACQUIRE: Duration = Duration::from_secs(30);

impl Db {
    /// Opens, or makes, the embedded database.
    pub(crate) async fn sqlite(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .disable_statement_logging();
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.clone())
            .await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        Ok(Self::Lite { writer, reader })
    }

    /// Connects to Postgres.
    pub(crate) async fn postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
        let pool =
            PgPoolOptions::new().max_connections(16).acquire_timeout(ACQUIRE).connect_with(options).await?;
        Ok(Self::Pg(pool))
    }

    pub(crate) async fn migrate(&self) -> Result<(), StoreError> {
        match self {
            Self::Lite { writer, .. } => LITE.run(writer).await,
            Self::Pg(pool) => PG.run(pool).await,
        }
        .map_err(|e| StoreError::Schema(e.to_string()))
    }

    /// A transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Lite { writer, .. } => Tx::Lite(writer.begin_with("begin immediate").await?),
            Self::Pg(pool) => Tx::Pg(pool.begin().await?),
        })
    }

    /// One read outside any transaction.
    pub(crate) async fn read(&self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Lite { reader, .. } => Conn::Lite(&mut *reader.acquire().await?).fetch(sql, args).await,
            Self::Pg(pool) => Conn::Pg(&mut *pool.acquire().await?).fetch(sql, args).await,
        }
    }

    pub(crate) async fn read_one(&self, sql: &'static str, args: Args) -> Result<Option<Row>, StoreError> {
        Ok(self.read(sql, args).await?.into_iter().next())
    }

    /// One statement, its own transaction; the number of rows it changed.
    pub(crate) async fn write(&self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let changed = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(changed)
    }

    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self, Self::Pg(_))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Lite { writer, reader } => {
                reader.close().await;
                writer.close().await;
            }
            Self::Pg(pool) => pool.close().await,
        }
    }
}

/// An open transaction; dropped without [`Tx::commit`] it changes nothing.
pub(crate) enum Tx {
    Lite(sqlx::Transaction<'static, Sqlite>),
    Pg(sqlx::Transaction<'static, Postgres>),
}

impl Tx {
    pub(crate) async fn execute(&mut self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        self.conn().execute(sql, args).await
    }

    pub(crate) async fn fetch(&mut self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        self.conn().fetch(sql, args).await
    }

    pub(crate) async fn fetch_one(
        &mut self,
        sql: &'static str,
        args: Args,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Lite(tx) => tx.commit().await?,
            Self::Pg(tx) => tx.commit().await?,
        }
        Ok(())
    }

    fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Lite(tx) => Conn::Lite(tx),
            Self::Pg(tx) => Conn::Pg(tx),
        }
    }
}

enum Conn<'c> {
    Lite(&'c mut SqliteConnection),
    Pg(&'c mut PgConnection),
}

macro_rules! bound {
    ($engine:ty, $sql:expr, $args:expr) => {{
        let mut query = sqlx::query::<$engine>($sql);
        for value in $args.0 {
            query = match value {
                Value::Int(v) => query.bind(v),
                Value::Text(v) => query.bind(v),
                Value::Blob(v) => query.bind(v),
                Value::Uuid(v) => query.bind(v),
                Value::Bool(v) => query.bind(v),
            };
        }
        query
    }};
}

impl Conn<'_> {
    async fn execute(&mut self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Lite(c) => bound!(Sqlite, sql, args).execute(&mut **c).await?.rows_affected(),
            Self::Pg(c) => bound!(Postgres, sql, args).execute(&mut **c).await?.rows_affected(),
        })
    }

    async fn fetch(&mut self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Lite(c) => {
                bound!(Sqlite, sql, args).fetch_all(&mut **c).await?.into_iter().map(Row::Lite).collect()
            }
            Self::Pg(c) => {
                bound!(Postgres, sql, args).fetch_all(&mut **c).await?.into_iter().map(Row::Pg).collect()
            }
        })
    }
}

/// A row of either engine.
pub(crate) enum Row {
    Lite(SqliteRow),
    Pg(PgRow),
}

impl Row {
    pub(crate) fn get<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: for<'r> sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
        T: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
    {
        Ok(match self {
            Self::Lite(row) => row.try_get(column)?,
            Self::Pg(row) => row.try_get(column)?,
        })
    }
}

/// The values of one statement, in order.
#[derive(Default)]
pub(crate) struct Args(Vec<Value>);

/// One bound value; `None` is null of that type.
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
    Uuid(Option<Uuid>),
    Bool(Option<bool>),
}

impl From<Vec<Value>> for Args {
    fn from(values: Vec<Value>) -> Self {
        Self(values)
    }
}

macro_rules! values {
    ($($from:ty => $variant:ident ($value:ident) $to:expr;)*) => {$(
        impl From<$from> for Value { fn from($value: $from) -> Self { Value::$variant(Some($to)) } }
        impl From<Option<$from>> for Value { fn from(v: Option<$from>) -> Self { Value::$variant(v.map(|$value| $to)) } }
    )*};
}

values! {
    i64 => Int(v) v;
    u32 => Int(v) i64::from(v);
    jiff::Timestamp => Int(v) v.as_millisecond();
    bool => Bool(v) v;
    String => Text(v) v;
    &str => Text(v) v.to_owned();
    &String => Text(v) v.clone();
    Vec<u8> => Blob(v) v;
    &[u8] => Blob(v) v.to_vec();
    [u8; 16] => Blob(v) v.to_vec();
    [u8; 32] => Blob(v) v.to_vec();
}

impl<T> From<redialer_core::Id<T>> for Value {
    fn from(id: redialer_core::Id<T>) -> Self {
        Self::Uuid(Some(id.uuid()))
    }
}

impl<T> From<Option<redialer_core::Id<T>>> for Value {
    fn from(id: Option<redialer_core::Id<T>>) -> Self {
        Self::Uuid(id.map(redialer_core::Id::uuid))
    }
}

/// `args![id, now, "text"]`: the values of one statement.
macro_rules! args {
    ($($value:expr),* $(,)?) => { $crate::engine::Args::from(vec![$($crate::engine::Value::from($value)),*]) };
}
pub(crate) use args;
