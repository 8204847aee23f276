//! Errors of the store.

use std::io;

use redialer_kek::KeyError;

use crate::db::{pool, sqlite};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The row does not exist, or it belongs to another tenant.
    #[error("not found")]
    NotFound,
    /// A row that must be unique exists already.
    #[error("a row with this key exists already")]
    Duplicate,
    /// Another transaction came first: the rows are to be read again.
    #[error("another transaction changed the row first")]
    DecidedMeanwhile,
    /// The tenant's plan allows no more of these.
    #[error("the limit of the plan is reached")]
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
    /// The row has changed since the caller read it.
    #[error("the row has changed since it was read")]
    Changed,
    /// The database's schema does not fit this version.
    #[error("this version cannot use the database's schema: {0}")]
    Schema(String),
    /// The write queue is full, or the write failed.
    #[error("too many writes are waiting for the database")]
    Full,
    /// A test injected a failure; see [`crate::Faults`].
    #[error("a test injected a fault")]
    Injected,
    /// A stored value cannot be parsed.
    #[error("a stored {0} cannot be read")]
    Corrupt(&'static str),
    /// A key or a sealed value could not be opened.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database failed; a retry may succeed.
    // The cause is part of the message and not a `source`, because an error chain would print it twice.
    #[error("the database is unavailable: {0}")]
    Unavailable(sqlx::Error),
}

impl StoreError {
    /// Whether the database as a whole failed: unreachable, out of space, or too slow. A smaller write would fail too.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Full | Self::Injected => true,
            Self::Unavailable(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                sqlite::is_outage(&**error).unwrap_or_else(|| {
                    // Classes: connection, resources, operator intervention, system. Codes: read only, idle in a
                    // transaction for too long, lock not available.
                    ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                        || ["25006", "25P03", "55P03"].contains(&&*code)
                })
            }
            Self::Unavailable(error) => pool::is_broken(error) || pool::is_exhausted(error),
            _ => false,
        }
    }

    /// Whether the failure is a conflict with another transaction, so that reading again and retrying helps.
    pub fn is_contention(&self) -> bool {
        match self {
            Self::Duplicate | Self::DecidedMeanwhile => true,
            // Serialization failure, deadlock, lock not available, statement timeout.
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

/// An error of a backup or a restore.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target file already exists.
    #[error("{0} already exists; name a new file")]
    Exists(String),
    /// The file is not a backup.
    #[error("{0} is not a backup made by `redialer backup`")]
    NotABackup(String),
    /// The backup was made without keys, and no keyring was given.
    #[error("{0} was made without keys; pass the latest keyring with `--keys`")]
    NoKeys(String),
    /// The database to restore into is not empty.
    #[error("the database already contains tenants; restore into an empty database")]
    NotEmpty,
    /// A file system error.
    #[error(transparent)]
    File(#[from] io::Error),
    /// An error of the store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for BackupError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
