//! Hashes of API keys.

use sha2::{Digest as _, Sha256};

/// The hash that is stored for a key.
pub fn hash_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// The prefix of a key that is shown in lists.
pub(crate) fn prefix_of(key: &str) -> String {
    key.chars().take(13).collect()
}
