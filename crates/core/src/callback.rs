//! One scheduled outbound dial: its states, and why it exists.

use std::str::FromStr;

use crate::UnknownName;

use crate::{Id, Timestamp, id, policy::Trigger};

/// The state of a callback. `docs/concepts.md` explains each state; [`State::may_become`] lists the transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for its time.
    Scheduled,
    /// Waits for a person, an agent or a workspace to act.
    Held,
    /// Claimed; the request may have been sent.
    Dispatching,
    /// The provider has placed it.
    Dialing,
    /// The request may or may not have reached the provider.
    Unconfirmed,
    /// Final: a conversation took place.
    Completed,
    /// Final: no person reached, or never placed.
    Failed,
    /// Final: no person reached, and no attempt left.
    Exhausted,
    /// Final: canceled by a person, or not dialed because its agent only observes.
    Canceled,
    /// Final: late by more than the workspace allows.
    Expired,
    /// Final: the number must not be called (do-not-call list or opt-out).
    Suppressed,
    /// Final: replaced by a newer callback.
    Superseded,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 12] = [
        Self::Scheduled,
        Self::Held,
        Self::Dispatching,
        Self::Dialing,
        Self::Unconfirmed,
        Self::Completed,
        Self::Failed,
        Self::Exhausted,
        Self::Canceled,
        Self::Expired,
        Self::Suppressed,
        Self::Superseded,
    ];

    /// The value in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Held => "held",
            Self::Dispatching => "dispatching",
            Self::Dialing => "dialing",
            Self::Unconfirmed => "unconfirmed",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Exhausted => "exhausted",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Suppressed => "suppressed",
            Self::Superseded => "superseded",
        }
    }

    /// Not yet claimed. A person may have at most one such callback.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Scheduled | Self::Held)
    }

    /// Has no outgoing transition (I12).
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Held | Self::Dispatching | Self::Dialing | Self::Unconfirmed)
    }

    /// The allowed transitions. Scheduled or held to dialing, and dialing to dialing, occur only after a restore from a
    /// backup that does not contain the dial. Every store function that changes a state guards on source states that
    /// allow its change.
    pub const fn may_become(self, next: Self) -> bool {
        use State::*;
        match self {
            Scheduled => matches!(
                next,
                Scheduled
                    | Held
                    | Dispatching
                    | Dialing
                    | Canceled
                    | Expired
                    | Suppressed
                    | Superseded
                    | Failed
            ),
            Held => matches!(next, Scheduled | Held | Dialing | Canceled | Suppressed | Superseded | Failed),
            // Before the intent is written, as from `Scheduled`; after it, only the provider's response decides.
            Dispatching => matches!(
                next,
                Scheduled
                    | Held
                    | Dialing
                    | Unconfirmed
                    | Failed
                    | Exhausted
                    | Canceled
                    | Expired
                    | Suppressed
                    | Superseded
                    | Completed
            ),
            // Back to `Scheduled` when the provider had no free line: no attempt is spent.
            Dialing => {
                matches!(next, Scheduled | Dialing | Completed | Failed | Exhausted | Suppressed | Superseded)
            }
            Unconfirmed => {
                matches!(next, Scheduled | Dialing | Completed | Failed | Exhausted | Suppressed | Superseded)
            }
            Completed | Failed | Exhausted | Canceled | Expired | Suppressed | Superseded => false,
        }
    }
}

impl FromStr for State {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|s| s.as_str() == name).ok_or(UnknownName)
    }
}

/// The state of a claimed or dialed callback that goes back to waiting: superseded if a newer callback of the person
/// already waits, held if there is a reason, else scheduled.
pub const fn waits_as(held_for: Option<HeldFor>, has_newer: bool) -> (State, Option<HeldFor>) {
    match (has_newer, held_for) {
        (true, _) => (State::Superseded, None),
        (false, Some(why)) => (State::Held, Some(why)),
        (false, None) => (State::Scheduled, None),
    }
}

/// Why a due callback is held: its number was called too often, or its account's quota is used up.
pub const fn held_back(fuse_is_blown: bool, quota_is_used_up: bool) -> Option<HeldFor> {
    match (fuse_is_blown, quota_is_used_up) {
        (true, _) => Some(HeldFor::Fuse),
        (false, true) => Some(HeldFor::Quota),
        (false, false) => None,
    }
}

/// The hold after the n-th failed claim: none until the fifth, then [`HeldFor::Failing`], which needs a person.
pub const fn after_failures(failures: i64) -> Option<HeldFor> {
    if failures >= MAX_FAILURES { Some(HeldFor::Failing) } else { None }
}

const MAX_FAILURES: i64 = 5;

