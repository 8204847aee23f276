//! Tests of the protocol of claims, intents and webhooks as a whole, which no single function of `core` guarantees.
//!
//! [`model`] explores every interleaving in a small world; [`statements`] compares the SQL that changes states with the
//! tables of allowed transitions.

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
