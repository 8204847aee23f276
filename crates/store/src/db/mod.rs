//! Two engines, one SQL text: SQLite in the data directory, or Postgres by URL.
//!
//! Invariants: statements are `&'static str` with `$1` placeholders that both engines accept; values are bound, never
//! interpolated. SQLite has exactly one writing connection, so writers queue instead of failing, and syncs fully: an
//! acknowledged commit is on disk.
//! Absent on purpose: any business meaning.

pub(crate) mod bulk_sql;
pub(crate) mod due_signal;
pub(crate) mod failpoints;
pub(crate) mod group_commit;
pub(crate) mod pool;
pub(crate) mod query;
pub(crate) mod row;
pub(crate) mod schema;
pub(crate) mod sqlite;
pub(crate) mod tenant_conn;
pub(crate) mod ttl_cache;
pub(crate) mod tx;
pub(crate) mod tx_kind;
pub(crate) mod values;
pub(crate) mod writer_health;

use std::{
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
};

use sqlx::{ConnectOptions as _, Executor as _, PgConnection, postgres::PgConnectOptions};

pub(crate) use crate::db::{
    query::{fetch_once, postgres_query},
    row::Row,
    tx::Tx,
    values::{Args, Column, Value, args, row},
};
use crate::{
    StoreError,
    db::{
        bulk_sql::RowValues,
        due_signal::DueSignal,
        failpoints::{FailPoint, SharedFaults, Verdict},
        pool::{Pool, Silences, Target, in_time, is_broken, is_silence},
        sqlite::Mode,
        ttl_cache::Generation,
        tx_kind::TxKind,
        writer_health::WriterHealth,
    },
};

/// A database, the state of its writers, and the faults that a test injects.
#[derive(Clone)]
pub(crate) struct Db {
    pub(crate) engine: Engine,
    writer: Pool,
    hot: Pool,
    api: Pool,
    pub(crate) writer_health: Arc<WriterHealth>,
    pub(crate) due_signal: Arc<DueSignal>,
    /// Tables with cached rows; a transaction that writes to one of them starts a new cache generation.
    cached_tables: &'static [&'static str],
    pub(crate) generation: Generation,
    pub(crate) faults: SharedFaults,
}

/// The parts that differ between the engines.
#[derive(Clone)]
pub(crate) enum Engine {
    Sqlite {
        file: PathBuf,
        /// The connection that checkpoints the write-ahead log.
        copier: Pool,
    },
    Postgres {
        options: Box<PgConnectOptions>,
        /// How often this process has analyzed new tables.
        analyzed: Arc<AtomicUsize>,
        /// Whether row-level security is active for tenant-scoped work.
        guarded: Arc<AtomicBool>,
    },
}

/// The connections that a read uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReaderPool {
    /// For webhooks, dialing and background jobs.
    Hot,
    /// For API requests: few, so that large lists cannot delay webhooks and dials.
    Api,
}

/// Prepared statements cached per Postgres connection: more than the store has.
const STATEMENT_CACHE: usize = 1024;
/// Connections of one process to Postgres, by use.
const PG_WRITERS: u32 = 10;
const PG_HOT: u32 = 6;
const PG_API: u32 = 4;
/// Connections that read the embedded database's file, by use.
const SQLITE_HOT: u32 = 3;
const SQLITE_API: u32 = 2;
/// Disables JIT. Every statement is short: compiling one would take longer than running it.
const PLANS: &str = "set jit = off";
/// Deadlines enforced by the server, even if this process or the network is gone: a lost transaction's locks are held
/// no longer than `idle_in_transaction_session_timeout`. The `tcp_*` settings cover a client that vanished in the
/// middle of a response; the probes also keep idle connections open in firewalls.
const DEADLINES: &str = "set statement_timeout = '8s'; set lock_timeout = '5s';
     set idle_in_transaction_session_timeout = '10s'; set tcp_keepalives_idle = 20;
     set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; set tcp_user_timeout = '20s'";
/// Deadlines for long work: migrations, backups, restores.
const LONG_DEADLINES: &str = "set statement_timeout = '2h'; set lock_timeout = '5min';
     set idle_in_transaction_session_timeout = '10min'; set tcp_keepalives_idle = 20;
     set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3; set tcp_user_timeout = '20s'";

