//! Signals that a callback may be due sooner than the reader of due callbacks expects.
//!
//! Invariant: the transaction that makes something due notes it, and the note takes effect at the commit. No other code
//! has to signal.

use std::sync::atomic::{AtomicI64, Ordering};

use redialer_core::Timestamp;
use tokio::sync::Notify;

/// Wakes the reader of due callbacks.
pub struct DueSignal {
    /// Due times later than this, in milliseconds, do not wake the reader.
    horizon_ms: AtomicI64,
    changed: Notify,
}

impl Default for DueSignal {
    fn default() -> Self {
        Self { horizon_ms: AtomicI64::new(i64::MAX), changed: Notify::new() }
    }
}

impl DueSignal {
    /// Ignores due times later than `until` from now on.
    pub fn set_horizon(&self, until: Timestamp) {
        self.horizon_ms.store(until.as_millisecond(), Ordering::Relaxed);
    }

    /// Waits until a callback may be due sooner than the reader expects.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Notes that something is due at `due_ms`, in milliseconds since 1970.
    pub(crate) fn note(&self, due_ms: i64) {
        if due_ms <= self.horizon_ms.load(Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }
}
