//! The time that the pretend world lives by.

use std::{pin::Pin, sync::Arc};

use redialer_core::{Timestamp, time::plus};

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Somebody else's clock.
#[derive(Clone)]
pub struct SimTime {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    wait_until: Arc<dyn Fn(Timestamp) -> Wait + Send + Sync>,
}

impl SimTime {
    /// A world on the clock that these two read.
    pub fn new<F>(
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        wait_until: impl Fn(Timestamp) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self { now: Arc::new(now), wait_until: Arc::new(move |at| Box::pin(wait_until(at))) }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// The moment so many seconds from now.
    pub(crate) fn after(&self, seconds: f64) -> Timestamp {
        plus(self.now(), jiff::SignedDuration::from_millis((seconds.clamp(0.0, 1e9) * 1_000.0) as i64))
    }

    /// How many seconds have passed since then.
    pub(crate) fn seconds_since(&self, then: Timestamp) -> f64 {
        self.now().duration_since(then).as_secs_f64()
    }

    /// Lets so many seconds pass.
    pub(crate) async fn pass(&self, seconds: f64) {
        (self.wait_until)(self.after(seconds)).await;
    }
}
