//! The pretend Retell, as redialer's own client sees it.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod keys;
mod world;
