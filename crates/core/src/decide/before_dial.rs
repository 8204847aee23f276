//! A callback is due: may we ring now?
//!
//! Invariant: everything that may have changed since it was scheduled is asked again here (I6, I7), and the
//! attempt and the final flag are those of this very dial.

use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::{
    callback::{HeldFor, RedialReason, State, is_named},
    policy::{MissedAction, Policy},
    time::{Zone, minutes, plus},
    windows::first_moment,
};

/// A claimed callback, and what became of the world around it.
pub struct Due<'a> {
    /// Why it exists.
    pub reason: RedialReason,
    /// The moment that was asked for, where one was.
    pub requested_for: Option<Timestamp>,
    /// When it should have been dialed.
    pub scheduled_for: Timestamp,
    /// By how much it is late; what the pace held back while we were up counts in real time.
    pub late_by: SignedDuration,
    /// A person named this very instant ("now", or another).
    pub forced: bool,
    /// Dials its chain has spent.
    pub spent: u32,
    /// Whether its agent is switched on.
    pub agent_enabled: bool,
    /// Whether its agent only observes.
    pub observes: bool,
    /// Whether the number is on the do-not-call list.
    pub suppressed: bool,
    /// Whether the workspace calls the country of the number.
    pub country_allowed: bool,
    /// The callee's clock.
    pub zone: &'a Zone,
    /// The settings as they are now.
    pub policy: &'a Policy,
}

impl Due<'_> {
    /// Whether it is due at a named moment, to which quiet hours do not apply.
    pub fn is_named(&self) -> bool {
        is_named(self.reason, self.forced, self.requested_for, self.scheduled_for)
    }
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeforeDial {
    /// Dial.
    Dial {
        /// The ordinal of this dial within its chain.
        attempt: u32,
        /// The ceiling it was judged by.
        max_attempts: u32,
        /// Whether it is the chain's last.
        is_final: bool,
    },
    /// Later; spends nothing.
    Snooze {
        /// Not before.
        until: Timestamp,
    },
    /// It was missed by too much and is planned anew; spends nothing.
    Replan {
        /// Not before.
        until: Timestamp,
    },
    /// Not before something else happens.
    Hold(HeldFor),
    /// Never.
    Close(State),
}

/// Decides what becomes of a due callback.
pub fn before_dial(due: &Due<'_>, now: Timestamp) -> BeforeDial {
    if due.suppressed {
        return BeforeDial::Close(State::Suppressed);
    }
    if !due.agent_enabled {
        return BeforeDial::Hold(HeldFor::Agent);
    }
    if due.observes {
        return BeforeDial::Close(State::Canceled);
    }
    if due.spent >= due.policy.max_attempts {
        return BeforeDial::Close(State::Exhausted);
    }
    if !due.country_allowed && !due.forced {
        return BeforeDial::Hold(HeldFor::Country);
    }
    if due.scheduled_for > now {
        return BeforeDial::Snooze { until: due.scheduled_for };
    }
    if due.late_by > due.policy.missed_after {
        return match due.policy.missed {
            MissedAction::Expire => BeforeDial::Close(State::Expired),
            // A rescheduled callback is subject to quiet hours again.
            MissedAction::Replan => {
                let until = due.policy.quiet.next_open(replanned(due, now), &due.zone.rules());
                BeforeDial::Replan { until }
            }
        };
    }
    let open = if due.is_named() { now } else { due.policy.quiet.next_open(now, &due.zone.rules()) };
    if open > now {
        return BeforeDial::Snooze { until: open };
    }
    let attempt = due.spent + 1;
    BeforeDial::Dial {
        attempt,
        max_attempts: due.policy.max_attempts,
        is_final: attempt >= due.policy.max_attempts,
    }
}

/// The time of day that was promised, on the callee's clock, as soon as it comes again.
fn replanned(due: &Due<'_>, now: Timestamp) -> Timestamp {
    let zone = due.zone.rules();
    let promised = due.scheduled_for.to_zoned(zone.clone()).time();
    let today = now.to_zoned(zone.clone()).date();
    let on = |days: i64| {
        let date = today.checked_add(days.days()).ok()?;
        first_moment(date, promised, &zone).filter(|at| *at > now)
    };
    // A day has every time of day, or the first one after it.
    on(0).or_else(|| on(1)).unwrap_or_else(|| plus(now, minutes(24 * 60)))
}

