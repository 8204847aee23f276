//! Rows that were read a moment ago, for work that asks for the same ones a thousand times a second.
//!
//! Invariants: nothing is believed for longer than a second; what this process changes about them is forgotten
//! after its commit; what is sealed on disk is sealed here. Whatever must not go by an old row is guarded by the
//! statement that writes.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

const FOR_MS: i64 = 1_000;
const MOST: usize = 10_000;

pub(crate) struct Remembered<K, V>(Mutex<HashMap<K, (i64, Arc<V>)>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V> Remembered<K, V> {
    fn inner(&self) -> MutexGuard<'_, HashMap<K, (i64, Arc<V>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered at `real_ms`.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q, real_ms: i64) -> Option<Arc<V>>
    where
        K: std::borrow::Borrow<Q>,
    {
        let rows = self.inner();
        let (read_ms, row) = rows.get(key)?;
        (real_ms - read_ms < FOR_MS).then(|| Arc::clone(row))
    }

    /// Remembers what is read at `real_ms`.
    pub(crate) fn put(&self, key: K, row: V, real_ms: i64) -> Arc<V> {
        let row = Arc::new(row);
        let mut rows = self.inner();
        if rows.len() >= MOST {
            rows.clear();
        }
        rows.insert(key, (real_ms, Arc::clone(&row)));
        row
    }

    pub(crate) fn forget(&self) {
        self.inner().clear();
    }
}
