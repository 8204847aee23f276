//! A request to a provider: place one call or open one chat.

use std::{collections::BTreeMap, fmt};

use crate::{
    Id, Phone,
    agent::{Channel, Version},
    callback::RedialReason,
    id,
};

/// The content of one dial. Providers convert it into the exact bytes that are stored and sent.
pub struct CallOrder {
    /// Call or chat.
    pub channel: Channel,
    /// The agent's number.
    pub from: Phone,
    /// The provider's id of that number, if the provider's requests need it.
    pub from_id: Option<String>,
    /// The person's number.
    pub to: Phone,
    /// The provider's id of the agent.
    pub agent: String,
    /// The version of the agent.
    pub version: Version,
    /// The variables of the original call.
    pub variables: BTreeMap<String, String>,
    /// The metadata of the original call: a JSON object as text.
    pub metadata: Option<String>,
    /// Why we dial.
    pub reason: RedialReason,
    /// The ordinal of this dial within its chain, from 1.
    pub attempt: u32,
    /// Whether this is the chain's last dial.
    pub is_final: bool,
    /// The callback.
    pub callback: Id<id::Callback>,
    /// Its chain.
    pub chain: Id<id::Chain>,
    /// The dispatch; its id is also the idempotency key if the provider accepts one.
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

/// The provider's response to one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The provider placed the call or opened the chat.
    Placed {
        /// The provider's id.
        call_id: String,
    },
    /// The provider refused. No phone rang.
    Refused(Refusal),
    /// No byte of the request was sent. No phone rang.
    NotSent {
        /// What failed, in words.
        why: String,
    },
    /// The request was sent but got no clear response: the call may exist.
    Uncertain {
        /// The observation, in words.
        why: String,
    },
}

/// A definite refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Retrying will not help.
    Permanent {
        /// The HTTP status.
        status: u16,
        /// The provider's own message with keys and numbers masked; empty if it sent none.
        message: String,
    },
    /// The number is on the provider's own do-not-call list.
    DoNotCall,
    /// The key is wrong (401) or may not place calls (403).
    Key {
        /// The HTTP status.
        status: u16,
        /// The provider's own message with keys and numbers masked; empty if it sent none.
        message: String,
    },
    /// The provider requires payment first.
    Payment {
        /// The provider's own message with keys and numbers masked; empty if it sent none.
        message: String,
    },
    /// Rate limited, or no free line: retry after the number of seconds that the provider gave, if any.
    Throttled {
        /// `RateLimit-Reset` or `Retry-After`, in seconds.
        after_secs: Option<u64>,
    },
}
