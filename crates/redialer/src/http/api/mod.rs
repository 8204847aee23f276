//! REST v1: take, check, store, show. One file a noun; shapes of the wire live beside their handlers.

pub(super) mod activity;
pub(super) mod agents;
pub(super) mod api_keys;
pub(super) mod attention;
pub(super) mod audit;
pub(super) mod callback_filters;
pub(super) mod callbacks;
pub(super) mod etag;
pub(super) mod explain;
pub(super) mod members;
pub(super) mod page;
pub(super) mod payload;
pub(super) mod suppressions;
pub(super) mod usage;
pub(super) mod wire;
pub(super) mod workspaces;
