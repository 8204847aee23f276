//! Keys in a file: one per line, 64 hex digits, the current one first. A key with a `+` prefix is prepared: it unwraps
//! but does not wrap yet, so that it can be copied to every replica before anything is wrapped with it.
//!
//! Invariants: the file is readable only by its owner and replaced atomically. Before a value counts as undecryptable,
//! the file is read again, because another process may have added a key.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use redialer_core::{Secret, rng::Rng};

use crate::{KeyError, aead};

#[derive(Default)]
struct Keys {
    all: Vec<Secret<[u8; 32]>>,
    /// Whether the last key is prepared.
    prepared: bool,
}

/// The keys of one file.
pub struct KeyFile {
    path: Option<PathBuf>,
    keys: RwLock<Keys>,
}

impl KeyFile {
    /// A single key that is not backed by a file.
    pub(crate) fn from_bytes(key: [u8; 32]) -> Self {
        Self { path: None, keys: RwLock::new(Keys { all: vec![Secret::new(key)], prepared: false }) }
    }

    /// Reads a key file. Never creates one: a new key could not open data sealed with an older one.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        Ok(Self { path: Some(path.to_owned()), keys: RwLock::new(read(path)?) })
    }

    /// Creates a key file with one new key, readable only by its owner. Fails if the file exists. The caller must make
    /// sure that no data is sealed yet.
    pub fn create(path: &Path, rng: &Rng) -> Result<Self, KeyError> {
        let keys = Keys { all: vec![Secret::new(rng.bytes::<32>())], prepared: false };
        write(path, text(&keys).as_bytes(), false).map_err(|e| KeyError::File(name(path), e))?;
        Ok(Self { path: Some(path.to_owned()), keys: RwLock::new(keys) })
    }

    /// Appends a new key as prepared, unless one is; the next [`KeyFile::add`] makes it current.
    pub fn prepare(&self, rng: &Rng) -> Result<(), KeyError> {
        self.replace(|keys| {
            if !keys.prepared {
                keys.all.push(Secret::new(rng.bytes()));
                keys.prepared = true;
            }
        })
    }

    /// Makes the prepared key current, or a new one if none is prepared; the other keys still open the data they
    /// wrapped.
    pub fn add(&self, rng: &Rng) -> Result<(), KeyError> {
        self.replace(|keys| {
            let prepared = if std::mem::take(&mut keys.prepared) { keys.all.pop() } else { None };
            keys.all.insert(0, prepared.unwrap_or_else(|| Secret::new(rng.bytes())));
        })
    }

    /// Removes all keys but the current one.
    pub fn retire(&self) -> Result<(), KeyError> {
        self.replace(|keys| {
            keys.all.truncate(1);
            keys.prepared = false;
        })
    }

    /// Whether a key is prepared.
    pub fn is_prepared(&self) -> bool {
        self.keys().prepared
    }

    /// The number of keys.
    pub fn count(&self) -> usize {
        self.keys().all.len()
    }

    pub(crate) fn wrap(&self, plain: &[u8], context: &[u8], rng: &Rng) -> Vec<u8> {
        let keys = self.keys();
        aead::seal(&keys.all[0], plain, context, rng)
    }

    pub(crate) fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Secret<Vec<u8>>, KeyError> {
        let open = |keys: &Keys| {
            keys.all.iter().find_map(|key| aead::open(key, wrapped, context).ok().map(Secret::new))
        };
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
        aead::open(&self.keys().all[0], wrapped, context).is_ok()
    }

    fn keys(&self) -> std::sync::RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, change: impl FnOnce(&mut Keys)) -> Result<(), KeyError> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        // Read again, because another command may have changed the file.
        if let Some(path) = &self.path {
            *keys = read(path)?;
        }
        change(&mut keys);
        match &self.path {
            Some(path) => {
                write(path, text(&keys).as_bytes(), true).map_err(|e| KeyError::File(name(path), e))
            }
            None => Ok(()),
        }
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn read(path: &Path) -> Result<Keys, KeyError> {
    let text = Secret::new(fs::read_to_string(path).map_err(|e| KeyError::File(name(path), e))?);
    let mut keys = Keys::default();
    for line in text.split_whitespace() {
        keys.prepared = line.starts_with('+');
        let key = from_hex(line.trim_start_matches('+')).ok_or_else(|| KeyError::Malformed(name(path)))?;
        keys.all.push(Secret::new(key));
    }
    match keys.all.len() - usize::from(keys.prepared && !keys.all.is_empty()) {
        0 => Err(KeyError::Malformed(name(path))),
        _ => Ok(keys),
    }
}

/// Formats keys as [`read`] parses them.
fn text(keys: &Keys) -> Secret<String> {
    // Full capacity up front: a string that grows would leave copies of the keys in freed memory.
    let mut text = Secret::new(String::with_capacity(keys.all.len() * 66));
    for (i, key) in keys.all.iter().enumerate() {
        if keys.prepared && i + 1 == keys.all.len() {
            text.push('+');
        }
        text.push_str(&hex(key));
        text.push('\n');
    }
    text
}

