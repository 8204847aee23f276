//! The program's state in memory: types that do not depend on the rest of the program.

pub mod api_rate;
pub mod backfill_progress;
pub mod dial_permits;
pub mod dial_rate;
pub mod due_queue;
pub mod event_queue;
pub mod key_outages;
pub mod rejected_webhooks;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even if a task panicked while it held the lock. The data behind these locks is consistent at all
/// times, and a poisoned lock would stop the whole process because of one task.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
