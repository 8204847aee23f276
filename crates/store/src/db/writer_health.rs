//! The health of the database's writers, for `/readyz`.
//!
//! Invariant: no clock is read here. A batch that runs too long marks itself as stalled; a failure stands until a write
//! succeeds.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::StoreError;

/// The latest state of the writers of one database.
#[derive(Default)]
pub(crate) struct WriterHealth {
    /// Whether no write has succeeded since one failed because the database was unavailable or out of space.
    failing: AtomicBool,
    /// The number of batches that run too long.
    stalled: AtomicUsize,
}

impl WriterHealth {
    /// Records the outcome of a write.
    pub(crate) fn wrote(&self, done: Result<(), &StoreError>) {
        match done {
            Ok(()) if self.is_failing() => self.failing.store(false, Ordering::Relaxed),
            Err(error) if error.is_outage() && !error.is_contention() => {
                self.failing.store(true, Ordering::Relaxed);
            }
            Ok(()) | Err(_) => {}
        }
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed) > 0
    }

    /// Counts a batch as stalled until the returned value is dropped.
    pub(crate) fn stall(self: &Arc<Self>) -> Stall {
        self.stalled.fetch_add(1, Ordering::Relaxed);
        Stall(Arc::clone(self))
    }
}

/// A stalled batch.
pub(crate) struct Stall(Arc<WriterHealth>);

impl Drop for Stall {
    fn drop(&mut self) {
        self.0.stalled.fetch_sub(1, Ordering::Relaxed);
    }
}
