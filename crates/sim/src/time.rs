//! The clock of a simulated world.

use std::{pin::Pin, sync::Arc};

use redialer_core::{Timestamp, time::plus};

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A clock that the caller supplies.
#[derive(Clone)]
pub struct SimTime {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    wait_until: Arc<dyn Fn(Timestamp) -> Wait + Send + Sync>,
}

impl SimTime {
    /// Builds a clock from a function that reads the time and one that waits until a time.
    pub fn new<F>(
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        wait_until: impl Fn(Timestamp) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { now: Arc::new(now), wait_until: Arc::new(move |at| Box::pin(wait_until(at))) }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// The time `seconds` from now.
    pub(crate) fn after(&self, seconds: f64) -> Timestamp {
        plus(self.now(), jiff::SignedDuration::from_millis((seconds.clamp(0.0, 1e9) * 1_000.0) as i64))
    }

    /// The number of seconds since `then`.
    pub(crate) fn seconds_since(&self, then: Timestamp) -> f64 {
        self.now().duration_since(then).as_secs_f64()
    }

    /// Waits for `seconds`.
    pub(crate) async fn sleep(&self, seconds: f64) {
        (self.wait_until)(self.after(seconds)).await;
    }
}
