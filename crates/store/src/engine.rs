//! Two engines, one SQL text: SQLite in the data directory, or Postgres by URL.
//!
//! Invariants: statements are `&'static str` with `$1` placeholders that both engines take; values are
//! bound, never pasted. SQLite has exactly one writing connection, so writers queue instead of failing, and
//! syncs fully: what is acknowledged is on disk.
//! Absent on purpose: any business meaning.

use std::{
    path::Path,
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection, PgPool, Postgres, Row as _, Sqlite,
    SqliteConnection, SqlitePool,
    postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow},
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow,
        SqliteSynchronous,
    },
};

pub(crate) use crate::values::{Args, Column, Value, args, row};
use crate::{
    StoreError,
    fail::{Point, SharedFaults, Verdict},
    journal::Journal,
    lite::{Lite, LiteRow},
    many::{self, RowValues},
    writer::{Kept, Target, Turn, Writer},
};

/// A database, and what goes wrong with it in tests.
#[derive(Clone)]
pub(crate) struct Db {
    pub(crate) pools: Pools,
    pub(crate) faults: SharedFaults,
}

#[derive(Clone)]
pub(crate) enum Pools {
    Lite {
        writer: Writer,
        reader: SqlitePool,
        journal: Arc<Journal>,
    },
    /// With how often new tables were counted.
    Pg {
        pool: PgPool,
        writers: Arc<[Writer]>,
        counts: Arc<AtomicUsize>,
        /// Row-level security holds for what is done in a tenant's name.
        guarded: Arc<AtomicBool>,
    },
}

/// Prepared statements that a connection keeps: every statement there is.
const PREPARED: usize = 1024;
/// Connections kept for writing on Postgres; what is more comes from the pool.
const WRITERS: usize = 6;
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
            .statement_cache_capacity(PREPARED)
            .foreign_keys(true)
            .disable_statement_logging();
        let writer = Writer::to(Target::Lite(file.to_owned(), BUSY, PREPARED));
        // The file is made, or found wanting, now.
        drop(writer.turn().await?);
        let keeper = SqlitePoolOptions::new()
            .max_connections(1)
            .min_connections(0)
            .connect_lazy_with(options.clone().pragma("wal_autocheckpoint", "0"));
        let reader = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(ACQUIRE)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        let journal = Arc::new(Journal::new(keeper));
        Ok(Self { pools: Pools::Lite { writer, reader, journal }, faults: None })
    }

    /// Connects to Postgres.
    pub(crate) async fn postgres(url: &str) -> Result<Self, StoreError> {
        // Every statement has an index made for it, names its tables in the order in which they are to be looked
        // into, and looks rows up one by one. A planner that has not yet counted a new table's rows would walk it
        // instead, and keep that plan while the table grows.
        const PLANS: &str = "set enable_seqscan = off; set enable_bitmapscan = off; set enable_material = off;
             set enable_hashjoin = off; set enable_mergejoin = off; set join_collapse_limit = 1; set jit = off;
             set max_parallel_workers_per_gather = 0";
        // What is written finds its rows by key: one plan a statement will do. What is read asks for times, and a
        // plan for any time is none for the next few seconds.
        const ONE_PLAN: &str = "set plan_cache_mode = force_generic_plan";
        let options =
            PgConnectOptions::from_str(url)?.statement_cache_capacity(PREPARED).disable_statement_logging();
        let writers = (0..WRITERS)
            .map(|_| Writer::to(Target::Pg(Box::new(options.clone()), &[PLANS, ONE_PLAN])))
            .collect();
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(ACQUIRE)
            .after_connect(|c, _| Box::pin(async move { c.execute(PLANS).await.map(|_| ()) }))
            .connect_with(options)
            .await?;
        Ok(Self {
            pools: Pools::Pg { pool, writers, counts: Arc::default(), guarded: Arc::default() },
            faults: None,
        })
    }

    /// A transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        let open = match &self.pools {
            Pools::Lite { writer, .. } => Open::Kept(writer.begin().await?),
            Pools::Pg { pool, writers, .. } => match first_free(writers).await {
                Some(turn) => Open::Kept(turn?),
                None => Open::Pooled(pool.begin().await?),
            },
        };
        Ok(Tx { open, faults: self.faults.clone() })
    }

    /// One read outside any transaction.
    pub(crate) async fn read(&self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        match &self.pools {
            Pools::Lite { reader, .. } => Conn::Reading(&mut *reader.acquire().await?).fetch(sql, args).await,
            Pools::Pg { pool, .. } => Conn::Pg(&mut *pool.acquire().await?).fetch(sql, args).await,
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

    /// The pool of a Postgres; `None` for the embedded database.
    pub(crate) const fn pg(&self) -> Option<&PgPool> {
        match &self.pools {
            Pools::Pg { pool, .. } => Some(pool),
            Pools::Lite { .. } => None,
        }
    }

    /// One statement outside any transaction, for the few that must be.
    pub(crate) async fn run(&self, sql: &'static str, args: Args) -> Result<(), StoreError> {
        match &self.pools {
            Pools::Lite { writer, .. } => Conn::of(writer.turn().await?.connection()?).fetch(sql, args).await,
            Pools::Pg { pool, .. } => Conn::Pg(&mut *pool.acquire().await?).fetch(sql, args).await,
        }
        .map(|_| ())
    }

    /// From now on what this process deletes or replaces is overwritten in the embedded database's file.
    pub(crate) async fn wipe_what_is_deleted(&self) -> Result<(), StoreError> {
        if self.is_postgres() {
            return Ok(());
        }
        self.run("pragma secure_delete = on", Args::default()).await
    }

    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self.pools, Pools::Pg { .. })
    }

    pub(crate) async fn close(&self) {
        match &self.pools {
            Pools::Lite { writer, reader, journal } => {
                journal.keeper().close().await;
                reader.close().await;
                writer.close().await;
            }
            Pools::Pg { pool, writers, .. } => {
                for writer in writers.iter() {
                    writer.close().await;
                }
                pool.close().await;
            }
        }
    }
}