/// Of due callbacks, in their order, those that may be claimed together. One that failed in our hands before, perhaps by
/// taking the process with it, goes alone: the others are not to blame (I33).
pub fn dialed_together<R>(rows: &[R], failures: impl Fn(&R) -> i64) -> impl Iterator<Item = &R> {
    let goes_alone = rows.first().is_some_and(|first| failures(first) > 0);
    let rows = if goes_alone { &rows[..1] } else { rows };
    rows.iter().filter(move |row| goes_alone || failures(row) == 0)
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;

    use super::*;
    use crate::{
        time::{ZoneSource, minutes, plus},
        windows::Quiet,
    };

    const NOON: &str = "2026-11-23T12:00:00Z";

    fn due<'a>(policy: &'a Policy, zone: &'a Zone) -> Due<'a> {
        Due {
            reason: RedialReason::BusyFollowup,
            requested_for: None,
            scheduled_for: NOON.parse().expect("a time"),
            late_by: SignedDuration::ZERO,
            forced: false,
            spent: 0,
            agent_enabled: true,
            observes: false,
            suppressed: false,
            country_allowed: true,
            zone,
            policy,
        }
    }

    fn check(change: impl FnOnce(&mut Due<'_>), late_minutes: i64, want: BeforeDial) {
        let policy = Policy {
            quiet: Quiet { hours: Some((time(13, 0, 0, 0), time(15, 0, 0, 0))), days: vec![] },
            ..Policy::default()
        };
        let zone = Zone { name: "UTC".to_owned(), source: ZoneSource::Workspace, is_sure: true };
        let mut due = due(&policy, &zone);
        change(&mut due);
        let now = plus(NOON.parse().expect("a time"), minutes(late_minutes));
        due.late_by = minutes(late_minutes);
        assert_eq!(before_dial(&due, now), want);
    }

    fn at(hour: i8) -> Timestamp {
        format!("2026-11-23T{hour:02}:00:00Z").parse().expect("a time")
    }

    #[test]
    fn the_last_attempt_and_only_it_is_final() {
        let dial = |attempt, is_final| BeforeDial::Dial { attempt, max_attempts: 3, is_final };
        check(|_| {}, 0, dial(1, false));
        check(|d| d.spent = 1, 0, dial(2, false));
        check(|d| d.spent = 2, 0, dial(3, true));
        check(|d| d.spent = 3, 0, BeforeDial::Close(State::Exhausted));
    }

    #[test]
    fn what_changed_since_scheduling_counts() {
        check(|d| d.suppressed = true, 0, BeforeDial::Close(State::Suppressed));
        check(|d| d.agent_enabled = false, 0, BeforeDial::Hold(HeldFor::Agent));
        check(|d| d.observes = true, 0, BeforeDial::Close(State::Canceled));
        check(|d| d.country_allowed = false, 0, BeforeDial::Hold(HeldFor::Country));
        check(|_| {}, 60, BeforeDial::Snooze { until: at(15) });
        check(|_| {}, -1, BeforeDial::Snooze { until: at(12) });
        check(|_| {}, 121, BeforeDial::Close(State::Expired));
    }

    #[test]
    fn what_was_missed_comes_again_at_its_time_of_day_where_that_is_wanted() {
        let (scheduled_for, zone): (Timestamp, _) =
            ("2026-03-07T10:30:00Z".parse().expect("a time"), "America/New_York");
        let check = |reason, late_hours: i64, want: &str| {
            let policy = Policy {
                missed: MissedAction::Replan,
                quiet: Quiet { hours: Some((time(21, 0, 0, 0), time(9, 0, 0, 0))), days: vec![] },
                ..Policy::default()
            };
            let zone = Zone { name: zone.to_owned(), source: ZoneSource::Number, is_sure: true };
            let late_by = minutes(60 * late_hours);
            let due = Due { reason, scheduled_for, late_by, ..due(&policy, &zone) };
            let until = want.parse().expect("a time");
            assert_eq!(
                before_dial(&due, plus(scheduled_for, late_by)),
                BeforeDial::Replan { until },
                "{late_hours} h"
            );
        };
        // Half past five in New York; the clocks go forward that night.
        // Rescheduled, it waits for the end of quiet hours.
        check(RedialReason::CallbackRequested, 3, "2026-03-08T13:00:00Z");
        check(RedialReason::BusyFollowup, 3, "2026-03-08T13:00:00Z");
    }

    #[test]
    fn a_time_of_day_comes_again_when_the_callees_clock_shows_it() {
        let (scheduled_for, zone): (Timestamp, _) =
            ("2026-03-07T16:30:00Z".parse().expect("a time"), "America/New_York");
        let policy = Policy { missed: MissedAction::Replan, ..Policy::default() };
        let zone = Zone { name: zone.to_owned(), source: ZoneSource::Number, is_sure: true };
        let check = |late_hours: i64, want: &str| {
            let late_by = minutes(60 * late_hours);
            let reason = RedialReason::CallbackRequested;
            let due = Due { reason, scheduled_for, late_by, ..due(&policy, &zone) };
            let until = want.parse().expect("a time");
            let got = before_dial(&due, plus(scheduled_for, late_by));
            assert_eq!(got, BeforeDial::Replan { until }, "{late_hours} h");
        };
        // Half past eleven in New York; the clocks go forward that night.
        check(3, "2026-03-08T15:30:00Z");
        check(22, "2026-03-08T15:30:00Z");
        check(24, "2026-03-09T15:30:00Z");
        check(24 * 40, "2026-04-17T15:30:00Z");
    }

    #[test]
    fn only_a_moment_that_somebody_named_is_kept_in_quiet_time() {
        let dial = BeforeDial::Dial { attempt: 1, max_attempts: 3, is_final: false };
        let requested = |d: &mut Due<'_>| {
            d.reason = RedialReason::CallbackRequested;
            d.requested_for = Some(d.scheduled_for);
        };
        check(requested, 60, dial);
        check(
            |d| {
                requested(d);
                d.reason = RedialReason::Scheduled
            },
            60,
            dial,
        );
        check(
            |d| {
                requested(d);
                d.reason = RedialReason::BusyFollowup
            },
            60,
            BeforeDial::Snooze { until: at(15) },
        );
        check(|d| d.reason = RedialReason::CallbackRequested, 60, BeforeDial::Snooze { until: at(15) });
        check(
            |d| {
                d.country_allowed = false;
                d.forced = true
            },
            60,
            dial,
        );
        check(|d| d.forced = true, 60, dial);
        check(|d| d.forced = true, 500, BeforeDial::Close(State::Expired));
    }

    #[test]
    fn what_failed_before_is_dialed_alone() {
        let check = |failures: &[i64]| dialed_together(failures, |n| *n).count();
        assert_eq!([check(&[0, 0, 0]), check(&[2, 0, 0]), check(&[0, 1, 0]), check(&[])], [3, 1, 2, 0]);
    }
}
