//! One verified webhook, on its way into the inbox.

use std::{borrow::Cow, fmt};

use crate::call::CallPhase;

/// A webhook whose signature held over exactly these bytes (I8).
///
/// Made only by `providers` (a tidy test sees to it): whoever holds one need not check again.
pub struct InboundEvent<'b> {
    /// The provider's name for the event, as `call_ended`.
    pub event: String,
    /// The provider's id of the call or chat, where the event has one.
    pub call_id: Option<String>,
    /// What it has in common with its copies.
    pub sameness: DedupKey,
    /// What was received, byte for byte.
    pub body: Cow<'b, [u8]>,
    /// The signature header it came with; empty when we fetched the record ourselves.
    pub signature: String,
}

/// What two copies of one event have in common, and two different events never.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DedupKey {
    /// It tells of a moment that its call has once: that moment's bit. Records that we fetched have bits of their
    /// own, so that the webhook itself is still taken.
    Phase(u8),
    /// It is known by its content: the event's name and a digest.
    Content(String),
}

impl DedupKey {
    /// Of an event that tells of that moment of a call; `None` for moments that a call has more than once.
    pub const fn of_phase(moment: CallPhase, fetched: bool) -> Option<Self> {
        let bit = match moment {
            CallPhase::Started => 1,
            CallPhase::Ended => 2,
            CallPhase::Analyzed => 4,
            CallPhase::Other => return None,
        };
        Some(Self::Phase(if fetched { bit << 3 } else { bit }))
    }
}

impl fmt::Debug for InboundEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("event", &self.event)
            .field("call_id", &self.call_id)
            .finish_non_exhaustive()
    }
}
