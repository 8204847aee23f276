//! Connections that are kept for one use, and whose turn it is on each.
//!
//! Invariants: a turn is given in the order in which it was asked for; a transaction that is dropped without a
//! commit is rolled back before the connection is used again. A connection that cannot begin is replaced once.
//! Every wait for Postgres has a deadline, and a connection that missed one is closed, never used again: all others
//! made before that moment are suspected of leading to the same silent server and are replaced before their next use.
//! Absent on purpose: the driver's pool, which asks a connection whether it lives before and after every use,
//! without a deadline, and its transactions, which do not notice that SQLite ended one by itself because the disk
//! was full.

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

use crate::lite::Lite;

/// How long a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long Postgres may take to accept a connection, and to begin or roll back a transaction.
const SHORT: Duration = Duration::from_secs(5);
/// How long Postgres may take to answer a statement or a commit. Longer than its own `statement_timeout`, so that
/// only a server that does not answer at all runs into it.
const STATEMENT: Duration = Duration::from_secs(10);

/// Where a connection leads to.
#[derive(Clone)]
pub(crate) enum Target {
    /// The file, how long another process is waited for there, and how many statements are kept.
    Lite(PathBuf, Duration, usize),
    /// And what to set on every connection.
    Pg(Box<PgConnectOptions>, &'static [&'static str]),
}

impl Target {
    async fn connect(&self) -> Result<Kept, sqlx::Error> {
        match self {
            Self::Lite(file, busy, prepared) => Ok(Kept::Lite(Lite::open(file, *busy, *prepared)?)),
            Self::Pg(options, settings) => {
                let connect = async {
                    let mut connection = options.connect().await?;
                    for setting in *settings {
                        connection.execute(*setting).await?;
                    }
                    Ok(Kept::Pg(connection))
                };
                within(SHORT, connect).await
            }
        }
    }
}

/// Waits for Postgres until a deadline. What was asked for may still be done after it.
async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let expired = || io::Error::new(io::ErrorKind::TimedOut, "the database server did not answer in time");
    timeout(deadline, work).await.unwrap_or_else(|_| Err(sqlx::Error::Io(expired())))
}

/// Waits for the answer to a statement on Postgres.
pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    within(STATEMENT, work).await
}

/// Whether the connection that failed so is of no further use: it broke, or the server ended the session.
pub(crate) fn is_broken(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::Tls(_) => true,
        sqlx::Error::Database(error) => {
            // Shut down, crashed, starting; idle in a transaction for too long; the classes of lost connections.
            error
                .code()
                .is_some_and(|code| code.starts_with("57P") || code == "25P03" || code.starts_with("08"))
        }
        _ => false,
    }
}

/// Whether the server did not answer at all.
pub(crate) fn is_silence(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Whether no connection was free in time.
pub(crate) const fn is_no_turn(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed)
}

pub(crate) enum Kept {
    Lite(Lite),
    Pg(PgConnection),
}

impl Kept {
    async fn run(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Lite(connection) => connection.turn(sql),
            Self::Pg(connection) => within(SHORT, connection.execute(sql)).await.map(|_| ()),
        }
    }

    async fn commit(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Lite(connection) => connection.commit(),
            Self::Pg(connection) => in_time(connection.execute("commit")).await.map(|_| ()),
        }
    }

    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.run(if matches!(self, Self::Lite(_)) { "begin immediate" } else { "begin" }).await
    }
}

/// How often a server has been found silent; shared by all connections to it.
#[derive(Clone, Default)]
pub(crate) struct Silences(Arc<AtomicUsize>);

/// Connections for one use, made when they are first needed.
#[derive(Clone)]
pub(crate) struct Writer(Arc<Connections>);

struct Connections {
    target: Target,
    silences: Silences,
    /// Idle connections, the last used one on top.
    free: Mutex<Vec<Slot>>,
    size: u32,
    /// A permit for each of them.
    room: Arc<Semaphore>,
}

