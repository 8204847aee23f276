//! Decides on a request to schedule a callback, from the API or the dashboard.
//!
//! Invariant: an API request replaces waiting retries and callbacks of other API requests. It replaces a callback that
//! the callee requested only if it sets `replace`.

use jiff::{SignedDuration, Timestamp};

use super::{CallbackPlan, EventNote, Person, chain::Place};
use crate::{
    Id,
    callback::{ActiveCallback, RedialReason},
    id::{self, Callback, Chain},
    policy::{Policy, PromiseScope},
    time::{Zone, minutes, plus},
};

/// A validated request.
pub struct Request<'a> {
    /// The requested time.
    pub at: Timestamp,
    /// The callee's time zone.
    pub zone: Zone,
    /// The person's callbacks and do-not-call entry.
    pub person: &'a Person,
    /// The agent that would dial.
    pub agent: Id<id::Agent>,
    /// Whether the request may replace a callback that the callee requested.
    pub replaces: bool,
    /// The unresolved callback that the request forces, if any.
    pub forces: Option<Forced>,
    /// The settings.
    pub policy: &'a Policy,
}

/// A callback that ended unresolved and that an operator forces.
#[derive(Debug, Clone, Copy)]
pub struct Forced {
    /// The callback.
    pub id: Id<Callback>,
    /// Its chain.
    pub chain: Id<Chain>,
    /// Attempts that the chain has used.
    pub attempts_used: u32,
    /// Why it was dialed.
    pub reason: RedialReason,
}

/// Why no callback is scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// A rule forbids it.
    Note(EventNote),
    /// A callback that the callee requested is waiting.
    PromisePending(Id<Callback>),
}

/// Whether a callback may be scheduled for this time: not in the past, and at most 400 days ahead. The time may lie in
/// the past by one minute or by five real seconds (at `speed` virtual seconds per real second), whichever is longer, to
/// allow for clock skew and for the duration of a request.
pub fn is_schedulable(at: Timestamp, now: Timestamp, speed: u32) -> bool {
    let tolerance = SignedDuration::from_secs(60.max(5 * i64::from(speed)));
    plus(now, -tolerance) <= at && at <= plus(now, minutes(FURTHEST_DAYS * 24 * 60))
}

const FURTHEST_DAYS: i64 = 400;

/// Returns the callback to write and the waiting ones that it replaces, or why none is scheduled.
pub fn on_request(
    request: &Request<'_>,
    now: Timestamp,
) -> Result<(CallbackPlan, Vec<Id<Callback>>), RequestError> {
    let Request { at, zone, person, forces, policy, .. } = request;
    if person.suppressed {
        return Err(RequestError::Note(EventNote::DoNotCall));
    }
    let peers = || {
        let is_peer = |l: &&ActiveCallback| {
            policy.one_promise_per == PromiseScope::Workspace || l.agent == request.agent
        };
        person.live.iter().filter(is_peer)
    };
    let is_requested =
        |l: &&ActiveCallback| l.state.is_waiting() && l.reason == RedialReason::CallbackRequested;
    if let Some(promise) = peers().find(is_requested).filter(|_| !request.replaces) {
        return Err(RequestError::PromisePending(promise.id));
    }
    let most = policy.max_attempts;
    let place = match forces {
        Some(forced) => Place::after(forced.id, forced.chain, forced.attempts_used, most),
        None => Place::after_newest(peers(), most),
    };
    let planned = CallbackPlan {
        chain: place.chain(),
        parent: forces.map(|f| f.id).or(place.parent()),
        reason: forces.map_or(RedialReason::Scheduled, |f| f.reason),
        source_outcome: None,
        attempt: place.attempt,
        max_attempts: most,
        requested_for: Some(*at),
        scheduled_for: *at,
        held: None,
        zone: zone.clone(),
        source_ended_at: now,
    };
    let replaced = peers().filter(|l| l.state.is_waiting()).map(|l| l.id).collect();
    Ok((planned, replaced))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{callback::State, time::ZoneSource};

    fn id<T>(n: u128) -> Id<T> {
        Id::from_uuid(uuid::Uuid::from_u128(n))
    }

    fn check(waits: RedialReason, agent: u128, scope: PromiseScope, replaces: bool, want: &str) {
        let now: Timestamp = "2026-11-23T17:00:00Z".parse().expect("a time");
        let (reason, state) = (waits, State::Scheduled);
        let live = ActiveCallback {
            id: id(7),
            chain: id(5),
            attempts_used: 0,
            state,
            reason,
            source_ended_at: now,
            agent: id(agent),
        };
        let person = Person { live: vec![live], ..Person::default() };
        let policy = Policy { one_promise_per: scope, ..Policy::default() };
        let zone = Zone { name: "UTC".to_owned(), source: ZoneSource::Workspace, is_sure: true };
        let request =
            Request { at: now, zone, person: &person, agent: id(1), replaces, forces: None, policy: &policy };
        let got = match on_request(&request, now) {
            Ok((planned, replaced)) => format!("{} replaces {}", planned.reason.as_str(), replaced.len()),
            Err(error) => format!("{error:?}").split('(').next().unwrap_or_default().to_owned(),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn a_time_in_the_past_or_too_far_ahead_is_not_schedulable() {
        let now: Timestamp = "2026-11-23T17:00:00Z".parse().expect("a time");
        let check = |after: i64, speed, want| {
            assert_eq!(is_schedulable(plus(now, minutes(after)), now, speed), want, "{after} at {speed}");
        };
        check(-1, 1, true);
        check(-2, 1, false);
        check(-5, 60, true);
        check(-180, 60, false);
        check(0, 1, true);
        check(400 * 24 * 60, 1, true);
        check(400 * 24 * 60 + 1, 1, false);
    }

    #[test]
    fn a_requested_callback_is_replaced_only_if_the_request_names_it() {
        use PromiseScope::{Agent, Workspace};
        use RedialReason::{BusyFollowup, CallbackRequested, Scheduled};
        check(CallbackRequested, 1, Workspace, false, "PromisePending");
        check(CallbackRequested, 2, Workspace, false, "PromisePending");
        check(CallbackRequested, 1, Workspace, true, "scheduled replaces 1");
        check(CallbackRequested, 2, Agent, false, "scheduled replaces 0");
        check(Scheduled, 1, Workspace, false, "scheduled replaces 1");
        check(BusyFollowup, 2, Workspace, false, "scheduled replaces 1");
    }
}
