//! Says when something may be due sooner than was known.
//!
//! Invariant: the transaction that makes something due notes it, and the note counts once it is committed. Nobody else
//! has to say so.

use std::sync::atomic::{AtomicI64, Ordering};

use redialer_core::Timestamp;
use tokio::sync::Notify;

/// Wakes the reader of due callbacks.
pub struct DueSignal {
    /// What is due later than this, in milliseconds, is of no interest yet.
    horizon_ms: AtomicI64,
    changed: Notify,
}

impl Default for DueSignal {
    fn default() -> Self {
        Self { horizon_ms: AtomicI64::new(i64::MAX), changed: Notify::new() }
    }
}

impl DueSignal {
    /// From now on only what is due by then is of interest.
    pub fn set_horizon(&self, until: Timestamp) {
        self.horizon_ms.store(until.as_millisecond(), Ordering::Relaxed);
    }

    /// Waits until something may be due sooner than was known.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Something is due then, in milliseconds since 1970.
    pub(crate) fn note(&self, due_ms: i64) {
        if due_ms <= self.horizon_ms.load(Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }
}
