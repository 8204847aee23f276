//! What no single function of `core` can promise: the protocol of claims, intents and webhooks as a whole.
//!
//! [`model`] explores every interleaving of a small world; [`statements`] compares the SQL that moves states with
//! the same tables.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod acts;
mod decide;
mod explore;
mod laws;
mod model;
mod statements;
mod states;
mod steps;
mod turn;
mod world;
