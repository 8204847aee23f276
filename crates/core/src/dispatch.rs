//! The states of a dispatch: one request to the provider.
//!
//! Invariants: a dispatch is one row and is never reused; the next attempt is another row with another id. Only a
//! definite "no" (refused, or proven not placed) lets the callback be dialed again (I2). A dispatch that is no longer
//! open never opens again: later events only add data (I12).
use std::str::FromStr;

use crate::UnknownName;

/// The state of a dispatch; [`State::may_become`] lists the transitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Recorded. The request may have been sent.
    Intent,
    /// The request may or may not have reached the provider.
    Unknown,
    /// The provider placed the call.
    Placed,
    /// Final: definitely refused.
    Refused,
    /// Final: proven not placed by the provider's own lists.
    NotPlaced,
    /// Final: it cannot be determined whether the call was placed. Counts as an attempt, and is never sent again.
    Unresolved,
    /// Final: the call has ended.
    Ended,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Intent,
        Self::Unknown,
        Self::Placed,
        Self::Refused,
        Self::NotPlaced,
        Self::Unresolved,
        Self::Ended,
    ];

    /// The value in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Unknown => "unknown",
            Self::Placed => "placed",
            Self::Refused => "refused",
            Self::NotPlaced => "not_placed",
            Self::Unresolved => "unresolved",
            Self::Ended => "ended",
        }
    }

    /// Whether this dispatch may still place a call, or has placed one that has not ended. A callback has at most one such dispatch (I2).
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Intent | Self::Unknown | Self::Placed)
    }

    /// Whether the transition is allowed. Every store function that changes a state requires a current state that allows
    /// the change.
    pub const fn may_become(self, next: Self) -> bool {
        use State::*;
        match self {
            Intent => matches!(next, Unknown | Placed | Refused),
            // `Refused` is reached only by a late response to the first request, and only if no repeat was started. A
            // started repeat may still place the call, and a refused repeat proves nothing about the first request.
            Unknown => matches!(next, Placed | Refused | NotPlaced | Unresolved),
            Placed => matches!(next, Ended),
            Refused | NotPlaced | Unresolved | Ended => false,
        }
    }
}

impl FromStr for State {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|s| s.as_str() == name).ok_or(UnknownName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_states_are_final() {
        for state in State::ALL {
            let leaves = State::ALL.into_iter().any(|next| state.may_become(next));
            assert_eq!(leaves, state.is_open(), "{state:?}");
        }
    }

    #[test]
    fn no_state_becomes_intent_or_itself() {
        for state in State::ALL {
            assert!(!state.may_become(State::Intent), "{state:?}");
            assert!(!state.may_become(state), "{state:?}");
        }
    }

    #[test]
    fn a_call_that_was_placed_can_only_end() {
        let after: Vec<_> = State::ALL.into_iter().filter(|n| State::Placed.may_become(*n)).collect();
        assert_eq!(after, [State::Ended]);
        assert!(!State::Unresolved.may_become(State::Placed), "a late event adds data only");
    }

    #[test]
    fn words_name_one_state_each() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("sent".parse::<State>().is_err());
    }
}
