//! The guides and the API reference as pages.

pub(crate) mod examples;
pub(crate) mod guides;
pub(crate) mod reference;
