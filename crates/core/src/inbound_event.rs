//! One verified webhook, not yet stored.

use std::{borrow::Cow, fmt};

use crate::call::CallPhase;

/// A webhook whose signature was verified over exactly these bytes (I8).
///
/// Constructed only in `providers` (enforced by a tidy test), so other code does not verify it again.
pub struct InboundEvent<'b> {
    /// The provider's name for the event, such as `call_ended`.
    pub event: String,
    /// The provider's id of the call or chat, if the event has one.
    pub call_id: Option<String>,
    /// The deduplication key.
    pub dedup_key: DedupKey,
    /// The received body, byte for byte.
    pub body: Cow<'b, [u8]>,
    /// The signature header; empty for records that redialer fetched itself.
    pub signature: String,
}

/// The deduplication key of an event: equal for all copies, different for different events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DedupKey {
    /// The bit of a phase that occurs once per call. Imported records use separate bits, so that a webhook that arrives
    /// later is still recorded.
    Phase(u8),
    /// The event's name and a digest of its content.
    Content(String),
}

impl DedupKey {
    /// The key of an event for this phase; `None` for phases that can occur more than once in a call.
    pub const fn of_phase(phase: CallPhase, fetched: bool) -> Option<Self> {
        let bit = match phase {
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
        f.debug_struct("InboundEvent")
            .field("event", &self.event)
            .field("call_id", &self.call_id)
            .finish_non_exhaustive()
    }
}