/// Writes a whole file with mode 0600. With `replacing` the replacement is atomic; without, the file must not exist
/// yet.
pub fn write(path: &Path, bytes: &[u8], replacing: bool) -> io::Result<()> {
    // A temporary name that no other process uses.
    let mut beside = OsString::from(".");
    beside.push(path.file_name().unwrap_or_default());
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(beside);
    let target = if replacing { &beside } else { path };
    let mut options = fs::OpenOptions::new();
    options.write(true).create(replacing).truncate(replacing).create_new(!replacing);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(target)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if replacing {
        // The next process uses another name and would not replace a file left here.
        written.and_then(|()| fs::rename(&beside, path)).inspect_err(|_| {
            let _gone = fs::remove_file(&beside);
        })?;
    } else {
        written?;
    }
    // Sync the directory, too: after a power failure, data wrapped with a new key must not outlive the key's file.
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => fs::File::open(".")?.sync_all(),
    }
}

fn hex(bytes: &[u8; 32]) -> Secret<String> {
    Secret::new(bytes.iter().map(|b| format!("{b:02x}")).collect())
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

    fn file() -> (tempfile::TempDir, PathBuf, Rng) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("kek");
        (dir, path, Rng::seeded([4; 32]))
    }

    #[test]
    fn the_key_file_is_created_once_for_its_owner_alone_and_never_by_reading() {
        let (_dir, path, rng) = file();
        assert!(
            matches!(KeyFile::open(&path), Err(KeyError::File(_, e)) if e.kind() == io::ErrorKind::NotFound)
        );
        assert!(!path.exists(), "reading creates no key");
        let first = KeyFile::create(&path, &rng).expect("made");
        assert!(KeyFile::create(&path, &rng).is_err(), "a key is never replaced");
        let second = KeyFile::open(&path).expect("read");
        assert_eq!(*first.keys().all[0], *second.keys().all[0]);
        first.add(&rng).expect("added");
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("there").permissions())
                & 0o777,
            0o600
        );
        fs::write(&path, "not a key").expect("written");
        assert!(matches!(KeyFile::open(&path), Err(KeyError::Malformed(_))));
    }

    #[test]
    fn a_file_that_is_replaced_is_another_file_and_no_other_file_is_touched() {
        let (dir, path, _) = file();
        let beside = dir.path().join("kek.new");
        for (target, other) in [(&path, &beside), (&beside, &path)] {
            fs::write(target, "the old one").expect("written");
            fs::write(other, "another one").expect("written");
            let old = fs::File::open(target).expect("open");
            write(target, b"the new one", true).expect("replaced");
            assert_eq!(fs::read_to_string(target).expect("read"), "the new one");
            assert_eq!(io::read_to_string(old).expect("read"), "the old one", "it was whole all along");
            assert_eq!(fs::read_to_string(other).expect("read"), "another one");
        }
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).expect("made");
        assert!(write(&folder, b"the new one", true).is_err());
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 3, "nothing stays beside them");
    }

    #[test]
    fn what_an_older_key_wrapped_opens_until_it_is_retired_also_for_whoever_read_the_file_before() {
        let (_dir, path, rng) = file();
        let ours = KeyFile::create(&path, &rng).expect("made");
        let theirs = KeyFile::open(&path).expect("read");
        let old = ours.wrap(b"key", b"context", &rng);
        ours.add(&rng).expect("added");
        let new = ours.wrap(b"key", b"context", &rng);
        assert!(ours.is_current(&new, b"context") && !ours.is_current(&old, b"context"));
        for file in [&ours, &theirs] {
            assert_eq!(&**file.unwrap(&old, b"context").expect("opens"), b"key");
            assert_eq!(&**file.unwrap(&new, b"context").expect("opens"), b"key");
            assert!(file.unwrap(&new, b"another").is_err());
        }
        ours.prepare(&rng).expect("prepared");
        ours.prepare(&rng).expect("nothing more");
        assert_eq!((ours.count(), ours.is_prepared()), (3, true));
        assert!(ours.is_current(&new, b"context"), "nothing is wrapped with it yet");
        let prepared = KeyFile::open(&path).expect("read");
        prepared.add(&rng).expect("added");
        assert_eq!((prepared.count(), prepared.is_prepared()), (3, false));
        let newest = prepared.wrap(b"key", b"context", &rng);
        assert!(ours.unwrap(&newest, b"context").is_ok(), "it was there before it was used");
        ours.retire().expect("retired");
        assert!(ours.unwrap(&newest, b"context").is_ok() && ours.unwrap(&new, b"context").is_err());
        let new = newest;
        assert!(ours.unwrap(&old, b"context").is_err() && ours.unwrap(&new, b"context").is_ok());
        assert_eq!(KeyFile::open(&path).expect("read").count(), 1);
    }
}
