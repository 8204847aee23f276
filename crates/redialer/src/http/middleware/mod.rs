//! Runs before every handler of `/v1`: the key and its scope, then the parameters, the body, a slot, and idempotency.

pub(crate) mod authorize;
pub(crate) mod idempotency;
pub(crate) mod requests;
pub(crate) mod strict;
