//! What the provider is asked to do: one call, or one chat.

use std::{collections::BTreeMap, fmt};

use crate::{
    Id, Phone,
    agent::{Channel, Version},
    callback::RedialReason,
    id,
};

/// Everything one dial carries. Providers turn it into the exact bytes that are stored and sent.
pub struct CallOrder {
    /// Call or chat.
    pub channel: Channel,
    /// The agent's number.
    pub from: Phone,
    /// The provider's id of that number, where orders name it so.
    pub from_id: Option<String>,
    /// The person's number.
    pub to: Phone,
    /// The provider's id of the agent.
    pub agent: String,
    /// Which version of it.
    pub version: Version,
    /// The original call's own variables.
    pub variables: BTreeMap<String, String>,
    /// The original call's own metadata: a JSON object as text.
    pub metadata: Option<String>,
    /// Why we dial.
    pub reason: RedialReason,
    /// The ordinal of this dial within its chain, from 1.
    pub attempt: u32,
    /// Whether it is the chain's last.
    pub is_final: bool,
    /// The callback.
    pub callback: Id<id::Callback>,
    /// Its chain.
    pub chain: Id<id::Chain>,
    /// This try; also the idempotency key where the provider takes one.
    pub dispatch: Id<id::Dispatch>,
}

impl fmt::Debug for CallOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallOrder")
            .field("callback", &self.callback)
            .field("dispatch", &self.dispatch)
            .finish_non_exhaustive()
    }
}

/// What the provider answered to one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It placed the call (or chat) of this id.
    Placed {
        /// The provider's id.
        call_id: String,
    },
    /// It said no, and why. Nothing rang.
    Refused(Refusal),
    /// No byte of the request left us. Nothing rang.
    Unsent {
        /// What failed, for people.
        why: String,
    },
    /// The request left us and no clear answer came: the call may exist.
    Uncertain {
        /// What was seen, for people.
        why: String,
    },
}

/// A certain no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Asking again will not help.
    Permanent {
        /// The HTTP status.
        status: u16,
        /// The provider's own sentence, keys and numbers in it masked; empty where it said nothing.
        message: String,
    },
    /// The provider's own list says this person must not be called.
    DoNotCall,
    /// The key is wrong (401) or may not place calls (403).
    Key {
        /// The HTTP status.
        status: u16,
        /// The provider's own sentence, keys and numbers in it masked; empty where it said nothing.
        message: String,
    },
    /// The account must pay first.
    Payment {
        /// The provider's own sentence, keys and numbers in it masked; empty where it said nothing.
        message: String,
    },
    /// Too fast, or no line free: ask again after so many seconds, where the provider said.
    Throttled {
        /// `RateLimit-Reset` or `Retry-After`, in seconds.
        after_secs: Option<u64>,
    },
}
