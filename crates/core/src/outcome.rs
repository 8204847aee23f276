//! How a call ended.
//!
//! Each provider maps its own reasons to [`OutcomeClass`]; the decisions see only this type.

use crate::policy::Trigger;

/// The provider's reason and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The provider's own reason, unchanged; shown as a callback's `outcome`.
    pub reason: String,
    /// Its class.
    pub class: OutcomeClass,
}

/// The class of an outcome reason, which determines the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeClass {
    /// A person was spoken to, or the call was stopped manually: the reason leads to no retry.
    Conversation,
    /// No person was reached; a retry for that trigger may follow.
    Unreached(Trigger, Repeat),
    /// The number or the line cannot be reached this way; retrying would not help, or would harm.
    Unreachable,
    /// The provider had no free line: the same attempt again, unspent.
    NoCapacity,
    /// The account lacks payment: the same attempt again, unspent, once it has paid.
    NoPayment,
    /// The person asked not to be called.
    OptOut,
    /// The provider's own reason is that the person asked for a callback.
    CallbackRequested,
    /// A reason unknown to this version: ends the chain, and is counted.
    Unknown,
}

/// How often a retry may follow for the same reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Up to `max_attempts`.
    Freely,
    /// Not twice in a row: declining again is an answer.
    Once,
}

impl OutcomeClass {
    /// Whether the call connected and a person may have been on the line.
    pub const fn connected(self) -> bool {
        matches!(
            self,
            Self::Conversation
                | Self::OptOut
                | Self::CallbackRequested
                | Self::Unreached(Trigger::ConversationSilent, _)
        )
    }
}
