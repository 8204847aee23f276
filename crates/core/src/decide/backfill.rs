//! Backfill from the provider's list of calls, newest first: which calls are imported, and when to stop.
//!
//! Invariants: calls from before `since` are ignored, so connecting an account never leads to callbacks for past calls.
//! A call without a timestamp is treated as if it had the timestamp of the next older call that has one. Reading stops
//! at the first page with a call that started more than [`LONGEST_CALL_MINUTES`] before `since`.

use jiff::Timestamp;

use super::SETTLE_MINUTES;
use crate::time::{minutes, plus};

/// One call of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The provider's id.
    pub id: String,
    /// The provider's id of the agent in the call.
    pub agent: Option<String>,
    /// When it started, if the list contains it.
    pub started_at: Option<Timestamp>,
    /// When it ended, if the list contains it.
    pub ended_at: Option<Timestamp>,
}

/// The result of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillPage {
    /// Calls of the window, newest first.
    pub within: Vec<String>,
    /// Every later page is older than the window.
    pub is_last: bool,
}

/// The longest possible call, with a margin.
const LONGEST_CALL_MINUTES: i64 = 180;

/// Selects the calls to import from one page, newest first; `since` is the start of the window, `is_ours` selects the agents whose calls count.
pub fn select_calls(page: &[Listed], since: Timestamp, is_ours: impl Fn(&str) -> bool) -> BackfillPage {
    let begins = plus(since, minutes(-LONGEST_CALL_MINUTES));
    let mut within = Vec::new();
    let mut older: Option<Timestamp> = None;
    for call in page.iter().rev() {
        let time = call.ended_at.or(call.started_at).or(older);
        if time.is_some_and(|t| t >= since) && call.agent.as_deref().is_some_and(&is_ours) {
            within.push(call.id.clone());
        }
        older = time.or(older);
    }
    within.reverse();
    let oldest = page.iter().filter_map(|c| c.started_at.or(c.ended_at)).min();
    BackfillPage { within, is_last: oldest.is_some_and(|t| t < begins) }
}

/// Whether a complete backfill counts toward the two that a restored workspace needs before it dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreBackfill {
    /// It started before the provider's lists were reliable.
    TooEarly {
        /// When to backfill again.
        again_at: Timestamp,
    },
    /// The first one that counts.
    First {
        /// When to backfill again.
        again_at: Timestamp,
    },
    /// The second one that counts: the workspace dials.
    Last,
}

/// Evaluates a complete backfill (I31): two must count, a minute apart, the first starting no earlier than
/// [`SETTLE_MINUTES`] after the restore, when the provider's lists are reliable.
pub fn after_restore_backfill(
    restored_at: Timestamp,
    first_at: Option<Timestamp>,
    began: Timestamp,
) -> RestoreBackfill {
    let settled_at = plus(restored_at, minutes(SETTLE_MINUTES));
    if began < settled_at {
        return RestoreBackfill::TooEarly { again_at: settled_at };
    }
    match first_at {
        Some(first) if began >= plus(first, minutes(1)) => RestoreBackfill::Last,
        _ => RestoreBackfill::First { again_at: plus(began, minutes(1)) },
    }
}

/// Whether a dispatch that a restored database does not contain may be attached to its callback (I31). The creation
/// time in its id must lie between the backup and the restore; a minute of clock skew is allowed on both sides.
pub fn may_be_reattached(created_at: Timestamp, backup_at: Timestamp, restored_at: Timestamp) -> bool {
    plus(backup_at, minutes(-1)) <= created_at && created_at <= plus(restored_at, minutes(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        plus("2026-11-23T12:00:00Z".parse().expect("a time"), minutes(minute))
    }

    fn check(page: &[(&str, Option<i64>, Option<i64>)], within: &[&str], is_last: bool) {
        let listed = |(id, started, ended): &(&str, Option<i64>, Option<i64>)| Listed {
            id: (*id).to_owned(),
            agent: Some(if id.starts_with('x') { "theirs" } else { "ours" }.to_owned()),
            started_at: started.map(at),
            ended_at: ended.map(at),
        };
        let page: Vec<_> = page.iter().map(listed).collect();
        let want = BackfillPage { within: within.iter().map(|s| (*s).to_owned()).collect(), is_last };
        assert_eq!(select_calls(&page, at(0), |agent| agent == "ours"), want);
    }

    #[test]
    fn the_window_takes_what_ended_in_it_and_no_more() {
        check(
            &[("c", Some(5), Some(6)), ("b", Some(-20), Some(1)), ("a", Some(-30), Some(-1))],
            &["c", "b"],
            false,
        );
        check(&[("x", Some(5), Some(6)), ("b", Some(4), Some(5))], &["b"], false);
        check(&[("a", Some(-181), Some(-100))], &[], true);
        check(&[], &[], false);
    }

    #[test]
    fn a_call_without_a_time_is_as_old_as_the_next_older_one() {
        check(&[("c", None, None), ("b", Some(1), None), ("a", None, None)], &["c", "b"], false);
        check(&[("c", None, None), ("b", Some(-1), None)], &[], false);
        check(&[("a", None, None)], &[], false);
    }

    #[test]
    fn a_restored_workspace_dials_after_two_sweeps_that_count() {
        let check = |first: Option<i64>, began: i64| after_restore_backfill(at(0), first.map(at), at(began));
        assert_eq!(check(None, 9), RestoreBackfill::TooEarly { again_at: at(10) });
        assert_eq!(check(None, 10), RestoreBackfill::First { again_at: at(11) });
        assert_eq!(check(Some(10), 10), RestoreBackfill::First { again_at: at(11) });
        assert_eq!(check(Some(10), 11), RestoreBackfill::Last);
    }

    #[test]
    fn only_dials_between_backup_and_restore_are_reattached() {
        let check = |created| may_be_reattached(at(created), at(0), at(60));
        assert_eq!([-2, -1, 61, 62].map(check), [false, true, true, false]);
    }
}
