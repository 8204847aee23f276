//! The audit log, the activity feed, idempotency keys, and the outbox of callback events.

pub(crate) mod activity;
pub(crate) mod audit;
pub(crate) mod idempotency;
pub(crate) mod outbox;
