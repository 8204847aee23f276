//! One verified webhook, on its way into the inbox.

use std::fmt;

/// A webhook whose signature held over exactly these bytes (I8).
///
/// Made only by `providers` (a tidy test sees to it): whoever holds one need not check again.
pub struct Delivery {
    /// The provider's name for the event, as `call_ended`.
    pub event: String,
    /// The provider's id of the call or chat, where the event has one.
    pub call_id: Option<String>,
    /// Two copies of one event have the same key; two different events never do.
    pub dedup_key: String,
    /// What was received, byte for byte.
    pub body: Vec<u8>,
    /// The signature header it came with; empty when we fetched the record ourselves.
    pub signature: String,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("event", &self.event)
            .field("call_id", &self.call_id)
            .finish_non_exhaustive()
    }
}
