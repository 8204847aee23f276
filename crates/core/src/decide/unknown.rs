//! Resolves a request without a response from the provider's own records (failure-model §2).
//!
//! Invariant: a missing response is never treated as a refusal. Only two complete lists without the call prove that it was not placed:
//! a minute apart, the first no earlier than [`SETTLE_MINUTES`] after the last moment at which a byte of the request
//! could have been sent. Without proof the dispatch ends unresolved and is never sent again.

use jiff::{SignedDuration, Timestamp};

use super::{Due, Verdict, decision, gates};
use crate::{
    agent::Channel,
    time::{minutes, plus},
};

/// How long a placed call may be missing from the provider's lists.
pub const SETTLE_MINUTES: i64 = 10;
/// The interval between the two lists that prove absence.
const BETWEEN_LISTS: SignedDuration = SignedDuration::from_secs(60);
/// Without proof after this long, the dispatch ends unresolved.
const GIVE_UP_AFTER_MINUTES: i64 = 24 * 60;
/// A chat may stay open for three days after its last message.
const VOICE_GIVE_UP_HOURS: i64 = 24;
const CHAT_GIVE_UP_HOURS: i64 = 80;
/// The interval between lookups of one dispatch, at first and at most.
const FIRST_LOOKUP_MINUTES: i64 = 1;
const MAX_LOOKUP_MINUTES: i64 = 10;

/// A dispatch that may or may not have become a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown {
    /// When its intent was written.
    pub sent_at: Timestamp,
    /// No byte of its request, or of a repeat, can be sent after this.
    pub in_flight_until: Timestamp,
    /// When the first complete list without it was read, counting only lists read after the settle time.
    pub first_absent_at: Option<Timestamp>,
    /// How long after `sent_at` the provider keeps its idempotency key; `None` without a key.
    pub key_lives: Option<SignedDuration>,
    /// The number of earlier lookups.
    pub lookups: u32,
}

/// The method of a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookupMethod {
    /// Repeat the same bytes under the same key: the provider places the call once, for whichever request arrives first.
    Repeat,
    /// Read the provider's lists.
    List,
}

/// The result of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The call with this id contains our dispatch id.
    Call(String),
    /// A complete list, with every page read, does not contain it.
    Absent,
    /// The list failed or is incomplete, or an entry that may be ours does not show its dispatch: this proves nothing.
    NoAnswer,
}

/// The consequence of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// It was placed.
    Placed {
        /// The provider's id of the call.
        call_id: String,
    },
    /// Proven not placed. The callback waits again, and the attempt is not spent.
    NotPlaced,
    /// It cannot be determined whether the call was placed. Counts as an attempt, and is not dialed again
    /// automatically.
    Unresolved,
    /// Look again.
    Later {
        /// The earliest time.
        at: Timestamp,
        /// When the first complete list without it was read, as known now.
        first_absent_at: Option<Timestamp>,
    },
}

/// Whether to close a placed call whose outcome was not reported: no call or chat lasts longer than this.
pub const fn is_outcome_overdue(channel: Channel, silent_for: SignedDuration) -> bool {
    let most = match channel {
        Channel::Voice => VOICE_GIVE_UP_HOURS,
        Channel::Chat => CHAT_GIVE_UP_HOURS,
    };
    silent_for.as_hours() >= most
}

/// How to look up an unknown dispatch of `due` at `now`. A repeat may be the request that rings the phone, so it must
/// pass the gates of a first request, except lateness and spent attempts: those were decided before the first request.
pub fn lookup_method(unknown: &Unknown, due: &Due<'_>, now: Timestamp) -> LookupMethod {
    let as_first = Due { late_by: SignedDuration::ZERO, attempts_used: 0, ..*due };
    match unknown.key_lives {
        // If the clock is before the time of the intent, the key's age is unknown.
        Some(lives)
            if now >= unknown.sent_at
                && now < plus(unknown.sent_at, lives)
                && decision(&gates(&as_first, now)) == Verdict::Pass =>
        {
            LookupMethod::Repeat
        }
        _ => LookupMethod::List,
    }
}

/// Decides from the result of a lookup at `now`.
pub fn after_lookup(unknown: &Unknown, finding: Finding, now: Timestamp) -> Resolution {
    let settled_at = plus(unknown.in_flight_until, minutes(SETTLE_MINUTES));
    match finding {
        Finding::Call(call_id) => return Resolution::Placed { call_id },
        Finding::Absent if now >= settled_at => match unknown.first_absent_at {
            Some(first) if now >= plus(first, BETWEEN_LISTS) => return Resolution::NotPlaced,
            Some(first) => {
                return Resolution::Later { at: plus(first, BETWEEN_LISTS), first_absent_at: Some(first) };
            }
            None => return Resolution::Later { at: plus(now, BETWEEN_LISTS), first_absent_at: Some(now) },
        },
        Finding::Absent | Finding::NoAnswer => {}
    }
    if now >= plus(unknown.in_flight_until.max(unknown.sent_at), minutes(GIVE_UP_AFTER_MINUTES)) {
        return Resolution::Unresolved;
    }
    let again = plus(now, minutes((FIRST_LOOKUP_MINUTES << unknown.lookups.min(8)).min(MAX_LOOKUP_MINUTES)));
    // Look again no later than the end of the settle time, because absence counts as proof only from then on.
    let at = if now < settled_at { again.min(settled_at) } else { again };
    Resolution::Later { at, first_absent_at: unknown.first_absent_at }
}

