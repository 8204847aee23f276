//! The audit log, the activity feed, idempotency keys, and the outbox of callback events.

pub(crate) mod activity;
pub(crate) mod actor;
pub(crate) mod audit;
pub(crate) mod idempotency;
pub(crate) mod notices;
pub(crate) mod outbox;
