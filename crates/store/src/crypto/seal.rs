//! Sealing: AES-256-GCM under a key per tenant, which is stored wrapped under the key-encryption key (`tenant_keys`).
//!
//! Invariants (I19, I21): a ciphertext opens only for the tenant, column, row and key version it was made for; every
//! value has a fresh random 96-bit nonce; opened keys are zeroized on drop and live no longer than the request or job
//! that opened them. Lookups by number use a keyed index, never the number. A key is behind a pointer, so that moving
//! it leaves no copy (I20).
//! Absent on purpose: any cache of opened keys.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use redialer_core::{Id, Secret, id, rng::Rng};
use redialer_kek::{KeyError, aead};
use sha2::Sha256;

pub(crate) const BODY: &str = "bodies.body";
/// The first byte of a compressed body.
const PACKED: u8 = 1;

/// 32 bytes that are zeroized on drop and not copied when moved.
type Key32 = Box<Secret<[u8; 32]>>;

/// A tenant's key of one version, as it is wrapped: the half that seals, then the half that indexes.
pub(crate) type KeyPair = Secret<Vec<u8>>;

/// One tenant's opened key. Not `Clone`, never printed, zeroized on drop.
pub struct TenantKey {
    tenant: Id<id::Tenant>,
    version: u32,
    data: Key32,
    /// During a rotation, the neighboring version, which opens values but seals none.
    other: Option<(u32, Key32)>,
    index: Key32,
    /// Whether it is for test callbacks, whose numbers are hashed under a separate label.
    test: bool,
}

fn half(both: &[u8], from: usize) -> Result<Key32, KeyError> {
    let mut half = Box::new(Secret::new([0; 32]));
    half.copy_from_slice(both.get(from..from + 32).ok_or(KeyError::Sealed)?);
    Ok(half)
}

impl TenantKey {
    /// Generates a new tenant's key, to be wrapped.
    pub(crate) fn generate(rng: &Rng) -> KeyPair {
        Secret::new([rng.bytes::<32>(), rng.bytes::<32>()].concat())
    }

    /// Generates the next version's key, to be wrapped: the half that seals is new, the half that indexes is the same.
    pub(crate) fn next(&self, rng: &Rng) -> KeyPair {
        Secret::new([rng.bytes::<32>().as_slice(), self.index.as_slice()].concat())
    }

    /// Builds a key from its version and, during a rotation, its neighbor.
    pub(crate) fn new(
        tenant: Id<id::Tenant>,
        (version, both): (u32, &[u8]),
        other: Option<(u32, &[u8])>,
    ) -> Result<Self, KeyError> {
        let other = other.map(|(version, both)| Ok::<_, KeyError>((version, half(both, 0)?))).transpose()?;
        Ok(Self { tenant, version, data: half(both, 0)?, other, index: half(both, 32)?, test: false })
    }

    /// The key for test callbacks: a number's index differs from the index for live callbacks.
    #[must_use]
    pub const fn for_tests(mut self, test: bool) -> Self {
        self.test = test;
        self
    }

    /// Seals a value for one column of one row.
    pub fn seal(&self, column: &str, row: uuid::Uuid, plain: &[u8], rng: &Rng) -> Vec<u8> {
        self.seal_parts(column, row, &[plain], rng)
    }

    fn seal_parts(&self, column: &str, row: uuid::Uuid, parts: &[&[u8]], rng: &Rng) -> Vec<u8> {
        let (version, context) = (self.version.to_be_bytes(), self.context(column, row, self.version));
        aead::seal_behind(&version, &self.data, parts, &context, rng)
    }

    /// Opens a value sealed for that column of that row.
    pub fn open(&self, column: &str, row: uuid::Uuid, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let version = version_of(sealed).ok_or(KeyError::Sealed)?;
        let key = match &self.other {
            _ if version == self.version => &self.data,
            Some((other, key)) if version == *other => key,
            _ => return Err(KeyError::Sealed),
        };
        aead::open(key, &sealed[VERSION..], &self.context(column, row, version))
    }

    /// Reseals a value of the neighboring version with this one; `None` if it is already current.
    pub(crate) fn reseal(
        &self,
        column: &str,
        row: uuid::Uuid,
        sealed: &[u8],
        rng: &Rng,
    ) -> Result<Option<Vec<u8>>, KeyError> {
        if version_of(sealed) == Some(self.version) {
            return Ok(None);
        }
        Ok(Some(self.seal(column, row, &self.open(column, row, sealed)?, rng)))
    }

    /// Seals the body of a webhook, compressed: text of this kind shrinks to a third.
    pub fn seal_body(&self, row: uuid::Uuid, plain: &[u8], rng: &Rng) -> Vec<u8> {
        let packed = lz4_flex::block::compress_prepend_size(plain);
        self.seal_parts(BODY, row, &[&[PACKED], &packed], rng)
    }

