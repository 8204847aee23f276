//! One try at the provider: its states.
//!
//! Invariants: a dispatch is one row and is never used again; the next try is another row with another id. Only
//! a certain "no" (refused, or proven not placed) lets the callback be dialled anew (I2). A dispatch that is no
//! longer open never opens again: what comes later adds data only (I12).
use std::str::FromStr;

use crate::UnknownName;

/// Where a dispatch stands; who may move it: [`State::may_become`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Written down. The request may be on its way.
    Intent,
    /// The request may or may not have reached the provider.
    Unknown,
    /// The provider has placed it.
    Placed,
    /// Final: a certain no.
    Refused,
    /// Final: proven by the provider's own lists.
    NotPlaced,
    /// Final: nobody will ever know. Counts as an attempt, and is never sent again.
    Unresolved,
    /// Final: the call is over.
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

    /// The word in the store.
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

    /// A call may come of it, or has: a callback has at most one such dispatch (I2).
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Intent | Self::Unknown | Self::Placed)
    }

    /// The whole life of a dispatch. Every store function that changes a state guards on states from which
    /// this allows its change.
    pub const fn may_become(self, next: Self) -> bool {
        use State::*;
        match self {
            Intent => matches!(next, Unknown | Placed | Refused),
            // Refused only by the answer to the first request, come late, and only while nothing was repeated:
            // a repeat may place the call whatever the first request was told, and a refused repeat says
            // nothing of the first request.
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
    fn what_is_no_longer_open_is_never_left() {
        for state in State::ALL {
            let leaves = State::ALL.into_iter().any(|next| state.may_become(next));
            assert_eq!(leaves, state.is_open(), "{state:?}");
        }
    }

    #[test]
    fn nothing_becomes_an_intent_and_nothing_stays_as_it_is() {
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
