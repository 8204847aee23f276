//! What is stored of an API key instead of the key.

use sha2::{Digest as _, Sha256};

/// What is stored of a key.
pub fn hash_key(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// How much of a key is shown afterwards.
pub(crate) fn prefix_of(key: &str) -> String {
    key.chars().take(13).collect()
}
