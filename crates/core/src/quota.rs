//! The plan's monthly quota of calls: which calls it still allows (I18).
//!
//! Invariant: concurrent calls use up the remaining quota in order, so the limit is exact.

use std::collections::BTreeMap;

use jiff::{Span, Timestamp, tz::TimeZone};

/// The calendar month of a time, UTC, as 202611.
pub fn period(at: Timestamp) -> i64 {
    let day = at.to_zoned(TimeZone::UTC).date();
    i64::from(day.year()) * 100 + i64::from(day.month())
}

/// The start of the calendar month, UTC, and the start of the next.
pub fn month(now: Timestamp) -> (Timestamp, Timestamp) {
    let day = now.to_zoned(TimeZone::UTC);
    let start = day.first_of_month().and_then(|d| d.start_of_day());
    let end = start.clone().and_then(|d| d.checked_add(Span::new().months(1)));
    (start.map_or(now, |z| z.timestamp()), end.map_or(now, |z| z.timestamp()))
}

/// The calls left for each limited account; `K` identifies one month of an account. Calls without a `K`, such as test
/// calls, are not counted.
pub struct RemainingCalls<K>(BTreeMap<K, usize>);

impl<K: Ord + Copy> RemainingCalls<K> {
    /// Computes the calls left from each account's month, its limit, and the calls it has made.
    pub fn new(accounts: impl IntoIterator<Item = (K, u64, i64)>) -> Self {
        let left = |(month, limit, used): (K, u64, i64)| {
            let left = limit.saturating_sub(u64::try_from(used).unwrap_or(0));
            (month, usize::try_from(left).unwrap_or(usize::MAX))
        };
        Self(accounts.into_iter().map(left).collect())
    }

    /// Which of these calls fit the quota, in their order.
    pub fn take(&self, calls: &[Option<K>]) -> Vec<bool> {
        let mut taken: BTreeMap<K, usize> = BTreeMap::new();
        let fits = |month: &Option<K>| {
            let Some(month) = month else { return true };
            let taken = taken.entry(*month).or_default();
            *taken += 1;
            self.0.get(month).is_none_or(|room| *taken <= *room)
        };
        calls.iter().map(fits).collect()
    }

    /// Whether the calls in `calls` have used up the quota of that month.
    pub fn is_used_up(&self, calls: &[Option<K>], month: Option<K>) -> bool {
        let used = calls.iter().filter(|call| call.is_some() && **call == month).count();
        month.is_some_and(|month| self.0.get(&month).is_some_and(|room| used >= *room))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_month_ends_with_its_last_moment_in_utc() {
        assert_eq!(period(at("2026-11-30T23:59:59.999Z")), 202_611);
        assert_eq!(period(at("2026-12-01T00:00:00Z")), 202_612);
        let (start, end) = month(at("2026-12-31T12:00:00Z"));
        assert_eq!((start, end), (at("2026-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z")));
    }

    #[test]
    fn the_first_calls_find_room_and_the_limit_holds_exactly() {
        let room = RemainingCalls::new([('a', 5, 3), ('b', 1, 7)]);
        let (a, b, unlimited, test) = (Some('a'), Some('b'), Some('c'), None);
        assert_eq!(
            room.take(&[a, test, a, b, a, unlimited]),
            [true, true, true, false, false, true],
            "two are left to one, none to the other"
        );
        assert!(room.is_used_up(&[a, a], a) && !room.is_used_up(&[a], a));
        assert!(!room.is_used_up(&[b, b, b], a) && !room.is_used_up(&[test, test, test], a), "others' calls");
        assert!(room.is_used_up(&[], b) && !room.is_used_up(&[], unlimited) && !room.is_used_up(&[], test));
    }
}
