//! Accuracy on the project's own corpus, and properties that hold for any text.
//!
//! `corpus/*.txt` contains calls and expressions written for this project, with the times that a human listener would
//! understand. The share of right answers must not fall; if it does, the test lists the wrong ones.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod corpus;
mod properties;
