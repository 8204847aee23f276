//! AES-256-GCM with a random 96-bit nonce in front, bound to a context.
//!
//! Invariant: what the cipher leaves on the stack of a thread is overwritten before the answer is handed on (I20).

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, AeadInOut as _, Payload},
};
use redialer_core::chance::Chance;
use zeroize::Zeroizing;

use crate::KeyError;

const NONCE: usize = 12;
const TAG: usize = 16;

/// Seals a value; it opens only with the same key and context.
pub fn seal(key: &[u8; 32], plain: &[u8], context: &[u8], chance: &Chance) -> Vec<u8> {
    seal_behind(&[], key, &[plain], context, chance)
}

/// Seals the parts as one value, behind a head that stays as it is.
pub fn seal_behind(head: &[u8], key: &[u8; 32], parts: &[&[u8]], context: &[u8], chance: &Chance) -> Vec<u8> {
    // Room for all of it: a buffer that grows would leave what it held in the clear.
    let long: usize = parts.iter().map(|part| part.len()).sum();
    let mut sealed = Vec::with_capacity(head.len() + NONCE + long + TAG);
    let nonce = chance.bytes::<NONCE>();
    sealed.extend_from_slice(head);
    sealed.extend_from_slice(&nonce);
    for part in parts {
        sealed.extend_from_slice(part);
    }
    let tag = encrypted(key, &nonce, &mut sealed[head.len() + NONCE..], context);
    scrub();
    sealed.extend_from_slice(&tag);
    sealed
}

/// Opens a sealed value.
pub fn open(key: &[u8; 32], sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let opened = opened(key, sealed, context);
    scrub();
    opened
}

#[inline(never)]
fn encrypted(key: &[u8; 32], nonce: &[u8; NONCE], text: &mut [u8], context: &[u8]) -> [u8; TAG] {
    Aes256Gcm::new(key.into())
        .encrypt_inout_detached(&Nonce::from(*nonce), context, text.into())
        .unwrap_or_else(|_| unreachable!("AES-GCM seals anything below 64 GB"))
        .into()
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
