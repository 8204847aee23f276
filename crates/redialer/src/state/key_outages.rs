//! Outages of the key service. Nothing can be dialed during one, and its time does not count as lateness of callbacks.
//!
//! Kept only in memory: a process that was not running has no record of an outage, so its overdue callbacks count as
//! missed.

use std::sync::Mutex;

use jiff::SignedDuration;
use redialer_core::Timestamp;

use crate::state::locked;

/// The maximum number of stored outages; callbacks due in older ones have long been dialed or missed.
const MAX_OUTAGES: usize = 64;

/// The outages of the key service that this process has seen.
#[derive(Default)]
pub struct Outages(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    since: Option<Timestamp>,
    over: Vec<(Timestamp, Timestamp)>,
}

impl Outages {
    /// Records that the key service was unavailable at `now`.
    pub fn began(&self, now: Timestamp) {
        locked(&self.0).since.get_or_insert(now);
    }

    /// Records that the key service was available at `now`.
    pub fn ended(&self, now: Timestamp) {
        let mut inner = locked(&self.0);
        let Some(since) = inner.since.take() else { return };
        if inner.over.len() >= MAX_OUTAGES {
            inner.over.remove(0);
        }
        inner.over.push((since, now));
    }

    /// How long the key service was unavailable between `from` and `to`.
    pub fn within(&self, from: Timestamp, to: Timestamp) -> SignedDuration {
        let inner = locked(&self.0);
        let open = inner.since.map(|since| (since, to));
        let overlap = |(began, ended): (Timestamp, Timestamp)| {
            ended.min(to).duration_since(began.max(from)).max(SignedDuration::ZERO)
        };
        inner.over.iter().copied().chain(open).map(overlap).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn only_the_overlap_with_an_outage_counts() {
        let outages = Outages::default();
        outages.began(at(100));
        outages.began(at(150));
        assert_eq!(outages.within(at(120), at(160)).as_secs(), 40, "the outage is not over");
        outages.ended(at(200));
        outages.ended(at(300));
        outages.began(at(400));
        outages.ended(at(500));
        assert_eq!(outages.within(at(0), at(1_000)).as_secs(), 200);
        assert_eq!(outages.within(at(150), at(450)).as_secs(), 100);
        assert_eq!(outages.within(at(210), at(390)).as_secs(), 0);
    }
}