/// An open transaction; dropped without [`Tx::commit`] it changes nothing.
pub(crate) struct Tx {
    open: Open,
    faults: SharedFaults,
}

enum Open {
    Kept(Turn),
    /// When every kept connection is at work.
    Pooled(sqlx::Transaction<'static, Postgres>),
}

/// A transaction on the first connection that is free.
async fn first_free(writers: &[Writer]) -> Option<Result<Turn, sqlx::Error>> {
    for writer in writers {
        let turn = writer.try_begin().await;
        if turn.is_some() {
            return turn;
        }
    }
    None
}

impl Tx {
    /// One on a connection of the pool, for what only reads.
    pub(crate) async fn pooled(pool: &PgPool) -> Result<Self, StoreError> {
        Ok(Self { open: Open::Pooled(pool.begin().await?), faults: None })
    }

    /// Runs statements that have no values; Postgres alone.
    pub(crate) async fn run(&mut self, sql: AssertSqlSafe<String>) -> Result<(), StoreError> {
        if let Conn::Pg(connection) = self.conn()? {
            connection.execute(sqlx::raw_sql(sql)).await?;
        }
        Ok(())
    }

    pub(crate) async fn execute(&mut self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        let sql = self.faults.as_ref().map_or(sql, |faults| faults.sql(sql));
        self.conn()?.execute(sql, args).await
    }

    pub(crate) async fn fetch(&mut self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        let sql = self.faults.as_ref().map_or(sql, |faults| faults.sql(sql));
        self.conn()?.fetch(sql, args).await
    }

    pub(crate) async fn fetch_one(
        &mut self,
        sql: &'static str,
        args: Args,
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.fetch(sql, args).await?.into_iter().next())
    }

