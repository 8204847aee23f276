//! One suite for both engines: the guarantees of the store.
//!
//! SQLite always runs. Postgres runs when `REDIALER_TEST_POSTGRES` names a server (`cargo xtask test` starts one);
//! without it, the suite prints one line about that.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod backup;
mod book;
mod callbacks;
mod decisions;
mod dispatch;
mod engines;
mod inbox;
mod log;
mod outbox;
mod plans;
mod quota;
mod rotation;
mod rows;
mod scope;
mod sealing;
mod silence;
mod upgrade;
mod world;
