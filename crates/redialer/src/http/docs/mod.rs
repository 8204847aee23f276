//! The guides and the API reference as pages.

pub(crate) mod examples;
pub(crate) mod guides;
pub(crate) mod markdown;
pub(crate) mod reference;
