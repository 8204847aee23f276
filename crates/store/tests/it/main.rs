//! One suite for both engines: the guarantees of the store.
//!
//! SQLite always runs. Postgres runs when `REDIALER_TEST_POSTGRES` names a server (`cargo xtask test` starts one);
//! without it, the suite prints one line about that.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod audit;
mod backup;
mod callbacks;
mod decisions;
mod dispatch;
mod encryption;
mod engines;
mod inbox;
mod key_rotation;
mod outbox;
mod query_plans;
mod quota;
mod row_level_security;
mod silent_postgres;
mod tenant_isolation;
mod upgrade;
mod world;
mod write_ahead_log;
