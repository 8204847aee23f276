//! Tests of the protocol of claims, intents and webhooks as a whole, which no single function of `core` guarantees.
//!
//! [`model`] explores every interleaving in a small world; [`dispatch_statements`] compares the SQL that changes states with the
//! tables of allowed transitions.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod decide;
mod dispatch_statements;
mod explore;
mod laws;
mod model;
mod state_diagram;
mod step_effects;
mod steps;
mod turn;
mod world;
