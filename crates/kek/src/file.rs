//! Keys in a file: one a line, 64 hex digits, the current one first.
//!
//! Invariants: the file is readable by its owner alone and replaced as a whole; a key that is not known yet may have been
//! added by somebody else, so the file is read again before a value counts as not to be opened.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use redialer_core::chance::Chance;
use zeroize::Zeroizing;

use crate::{KeyError, aead};

type Keys = Vec<Zeroizing<[u8; 32]>>;

/// The keys of one file.
pub struct KeyFile {
    path: Option<PathBuf>,
    keys: RwLock<Keys>,
}

impl KeyFile {
    /// A key of these bytes, in no file.
    pub(crate) fn of(key: [u8; 32]) -> Self {
        Self { path: None, keys: RwLock::new(vec![Zeroizing::new(key)]) }
    }

    /// Reads the key file, or makes one that only its owner may read.
    pub fn open(path: &Path, chance: &Chance) -> Result<Self, KeyError> {
        let keys = match read(path) {
            Err(KeyError::File(_, e)) if e.kind() == io::ErrorKind::NotFound => {
                let key = Zeroizing::new(chance.bytes::<32>());
                write(path, std::slice::from_ref(&key), false).map_err(|e| KeyError::File(name(path), e))?;
                vec![key]
            }
            keys => keys?,
        };
        Ok(Self { path: Some(path.to_owned()), keys: RwLock::new(keys) })
    }

    /// Puts a new key in front; the others still open what they wrapped.
    pub fn add(&self, chance: &Chance) -> Result<(), KeyError> {
        self.replace(|keys| keys.insert(0, Zeroizing::new(chance.bytes())))
    }

    /// Forgets all but the current key.
    pub fn retire(&self) -> Result<(), KeyError> {
        self.replace(|keys| keys.truncate(1))
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.keys().len()
    }

    /// Whether it holds none; it always holds one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn wrap(&self, plain: &[u8], context: &[u8], chance: &Chance) -> Vec<u8> {
        let keys = self.keys();
        aead::seal(&keys[0], plain, context, chance)
    }

    pub(crate) fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let open = |keys: &Keys| keys.iter().find_map(|key| aead::open(key, wrapped, context).ok());
        if let Some(plain) = open(&self.keys()) {
            return Ok(plain);
        }
        let Some(path) = &self.path else { return Err(KeyError::Sealed) };
        let keys = read(path)?;
        let plain = open(&keys);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        plain.ok_or(KeyError::Sealed)
    }

    pub(crate) fn is_current(&self, wrapped: &[u8], context: &[u8]) -> bool {
        aead::open(&self.keys()[0], wrapped, context).is_ok()
    }

    fn keys(&self) -> std::sync::RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, change: impl FnOnce(&mut Keys)) -> Result<(), KeyError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut keys);
        match &self.path {
            Some(path) => write(path, &keys, true).map_err(|e| KeyError::File(name(path), e)),
            None => Ok(()),
        }
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path) -> Result<Keys, KeyError> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|e| KeyError::File(name(path), e))?);
    let keys: Option<Keys> = text.split_whitespace().map(|line| from_hex(line).map(Zeroizing::new)).collect();
    keys.filter(|keys| !keys.is_empty()).ok_or_else(|| KeyError::Malformed(name(path)))
}

/// Writes the file, of mode 0600, as a whole: a new one must not be there yet, one that is replaced is whole at any moment.
fn write(path: &Path, keys: &[Zeroizing<[u8; 32]>], replacing: bool) -> io::Result<()> {
    let beside = path.with_extension("new");
    let target = if replacing { &beside } else { path };
    let mut options = fs::OpenOptions::new();
    options.write(true).create(replacing).truncate(replacing).create_new(!replacing);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(target)?;
    for key in keys {
        file.write_all(hex(key).as_bytes())?;
        file.write_all(b"\n")?;
    }
    file.sync_all()?;
    if replacing {
        fs::rename(&beside, path)?;
    }
    Ok(())
}

fn hex(bytes: &[u8; 32]) -> Zeroizing<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, PathBuf, Chance) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("kek");
        (dir, path, Chance::seeded([4; 32]))
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_alone() {
        let (_dir, path, chance) = file();
        let first = KeyFile::open(&path, &chance).expect("made");
        let second = KeyFile::open(&path, &chance).expect("read");
        assert_eq!(*first.keys()[0], *second.keys()[0]);
        first.add(&chance).expect("added");
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("there").permissions())
                & 0o777,
            0o600
        );
        fs::write(&path, "not a key").expect("written");
        assert!(matches!(KeyFile::open(&path, &chance), Err(KeyError::Malformed(_))));
    }

    #[test]
    fn what_an_older_key_wrapped_opens_until_it_is_retired_also_for_whoever_read_the_file_before() {
        let (_dir, path, chance) = file();
        let ours = KeyFile::open(&path, &chance).expect("made");
        let theirs = KeyFile::open(&path, &chance).expect("read");
        let old = ours.wrap(b"key", b"context", &chance);
        ours.add(&chance).expect("added");
        let new = ours.wrap(b"key", b"context", &chance);
        assert!(ours.is_current(&new, b"context") && !ours.is_current(&old, b"context"));
        for file in [&ours, &theirs] {
            assert_eq!(&**file.unwrap(&old, b"context").expect("opens"), b"key");
            assert_eq!(&**file.unwrap(&new, b"context").expect("opens"), b"key");
            assert!(file.unwrap(&new, b"another").is_err());
        }
        ours.retire().expect("retired");
        assert!(ours.unwrap(&old, b"context").is_err() && ours.unwrap(&new, b"context").is_ok());
        assert_eq!(KeyFile::open(&path, &chance).expect("read").len(), 1);
    }
}
