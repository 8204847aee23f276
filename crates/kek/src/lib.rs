//! The key-encryption key, which wraps tenants' keys: in a file, or in a Vault or OpenBao transit engine.
//!
//! Invariants (I20, I23): an unwrapped key is returned to the caller, wiped when dropped and never cached. A key
//! service that does not answer is [`KeyError::Unavailable`] and nothing else, so that the caller can retry. Absent on
//! purpose: tenants, versions of their keys, and any choice of when to rotate.

pub mod aead;
pub mod file;
pub mod transit;

use std::io;

use redialer_core::{Secret, rng::Rng};

pub use file::KeyFile;
pub use transit::Transit;

/// Why a key or a sealed value could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file cannot be read or created.
    #[error("the key file {0}: {1}")]
    File(String, io::Error),
    /// The key file contains no valid keys.
    #[error("the key file {0} is not valid: each line must be a key of 64 hex digits")]
    Malformed(String),
    /// The data was sealed with another key.
    #[error("the key is not the one that the database was encrypted with")]
    Wrong,
    /// A sealed value was modified, moved, or sealed with another key.
    #[error("an encrypted value cannot be decrypted")]
    Sealed,
    /// The tenant's key was destroyed: none of its data can be decrypted any more.
    #[error("the tenant's key was destroyed")]
    Destroyed,
    /// The key service is currently unavailable.
    #[error("the key service is unavailable: {0}")]
    Unavailable(String),
}

/// The key-encryption key.
pub enum Kek {
    /// Keys from a file, in memory.
    File(KeyFile),
    /// A key in a key service; it never enters this process.
    Transit(Transit),
}

impl Kek {
    /// A key from bytes, for tests and demos.
    pub fn from_bytes(key: [u8; 32]) -> Self {
        Self::File(KeyFile::from_bytes(key))
    }

    /// Wraps a key for that context; `rng` generates the nonce if the key is in a file.
    pub async fn wrap(&self, plain: &[u8], context: &[u8], rng: &Rng) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::File(file) => Ok(file.wrap(plain, context, rng)),
            Self::Transit(transit) => transit.wrap(plain, context).await,
        }
    }

    /// Unwraps a key that was wrapped for that context under any valid version of the key-encryption key.
    pub async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
        match self {
            Self::File(file) => file.unwrap(wrapped, context),
            // Boxed, because this future would be most of every request's state.
            Self::Transit(transit) => Box::pin(transit.unwrap(wrapped, context)).await,
        }
    }

    /// Whether `wrapped` was wrapped under the same key version as `newest`, which was wrapped just now.
    pub fn is_current(&self, wrapped: &[u8], newest: &[u8], context: &[u8]) -> bool {
        match self {
            Self::File(file) => file.is_current(wrapped, context),
            Self::Transit(_) => transit::version_of(wrapped) == transit::version_of(newest),
        }
    }
}