impl Connections {
    fn free(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Slot {
    connection: Option<Kept>,
    /// A statement or a transaction may be under way.
    busy: bool,
    /// How many silences there had been when it was connected.
    silences: usize,
}

impl Writer {
    /// One connection.
    pub(crate) fn to(target: Target) -> Self {
        Self::several(1, target, &Silences::default())
    }

    /// At most `most` connections.
    pub(crate) fn several(size: u32, target: Target, silences: &Silences) -> Self {
        let slots = (0..size).map(|_| Slot::default()).collect::<Vec<_>>();
        let room = Arc::new(Semaphore::new(slots.len()));
        let silences = silences.clone();
        Self(Arc::new(Connections { target, silences, free: Mutex::new(slots), size, room }))
    }

    async fn any(&self) -> Result<Turn, sqlx::Error> {
        let permit = timeout(PATIENCE, Arc::clone(&self.0.room).acquire_owned()).await;
        let permit = permit.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        // A slot is given back before its permit, so there is one, unless it was lost with a runtime.
        let slot = self.0.free().pop().unwrap_or_default();
        Ok(Turn { slot, of: Arc::clone(&self.0), permit: Some(permit) })
    }

    /// A turn with a transaction open.
    pub(crate) async fn begin(&self) -> Result<Turn, sqlx::Error> {
        let mut turn = self.any().await?;
        turn.begin().await?;
        Ok(turn)
    }

    /// A turn outside any transaction.
    pub(crate) async fn turn(&self) -> Result<Turn, sqlx::Error> {
        let mut turn = self.any().await?;
        turn.idle().await?;
        Ok(turn)
    }

    /// Waits for the turns under way, and closes the connections.
    pub(crate) async fn close(&self) {
        let _all = timeout(PATIENCE, self.0.room.acquire_many(self.0.size)).await;
        let connections: Vec<_> = self.0.free().iter_mut().filter_map(|s| s.connection.take()).collect();
        for connection in connections {
            let closed = match connection {
                Kept::Lite(connection) => connection.close(),
                Kept::Pg(connection) => within(SHORT, connection.close()).await,
            };
            if let Err(error) = closed {
                tracing::warn!(%error, "the database was not closed cleanly");
            }
        }
    }
}

/// A connection, until this is dropped.
pub(crate) struct Turn {
    slot: Slot,
    of: Arc<Connections>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Turn {
    pub(crate) fn connection(&mut self) -> Result<&mut Kept, sqlx::Error> {
        self.slot.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// The connection, marked as busy until [`Turn::done`]: dropped before, it is rolled back or replaced.
    pub(crate) fn busy(&mut self) -> Result<&mut Kept, sqlx::Error> {
        self.slot.busy = true;
        self.connection()
    }

    /// What was under way has ended well.
    pub(crate) const fn done(&mut self) {
        self.slot.busy = false;
    }

    /// Closes the connection if it is of no further use after this error.
    pub(crate) fn failed(&mut self, error: &sqlx::Error) {
        if is_broken(error) {
            self.slot = Slot::default();
        }
        if is_silence(error) {
            tracing::warn!("the database server is silent; its connections are replaced");
            self.of.silences.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Connects where needed, and ends what the last user of the connection has left behind.
    async fn idle(&mut self) -> Result<(), sqlx::Error> {
        let silences = self.of.silences.0.load(Ordering::Relaxed);
        if self.slot.silences != silences {
            self.slot = Slot::default();
        }
        if mem::take(&mut self.slot.busy)
            && let Some(mut connection) = self.slot.connection.take()
        {
            match connection.run("rollback").await {
                Err(error) if is_broken(&error) => self.failed(&error),
                // SQLite may have rolled it back by itself.
                Ok(()) | Err(_) => self.slot.connection = Some(connection),
            }
        }
        if self.slot.connection.is_none() {
            self.slot = Slot { connection: Some(self.of.target.connect().await?), busy: false, silences };
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.idle().await?;
        match self.try_begin().await {
            // The server may have been restarted, or replaced, since.
            Err(_) if matches!(self.of.target, Target::Pg(..)) => {
                self.slot = Slot::default();
                self.idle().await?;
                self.try_begin().await
            }
            begun => begun,
        }
    }

    async fn try_begin(&mut self) -> Result<(), sqlx::Error> {
        let begun = self.busy()?.begin().await;
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

impl Drop for Turn {
    fn drop(&mut self) {
        let mut slot = mem::take(&mut self.slot);
        // Not left to the next user: until then an open transaction would stand in others' way.
        if slot.busy
            && let Ok(here) = Handle::try_current()
        {
            let (of, permit) = (Arc::clone(&self.of), self.permit.take());
            // A turn only once the task runs: dropped before, with its runtime, it must not be dropped as busy again.
            here.spawn(async move {
                let mut turn = Self { slot, of, permit };
                if let Err(error) = turn.idle().await {
                    tracing::warn!(%error, "the database could not be opened again");
                }
            });
            return;
        }
        if slot.busy {
            slot = Slot::default();
        }
        self.of.free().push(slot);
    }
}