#[cfg(test)]
mod tests {
    use jiff::civil::time;

    use super::*;
    use crate::{
        decide::gates::tests::due as due_at_noon,
        policy::Policy,
        time::{Zone, ZoneSource},
        windows::Quiet,
    };

    fn at(minute: i64) -> Timestamp {
        plus("2026-11-23T12:00:00Z".parse().expect("a time"), minutes(minute))
    }

    fn unknown(absent_minute: Option<i64>) -> Unknown {
        Unknown {
            sent_at: at(0),
            in_flight_until: at(2),
            first_absent_at: absent_minute.map(at),
            key_lives: None,
            lookups: 0,
        }
    }

    fn later(minute: i64, absent_minute: Option<i64>) -> Resolution {
        Resolution::Later { at: at(minute), first_absent_at: absent_minute.map(at) }
    }

    #[test]
    fn absence_is_proven_by_two_complete_lists_after_the_settle_time() {
        let check =
            |absent, now, want| assert_eq!(after_lookup(&unknown(absent), Finding::Absent, at(now)), want);
        check(None, 0, later(1, None));
        check(None, 11, later(12, None));
        check(None, 12, later(13, Some(12)));
        check(Some(12), 12, later(13, Some(12)));
        check(Some(12), 13, Resolution::NotPlaced);
        check(Some(12), 5_000, Resolution::NotPlaced);
    }

    #[test]
    fn a_failing_list_proves_nothing_however_often_it_fails() {
        let check =
            |absent, now, want| assert_eq!(after_lookup(&unknown(absent), Finding::NoAnswer, at(now)), want);
        check(None, 20, later(21, None));
        check(Some(12), 13, later(14, Some(12)));
        check(None, 2 + 24 * 60 - 1, later(2 + 24 * 60, None));
        check(None, 2 + 24 * 60, Resolution::Unresolved);
        check(Some(12), 2 + 24 * 60, Resolution::Unresolved);
    }

    #[test]
    fn a_call_that_is_found_settles_it_at_any_time() {
        for now in [0, 13, 9_000] {
            let resolution = after_lookup(&unknown(Some(12)), Finding::Call("c".to_owned()), at(now));
            assert_eq!(resolution, Resolution::Placed { call_id: "c".to_owned() });
        }
    }

    #[test]
    fn a_call_is_given_up_after_a_day_and_a_chat_after_more_than_three() {
        let hours = SignedDuration::from_hours;
        assert!(!is_outcome_overdue(Channel::Voice, hours(23)));
        assert!(is_outcome_overdue(Channel::Voice, hours(24)));
        assert!(!is_outcome_overdue(Channel::Chat, hours(79)));
        assert!(is_outcome_overdue(Channel::Chat, hours(80)));
    }

    /// The lookup method for a key lifetime and a minute after noon.
    fn method(key_minutes: Option<i64>, at_minute: i64, change: impl FnOnce(&mut Due<'_>)) -> LookupMethod {
        let evening = Quiet { hours: Some((time(12, 30, 0, 0), time(15, 0, 0, 0))), days: vec![] };
        let policy = Policy { quiet: evening, ..Policy::default() };
        let zone = Zone { name: "UTC".to_owned(), source: ZoneSource::Workspace, is_sure: true };
        let mut due =
            Due { scheduled_for: at(-5), forced: true, attempts_used: 99, ..due_at_noon(&policy, &zone) };
        change(&mut due);
        let unknown = Unknown { key_lives: key_minutes.map(minutes), ..unknown(None) };
        lookup_method(&unknown, &due, at(at_minute))
    }

    #[test]
    fn the_same_bytes_are_repeated_only_while_the_key_lives() {
        assert_eq!(method(Some(50), 49, |_| {}), LookupMethod::Repeat);
        assert_eq!(method(Some(50), 50, |_| {}), LookupMethod::List);
        assert_eq!(method(Some(50), -1, |_| {}), LookupMethod::List, "by a clock that was set back");
        assert_eq!(method(None, 0, |_| {}), LookupMethod::List);
    }

    #[test]
    fn a_repeat_rings_only_when_a_first_request_might() {
        assert_eq!(method(Some(50), 29, |due| due.forced = false), LookupMethod::Repeat);
        assert_eq!(
            method(Some(50), 30, |due| due.forced = false),
            LookupMethod::List,
            "quiet hours began meanwhile"
        );
        assert_eq!(method(Some(50), 0, |due| due.suppressed = true), LookupMethod::List);
        assert_eq!(method(Some(50), 0, |due| due.agent_enabled = false), LookupMethod::List);
        assert_eq!(method(Some(50), 0, |due| due.observes = true), LookupMethod::List);
        assert_eq!(
            method(Some(50), 0, |due| due.late_by = minutes(500)),
            LookupMethod::Repeat,
            "it was sent in time"
        );
    }
}
