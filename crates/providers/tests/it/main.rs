//! What providers say, as recorded: payloads, signatures, requests, answers.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod answers;
mod payloads;
mod sockets;
