//! AES-256-GCM with a random 96-bit nonce in front, bound to a context.
//!
//! Invariant: what the cipher leaves on the stack of a thread is overwritten before the answer is handed on (I20).

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use redialer_core::chance::Chance;
use zeroize::Zeroizing;

use crate::KeyError;

const NONCE: usize = 12;

/// Seals a value; it opens only with the same key and context.
pub fn seal(key: &[u8; 32], plain: &[u8], context: &[u8], chance: &Chance) -> Vec<u8> {
    let nonce = chance.bytes::<NONCE>();
    let sealed = sealed(key, &nonce, plain, context);
    scrub();
    sealed
}

/// Opens a sealed value.
pub fn open(key: &[u8; 32], sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let opened = opened(key, sealed, context);
    scrub();
    opened
}

#[inline(never)]
fn sealed(key: &[u8; 32], nonce: &[u8; NONCE], plain: &[u8], context: &[u8]) -> Vec<u8> {
    let sealed = Aes256Gcm::new(key.into())
        .encrypt(&Nonce::from(*nonce), Payload { msg: plain, aad: context })
        .unwrap_or_else(|_| unreachable!("AES-GCM seals anything below 64 GB"));
    [nonce.as_slice(), &sealed].concat()
}

#[inline(never)]
fn opened(key: &[u8; 32], sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(KeyError::Sealed)?;
    let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| KeyError::Sealed)?;
    Aes256Gcm::new(key.into())
        .decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: context })
        .map(Zeroizing::new)
        .map_err(|_| KeyError::Sealed)
}

/// How deep ciphers reach: without optimisation, much deeper.
const DEPTH: usize = if cfg!(debug_assertions) { 64 << 10 } else { 8 << 10 };

/// Overwrites the part of the stack that a cipher just used: round keys begin with the key itself.
#[inline(never)]
pub fn scrub() {
    let mut below = [0_u8; DEPTH];
    std::hint::black_box(&mut below);
}
