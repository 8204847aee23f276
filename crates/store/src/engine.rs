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
    AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection, Postgres, Sqlite, SqliteConnection,
    SqlitePool,
    postgres::{PgArguments, PgConnectOptions},
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
    },
};

use crate::{
    StoreError,
    fail::{Point, SharedFaults, Verdict},
    journal::Journal,
    lite::Lite,
    many::{self, RowValues},
    vitals::Vitals,
    writer::{Kept, Silences, Target, Turn, Writer, in_time, is_broken, is_silence},
};
pub(crate) use crate::{
    row::Row,
    values::{Args, Column, Value, args, row},
};

/// A database, how its writers fare, and what goes wrong with it in tests.
#[derive(Clone)]
pub(crate) struct Db {
    pub(crate) pools: Pools,
    pub(crate) vitals: Arc<Vitals>,
    pub(crate) faults: SharedFaults,
}

#[derive(Clone)]
pub(crate) enum Pools {
    Lite {
        writer: Writer,
        hot: SqlitePool,
        api: SqlitePool,
        journal: Arc<Journal>,
    },
    /// With how often new tables were counted.
    Pg {
        options: Arc<PgConnectOptions>,
        writer: Writer,
        hot: Writer,
        api: Writer,
        counts: Arc<AtomicUsize>,
        /// Row-level security holds for what is done in a tenant's name.
        guarded: Arc<AtomicBool>,
    },
}

/// Which connections a read uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Those of webhooks, dialing and the background jobs.
    Hot,
    /// Those of API requests: few, so that the lists people ask for cannot hold up webhooks and dials.
    Api,
}

/// Prepared statements that a connection keeps: every statement there is.
const PREPARED: usize = 1024;
/// Connections of one process to Postgres, by use.
const PG_WRITERS: u32 = 10;
const PG_HOT: u32 = 6;
const PG_API: u32 = 4;
/// Connections that read the embedded database's file, by use.
const LITE_HOT: u32 = 3;
const LITE_API: u32 = 2;
const BUSY: Duration = Duration::from_secs(5);
const ACQUIRE: Duration = Duration::from_secs(5);

// Every statement has an index made for it, names its tables in the order in which they are to be looked
// into, and looks rows up one by one. A planner that has not yet counted a new table's rows would walk it
// instead, and keep that plan while the table grows.
const PLANS: &str = "set enable_seqscan = off; set enable_bitmapscan = off; set enable_material = off;
     set enable_hashjoin = off; set enable_mergejoin = off; set join_collapse_limit = 1; set jit = off;
     set max_parallel_workers_per_gather = 0";
// What is written finds its rows by key: one plan a statement will do. What is read asks for times, and a
// plan for any time is none for the next few seconds.
const ONE_PLAN: &str = "set plan_cache_mode = force_generic_plan";
/// Deadlines that the server keeps, also when this process or the network between is gone: nobody waits for a
/// lost transaction's locks for longer than `idle_in_transaction_session_timeout`. The `tcp_*` settings are for a
/// client that has vanished in the middle of an answer; the probes also keep idle connections known to firewalls.
const DEADLINES: &str = "set statement_timeout = '8s'; set lock_timeout = '5s';
     set idle_in_transaction_session_timeout = '10s'; set tcp_keepalives_idle = 20;
     set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; set tcp_user_timeout = '20s'";
