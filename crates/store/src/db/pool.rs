//! A small pool of connections to one database, for either engine.
//!
//! Invariants: waiting callers get connections in the order of their requests. A transaction that is dropped without a
//! commit is rolled back before its connection is used again. A Postgres connection that cannot begin a transaction is
//! replaced once. Every wait for Postgres has a deadline. A connection that missed one is closed, and every other
//! connection made before that moment is replaced before its next use, because it may lead to the same silent server.
//! Absent on purpose: the driver's own pool, which pings a connection before and after every use without a
//! deadline, and its transactions, which do not notice that SQLite rolled one back by itself on a full disk.

use std::{
    future::Future,
    io, mem,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::db::{
    sqlite::{Mode, SqliteConn},
    tx_kind::TxKind,
};

/// How long a caller waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Postgres may take to accept a connection, and to begin or roll back a transaction.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long Postgres may take to answer a statement or a commit. Longer than its own `statement_timeout`, so that only
/// a server that does not answer at all exceeds it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to connect to a database.
#[derive(Clone)]
pub(crate) enum Target {
    Sqlite(PathBuf, Mode),
    /// With the settings to run on every new connection.
    Postgres(Box<PgConnectOptions>, &'static [&'static str]),
}

impl Target {
    pub(crate) async fn connect(&self) -> Result<Conn, sqlx::Error> {
        match self {
            Self::Sqlite(file, mode) => Ok(Conn::Sqlite(SqliteConn::open(file, *mode)?)),
            Self::Postgres(options, settings) => {
                let connect = async {
                    let mut connection = options.connect().await?;
                    for setting in *settings {
                        connection.execute(*setting).await?;
                    }
                    Ok(Conn::Postgres(connection))
                };
                within(CONNECT_TIMEOUT, connect).await
            }
        }
    }
}

/// Waits for Postgres until a deadline. The server may still complete the work later.
async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let expired = || io::Error::new(io::ErrorKind::TimedOut, "the database server did not answer in time");
    timeout(deadline, work).await.unwrap_or_else(|_| Err(sqlx::Error::Io(expired())))
}

/// Waits for Postgres to answer a statement.
pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    within(STATEMENT_TIMEOUT, work).await
}

/// Whether the error makes its connection unusable: it broke, or the server ended the session.
pub(crate) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => true,
        sqlx::Error::Database(error) => {
            // Shut down, crashed, starting; idle in a transaction for too long; connection exceptions.
            error
                .code()
                .is_some_and(|code| code.starts_with("57P") || code == "25P03" || code.starts_with("08"))
        }
        _ => false,
    }
}

/// Whether the server did not answer before the deadline.
pub(crate) fn is_silence(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Whether no connection was free in time.
pub(crate) const fn is_exhausted(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed)
}

/// One connection of either engine.
pub(crate) enum Conn {
    Sqlite(SqliteConn),
    Postgres(PgConnection),
}

impl Conn {
    /// Begins a transaction. On SQLite it takes the write lock at once, so that no later statement fails to get it.
    async fn begin(&mut self, kind: TxKind) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(c) => c.begin(kind),
            Self::Postgres(c) => {
                let begin = match kind {
                    TxKind::Plain => "begin",
                    TxKind::Dials => "begin; set local plan_cache_mode = force_generic_plan",
                    TxKind::Deferred => "begin; set local synchronous_commit = off",
                };
                within(CONNECT_TIMEOUT, c.execute(begin)).await.map(|_| ())
            }
        }
    }

    async fn rollback(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(c) => c.control("rollback"),
            Self::Postgres(c) => within(CONNECT_TIMEOUT, c.execute("rollback")).await.map(|_| ()),
        }
    }

    async fn commit(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(c) => c.control("commit"),
            Self::Postgres(c) => in_time(c.execute("commit")).await.map(|_| ()),
        }
    }

    async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.close(),
            Self::Postgres(connection) => within(CONNECT_TIMEOUT, connection.close()).await,
        }
    }
}

/// Counts how often a server was found silent; shared by all pools of one server.
#[derive(Clone, Default)]
pub(crate) struct Silences(Arc<AtomicUsize>);

/// Connections for one use, opened when they are first needed.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Connections>);

struct Connections {
    target: Target,
    silences: Silences,
    /// Idle connections, the last used one on top.
    free: Mutex<Vec<Slot>>,
    size: u32,
    /// One permit per connection.
    permits: Arc<Semaphore>,
}

