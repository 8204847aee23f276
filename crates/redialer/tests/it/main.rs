//! The program as users run it: the real binary over HTTP, beside a Retell simulator.
//!
//! `promises` has one test for each promise of `README.md`. Tests that depend on the database run on SQLite, and on Postgres
//! too when `REDIALER_TEST_POSTGRES` names a server.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod activity;
mod agent_sync;
mod api;
mod api_examples;
mod authorization;
mod callback_requests;
mod callbacks;
mod clock;
mod commands;
mod configuration;
mod connections;
mod crypto_shredding;
mod custom_provider;
mod doctor;
mod explanations;
mod failpoints;
mod generated_client;
mod harness;
mod idempotency;
mod imports;
mod invalid_requests;
mod key_rotation;
mod key_service;
mod load_shedding;
mod lost_responses;
mod members;
mod missed_webhooks;
mod openapi;
mod plan_limits;
mod promises;
mod prose;
mod random_kills;
mod restarts;
mod restore;
mod retell_sdk;
mod secret_leaks;
mod simulation;
mod test_keys;
mod tidy;
mod trusted_proxies;
mod upgrade;
mod webhooks;
