//! Sealing: AES-256-GCM under a key per tenant, which itself is stored wrapped under the key-encryption key.
//!
//! Invariants (I19, I21): a ciphertext opens only for the tenant, column, row and key version it was made for;
//! every value has a fresh random 96-bit nonce; opened keys are wiped when dropped and live no longer than the
//! request or job that asked. Lookups by number use a keyed index, never the number.
//! Absent on purpose: any cache of opened keys.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::Path,
};

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use hmac::{Hmac, Mac as _};
use redialer_core::{Id, chance::Chance, id};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Why a key or a sealed value could not be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The key file cannot be read or made.
    #[error("the key file {0}: {1}")]
    File(String, io::Error),
    /// The key file does not hold 64 hex digits.
    #[error("the key file {0} does not hold a key (64 hex digits)")]
    Malformed(String),
    /// The data was sealed with another key.
    #[error("this is not the key that the database was sealed with")]
    Wrong,
    /// A sealed value was changed, moved, or made with another key.
    #[error("a sealed value does not open")]
    Sealed,
}

/// The key-encryption key, from a file.
pub struct Kek(Zeroizing<[u8; 32]>);

impl Kek {
    /// Reads the key file, or makes one that only its owner may read.
    pub fn from_file(path: &Path, chance: &Chance) -> Result<Self, KeyError> {
        let name = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => {
                let text = Zeroizing::new(text);
                Ok(Self(Zeroizing::new(from_hex(text.trim()).ok_or(KeyError::Malformed(name))?)))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let key = Zeroizing::new(chance.bytes::<32>());
                write_private(path, &hex(&*key)).map_err(|e| KeyError::File(name, e))?;
                Ok(Self(key))
            }
            Err(e) => Err(KeyError::File(name, e)),
        }
    }

    /// A key of these bytes, for tests and demos.
    pub fn of(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }

    pub(crate) fn wrap(&self, plain: &[u8], context: &[u8], chance: &Chance) -> Vec<u8> {
        encrypt(&self.0, plain, context, chance)
    }

    pub(crate) fn unwrap(&self, sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        decrypt(&self.0, sealed, context)
    }
}

const BODY: &str = "bodies.body";
/// The first byte of a packed body.
const PACKED: u8 = 1;

/// One tenant's opened key. Not `Clone`, not `Debug`; gone when dropped.
pub struct TenantKey {
    tenant: Id<id::Tenant>,
    version: u32,
    data: Zeroizing<[u8; 32]>,
    index: Zeroizing<[u8; 32]>,
}

impl TenantKey {
    /// A new tenant's key, and what to store of it.
    pub(crate) fn generate(tenant: Id<id::Tenant>, kek: &Kek, chance: &Chance) -> (Self, Vec<u8>) {
        let (data, index) = (Zeroizing::new(chance.bytes::<32>()), Zeroizing::new(chance.bytes::<32>()));
        let mut both = Zeroizing::new([0_u8; 64]);
        both[..32].copy_from_slice(&*data);
        both[32..].copy_from_slice(&*index);
        let wrapped = kek.wrap(&*both, &wrap_context(tenant, 1), chance);
        (Self { tenant, version: 1, data, index }, wrapped)
    }

    pub(crate) fn open_wrapped(
        tenant: Id<id::Tenant>,
        version: u32,
        wrapped: &[u8],
        kek: &Kek,
    ) -> Result<Self, KeyError> {
        let both = kek.unwrap(wrapped, &wrap_context(tenant, version))?;
        let half = |range| {
            let part: Option<[u8; 32]> =
                both.get::<std::ops::Range<usize>>(range).and_then(|b| b.try_into().ok());
            part.map(Zeroizing::new).ok_or(KeyError::Sealed)
        };
        Ok(Self { tenant, version, data: half(0..32)?, index: half(32..64)? })
    }

    /// Seals a value for one column of one row.
    pub fn seal(&self, column: &str, row: uuid::Uuid, plain: &[u8], chance: &Chance) -> Vec<u8> {
        let mut sealed = self.version.to_be_bytes().to_vec();
        sealed.extend(encrypt(&self.data, plain, &self.context(column, row, self.version), chance));
        sealed
    }

    /// Opens a value sealed for that column of that row.
    pub fn open(&self, column: &str, row: uuid::Uuid, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let (version, sealed) = sealed.split_at_checked(4).ok_or(KeyError::Sealed)?;
        let version = version.try_into().map(u32::from_be_bytes).map_err(|_| KeyError::Sealed)?;
        if version != self.version {
            return Err(KeyError::Sealed);
        }
        decrypt(&self.data, sealed, &self.context(column, row, version))
    }

