//! Inbound events: recorded before they are answered, and decided.

pub(crate) mod decisions;
pub(crate) mod events;
pub(crate) mod payloads;
pub(crate) mod redials;
pub(crate) mod snapshot;