/// Why the callback is dialed; passed to the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RedialReason {
    /// The person requested a callback.
    CallbackRequested,
    /// The last call reached a machine.
    VoicemailFollowup,
    /// The last call was not answered.
    NoAnswerFollowup,
    /// The last call was busy or declined.
    BusyFollowup,
    /// The last call failed technically, or the person did not speak.
    Retry,
    /// Scheduled by a program or a person; the callee did not request it.
    Scheduled,
}

impl RedialReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::CallbackRequested,
        Self::VoicemailFollowup,
        Self::NoAnswerFollowup,
        Self::BusyFollowup,
        Self::Retry,
        Self::Scheduled,
    ];

    /// The value in the API, in the store and in the dynamic variables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallbackRequested => "callback_requested",
            Self::VoicemailFollowup => "voicemail_followup",
            Self::NoAnswerFollowup => "no_answer_followup",
            Self::BusyFollowup => "busy_followup",
            Self::Retry => "retry",
            Self::Scheduled => "scheduled",
        }
    }

    /// The value of the dynamic variable `redial_reason`, unless the request sets it: one of the values that the
    /// provider publishes.
    pub const fn redial_word(self) -> &'static str {
        match self {
            Self::Scheduled => Self::CallbackRequested.as_str(),
            other => other.as_str(),
        }
    }

    /// The reason of a retry after that trigger.
    pub const fn after(trigger: Trigger) -> Self {
        match trigger {
            Trigger::Voicemail => Self::VoicemailFollowup,
            Trigger::NoAnswer => Self::NoAnswerFollowup,
            Trigger::Busy => Self::BusyFollowup,
            Trigger::TechnicalError | Trigger::ConversationSilent => Self::Retry,
        }
    }

    /// Whether this is a retry: it follows from how a call ended, without a request.
    pub const fn is_retry(self) -> bool {
        !matches!(self, Self::CallbackRequested | Self::Scheduled)
    }
}

impl FromStr for RedialReason {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|r| r.as_str() == name).ok_or(UnknownName)
    }
}

/// Why a callback is held, and what releases it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldFor {
    /// A person must set a time.
    UnclearTime,
    /// The agent must be enabled again.
    Agent,
    /// The agent has no number to dial from at the provider.
    FromNumber,
    /// Its claims failed repeatedly, so a person must check it.
    Failing,
    /// This month's quota is used up; the callback is released next month or after a change of plan.
    Quota,
    /// The workspace does not call the number's country, so a person must decide.
    Country,
    /// The number was called too often (I38), so a person must check it.
    Fuse,
}

impl HeldFor {
    /// The value in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnclearTime => "unclear_time",
            Self::Agent => "agent_disabled",
            Self::FromNumber => "no_from_number",
            Self::Failing => "failing",
            Self::Quota => "quota",
            Self::Country => "country",
            Self::Fuse => "fuse",
        }
    }

    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::UnclearTime,
        Self::Agent,
        Self::FromNumber,
        Self::Failing,
        Self::Quota,
        Self::Country,
        Self::Fuse,
    ];
}

impl FromStr for HeldFor {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|h| h.as_str() == name).ok_or(UnknownName)
    }
}

/// Whether a callback is forced, or is due at a time that the callee or an API request specified. Quiet hours do not
/// apply to such a callback. After rescheduling, its time is no longer the requested one.
pub fn is_named(
    reason: RedialReason,
    forced: bool,
    requested_for: Option<Timestamp>,
    scheduled_for: Timestamp,
) -> bool {
    forced || !reason.is_retry() && requested_for == Some(scheduled_for)
}

/// The facts that a decision uses about another callback of the same person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveCallback {
    /// The callback.
    pub id: Id<id::Callback>,
    /// Its chain.
    pub chain: Id<id::Chain>,
    /// Dials that its chain has spent.
    pub attempts_used: u32,
    /// Its state; never final.
    pub state: State,
    /// Why it is dialed.
    pub reason: RedialReason,
    /// The end of the call, or the time of the API request, that led to it.
    pub source_ended_at: Timestamp,
    /// The agent that would dial.
    pub agent: Id<id::Agent>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_states_are_never_left() {
        for state in State::ALL.into_iter().filter(|s| s.is_final()) {
            assert!(State::ALL.into_iter().all(|next| !state.may_become(next)), "{state:?}");
        }
    }

    #[test]
    fn every_state_can_end() {
        // Breadth-first search from each state: some final state is reachable.
        for start in State::ALL {
            let (mut reached, mut todo) = (vec![start], vec![start]);
            while let Some(at) = todo.pop() {
                for next in State::ALL.into_iter().filter(|n| at.may_become(*n)) {
                    if !reached.contains(&next) {
                        reached.push(next);
                        todo.push(next);
                    }
                }
            }
            assert!(reached.iter().any(|s| s.is_final()), "{start:?}");
        }
    }

    #[test]
    fn words_name_one_state_each() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        for reason in RedialReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
    }
}
