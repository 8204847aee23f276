//! A one-second TTL cache for hot rows.
//!
//! Invariants: an entry is fresh for one second. After that, one task reads the row again while all others use the
//! stale entry, for a few seconds at most, so a slow database gets one read per row. A change by this process
//! invalidates the cache after its commit, including for reads that began before it. Values that are sealed on disk are
//! sealed here. A write that must not rely on a stale row is guarded in its own statement.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Mutex as Turns, time::timeout};

use crate::StoreError;

const TTL_MS: i64 = 1_000;
/// The maximum age of an entry while its row is read again.
const MAX_STALE_MS: i64 = 5_000;
/// How long the task that reads the row again waits before it, too, uses the stale entry.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(250);
const MAX_ENTRIES: usize = 10_000;

pub(crate) struct TtlCache<K, V> {
    rows: Mutex<HashMap<K, Entry<V>>>,
    /// Entries that were read under an earlier generation are invalid.
    generation: Generation,
}

/// Counts transactions that wrote to a cached table; shared by the caches of one database.
#[derive(Clone, Default)]
pub(crate) struct Generation(Arc<AtomicUsize>);

impl Generation {
    /// Invalidates everything that was read before.
    pub(crate) fn next(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

struct Entry<V> {
    /// When the row was read, under which generation, and the row.
    row: Option<(i64, usize, Arc<V>)>,
    flight: Arc<Flight>,
}

/// Allows one read of a row at a time.
#[derive(Default)]
struct Flight {
    turn: Turns<()>,
    failures: AtomicUsize,
}

impl<K: Clone + Eq + Hash, V> TtlCache<K, V> {
    pub(crate) fn new(generation: &Generation) -> Self {
        Self { rows: Mutex::default(), generation: generation.clone() }
    }

    fn rows(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the entry that is cached at `real_ms`, else the result of `read`; `None` if the row does not exist.
    pub(crate) async fn get_or_read(
        &self,
        key: &K,
        real_ms: i64,
        read: impl Future<Output = Result<Option<V>, StoreError>>,
    ) -> Result<Option<Arc<V>>, StoreError> {
        let (row, flight) = self.entry(key);
        let age = |read_ms: i64| real_ms - read_ms;
        match row {
            Some((read_ms, row)) if age(read_ms) < TTL_MS => Ok(Some(row)),
            Some((read_ms, row)) if age(read_ms) < MAX_STALE_MS => {
                let Ok(_turn) = flight.turn.try_lock() else { return Ok(Some(row)) };
                match timeout(REFRESH_TIMEOUT, self.read(key, real_ms, read)).await {
                    Ok(Ok(value)) => Ok(value),
                    Ok(Err(error)) if !error.is_outage() => Err(error),
                    Ok(Err(_)) | Err(_) => Ok(Some(row)),
                }
            }
            _ => {
                let failures = flight.failures.load(Ordering::Relaxed);
                let _turn = flight.turn.lock().await;
                // The previous reader may have found the row, or failed.
                if let (Some((read_ms, row)), _) = self.entry(key)
                    && age(read_ms) < TTL_MS
                {
                    return Ok(Some(row));
                }
                if flight.failures.load(Ordering::Relaxed) != failures {
                    return Err(StoreError::Full);
                }
                let value = self.read(key, real_ms, read).await;
                if value.as_ref().is_err_and(StoreError::is_outage) {
                    flight.failures.fetch_add(1, Ordering::Relaxed);
                }
                value
            }
        }
    }

    fn entry(&self, key: &K) -> (Option<(i64, Arc<V>)>, Arc<Flight>) {
        let mut rows = self.rows();
        if rows.len() >= MAX_ENTRIES {
            rows.clear();
        }
        let new = || Entry { row: None, flight: Arc::default() };
        let entry = rows.entry(key.clone()).or_insert_with(new);
        let counts = entry.row.as_ref().filter(|(_, generation, _)| *generation == self.generation.get());
        (counts.map(|(read_ms, _, row)| (*read_ms, Arc::clone(row))), Arc::clone(&entry.flight))
    }

    async fn read(
        &self,
        key: &K,
        real_ms: i64,
        read: impl Future<Output = Result<Option<V>, StoreError>>,
    ) -> Result<Option<Arc<V>>, StoreError> {
        let generation = self.generation.get();
        let value = read.await?.map(Arc::new);
        let mut rows = self.rows();
        match (&value, rows.get_mut(key)) {
            (Some(row), Some(entry)) => entry.row = Some((real_ms, generation, Arc::clone(row))),
            // A missing row is not cached, because any key may be requested.
            (None, Some(_)) => drop(rows.remove(key)),
            (_, None) => {}
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::sync::{Notify, oneshot};

    use super::*;

    type Rows = TtlCache<u8, u32>;

    async fn at(rows: &Rows, real_ms: i64, value: u32) -> u32 {
        *rows.get_or_read(&1, real_ms, async { Ok(Some(value)) }).await.expect("read").expect("there")
    }

    #[tokio::test]
    async fn a_row_counts_for_a_second() {
        let rows = Rows::new(&Generation::default());
        assert_eq!((at(&rows, 0, 1).await, at(&rows, 999, 2).await, at(&rows, 1_000, 3).await), (1, 1, 3));
        rows.generation.next();
        assert_eq!(at(&rows, 1_001, 4).await, 4);
    }

    #[tokio::test]
    async fn while_one_task_reads_a_row_again_the_others_go_on_with_the_old_one() {
        let rows = Rows::new(&Generation::default());
        at(&rows, 0, 1).await;
        let (started, begun) = oneshot::channel();
        let finish = Notify::new();
        let slow = rows.get_or_read(&1, 2_000, async {
            started.send(()).expect("awaited");
            finish.notified().await;
            Ok(Some(2))
        });
        let others = async {
            begun.await.expect("begun");
            let old = at(&rows, 2_000, 3).await;
            finish.notify_one();
            old
        };
        let (slow, old) = tokio::join!(slow, others);
        assert_eq!((old, slow.expect("read").as_deref()), (1, Some(&2)));
        assert_eq!(at(&rows, 2_001, 4).await, 2);
    }

    #[tokio::test]
    async fn a_database_that_does_not_answer_costs_the_old_row_only_after_seconds() {
        let rows = Rows::new(&Generation::default());
        at(&rows, 0, 1).await;
        let never = std::future::pending();
        let old = rows.get_or_read(&1, 4_999, never).await.expect("the old one");
        assert_eq!(old.as_deref(), Some(&1));
        let failed = rows.get_or_read(&1, 5_000, async { Err(StoreError::Full) }).await;
        assert!(failed.is_err(), "it is too old");
    }

    #[tokio::test]
    async fn a_herd_reads_once_and_fails_at_once() {
        let (rows, reads) = (Rows::new(&Generation::default()), AtomicU32::new(0));
        let read = |value: bool| {
            let reads = &reads;
            async move {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                if value { Ok(Some(1)) } else { Err(StoreError::Full) }
            }
        };
        let herd =
            |value| futures_util::future::join_all((0..50).map(|_| rows.get_or_read(&1, 0, read(value))));
        assert!(herd(false).await.iter().all(Result::is_err));
        assert_eq!(reads.swap(0, Ordering::Relaxed), 1);
        assert!(herd(true).await.iter().all(Result::is_ok));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_read_that_began_before_a_change_is_not_remembered() {
        let rows = Rows::new(&Generation::default());
        let read = rows.get_or_read(&1, 0, async {
            rows.generation.next();
            Ok(Some(1))
        });
        assert_eq!(read.await.expect("read").as_deref(), Some(&1));
        assert_eq!(at(&rows, 1, 2).await, 2);
    }
}