/// The same for work that takes long and that nobody waits for: migrations, backups, restores.
const LONG_DEADLINES: &str = "set statement_timeout = '2h'; set lock_timeout = '5min';
     set idle_in_transaction_session_timeout = '10min'; set tcp_keepalives_idle = 20;
     set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; set tcp_user_timeout = '20s'";

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
        let reading = options.read_only(true).create_if_missing(false);
        let readers = |most| SqlitePoolOptions::new().max_connections(most).acquire_timeout(ACQUIRE);
        let hot = readers(LITE_HOT).connect_with(reading.clone()).await?;
        let api = readers(LITE_API).connect_lazy_with(reading);
        let journal = Arc::new(Journal::new(keeper));
        Ok(Self { pools: Pools::Lite { writer, hot, api, journal }, vitals: Arc::default(), faults: None })
    }

    /// Connects to Postgres.
    pub(crate) async fn postgres(url: &str) -> Result<Self, StoreError> {
        let options =
            PgConnectOptions::from_str(url)?.statement_cache_capacity(PREPARED).disable_statement_logging();
        let silences = Silences::default();
        let connections = |size, settings| {
            Writer::several(size, Target::Pg(Box::new(options.clone()), settings), &silences)
        };
        let writer = connections(PG_WRITERS, &[PLANS, ONE_PLAN, DEADLINES]);
        let hot = connections(PG_HOT, &[PLANS, DEADLINES]);
        let api = connections(PG_API, &[PLANS, DEADLINES]);
        // A server that cannot be reached is found out now.
        drop(hot.turn().await?);
        let (counts, guarded, options) = (Arc::default(), Arc::default(), Arc::new(options));
        Ok(Self {
            pools: Pools::Pg { options, writer, hot, api, counts, guarded },
            vitals: Arc::default(),
            faults: None,
        })
    }

    /// Passes a named point; only tests make anything happen there.
    pub(crate) async fn pass(&self, point: Point) -> Result<(), StoreError> {
        match &self.faults {
            Some(faults) if faults.at(point).await == Verdict::Fail => Err(StoreError::Injected),
            _ => Ok(()),
        }
    }

    /// A transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        self.pass(Point::Begin).await?;
        self.begin_now().await
    }

    /// The same for a writer that many wait for: they passed the point when they handed over what it writes.
    pub(crate) async fn begin_now(&self) -> Result<Tx, StoreError> {
        let (Pools::Lite { writer, .. } | Pools::Pg { writer, .. }) = &self.pools;
        let turn = writer.begin().await.map_err(StoreError::from);
        let turn = turn.inspect_err(|error| self.vitals.wrote(Err(error)))?;
        Ok(Tx { turn, vitals: Some(Arc::clone(&self.vitals)), wrote: false, faults: self.faults.clone() })
    }

    /// A transaction that only reads, on Postgres.
    pub(crate) async fn begin_reading(&self, lane: Lane) -> Result<Option<Tx>, StoreError> {
        let Pools::Pg { hot, api, .. } = &self.pools else { return Ok(None) };
        let turn = if lane == Lane::Hot { hot } else { api }.begin().await?;
        Ok(Some(Tx { turn, vitals: None, wrote: false, faults: None }))
    }

    /// One read outside any transaction, on the hot path's connections.
    pub(crate) async fn read(&self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        self.read_on(Lane::Hot, sql, args).await
    }

    /// One read outside any transaction.
    pub(crate) async fn read_on(
        &self,
        lane: Lane,
        sql: &'static str,
        args: Args,
    ) -> Result<Vec<Row>, StoreError> {
        let sql = self.faults.as_ref().map_or(sql, |faults| faults.sql(sql));
        match &self.pools {
            Pools::Lite { hot, api, .. } => {
                let pool = if lane == Lane::Hot { hot } else { api };
                Conn::Reading(&mut *pool.acquire().await?).fetch(sql, args).await
            }
            Pools::Pg { hot, api, .. } => {
                let connections = if lane == Lane::Hot { hot } else { api };
                match fetch_once(connections, sql, args.clone()).await {
                    // The server may have been restarted since the connection was made.
                    Err(StoreError::Unavailable(error)) if is_broken(&error) && !is_silence(&error) => {
                        fetch_once(connections, sql, args).await
                    }
                    read => read,
                }
            }
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

    /// A connection to Postgres apart from the others, with deadlines for long work; `None` for the embedded database.
    pub(crate) async fn connect_apart(&self) -> Result<Option<PgConnection>, StoreError> {
        let Pools::Pg { options, .. } = &self.pools else { return Ok(None) };
        let mut connection = in_time(options.connect()).await?;
        in_time(connection.execute(LONG_DEADLINES)).await?;
        Ok(Some(connection))
    }

    /// One statement outside any transaction, for the few that must be.
    pub(crate) async fn run(&self, sql: &'static str, args: Args) -> Result<(), StoreError> {
        let (Pools::Lite { writer, .. } | Pools::Pg { writer, .. }) = &self.pools;
        fetch_once(writer, sql, args).await.map(|_| ())
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
            Pools::Lite { writer, hot, api, journal } => {
                journal.keeper().close().await;
                hot.close().await;
                api.close().await;
                writer.close().await;
            }
            Pools::Pg { writer, hot, api, .. } => {
                for connections in [writer, hot, api] {
                    connections.close().await;
                }
            }
        }
    }
}

