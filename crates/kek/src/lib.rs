//! The key under which tenants' keys are stored: in a file, or at a Vault or OpenBao transit engine.
//!
//! Invariants (I20, I23): what is unwrapped is handed to whoever asked and wiped when they drop it; nothing is kept for
//! the next. A service that does not answer is [`KeyError::Unavailable`] and nothing else: whoever asks can wait for it.
//! Absent on purpose: tenants, versions of their keys, and any choice of when to rotate.

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
    /// The key file cannot be read or made.
    #[error("the key file {0}: {1}")]
    File(String, io::Error),
    /// The key file does not hold keys.
    #[error("the key file {0} does not hold a key (64 hex digits a line)")]
    Malformed(String),
    /// The data was sealed with another key.
    #[error("this is not the key that the database was sealed with")]
    Wrong,
    /// A sealed value was changed, moved, or made with another key.
    #[error("a sealed value does not open")]
    Sealed,
    /// The tenant's key was destroyed: nothing of it opens any more.
    #[error("the tenant's key was destroyed")]
    Destroyed,
    /// The key service cannot be asked at the moment.
    #[error("the key service is unavailable: {0}")]
    Unavailable(String),
}

/// The key-encryption key.
pub enum Kek {
    /// From a file, in memory.
    File(KeyFile),
    /// At a service; never here.
    Transit(Transit),
}

impl Kek {
    /// A key of these bytes, for tests and demos.
    pub fn from_bytes(key: [u8; 32]) -> Self {
        Self::File(KeyFile::from_bytes(key))
    }

    /// Wraps a key for that context; `rng` draws the nonce where the wrapping is done here.
    pub async fn wrap(&self, plain: &[u8], context: &[u8], rng: &Rng) -> Result<Vec<u8>, KeyError> {
        match self {
            Self::File(file) => Ok(file.wrap(plain, context, rng)),
            Self::Transit(transit) => transit.wrap(plain, context).await,
        }
    }

    /// Unwraps what was wrapped for that context under any version of the key that still counts.
    pub async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
        match self {
            Self::File(file) => file.unwrap(wrapped, context),
            // On the heap: as a part of every request's state it would be most of it.
            Self::Transit(transit) => Box::pin(transit.unwrap(wrapped, context)).await,
        }
    }

    /// Whether `wrapped` was made under the same version of the key as `newest`, which was made just now.
    pub fn is_current(&self, wrapped: &[u8], newest: &[u8], context: &[u8]) -> bool {
        match self {
            Self::File(file) => file.is_current(wrapped, context),
            Self::Transit(_) => transit::version_of(wrapped) == transit::version_of(newest),
        }
    }
}
