//! Why the store could not do something.

use std::io;

use redialer_kek::KeyError;

use crate::db::{pool, sqlite};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing of that id, or not this tenant's.
    #[error("not found")]
    NotFound,
    /// A row that must be unique exists already.
    #[error("such a row exists already")]
    Duplicate,
    /// Another transaction came first: the rows are to be read again.
    #[error("another transaction decided first")]
    DecidedMeanwhile,
    /// The tenant's plan allows no more of these.
    #[error("the plan allows no more of these")]
    PlanLimit,
    /// Another workspace is connected to this account of the provider.
    #[error("another workspace is connected to this provider account")]
    AlreadyConnected,
    /// The workspace to restore is not deleted.
    #[error("the workspace is not deleted")]
    NotDeleted,
    /// Another member has this email address.
    #[error("another member has this email address")]
    EmailTaken,
    /// The tenant would have no owner.
    #[error("the member is the last owner")]
    LastOwner,
    /// Another process rotates keys.
    #[error("another `redialer keys` command is running")]
    KeysLocked,
    /// It is no longer as whoever changes it has seen it.
    #[error("changed meanwhile")]
    Changed,
    /// The database's schema does not fit this version.
    #[error("the database's schema does not fit this version: {0}")]
    Schema(String),
    /// Too much waits for the database already, or it could not write.
    #[error("the database cannot take more at the moment")]
    Full,
    /// A test made the step fail; see [`crate::Faults`].
    #[error("a fault was injected")]
    Injected,
    /// A row that cannot be read.
    #[error("a stored {0} cannot be read")]
    Corrupt(&'static str),
    /// A key could not be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database did not do it; trying again may help.
    // The reason is part of the message, not a source: a chain of errors would print it twice.
    #[error("the database is unavailable: {0}")]
    Unavailable(sqlx::Error),
}

impl StoreError {
    /// Whether the database as a whole is to blame: away, out of room, or too slow. Writing less at once would not
    /// help.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Full | Self::Injected => true,
            Self::Unavailable(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                sqlite::is_outage(&**error).unwrap_or_else(|| {
                    // Connections, resources, an operator, the system; read only; waited too long for a lock.
                    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                        || ["25006", "25P03", "55P03"].contains(&&*code)
                })
            }
            Self::Unavailable(error) => pool::is_broken(error) || pool::is_exhausted(error),
            _ => false,
        }
    }

    /// Whether the failure is a conflict with another transaction, so that reading and trying again helps.
    pub fn is_contention(&self) -> bool {
        match self {
            Self::Duplicate | Self::DecidedMeanwhile => true,
            // Serialization failure, deadlock, a lock not had, a statement not done in time.
            Self::Unavailable(sqlx::Error::Database(error)) => {
                ["40001", "40P01", "55P03", "57014"].contains(&&*error.code().unwrap_or_default())
            }
            _ => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(e) if e.is_unique_violation() => Self::Duplicate,
            _ => Self::Unavailable(error),
        }
    }
}

/// Why a backup was not made or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there already.
    #[error("{0} exists; name a file that does not")]
    Exists(String),
    /// The file is not a backup.
    #[error("{0} is not a backup made by `redialer backup`")]
    NotABackup(String),
    /// The backup was made without keys, and no keyring is given.
    #[error("{0} was made without keys: give the latest keyring with --keys")]
    NoKeys(String),
    /// The database to restore into holds something.
    #[error("the database holds tenants already; restore into an empty one")]
    NotEmpty,
    /// The file system.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