    /// Opens the body of a webhook.
    pub fn open_body(&self, row: uuid::Uuid, sealed: &[u8]) -> Result<Vec<u8>, KeyError> {
        let plain = self.open(BODY, row, sealed)?;
        match plain.split_first() {
            Some((&PACKED, packed)) => {
                lz4_flex::block::decompress_size_prepended(packed).map_err(|_| KeyError::Sealed)
            }
            // A body from before compression was added: JSON never begins with that byte.
            _ => Ok(plain),
        }
    }

    /// The blind index of a number: equal numbers of one tenant give equal bytes, which reveal nothing else.
    pub fn index(&self, e164: &str) -> [u8; 16] {
        self.short_mac(if self.test { "test number" } else { "number" }, e164)
    }

    /// The keyed index of an external id.
    pub fn index_external(&self, id: &str) -> [u8; 16] {
        self.short_mac(if self.test { "test external id" } else { "external id" }, id)
    }

    fn short_mac(&self, label: &str, text: &str) -> [u8; 16] {
        let full = self.mac(label, text.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&full[..16]);
        short
    }

    /// The MAC of a text, under the half of the key that rotation keeps.
    pub(crate) fn mac(&self, label: &str, text: &[u8]) -> [u8; 32] {
        keyed(&self.index, label, text)
    }

    /// The tenant whose key this is.
    pub const fn tenant(&self) -> Id<id::Tenant> {
        self.tenant
    }

    fn context(&self, column: &str, row: uuid::Uuid, version: u32) -> Vec<u8> {
        let mut context = Vec::with_capacity(64);
        context.extend_from_slice(self.tenant.uuid().as_bytes());
        context.extend_from_slice(row.as_bytes());
        context.extend_from_slice(&version.to_be_bytes());
        context.extend_from_slice(column.as_bytes());
        context
    }
}

impl fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantKey({})", self.tenant)
    }
}

/// The length of the key version at the start of a sealed value.
const VERSION: usize = 4;

/// The key version that sealed a value.
pub(crate) fn version_of(sealed: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*sealed.first_chunk()?))
}

fn keyed(key: &[u8; 32], label: &str, text: &[u8]) -> [u8; 32] {
    aead::then_wiped(|| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(label.as_bytes());
        mac.update(&[0]);
        mac.update(text);
        mac.finalize().into_bytes().into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> (TenantKey, Rng) {
        let rng = Rng::seeded([seed; 32]);
        let tenant = Id::new(redialer_core::Timestamp::UNIX_EPOCH, &rng);
        (TenantKey::new(tenant, (1, &TenantKey::generate(&rng)), None).expect("a key"), rng)
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let (key, rng) = key(1);
        let (row, other) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
        let sealed = key.seal("callbacks.sealed", row, b"+14155550117", &rng);
        assert_eq!(&*key.open("callbacks.sealed", row, &sealed).expect("opens"), b"+14155550117");
        assert!(key.open("callbacks.sealed", other, &sealed).is_err());
        assert!(key.open("bodies.body", row, &sealed).is_err());
        assert!(self::key(2).0.open("callbacks.sealed", row, &sealed).is_err());
        for i in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[i] ^= 1;
            assert!(key.open("callbacks.sealed", row, &flipped).is_err(), "bit in byte {i}");
        }
        assert!(key.open("callbacks.sealed", row, &[]).is_err());
    }

    #[test]
    fn beside_its_neighbour_a_key_opens_both_and_seals_one_and_finds_the_same_numbers() {
        let (old, rng) = key(3);
        let row = uuid::Uuid::from_u128(1);
        let (tenant, next) = (old.tenant(), old.next(&rng));
        let both = [old.data.as_slice(), old.index.as_slice()].concat();
        let new = TenantKey::new(tenant, (2, &next), Some((1, &both))).expect("a key");
        let sealed = old.seal("bodies.body", row, b"body", &rng);
        let again = new.reseal("bodies.body", row, &sealed, &rng).expect("opens").expect("is older");
        assert_eq!((version_of(&sealed), version_of(&again)), (Some(1), Some(2)));
        assert!(new.reseal("bodies.body", row, &again, &rng).expect("opens").is_none());
        let alone = TenantKey::new(tenant, (2, &next), None).expect("a key");
        assert_eq!(&*alone.open("bodies.body", row, &again).expect("opens"), b"body");
        assert!(alone.open("bodies.body", row, &sealed).is_err());
        assert_eq!(alone.index("+14155550117"), old.index("+14155550117"));
        assert_ne!(old.index("+14155550118"), old.index("+14155550117"));
    }
}