impl Db {
    /// Opens the embedded database, and creates its file if needed.
    pub(crate) async fn sqlite(
        file: &Path,
        cached_tables: &'static [&'static str],
    ) -> Result<Self, StoreError> {
        let silences = Silences::default();
        let pool = |size, mode| Pool::new(size, Target::Sqlite(file.to_owned(), mode), &silences);
        let db = Self {
            engine: Engine::Sqlite { file: file.to_owned(), copier: pool(1, Mode::Write) },
            writer: pool(1, Mode::Write),
            hot: pool(SQLITE_HOT, Mode::Read),
            api: pool(SQLITE_API, Mode::Read),
            writer_health: Arc::default(),
            due_signal: Arc::default(),
            cached_tables,
            generation: Generation::default(),
            faults: None,
        };
        // Creates the file now, or fails if it is unusable.
        drop(db.writer.acquire().await?);
        Ok(db)
    }

    /// Connects to Postgres.
    pub(crate) async fn postgres(
        url: &str,
        cached_tables: &'static [&'static str],
    ) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?
            .statement_cache_capacity(STATEMENT_CACHE)
            .disable_statement_logging();
        let silences = Silences::default();
        let pool = |size| {
            Pool::new(size, Target::Postgres(Box::new(options.clone()), &[PLANS, DEADLINES]), &silences)
        };
        let db = Self {
            writer: pool(PG_WRITERS),
            hot: pool(PG_HOT),
            api: pool(PG_API),
            engine: Engine::Postgres {
                options: Box::new(options.clone()),
                analyzed: Arc::default(),
                guarded: Arc::default(),
            },
            writer_health: Arc::default(),
            due_signal: Arc::default(),
            cached_tables,
            generation: Generation::default(),
            faults: None,
        };
        // Fails now if the server is unreachable.
        drop(db.hot.acquire().await?);
        Ok(db)
    }

    /// Passes a fail point; a no-op outside tests.
    pub(crate) async fn pass(&self, point: FailPoint) -> Result<(), StoreError> {
        match &self.faults {
            Some(faults) if faults.at(point).await == Verdict::Fail => Err(StoreError::Injected),
            _ => Ok(()),
        }
    }

    /// Begins a transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        self.pass(FailPoint::Begin).await?;
        self.begin_now(TxKind::Plain).await
    }

    /// Same as [`Db::begin`], for work that is redone if a power failure loses it: the commit does not wait for the
    /// disk.
    pub(crate) async fn begin_deferred(&self) -> Result<Tx, StoreError> {
        self.pass(FailPoint::Begin).await?;
        self.begin_now(TxKind::Deferred).await
    }

    /// Same, for a group-commit writer. Its callers passed [`FailPoint::Begin`] when they queued their items.
    pub(crate) async fn begin_now(&self, kind: TxKind) -> Result<Tx, StoreError> {
        let guard = self.writer.begin(kind).await.map_err(StoreError::from);
        let guard = guard.inspect_err(|error| self.writer_health.wrote(Err(error)))?;
        Ok(Tx::writing(guard, self))
    }

    /// Begins a transaction that only reads, on Postgres; `None` on SQLite.
    pub(crate) async fn begin_reading(&self, reader_pool: ReaderPool) -> Result<Option<Tx>, StoreError> {
        if !self.is_postgres() {
            return Ok(None);
        }
        let guard = self.readers(reader_pool).begin(TxKind::Plain).await?;
        Ok(Some(Tx::reading(guard, self)))
    }

    /// Reads outside any transaction, on the hot reader pool's connections.
    pub(crate) async fn read(&self, sql: &'static str, args: Args) -> Result<Vec<Row>, StoreError> {
        self.read_on(ReaderPool::Hot, sql, args).await
    }

    /// Reads outside any transaction.
    pub(crate) async fn read_on(
        &self,
        reader_pool: ReaderPool,
        sql: &'static str,
        args: Args,
    ) -> Result<Vec<Row>, StoreError> {
        let sql = self.faults.as_ref().map_or(sql, |faults| faults.sql(sql));
        let pool = self.readers(reader_pool);
        match fetch_once(pool, sql, args.clone()).await {
            // The server may have been restarted since the connection was made.
            Err(StoreError::Unavailable(error)) if is_broken(&error) && !is_silence(&error) => {
                fetch_once(pool, sql, args).await
            }
            read => read,
        }
    }

    const fn readers(&self, reader_pool: ReaderPool) -> &Pool {
        match reader_pool {
            ReaderPool::Hot => &self.hot,
            ReaderPool::Api => &self.api,
        }
    }

    /// Reads with many rows of values (see `bulk_sql`), outside any transaction, on the hot reader pool's connections.
    pub(crate) async fn read_rows(
        &self,
        base: &'static str,
        rows: Vec<RowValues>,
    ) -> Result<Vec<Row>, StoreError> {
        let mut results = Vec::new();
        let base = self.faults.as_ref().map_or(base, |faults| faults.sql(base));
        for (sql, args) in bulk_sql::statements(self.is_postgres(), base, &[], rows) {
            results.append(&mut self.read(sql, args).await?);
        }
        Ok(results)
    }

    pub(crate) async fn read_one(&self, sql: &'static str, args: Args) -> Result<Option<Row>, StoreError> {
        Ok(self.read(sql, args).await?.into_iter().next())
    }

    /// Runs one statement in its own transaction; returns the number of changed rows.
    pub(crate) async fn write(&self, sql: &'static str, args: Args) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let changed = tx.execute(sql, args).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Opens a Postgres connection outside the pools, with deadlines for long work; `None` on SQLite.
    pub(crate) async fn connect_apart(&self) -> Result<Option<PgConnection>, StoreError> {
        let Engine::Postgres { options, .. } = &self.engine else { return Ok(None) };
        let mut connection = in_time(options.connect()).await?;
        in_time(connection.execute(LONG_DEADLINES)).await?;
        Ok(Some(connection))
    }

    /// Runs one statement outside any transaction, for the few that require it.
    pub(crate) async fn run(&self, sql: &'static str, args: Args) -> Result<(), StoreError> {
        fetch_once(&self.writer, sql, args).await.map(|_| ())
    }

    /// Makes later deletes and updates of this process overwrite the old bytes in the embedded database's file.
    pub(crate) async fn purge_deleted_workspaces(&self) -> Result<(), StoreError> {
        if self.is_postgres() {
            return Ok(());
        }
        self.run("pragma secure_delete = on", Args::default()).await
    }

    pub(crate) const fn is_postgres(&self) -> bool {
        matches!(self.engine, Engine::Postgres { .. })
    }

    pub(crate) async fn close(&self) {
        if let Engine::Sqlite { copier, .. } = &self.engine {
            copier.close().await;
        }
        for pool in [&self.hot, &self.api, &self.writer] {
            pool.close().await;
        }
    }
}
