//! When a person may be called: the tenant's own quiet hours and quiet days.
//!
//! Invariant: [`Quiet::next_open`] never answers earlier than it was asked, nor inside a closed window.
//! Absent on purpose: the clock, and any opinion on which callbacks a window binds. Both are passed in.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Time, Weekday},
    tz::TimeZone,
};

/// The hours and days in which retries do not ring.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quiet {
    /// From the first time up to, not including, the second; over midnight when the first is later.
    pub hours: Option<(Time, Time)>,
    /// Whole days, in the callee's calendar.
    pub days: Vec<Weekday>,
}

impl Quiet {
    /// Whether `at` falls into quiet time on a clock in `zone`.
    pub fn covers(&self, at: Timestamp, zone: &TimeZone) -> bool {
        self.closed_until(at, zone).is_some()
    }

    /// The first moment from `at` on that is not quiet.
    ///
    /// Seven quiet days leave none: then `at` plus a year, which [`crate::decide::before_dial`] finds too
    /// late. The settings' door refuses such a week.
    pub fn next_open(&self, at: Timestamp, zone: &TimeZone) -> Timestamp {
        let mut open = at;
        // Each step leaves one window; two a day for eight days is more than any week can chain.
        for _ in 0..16 {
            match self.closed_until(open, zone) {
                Some(end) if end > open => open = end,
                _ => return open,
            }
        }
        at.checked_add(jiff::SignedDuration::from_hours(24 * 365)).unwrap_or(Timestamp::MAX)
    }

    /// The end of the window that `at` lies in.
    fn closed_until(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = at.to_zoned(zone.clone());
        if self.days.contains(&local.weekday()) {
            return Some(local.tomorrow().ok()?.start_of_day().ok()?.timestamp());
        }
        let (from, to) = self.hours.filter(|(from, to)| from != to)?;
        let time = local.time();
        let (inside, ends_tomorrow) = if from < to {
            (time >= from && time < to, false)
        } else {
            (time >= from || time < to, time >= from)
        };
        if !inside {
            return None;
        }
        let day = if ends_tomorrow { local.date().checked_add(1.day()).ok()? } else { local.date() };
        // A closing time that a clock change skips moves forward; one that happens twice is the first.
        Some(day.to_datetime(to).to_zoned(zone.clone()).ok()?.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;
    use proptest::prelude::*;

    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").expect("a zone")
    }

    fn nights() -> Quiet {
        Quiet { hours: Some((time(21, 0, 0, 0), time(9, 0, 0, 0))), days: vec![Weekday::Sunday] }
    }

    fn check(asked: &str, open: &str) {
        let at: jiff::Zoned = asked.parse().expect("a time");
        let got = nights().next_open(at.timestamp(), &berlin());
        let want: jiff::Zoned = open.parse().expect("a time");
        assert_eq!(got, want.timestamp(), "{asked} -> {}", got.to_zoned(berlin()));
    }

    #[test]
    fn quiet_time_moves_a_retry_to_its_end() {
        check("2026-11-23T20:59[Europe/Berlin]", "2026-11-23T20:59[Europe/Berlin]");
        check("2026-11-23T21:00[Europe/Berlin]", "2026-11-24T09:00[Europe/Berlin]");
        check("2026-11-24T03:00[Europe/Berlin]", "2026-11-24T09:00[Europe/Berlin]");
        check("2026-11-24T09:00[Europe/Berlin]", "2026-11-24T09:00[Europe/Berlin]");
        // Saturday night, then all of Sunday, then Sunday night.
        check("2026-11-28T22:00[Europe/Berlin]", "2026-11-30T09:00[Europe/Berlin]");
    }

    #[test]
    fn a_closing_time_that_the_clock_skips_moves_forward() {
        let quiet = Quiet { hours: Some((time(22, 0, 0, 0), time(2, 30, 0, 0))), days: vec![] };
        let at: jiff::Zoned = "2027-03-28T01:00[Europe/Berlin]".parse().expect("a time");
        let open = quiet.next_open(at.timestamp(), &berlin()).to_zoned(berlin());
        assert_eq!(open.time(), time(3, 30, 0, 0));
    }

    proptest! {
        #[test]
        fn the_answer_is_open_and_never_early(
            at in 1_700_000_000_000_i64..2_000_000_000_000,
            from in 0_i8..24, to in 0_i8..24, days in proptest::collection::vec(0_i8..7, 0..6),
        ) {
            let at = Timestamp::from_millisecond(at).expect("in range");
            let days = days.iter().filter_map(|d| Weekday::from_monday_zero_offset(*d).ok()).collect();
            let quiet = Quiet { hours: Some((time(from, 0, 0, 0), time(to, 0, 0, 0))), days };
            let open = quiet.next_open(at, &berlin());
            prop_assert!(open >= at);
            prop_assert!(!quiet.covers(open, &berlin()));
        }
    }
}
