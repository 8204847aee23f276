//! REST v1: parse, check, store, render. One file per noun; request and response types live beside their handlers.

pub(crate) mod activity;
pub(crate) mod agents;
pub(crate) mod api_keys;
pub(crate) mod attention;
pub(crate) mod audit;
pub(crate) mod callback_filters;
pub(crate) mod callbacks;
pub(crate) mod etag;
pub(crate) mod explain;
pub(crate) mod members;
pub(crate) mod page;
pub(crate) mod payload;
pub(crate) mod suppressions;
pub(crate) mod usage;
pub(crate) mod wire;
pub(crate) mod workspaces;
