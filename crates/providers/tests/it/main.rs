//! Recorded data of providers: payloads, signatures, requests, answers.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod conformance;
#[path = "../example/provider.rs"]
mod example;
mod payloads;
mod sockets;
