//! The program as users run it: the real binary over HTTP, beside a Retell simulator.
//!
//! The walk always runs on SQLite, and on Postgres when `REDIALER_TEST_POSTGRES` names a server.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod access;
mod api;
mod canary;
mod caps;
mod client;
mod clock;
mod commands;
mod connections;
mod crash;
mod doctor;
mod example;
mod feed;
mod forgotten;
mod harness;
mod idempotency;
mod imports;
mod key_service;
mod kills;
mod lost;
mod members;
mod openapi;
mod points;
mod prose;
mod proxies;
mod refusals;
mod requests;
mod restore;
mod rosters;
mod rotation;
mod sdk;
mod settings;
mod simulation;
mod strain;
mod test_keys;
mod tidy;
mod unheard;
mod upgrade;
mod walk;
mod webhooks;
