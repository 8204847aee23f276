//! The tenant's quiet hours and quiet days, in which callbacks whose time was not requested are not dialed.
//!
//! Invariants: a closed window is a pair of instants, `start <= at < end`, so [`Quiet::covers`] and
//! [`Quiet::next_open`] cannot disagree, even in a night with a clock change. A boundary that a clock change skips is
//! the time of the change; one that occurs twice is the first occurrence.
//! Deliberately absent: the current time, and which callbacks a window applies to. Callers decide both.

use jiff::{
    SignedDuration, Timestamp, ToSpan as _,
    civil::{Date, Time, Weekday},
    tz::{AmbiguousOffset, TimeZone},
};

/// The time at which the day after a quiet day opens, unless quiet hours set it.
const DAY_OPENS: Time = Time::constant(9, 0, 0, 0);

/// The hours and days in which callbacks whose time was not requested are not dialed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// From the first time up to, not including, the second; crosses midnight if the first is later.
    pub hours: Option<(Time, Time)>,
    /// Whole days in the callee's calendar; each lasts until the next day opens.
    pub days: Vec<Weekday>,
}

impl Default for Quiet {
    /// 21:00 to 09:00 every day.
    fn default() -> Self {
        Self { hours: Some((Time::constant(21, 0, 0, 0), DAY_OPENS)), days: Vec::new() }
    }
}

impl Quiet {
    /// Whether `at` is in quiet time in `zone`.
    pub fn covers(&self, at: Timestamp, zone: &TimeZone) -> bool {
        self.closed_until(at, zone).is_some()
    }

    /// The first time from `at` on that is not quiet.
    ///
    /// With seven quiet days there is none, and the result is `at` plus a year, which [`crate::decide::gates()`] treats
    /// as too late. Settings with seven quiet days are refused.
    pub fn next_open(&self, at: Timestamp, zone: &TimeZone) -> Timestamp {
        let mut open = at;
        // Each step leaves one window; 24 steps, three per day for eight days, exceed any chain of windows in a week.
        for _ in 0..24 {
            match self.closed_until(open, zone) {
                Some(end) if end > open => open = end,
                _ => return open,
            }
        }
        at.checked_add(SignedDuration::from_hours(24 * 365)).unwrap_or(Timestamp::MAX)
    }

    /// The latest end of the windows that contain `at`.
    fn closed_until(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = at.to_zoned(zone.clone()).date();
        // A window that contains `at` began today or yesterday. If the clock was set back over midnight, the local date
        // is one day behind, so a window that starts on the next date may already apply.
        let days = [today.yesterday().ok(), Some(today), today.tomorrow().ok()];
        let windows = days.into_iter().flatten().flat_map(|day| self.windows_of(day, zone));
        windows.filter(|(start, end)| *start <= at && at < *end).map(|(_, end)| end).max()
    }

    /// The windows that begin on `day`.
    fn windows_of(&self, day: Date, zone: &TimeZone) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let next = day.checked_add(1.day()).ok();
        let hours = self.hours.filter(|(from, to)| from != to).and_then(|(from, to)| {
            let ends_on = if from < to { day } else { next? };
            Some((first_moment(day, from, zone)?, first_moment(ends_on, to, zone)?))
        });
        let whole_day = self.days.contains(&day.weekday()).then(|| {
            // Quiet hours that do not extend into the morning do not determine when a day opens.
            let reaches_morning = |(from, to): &(Time, Time)| from > to || *from == Time::midnight();
            let opens = self.hours.filter(reaches_morning).map_or(DAY_OPENS, |(_, to)| to);
            Some((first_moment(day, Time::midnight(), zone)?, first_moment(next?, opens, zone)?))
        });
        hours.into_iter().chain(whole_day.flatten())
    }
}

