//! From a due callback to the provider's response: claims, intents, results, and dispatches with an unknown result.

pub(crate) mod chains;
pub(crate) mod claims;
pub(crate) mod fuse;
pub(crate) mod intents;
pub(crate) mod prepared;
pub(crate) mod quota;
pub(crate) mod unconfirmed;
pub(crate) mod writer;