impl Connections {
    fn free(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Slot {
    connection: Option<Conn>,
    /// Whether a statement or a transaction may be in progress.
    busy: bool,
    /// The number of silences when the connection was opened.
    silences: usize,
}

impl Pool {
    /// A pool of at most `size` connections.
    pub(crate) fn new(size: u32, target: Target, silences: &Silences) -> Self {
        let slots = (0..size).map(|_| Slot::default()).collect::<Vec<_>>();
        let permits = Arc::new(Semaphore::new(slots.len()));
        let silences = silences.clone();
        Self(Arc::new(Connections { target, silences, free: Mutex::new(slots), size, permits }))
    }

    async fn any(&self) -> Result<Guard, sqlx::Error> {
        let permit = timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.0.permits).acquire_owned()).await;
        let permit = permit.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        // A slot is returned before its permit, so one is available, unless a runtime was dropped with it.
        let slot = self.0.free().pop().unwrap_or_default();
        Ok(Guard { slot, pool: Arc::clone(&self.0), permit: Some(permit) })
    }

    /// Acquires a connection and begins a transaction on it.
    pub(crate) async fn begin(&self, kind: TxKind) -> Result<Guard, sqlx::Error> {
        let mut guard = self.any().await?;
        guard.begin(kind).await?;
        Ok(guard)
    }

    /// Acquires a connection outside any transaction.
    pub(crate) async fn acquire(&self) -> Result<Guard, sqlx::Error> {
        let mut guard = self.any().await?;
        guard.make_idle().await?;
        Ok(guard)
    }

    /// Waits for the connections in use, then closes all.
    pub(crate) async fn close(&self) {
        let _all = timeout(ACQUIRE_TIMEOUT, self.0.permits.acquire_many(self.0.size)).await;
        let connections: Vec<_> = self.0.free().iter_mut().filter_map(|s| s.connection.take()).collect();
        for connection in connections {
            if let Err(error) = connection.close().await {
                tracing::warn!(%error, "a database connection was not closed cleanly");
            }
        }
    }
}

/// A connection of a pool; dropping it returns it.
pub(crate) struct Guard {
    slot: Slot,
    pool: Arc<Connections>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Guard {
    pub(crate) fn connection(&mut self) -> Result<&mut Conn, sqlx::Error> {
        self.slot.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// The connection, marked as busy until [`Guard::done`]. If the guard is dropped before that, the connection is
    /// rolled back or replaced.
    pub(crate) fn busy(&mut self) -> Result<&mut Conn, sqlx::Error> {
        self.slot.busy = true;
        self.connection()
    }

    /// Marks the statement or transaction as finished.
    pub(crate) const fn done(&mut self) {
        self.slot.busy = false;
    }

    /// Discards the connection if the error makes it unusable.
    pub(crate) fn failed(&mut self, error: &sqlx::Error) {
        if is_broken(error) {
            self.slot = Slot::default();
        }
        if is_silence(error) {
            tracing::warn!("the database server does not respond; its connections are replaced");
            self.pool.silences.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Connects if needed, and rolls back what the connection's last user left open.
    async fn make_idle(&mut self) -> Result<(), sqlx::Error> {
        let silences = self.pool.silences.0.load(Ordering::Relaxed);
        if self.slot.silences != silences {
            self.slot = Slot::default();
        }
        if mem::take(&mut self.slot.busy)
            && let Some(mut connection) = self.slot.connection.take()
        {
            match connection.rollback().await {
                Err(error) if is_broken(&error) => self.failed(&error),
                // No transaction was open, or SQLite has already rolled it back.
                Ok(()) | Err(_) => self.slot.connection = Some(connection),
            }
        }
        if self.slot.connection.is_none() {
            self.slot = Slot { connection: Some(self.pool.target.connect().await?), busy: false, silences };
        }
        Ok(())
    }

    async fn begin(&mut self, kind: TxKind) -> Result<(), sqlx::Error> {
        self.make_idle().await?;
        match self.try_begin(kind).await {
            // The server may have been restarted or replaced since.
            Err(_) if matches!(self.pool.target, Target::Postgres(..)) => {
                self.slot = Slot::default();
                self.make_idle().await?;
                self.try_begin(kind).await
            }
            begun => begun,
        }
    }

    async fn try_begin(&mut self, kind: TxKind) -> Result<(), sqlx::Error> {
        let begun = self.busy()?.begin(kind).await;
        if let Err(error) = &begun {
            self.failed(error);
            self.slot = Slot::default();
        }
        begun
    }

    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        let committed = self.connection()?.commit().await;
        match &committed {
            Ok(()) => self.done(),
            Err(error) => self.failed(error),
        }
        committed
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut slot = mem::take(&mut self.slot);
        // Rolled back now, not by the next user: an open transaction would block others until then.
        if slot.busy
            && let Ok(runtime) = Handle::try_current()
        {
            let (pool, permit) = (Arc::clone(&self.pool), self.permit.take());
            // The guard is built inside the task. Otherwise a task that is dropped with its runtime before it runs
            // would drop a busy guard again.
            runtime.spawn(async move {
                let mut guard = Self { slot, pool, permit };
                if let Err(error) = guard.make_idle().await {
                    tracing::warn!(%error, "a database connection could not be reopened; it is retried");
                }
            });
            return;
        }
        if slot.busy {
            slot = Slot::default();
        }
        self.pool.free().push(slot);
    }
}
