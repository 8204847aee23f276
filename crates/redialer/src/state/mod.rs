//! What the running program keeps in memory: types that know nothing of the program.

pub mod due_queue;
pub mod event_queue;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock, also one that somebody panicked with. What is behind these locks is usable at every moment; a lock that
/// nobody could take again would stop the whole process for the panic of one task.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
