//! The request rate of each API key, on this replica.

use std::num::NonZeroU32;

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use redialer_core::{Id, id};

/// Limits the request rate of each key. Requests with an unknown key are not counted, so each counter belongs to a key in
/// use.
pub struct ApiRateLimiter {
    limiter:
        RateLimiter<Id<id::Key>, DashMapStateStore<Id<id::Key>>, DefaultClock, StateInformationMiddleware>,
    burst: u32,
}

/// The remaining allowance of a key.
pub(crate) struct Left {
    pub(crate) remaining: u32,
    pub(crate) reset_secs: u64,
}

impl ApiRateLimiter {
    /// Allows `per_second` requests per second, with bursts of twice as many.
    pub fn new(per_second: u32) -> Self {
        let rate = NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN);
        let burst = rate.saturating_add(rate.get());
        let quota = Quota::per_second(rate).allow_burst(burst);
        let limiter = RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>();
        Self { limiter, burst: burst.get() }
    }

    /// Counts a request. Over the limit, returns the seconds to wait as the error.
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

    /// The largest burst.
    pub(crate) const fn burst(&self) -> u32 {
        self.burst
    }

    /// Drops the counters of keys whose whole allowance is available again.
    pub fn tidy(&self) {
        self.limiter.retain_recent();
    }
}
