//! Real time: the only file of the benchmarks that reads the clock and sleeps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970, on the clock that the product and the sink share.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    now_us() / 1_000
}

/// Sleeps for `time`.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Waits until the wall clock reaches `at` in microseconds, even if the clock is stepped back meanwhile.
pub(crate) async fn wait_until_us(at: i64) {
    loop {
        let left = at - now_us();
        if left <= 0 {
            return;
        }
        wait(Duration::from_micros(left.unsigned_abs())).await;
    }
}

/// Blocks the current thread for `time`.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A stopwatch.
#[derive(Clone, Copy)]
pub(crate) struct Watch(Instant);

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn us(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn secs(self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }

    /// Waits until the stopwatch shows `us` microseconds.
    pub(crate) async fn wait_for(self, us: u64) {
        wait(Duration::from_micros(us.saturating_sub(self.us()))).await;
    }
}
