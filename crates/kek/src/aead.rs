//! AES-256-GCM with a random 96-bit nonce as prefix, bound to a context.
//!
//! Invariant: the stack that a cipher used for a key is overwritten before any other code runs on it (I20).

use std::hint::black_box;

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, AeadInOut as _, Payload},
};
use redialer_core::rng::Rng;

use crate::KeyError;

const NONCE: usize = 12;
const TAG: usize = 16;

/// Seals a value; only the same key and context open it.
pub fn seal(key: &[u8; 32], plain: &[u8], context: &[u8], rng: &Rng) -> Vec<u8> {
    seal_behind(&[], key, &[plain], context, rng)
}

/// Seals the concatenated parts as one value, after an unencrypted `head`.
pub fn seal_behind(head: &[u8], key: &[u8; 32], parts: &[&[u8]], context: &[u8], rng: &Rng) -> Vec<u8> {
    // Full capacity up front: a buffer that grows would leave copies of the plaintext in freed memory.
    let long: usize = parts.iter().map(|part| part.len()).sum();
    let mut sealed = Vec::with_capacity(head.len() + NONCE + long + TAG);
    let nonce = rng.bytes::<NONCE>();
    sealed.extend_from_slice(head);
    sealed.extend_from_slice(&nonce);
    for part in parts {
        sealed.extend_from_slice(part);
    }
    let text = &mut sealed[head.len() + NONCE..];
    let seal =
        || Aes256Gcm::new(key.into()).encrypt_inout_detached(&Nonce::from(nonce), context, text.into());
    let tag = then_wiped(seal).unwrap_or_else(|_| unreachable!("AES-GCM seals anything below 64 GB"));
    sealed.extend_from_slice(&tag);
    sealed
}

/// Opens a sealed value.
pub fn open(key: &[u8; 32], sealed: &[u8], context: &[u8]) -> Result<Vec<u8>, KeyError> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(KeyError::Sealed)?;
    let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| KeyError::Sealed)?;
    let open =
        || Aes256Gcm::new(key.into()).decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: context });
    then_wiped(open).map_err(|_| KeyError::Sealed)
}

/// More stack than a cipher uses, in bytes; debug builds use the most.
const STACK: usize = 32 << 10;

/// Runs a computation with a key, and overwrites the stack it used. Ciphers wipe their state, but not the copies that
/// the compiler makes: on processors with AVX-512, all round keys stay on the stack.
#[inline(never)]
pub fn then_wiped<T>(work: impl FnOnce() -> T) -> T {
    let done = run(work);
    wipe();
    done
}

/// In its own frame, so that it uses the stack that [`wipe`] overwrites.
#[inline(never)]
fn run<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe() {
    black_box(&mut [0_u8; STACK]);
}
