//! How often each API key may ask, on this replica.

use std::num::NonZeroU32;

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use redialer_core::{Id, id};

/// How often each key may ask. Keys that are unknown are not counted: there are as many counts as keys in use.
pub struct ApiRateLimiter {
    limiter:
        RateLimiter<Id<id::Key>, DashMapStateStore<Id<id::Key>>, DefaultClock, StateInformationMiddleware>,
    burst: u32,
}

/// What is left of a key's allowance.
pub(crate) struct Left {
    pub(crate) remaining: u32,
    pub(crate) reset_secs: u64,
}

impl ApiRateLimiter {
    /// So many requests a second, and twice as many at once.
    pub fn new(per_second: u32) -> Self {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let burst = rate.saturating_add(rate.get());
        let quota = Quota::per_second(rate).allow_burst(burst);
        let limiter = RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>();
        Self { limiter, burst: burst.get() }
    }

    /// Counts a request; how many seconds to wait if it is one too many.
    pub(crate) fn count(&self, key: Id<id::Key>) -> Result<Left, u64> {
        match self.limiter.check_key(&key) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                let used = u64::from(self.burst.saturating_sub(remaining));
                let rate = u64::from(self.burst / 2).max(1);
                Ok(Left { remaining, reset_secs: used.div_ceil(rate) })
            }
            Err(not_until) => Err(not_until.wait_time_from(self.limiter.clock().now()).as_secs() + 1),
        }
    }

    /// The most requests at once.
    pub(crate) const fn burst(&self) -> u32 {
        self.burst
    }

    /// Forgets keys that have their whole allowance again.
    pub fn tidy(&self) {
        self.limiter.retain_recent();
    }
}
