//! The simulated Retell, tested through redialer's own client.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod keys;
mod world;
