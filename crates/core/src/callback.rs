//! One scheduled outbound dial: its states, and why it exists.

use std::str::FromStr;

use crate::UnknownName;

use crate::{Id, Timestamp, id, policy::Trigger};

/// Where a callback stands. What each means: `docs/concepts.md`; who may move it: [`State::may_become`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for its time.
    Scheduled,
    /// Waits for a person, an agent or a workspace to act.
    Held,
    /// Claimed; the request may be on its way.
    Dispatching,
    /// The provider has placed it.
    Dialing,
    /// The request may or may not have reached the provider.
    Unconfirmed,
    /// Final: a conversation took place.
    Completed,
    /// Final: nobody reached, or never placed.
    Failed,
    /// Final: nobody reached, and no attempt left.
    Exhausted,
    /// Final: by a person.
    Canceled,
    /// Final: missed by more than the workspace allows.
    Expired,
    /// Final: do-not-call.
    Suppressed,
    /// Final: a newer one took over.
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

    /// The word in the API and in the store.
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

    /// Not yet claimed: one such callback a person may have.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Scheduled | Self::Held)
    }

    /// Never left again (I12).
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Held | Self::Dispatching | Self::Dialing | Self::Unconfirmed)
    }

    /// The whole life of a callback. Only after a restore is a waiting one found dialled, or a
    /// dialled one dialled again: the backup did not know. Every store function that changes a state guards on states from which
    /// this allows its change.
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
            // Before the intent as if still scheduled; after it, only the provider's answer decides.
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
            // Back to scheduled when the provider had no line free: that spent nothing.
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

/// How a claimed or dialed callback waits again: held for a reason or scheduled; where a newer callback waits for the
/// person already, it is superseded by that one.
pub const fn waits_as(held_for: Option<HeldFor>, has_newer: bool) -> (State, Option<HeldFor>) {
    match (has_newer, held_for) {
        (true, _) => (State::Superseded, None),
        (false, Some(why)) => (State::Held, Some(why)),
        (false, None) => (State::Scheduled, None),
    }
}

/// What a due callback is held for that may not be dialed because its number, or its account, was called too often.
pub const fn held_back(fuse_is_blown: bool, quota_is_used_up: bool) -> Option<HeldFor> {
    match (fuse_is_blown, quota_is_used_up) {
        (true, _) => Some(HeldFor::Fuse),
        (false, true) => Some(HeldFor::Quota),
        (false, false) => None,
    }
}

/// How a callback waits again whose claim came to nothing for the n-th time: after five times a person must look at it.
pub const fn after_failures(failures: i64) -> Option<HeldFor> {
    if failures >= MAX_FAILURES { Some(HeldFor::Failing) } else { None }
}

const MAX_FAILURES: i64 = 5;

/// Why we dial, as the agent is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RedialReason {
    /// The person asked.
    CallbackRequested,
    /// The last call met a machine.
    VoicemailFollowup,
    /// The last call rang out.
    NoAnswerFollowup,
    /// The last call met a busy line, or was declined.
    BusyFollowup,
    /// A fault, or silence.
    Retry,
    /// A program or a person scheduled it; the callee did not ask.
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

    /// The word in the API, in the store and in the dynamic variables.
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

    /// The value of the dynamic variable `redial_reason`, unless the request sets it: one of the provider's published words.
    pub const fn redial_word(self) -> &'static str {
        match self {
            Self::Scheduled => Self::CallbackRequested.as_str(),
            other => other.as_str(),
        }
    }

    /// The reason of a retry after that group.
    pub const fn after(trigger: Trigger) -> Self {
        match trigger {
            Trigger::Voicemail => Self::VoicemailFollowup,
            Trigger::NoAnswer => Self::NoAnswerFollowup,
            Trigger::Busy => Self::BusyFollowup,
            Trigger::TechnicalError | Trigger::ConversationSilent => Self::Retry,
        }
    }

    /// A retry: it follows from how a call ended, without a request.
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

/// What a held callback waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldFor {
    /// A person, to name a time.
    UnclearTime,
    /// Its agent, to be switched on again.
    Agent,
    /// A number to dial from: the agent has none at the provider.
    FromNumber,
    /// A person: it failed in our hands again and again.
    Failing,
    /// The next month, or another plan: this one's calls are used up.
    Quota,
    /// A person: the number is in a country that the workspace does not call.
    Country,
    /// A person: this number was called so often that something must be wrong (I38).
    Fuse,
}

impl HeldFor {
    /// The word in the API and in the store.
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

    /// Every one.
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

/// Whether a callback is due at a moment that the callee or an API request named, or is forced. Quiet hours do not
/// apply to such a callback. After rescheduling, the moment is no longer the named one.
pub fn is_named(
    reason: RedialReason,
    forced: bool,
    requested_for: Option<Timestamp>,
    scheduled_for: Timestamp,
) -> bool {
    forced || !reason.is_retry() && requested_for == Some(scheduled_for)
}

/// What a decision knows of another callback of the same person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveCallback {
    /// The callback.
    pub id: Id<id::Callback>,
    /// Its chain.
    pub chain: Id<id::Chain>,
    /// Dials its chain has spent.
    pub spent: u32,
    /// Where it stands; never a final state.
    pub state: State,
    /// Why it exists.
    pub reason: RedialReason,
    /// The end of the call (or the moment of the API request) that it was born of.
    pub born_of: Timestamp,
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
        // Breadth first from each state: some final state is always within reach.
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