    /// Runs an insert or update whose `{rows}` stands for many rows of values; the number of rows it changed.
    pub(crate) async fn execute_rows(
        &mut self,
        base: &'static str,
        head: Vec<Value>,
        rows: Vec<RowValues>,
    ) -> Result<u64, StoreError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let base = self.faults.as_ref().map_or(base, |faults| faults.sql(base));
        match self.conn()? {
            Conn::Lite(c) => Ok(c.run_many(base, &head, rows, |_| ())?),
            mut other => {
                let (sql, args) = many::at_once(base, &head, rows);
                other.execute(sql, args).await
            }
        }
    }

    /// Runs several of them, none of which sees what another does: on Postgres in one go. How many rows each changed.
    pub(crate) async fn execute_together(
        &mut self,
        statements: Vec<(&'static str, Vec<RowValues>)>,
    ) -> Result<Vec<u64>, StoreError> {
        let mut changed = vec![0; statements.len()];
        if !self.is_postgres()? {
            for (changed, (base, rows)) in changed.iter_mut().zip(statements) {
                *changed = self.execute_rows(base, vec![], rows).await?;
            }
            return Ok(changed);
        }
        let as_planned = |base| self.faults.as_ref().map_or(base, |faults| faults.sql(base));
        let (places, some): (Vec<_>, Vec<_>) = statements
            .into_iter()
            .enumerate()
            .filter(|(_, (_, rows))| !rows.is_empty())
            .map(|(place, (base, rows))| (place, (as_planned(base), rows)))
            .unzip();
        if some.is_empty() {
            return Ok(changed);
        }
        let (sql, args) = many::together(some);
        let row = self.conn()?.fetch(sql, args).await?.into_iter().next();
        let row = row.ok_or(StoreError::Corrupt("count"))?;
        for (i, place) in places.into_iter().enumerate() {
            changed[place] = row.get::<i64>(&format!("n{i}"))?.unsigned_abs();
        }
        Ok(changed)
    }

    /// As [`Tx::execute_rows`], or with a `{list}` of values of one column; what it returns, in any order.
    pub(crate) async fn fetch_rows(
        &mut self,
        base: &'static str,
        head: Vec<Value>,
        rows: Vec<RowValues>,
    ) -> Result<Vec<Row>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let base = self.faults.as_ref().map_or(base, |faults| faults.sql(base));
        match self.conn()? {
            Conn::Lite(c) => {
                let mut found = Vec::new();
                c.run_many(base, &head, rows, |row| found.push(Row::Lite(row)))?;
                Ok(found)
            }
            mut other => {
                let (sql, args) = many::at_once(base, &head, rows);
                other.fetch(sql, args).await
            }
        }
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        if let Some(faults) = &self.faults {
            match faults.at(Point::BeforeCommit).await {
                Verdict::Go => {}
                Verdict::Fail => return Err(StoreError::Injected),
                Verdict::Pretend => return Ok(()),
            }
        }
        match self.open {
            Open::Kept(turn) => turn.commit().await?,
            Open::Pooled(tx) => tx.commit().await?,
        }
        match &self.faults {
            Some(faults) if faults.at(Point::AfterCommit).await == Verdict::Fail => Err(StoreError::Injected),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_postgres(&mut self) -> Result<bool, StoreError> {
        Ok(matches!(self.conn()?, Conn::Pg(_)))
    }

    fn conn(&mut self) -> Result<Conn<'_>, StoreError> {
        Ok(match &mut self.open {
            Open::Kept(turn) => Conn::of(turn.connection()?),
            Open::Pooled(tx) => Conn::Pg(tx),
        })
    }
}

pub(crate) enum Conn<'c> {
    Lite(&'c mut Lite),
    /// One of those that read.
    Reading(&'c mut SqliteConnection),
    Pg(&'c mut PgConnection),
}

macro_rules! bound {
    ($engine:ty, $sql:expr, $args:expr, $column:expr) => {{
        let mut query = sqlx::query::<$engine>($sql);
        for value in $args.0 {
            query = match value {
                Value::Int(v) => query.bind(v),
                Value::Text(v) => query.bind(v),
                Value::Blob(v) => query.bind(v),
                Value::Uuid(v) => query.bind(v),
                Value::Bool(v) => query.bind(v),
                Value::Column(column) => $column(query, column),
            };
        }
        query
    }};
}

fn reading(sql: &'static str, args: Args) -> Query<'static, Sqlite, SqliteArguments> {
    // It has no columns as values, and `many` makes none for it.
    bound!(Sqlite, sql, args, |query, _| query)
}

/// What a reading connection answers to one statement without values.
pub(crate) async fn fetch_reading(
    conn: &mut SqliteConnection,
    sql: &'static str,
) -> Result<Vec<Row>, StoreError> {
    Conn::Reading(conn).fetch(sql, Args::default()).await
}

fn pg(sql: &'static str, args: Args) -> Query<'static, Postgres, PgArguments> {
    bound!(Postgres, sql, args, |query: Query<'static, Postgres, PgArguments>, column| match column {
        Column::Int(v) => query.bind(v),
        Column::Text(v) => query.bind(v),
        Column::Blob(v) => query.bind(v),
        Column::Uuid(v) => query.bind(v),
        Column::Bool(v) => query.bind(v),
    })
}

impl<'c> Conn<'c> {
    const fn of(kept: &'c mut Kept) -> Self {
        match kept {
            Kept::Lite(connection) => Self::Lite(connection),
            Kept::Pg(connection) => Self::Pg(connection),
        }
    }

    async fn execute(&mut self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Lite(c) => c.run(sql, args, |_| ())?,
            Self::Reading(c) => reading(sql, args).execute(&mut **c).await?.rows_affected(),
            Self::Pg(c) => pg(sql, args).execute(&mut **c).await?.rows_affected(),
        })
    }

    pub(crate) async fn fetch(&mut self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        Ok(match self {
            Self::Lite(c) => {
                let mut found = Vec::new();
                c.run(sql, args, |row| found.push(Row::Lite(row)))?;
                found
            }
            Self::Reading(c) => {
                reading(sql, args).fetch_all(&mut **c).await?.into_iter().map(Row::Read).collect()
            }
            Self::Pg(c) => pg(sql, args).fetch_all(&mut **c).await?.into_iter().map(Row::Pg).collect(),
        })
    }
}

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
