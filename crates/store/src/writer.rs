//! The embedded database's one writing connection, and whose turn it is.
//!
//! Invariants: one transaction at a time, in the order in which they were asked for; one that is dropped without a
//! commit is rolled back before the next begins. A connection that cannot begin is replaced.
//! Absent on purpose: the driver's pool, which hands a connection on only after a task of its own has run, and its
//! transactions, which do not notice that SQLite ended one by itself because the disk was full.

use std::{sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _, Executor as _, SqliteConnection, sqlite::SqliteConnectOptions,
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard},
    time::timeout,
};

/// How long a turn is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(crate) struct Writer(Arc<Mutex<Slot>>);

struct Slot {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    /// A transaction may be open.
    open: bool,
}

impl Slot {
    /// The connection, with no transaction open.
    async fn idle(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        if self.open {
            if let Some(connection) = &mut self.connection
                && let Err(error) = connection.execute("rollback").await
            {
                tracing::debug!(%error, "there was nothing to roll back");
            }
            self.open = false;
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        Ok(self.connection.insert(connection))
    }
}

impl Writer {
    pub(crate) async fn connect(options: SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let connection = Some(options.connect().await?);
        Ok(Self(Arc::new(Mutex::new(Slot { options, connection, open: false }))))
    }

    async fn slot(&self) -> Result<OwnedMutexGuard<Slot>, sqlx::Error> {
        let slot = timeout(PATIENCE, Arc::clone(&self.0).lock_owned());
        slot.await.map_err(|_| sqlx::Error::PoolTimedOut)
    }

    /// A turn with a transaction open.
    pub(crate) async fn begin(&self) -> Result<Turn, sqlx::Error> {
        let mut turn = self.turn().await?;
        let begun = match &mut turn.0 {
            Some(slot) => {
                let begun = slot.idle().await?.execute("begin immediate").await;
                slot.open = begun.is_ok();
                begun
            }
            None => Err(sqlx::Error::PoolClosed),
        };
        if let (Err(_), Some(slot)) = (&begun, &mut turn.0) {
            slot.connection = None;
        }
        begun.map(|_| turn)
    }

    /// A turn outside any transaction, for the few statements that must be.
    pub(crate) async fn turn(&self) -> Result<Turn, sqlx::Error> {
        let mut slot = self.slot().await?;
        slot.idle().await?;
        Ok(Turn(Some(slot)))
    }

    pub(crate) async fn close(&self) {
        let Ok(mut slot) = self.slot().await else { return };
        if let Some(connection) = slot.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
    }
}

/// The connection, until this is dropped.
pub(crate) struct Turn(Option<OwnedMutexGuard<Slot>>);

impl Turn {
    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        let slot = self.0.as_mut().ok_or(sqlx::Error::PoolClosed)?;
        slot.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.connection()?.execute("commit").await?;
        if let Some(slot) = &mut self.0 {
            slot.open = false;
        }
        Ok(())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Not left to whoever comes next: until then it would stand in the keeper's way.
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
