//! Timeouts and polling intervals, in virtual time unless stated otherwise.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::time::{minutes, plus};

/// An analysis takes seconds; one that has not arrived after this many minutes is fetched.
pub const ANALYSIS_AFTER_MINUTES: i64 = 10;
/// A placed call without a webhook is looked up after this many minutes.
pub const LOOKUP_AFTER_MINUTES: i64 = 10;
/// A test call at the simulator, which sends no webhooks, has ended after this long.
pub const TEST_CALL_TAKES: SignedDuration = SignedDuration::from_secs(20);
/// If a claim cannot become an intent, its callback is due again after this delay, because the cause may persist.
pub const CLAIM_RETRY_AFTER: SignedDuration = SignedDuration::from_secs(20);
/// Work that is overdue by more than this counts as stuck; real time.
pub const STUCK_AFTER_MINUTES: i64 = 5;
/// A dispatch that is unconfirmed for this long needs attention; real time.
pub const UNCONFIRMED_AFTER_MINUTES: i64 = 60;
/// A paused workspace is probed this often, by a read that changes nothing.
pub const PROBE_EVERY_MINUTES: i64 = 15;
/// The provider is polled for missed calls this often: well within the half hour of I11.
pub const BACKFILL_EVERY_MINUTES: i64 = 10;
/// The provider's roster of agents is synced this often.
pub const SYNC_EVERY_MINUTES: i64 = 60;
/// For this many minutes after a requested time, quiet hours do not apply to it.
pub const NAMED_FOR_MINUTES: i64 = 120;
/// A deleted workspace can be restored for this many minutes.
pub const UNDO_MINUTES: i64 = 24 * 60;
/// A rotated webhook slug remains valid for this many minutes.
pub const SLUG_GRACE_MINUTES: i64 = 24 * 60;
/// An event that fails this many times is set aside (I33).
pub const MAX_EVENT_TRIES: i64 = 5;

/// When an event that failed for the n-th time is retried: after 1, 2, 4, 8 minutes; `None` when it is to be set aside.
pub fn event_retry(failures: i64, now: Timestamp) -> Option<Timestamp> {
    (failures < MAX_EVENT_TRIES).then(|| plus(now, minutes(1 << (failures - 1).clamp(0, 4))))
}

/// How long reads from a provider pause after a 429, in real time: as long as the provider requests, 10 s if it
/// requests nothing, at most 10 minutes.
pub fn throttled_for(retry_after_secs: Option<u64>) -> Duration {
    Duration::from_secs(retry_after_secs.unwrap_or(10).min(600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_tried_five_times_ever_later() {
        let now = Timestamp::UNIX_EPOCH;
        let after = |failures| event_retry(failures, now).map(|at| at.as_second() / 60);
        assert_eq!([1, 2, 3, 4, 5].map(after), [Some(1), Some(2), Some(4), Some(8), None]);
    }

    #[test]
    fn a_provider_is_left_alone_as_long_as_it_asks_within_bounds() {
        assert_eq!([None, Some(3), Some(6_000)].map(throttled_for), [10, 3, 600].map(Duration::from_secs));
    }
}