/// The first instant at which clocks in `zone` show this time on this day, or, if a clock change skips it, the instant
/// of the change.
pub fn first_moment(day: Date, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    let local = zone.to_ambiguous_zoned(day.to_datetime(time));
    match local.offset() {
        AmbiguousOffset::Gap { .. } => {
            // `earlier()` returns an instant before the change, so the next transition is the change.
            let before = local.earlier().ok()?.timestamp();
            Some(zone.following(before).next().map_or(before, |change| change.timestamp()))
        }
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
            local.earlier().ok().map(|at| at.timestamp())
        }
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

    fn check(wall_time: &str, open: &str) {
        let at: jiff::Zoned = wall_time.parse().expect("a time");
        let got = nights().next_open(at.timestamp(), &berlin());
        let want: jiff::Zoned = open.parse().expect("a time");
        assert_eq!(got, want.timestamp(), "{wall_time} -> {}", got.to_zoned(berlin()));
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
    fn an_end_of_quiet_hours_that_the_clock_skips_moves_forward() {
        let quiet = Quiet { hours: Some((time(22, 0, 0, 0), time(2, 30, 0, 0))), days: vec![] };
        let at: jiff::Zoned = "2027-03-28T01:00[Europe/Berlin]".parse().expect("a time");
        let open = quiet.next_open(at.timestamp(), &berlin()).to_zoned(berlin());
        assert_eq!(open.time(), time(3, 0, 0, 0));
    }

    fn opens(quiet: &Quiet, zone: &str, at: &str, want: &str) {
        let zone = TimeZone::get(zone).expect("a zone");
        let at: Timestamp = at.parse().expect("a time");
        let open = quiet.next_open(at, &zone);
        assert_eq!(open.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %Z").to_string(), want);
        assert!(!quiet.covers(open, &zone));
    }

    #[test]
    fn a_night_that_ends_in_a_skipped_hour_ends_when_the_clock_is_set_forward() {
        let nights = |to| Quiet { hours: Some((time(22, 0, 0, 0), to)), days: vec![] };
        let (half_past_two, half_past_twelve) = (nights(time(2, 30, 0, 0)), nights(time(0, 30, 0, 0)));
        opens(&half_past_two, "America/New_York", "2027-03-14T06:30:00Z", "Sun 2027-03-14 03:00 EDT");
        opens(&half_past_twelve, "Africa/Cairo", "2027-04-29T21:30:00Z", "Fri 2027-04-30 01:00 EEST");
        opens(
            &nights(time(0, 15, 0, 0)),
            "America/Santiago",
            "2027-09-05T03:00:00Z",
            "Sun 2027-09-05 01:00 -03",
        );
    }

    #[test]
    fn a_window_that_begins_in_an_hour_that_comes_twice_begins_once() {
        let quiet = Quiet { hours: Some((time(1, 30, 0, 0), time(9, 0, 0, 0))), days: vec![] };
        // The second 01:10 of that night: quiet since the first 01:30.
        opens(&quiet, "America/New_York", "2026-11-01T06:10:00Z", "Sun 2026-11-01 09:00 EST");
        let quiet = Quiet { hours: Some((time(22, 0, 0, 0), time(1, 30, 0, 0))), days: vec![] };
        opens(&quiet, "America/New_York", "2026-11-01T06:10:00Z", "Sun 2026-11-01 01:10 EST");
    }

    #[test]
    fn the_day_after_a_quiet_day_opens_in_the_morning() {
        let sundays = |hours| Quiet { hours, days: vec![Weekday::Sunday] };
        opens(&sundays(None), "Europe/Berlin", "2026-11-29T09:04:00Z", "Mon 2026-11-30 09:00 CET");
        opens(&sundays(None), "Europe/Berlin", "2026-11-30T02:00:00Z", "Mon 2026-11-30 09:00 CET");
        let until_eight = Some((time(20, 0, 0, 0), time(8, 0, 0, 0)));
        opens(&sundays(until_eight), "Europe/Berlin", "2026-11-29T09:04:00Z", "Mon 2026-11-30 08:00 CET");
        let evening = Some((time(18, 0, 0, 0), time(23, 0, 0, 0)));
        opens(&sundays(evening), "Europe/Berlin", "2026-11-29T09:04:00Z", "Mon 2026-11-30 09:00 CET");
        let early = Some((time(0, 0, 0, 0), time(7, 0, 0, 0)));
        opens(&sundays(early), "Europe/Berlin", "2026-11-29T09:04:00Z", "Mon 2026-11-30 07:00 CET");
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
