//! Writing connections that are kept, and whose turn it is on each.
//!
//! Invariants: one transaction at a time on a connection, in the order in which they were asked for; one that is
//! dropped without a commit is rolled back before the next begins. A connection that cannot begin is replaced.
//! Absent on purpose: the driver's pool, which asks a connection whether it lives before and after every use and
//! hands it on only after a task of its own has run, and its transactions, which do not notice that SQLite ended one
//! by itself because the disk was full.

use std::{path::PathBuf, sync::Arc, time::Duration};

use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

use crate::lite::Lite;

/// How long a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

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
                let mut connection = options.connect().await?;
                for setting in *settings {
                    connection.execute(*setting).await?;
                }
                Ok(Kept::Pg(connection))
            }
        }
    }
}

pub(crate) enum Kept {
    Lite(Lite),
    Pg(PgConnection),
}

impl Kept {
    async fn run(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Lite(connection) => connection.turn(sql),
            Self::Pg(connection) => connection.execute(sql).await.map(|_| ()),
        }
    }

    async fn commit(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Lite(connection) => connection.commit(),
            Self::Pg(connection) => connection.execute("commit").await.map(|_| ()),
        }
    }

    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        self.run(if matches!(self, Self::Lite(_)) { "begin immediate" } else { "begin" }).await
    }
}

/// The way to one connection.
#[derive(Clone)]
pub(crate) struct Writer(Arc<Mutex<Slot>>);

struct Slot {
    target: Target,
    connection: Option<Kept>,
    /// A transaction may be open.
    open: bool,
}

impl Slot {
    /// The connection, with no transaction open.
    async fn idle(&mut self) -> Result<&mut Kept, sqlx::Error> {
        if self.open {
            self.open = false;
            if let Some(mut connection) = self.connection.take() {
                match connection.run("rollback").await {
                    // SQLite may have rolled it back by itself.
                    Ok(()) | Err(sqlx::Error::Database(_)) => self.connection = Some(connection),
                    Err(error) => tracing::debug!(%error, "a connection is given up"),
                }
            }
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.target.connect().await?,
        };
        Ok(self.connection.insert(connection))
    }

    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        let begun = match self.idle().await?.begin().await {
            // The other side may have been restarted since.
            Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => {
                self.connection = None;
                self.idle().await?.begin().await
            }
            begun => begun,
        };
        self.open = begun.is_ok();
        if begun.is_err() {
            self.connection = None;
        }
        begun
    }
}

impl Writer {
    /// A connection that is made when it is first needed.
    pub(crate) fn to(target: Target) -> Self {
        Self(Arc::new(Mutex::new(Slot { target, connection: None, open: false })))
    }

    async fn slot(&self) -> Result<OwnedMutexGuard<Slot>, sqlx::Error> {
        let slot = timeout(PATIENCE, Arc::clone(&self.0).lock_owned());
        slot.await.map_err(|_| sqlx::Error::PoolTimedOut)
    }

    /// A turn with a transaction open.
    pub(crate) async fn begin(&self) -> Result<Turn, sqlx::Error> {
        let mut slot = self.slot().await?;
        slot.begin().await?;
        Ok(Turn(Some(slot)))
    }

    /// As [`Writer::begin`], if it is nobody's turn.
    pub(crate) async fn try_begin(&self) -> Option<Result<Turn, sqlx::Error>> {
        let mut slot = Arc::clone(&self.0).try_lock_owned().ok()?;
        Some(slot.begin().await.map(|()| Turn(Some(slot))))
    }

    /// A turn outside any transaction, for the few statements that must be.
    pub(crate) async fn turn(&self) -> Result<Turn, sqlx::Error> {
        let mut slot = self.slot().await?;
        slot.idle().await?;
        Ok(Turn(Some(slot)))
    }

    pub(crate) async fn close(&self) {
        let Ok(mut slot) = self.slot().await else { return };
        let closed = match slot.connection.take() {
            Some(Kept::Lite(connection)) => connection.close(),
            Some(Kept::Pg(connection)) => connection.close().await,
            None => Ok(()),
        };
        if let Err(error) = closed {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }
}

/// The connection, until this is dropped.
pub(crate) struct Turn(Option<OwnedMutexGuard<Slot>>);

impl Turn {
    pub(crate) fn connection(&mut self) -> Result<&mut Kept, sqlx::Error> {
        let slot = self.0.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        slot.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.connection()?.commit().await?;
        if let Some(slot) = &mut self.0 {
            slot.open = false;
        }
        Ok(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Not left to whoever comes next: until then it would stand in others' way.
        if let Some(mut slot) = self.0.take().filter(|slot| slot.open)
            && let Ok(here) = Handle::try_current()
        {
            here.spawn(async move {
                if let Err(error) = slot.idle().await {
                    tracing::warn!(%error, "the database could not be opened again");
                }
            });
        }
    }
}
