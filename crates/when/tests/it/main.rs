//! The ear, measured on the project's own corpus, and what must hold of any text.
//!
//! `corpus/*.txt` holds calls and expressions that were written for this project, with what a listener would have
//! understood. The share that is heard right must not fall; what is missed is listed when it does.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod corpus;
mod properties;