/// One statement outside any transaction.
async fn fetch_once(connections: &Writer, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
    let mut turn = connections.turn().await?;
    let fetched = Conn::of(turn.busy()?).fetch(sql, args).await;
    match &fetched {
        Ok(_) => turn.done(),
        Err(error) => gone(&mut turn, error),
    }
    fetched
}

/// Has a connection replaced that failed for good.
fn gone(turn: &mut Turn, error: &StoreError) {
    if let StoreError::Unavailable(error) = error {
        turn.failed(error);
    }
}

/// An open transaction; dropped without [`Tx::commit`] it changes nothing.
pub(crate) struct Tx {
    turn: Turn,
    /// Where to note how writing went; `None` for what only reads.
    vitals: Option<Arc<Vitals>>,
    /// A statement has changed something, as far as its kind tells.
    wrote: bool,
    faults: SharedFaults,
}

impl Tx {
    /// Runs statements that have no values; Postgres alone.
    pub(crate) async fn run(&mut self, sql: AssertSqlSafe<String>) -> Result<(), StoreError> {
        if let Conn::Pg(connection) = self.conn()? {
            let run = in_time(connection.execute(sqlx::raw_sql(sql))).await.map_err(StoreError::from);
            return self.noted(run).map(|_| ());
        }
        Ok(())
    }

    pub(crate) async fn execute(&mut self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        let sql = self.faults.as_ref().map_or(sql, |faults| faults.sql(sql));
        self.wrote = true;
        let executed = self.conn()?.execute(sql, args).await;
        self.noted(executed)
    }

    /// Notes what a statement came to.
    fn noted<T>(&mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &done {
            gone(&mut self.turn, error);
            if let Some(vitals) = &self.vitals {
                vitals.wrote(Err(error));
            }
        }
        done
    }

    pub(crate) async fn fetch(&mut self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        let sql = self.faults.as_ref().map_or(sql, |faults| faults.sql(sql));
        let fetched = self.conn()?.fetch(sql, args).await;
        self.noted(fetched)
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
        self.wrote = true;
        let executed = match self.conn()? {
            Conn::Lite(c) => c.run_many(base, &head, rows, |_| ()).map_err(StoreError::from),
            mut other => {
                let (sql, args) = many::at_once(base, &head, rows);
                other.execute(sql, args).await
            }
        };
        self.noted(executed)
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
        self.wrote = true;
        let fetched = self.conn()?.fetch(sql, args).await;
        let row = self.noted(fetched)?.into_iter().next();
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
        let fetched = match self.conn()? {
            Conn::Lite(c) => {
                let mut found = Vec::new();
                let run = c.run_many(base, &head, rows, |row| found.push(Row::Lite(row)));
                run.map(|_| found).map_err(StoreError::from)
            }
            mut other => {
                let (sql, args) = many::at_once(base, &head, rows);
                other.fetch(sql, args).await
            }
        };
        self.noted(fetched)
    }

    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        let committed = self.try_commit().await;
        if let Some(vitals) = self.vitals.as_ref().filter(|_| self.wrote || committed.is_err()) {
            vitals.wrote(committed.as_ref().copied());
        }
        committed
    }

    async fn try_commit(&mut self) -> Result<(), StoreError> {
        if let Some(faults) = &self.faults {
            match faults.at(Point::BeforeCommit).await {
                Verdict::Go => {}
                Verdict::Fail => return Err(StoreError::Injected),
                Verdict::Pretend => return Ok(()),
            }
        }
        self.turn.commit().await?;
        match &self.faults {
            Some(faults) if faults.at(Point::AfterCommit).await == Verdict::Fail => Err(StoreError::Injected),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_postgres(&mut self) -> Result<bool, StoreError> {
        Ok(matches!(self.conn()?, Conn::Pg(_)))
    }

    fn conn(&mut self) -> Result<Conn<'_>, StoreError> {
        Ok(Conn::of(self.turn.connection()?))
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
            Self::Pg(c) => in_time(pg(sql, args).execute(&mut **c)).await?.rows_affected(),
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
            Self::Pg(c) => {
                in_time(pg(sql, args).fetch_all(&mut **c)).await?.into_iter().map(Row::Pg).collect()
            }
        })
    }
}
