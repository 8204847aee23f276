//! How long things are waited for, and how often they are looked at: in virtual time, but where it says otherwise.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::time::{minutes, plus};

/// An analysis takes seconds; one that has not come after so many minutes is asked for.
pub const ANALYSIS_AFTER_MINUTES: i64 = 10;
/// A placed call of which no webhook tells is looked up after so many minutes.
pub const LOOKUP_AFTER_MINUTES: i64 = 10;
/// A call at the simulator, which tells nothing by itself, is over after so long.
pub const TEST_CALL_TAKES: SignedDuration = SignedDuration::from_secs(20);
/// A claim that may not become an intent is due again after so long: what stands in its way may stand there for a while.
pub const CLAIM_RETRY_AFTER: SignedDuration = SignedDuration::from_secs(20);
/// What waits longer than this for us, rather than for its time, is stuck; real time.
pub const STUCK_AFTER_MINUTES: i64 = 5;
/// A dispatch of which nobody has known for so long whether it was placed needs a look; real time.
pub const UNCONFIRMED_AFTER_MINUTES: i64 = 60;
/// A paused workspace is probed so often, by a read that changes nothing.
pub const PROBE_EVERY_MINUTES: i64 = 15;
/// The provider is asked for calls we have not heard of this often: well within the half hour of I11.
pub const SWEEP_EVERY_MINUTES: i64 = 10;
/// The provider's roster of agents is pulled this often.
pub const SYNC_EVERY_MINUTES: i64 = 60;
/// For this many minutes after a named moment, quiet hours do not apply to it.
pub const NAMED_FOR_MINUTES: i64 = 120;
/// A deleted workspace can be restored for so long.
pub const UNDO_MINUTES: i64 = 24 * 60;
/// A rotated webhook slug still counts for so long.
pub const SLUG_GRACE_MINUTES: i64 = 24 * 60;
/// An event that fails so often in our hands is set aside (I33).
pub const MAX_EVENT_TRIES: i64 = 5;

/// When a recorded event that failed for the n-th time is tried again: after 1, 2, 4, 8 minutes; `None` once it is to be
/// set aside.
pub fn event_retry(failures: i64, now: Timestamp) -> Option<Timestamp> {
    (failures < MAX_EVENT_TRIES).then(|| plus(now, minutes(1 << (failures - 1).clamp(0, 4))))
}

/// How long reads of a provider pause after a 429, in real time: what it asks for, 10 s if it asks for nothing, at most
/// 10 minutes.
pub fn throttled_for(asked_secs: Option<u64>) -> Duration {
    Duration::from_secs(asked_secs.unwrap_or(10).min(600))
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
