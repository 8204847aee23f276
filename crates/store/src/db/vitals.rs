//! How the database's writers fare, for `/readyz`.
//!
//! Invariant: nothing here asks for the time. A batch that is in hand for too long says so itself; a failure stands
//! until something was written.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use crate::StoreError;

/// The latest state of the writers of one database.
#[derive(Default)]
pub(crate) struct Vitals {
    /// Nothing has been written since a write failed for want of the database or of room.
    failing: AtomicBool,
    /// Batches that take too long.
    stalled: AtomicUsize,
}

impl Vitals {
    /// Notes what a write came to.
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

    /// Counts a batch as stalled until the answer is dropped.
    pub(crate) fn stall(self: &Arc<Self>) -> Stall {
        self.stalled.fetch_add(1, Ordering::Relaxed);
        Stall(Arc::clone(self))
    }
}

/// A batch that takes too long.
pub(crate) struct Stall(Arc<Vitals>);

impl Drop for Stall {
    fn drop(&mut self) {
        self.0.stalled.fetch_sub(1, Ordering::Relaxed);
    }
}