    /// Seals the body of a webhook, packed: text of this kind shrinks to a third.
    pub fn seal_body(&self, row: uuid::Uuid, plain: &[u8], chance: &Chance) -> Vec<u8> {
        let mut packed = Zeroizing::new(vec![PACKED]);
        packed.extend(lz4_flex::block::compress_prepend_size(plain));
        self.seal(BODY, row, &packed, chance)
    }

    /// Opens the body of a webhook.
    pub fn open_body(&self, row: uuid::Uuid, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let plain = self.open(BODY, row, sealed)?;
        match plain.split_first() {
            Some((&PACKED, packed)) => {
                let plain = lz4_flex::block::decompress_size_prepended(packed);
                plain.map(Zeroizing::new).map_err(|_| KeyError::Sealed)
            }
            // Bodies of before they were packed: JSON never begins with that byte.
            _ => Ok(plain),
        }
    }

    /// The blind index of a number: equal numbers of one tenant, equal bytes; nothing else can be told from it.
    pub fn index(&self, e164: &str) -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.index)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(b"number\0");
        mac.update(e164.as_bytes());
        let full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut short = [0; 16];
        short.copy_from_slice(&full[..16]);
        short
    }

    /// A seal over text of ours, under the half of the key that rotation keeps.
    pub(crate) fn mac(&self, label: &str, text: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.index)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(label.as_bytes());
        mac.update(&[0]);
        mac.update(text);
        mac.finalize().into_bytes().into()
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

fn wrap_context(tenant: Id<id::Tenant>, version: u32) -> Vec<u8> {
    [b"tenant".as_slice(), tenant.uuid().as_bytes(), &version.to_be_bytes()].concat()
}

const NONCE: usize = 12;

fn encrypt(key: &[u8; 32], plain: &[u8], context: &[u8], chance: &Chance) -> Vec<u8> {
    let nonce = chance.bytes::<NONCE>();
    let sealed = Aes256Gcm::new(key.into())
        .encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: context })
        .unwrap_or_else(|_| unreachable!("AES-GCM seals anything below 64 GB"));
    [nonce.as_slice(), &sealed].concat()
}

fn decrypt(key: &[u8; 32], sealed: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or(KeyError::Sealed)?;
    let nonce: [u8; NONCE] = nonce.try_into().map_err(|_| KeyError::Sealed)?;
    Aes256Gcm::new(key.into())
        .decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: context })
        .map(Zeroizing::new)
        .map_err(|_| KeyError::Sealed)
}

fn hex(bytes: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(key)
}

/// Makes a file of mode 0600; fails if there is one.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> (TenantKey, Chance) {
        let chance = Chance::seeded([seed; 32]);
        let tenant = Id::new(redialer_core::Timestamp::UNIX_EPOCH, &chance);
        (TenantKey::generate(tenant, &Kek::of([1; 32]), &chance).0, chance)
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let (key, chance) = key(1);
        let (row, other) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
        let sealed = key.seal("callbacks.sealed", row, b"+14155550117", &chance);
        assert_eq!(&**key.open("callbacks.sealed", row, &sealed).expect("opens"), b"+14155550117");
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
    fn a_tenants_key_opens_only_under_its_kek_and_its_own_id() {
        let chance = Chance::seeded([3; 32]);
        let tenant = Id::new(redialer_core::Timestamp::UNIX_EPOCH, &chance);
        let (key, wrapped) = TenantKey::generate(tenant, &Kek::of([1; 32]), &chance);
        let again = TenantKey::open_wrapped(tenant, 1, &wrapped, &Kek::of([1; 32])).expect("opens");
        assert_eq!(again.index("+14155550117"), key.index("+14155550117"));
        assert_ne!(again.index("+14155550117"), key.index("+14155550118"));
        assert!(TenantKey::open_wrapped(tenant, 1, &wrapped, &Kek::of([2; 32])).is_err());
        assert!(TenantKey::open_wrapped(tenant, 2, &wrapped, &Kek::of([1; 32])).is_err());
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("kek");
        let chance = Chance::seeded([4; 32]);
        let first = Kek::from_file(&file, &chance).expect("made");
        let second = Kek::from_file(&file, &chance).expect("read");
        assert_eq!(*first.0, *second.0);
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).expect("there").permissions())
                & 0o777,
            0o600
        );
        fs::write(&file, "not a key").expect("written");
        assert!(matches!(Kek::from_file(&file, &chance), Err(KeyError::Malformed(_))));
    }
}
