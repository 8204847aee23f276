//! How a finished call ended, in our words.
//!
//! Each provider maps its own reasons onto [`OutcomeClass`]; the decisions know only these.

use crate::policy::Trigger;

/// The provider's word for it, and what it means to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The provider's own reason, unchanged; shown as a callback's `outcome`.
    pub reason: String,
    /// What it means.
    pub class: OutcomeClass,
}

/// What the end of a call means for what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeClass {
    /// Somebody was spoken to (or a person in charge stopped the call): nothing follows from the reason.
    Conversation,
    /// Nobody was reached; a retry of that group may follow.
    Unreached(Trigger, Repeat),
    /// The number or the line cannot be reached this way; trying again would not help, or harm.
    Unreachable,
    /// The provider had no line free: the same attempt again, unspent.
    NoCapacity,
    /// The account cannot pay: the same attempt again, unspent, once it can.
    NoPayment,
    /// The person asked not to be called.
    OptOut,
    /// The provider itself says that the person asked for a callback.
    AskedForCallback,
    /// A reason we do not know: ends the chain, and is counted.
    Unknown,
}

/// How often the same reason may be followed by a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Up to the chain's ceiling.
    Freely,
    /// Not twice running: a person who declines again has answered.
    Once,
}

impl OutcomeClass {
    /// Whether the two sides were connected and a person may have been on the line.
    pub const fn connected(self) -> bool {
        matches!(
            self,
            Self::Conversation
                | Self::OptOut
                | Self::AskedForCallback
                | Self::Unreached(Trigger::ConversationSilent, _)
        )
    }
}
