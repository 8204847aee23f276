//! The fuse (I38): a last limit on the calls to one number, independent of every other policy.

use jiff::{SignedDuration, Timestamp};

use crate::time::plus;

/// The maximum number of calls to one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FuseLimits {
    /// Within any 24 hours.
    pub per_day: u32,
    /// Within any 10 minutes.
    pub per_10_minutes: u32,
}

/// Calls placed to one number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecentCalls {
    /// In the last 24 hours.
    pub day: i64,
    /// In the last 10 minutes.
    pub minutes: i64,
}

impl FuseLimits {
    /// Whether another call would exceed a limit.
    pub fn are_reached(self, calls: RecentCalls) -> bool {
        calls.day >= i64::from(self.per_day) || calls.minutes >= i64::from(self.per_10_minutes)
    }
}

impl RecentCalls {
    /// The start of the 24-hour window and of the 10-minute window.
    pub fn since(now: Timestamp) -> (Timestamp, Timestamp) {
        (plus(now, -SignedDuration::from_hours(24)), plus(now, -SignedDuration::from_mins(10)))
    }

    /// Counts one more call.
    pub const fn count(&mut self) {
        self.day += 1;
        self.minutes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_limit_alone_stops_the_next_call() {
        let limits = FuseLimits { per_day: 12, per_10_minutes: 3 };
        let stops = |day, minutes| limits.are_reached(RecentCalls { day, minutes });
        assert!(!stops(11, 2) && stops(12, 0) && stops(3, 3));
    }
}
