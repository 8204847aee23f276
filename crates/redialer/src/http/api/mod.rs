//! REST v1: take, check, store, show. One file a noun; shapes of the wire live beside their handlers.

pub(super) mod activity;
pub(super) mod agents;
pub(super) mod callbacks;
pub(super) mod page;
pub(super) mod wire;
pub(super) mod workspaces;
