//! Stories: what the program does by itself, each a loop or a list of steps.
//!
//! [`ingest`]: the inbox is read and decided. [`dispatch`]: what is due is dialed, by the clock, from the queue that
//! [`due`] keeps filled. [`reconcile`]: silent and unknown calls are asked about. [`sweep`]: events that never came are
//! looked for. [`housekeeping`]: leases, lapsed claims, pauses. [`census`]: what waits is counted.
//! Absent on purpose: rules (they are in `core`), SQL (in `store`), what people do (in [`crate::actions`]).

pub mod account;
pub mod census;
pub mod dispatch;
pub mod due;
pub mod housekeeping;
pub mod ingest;
pub mod job;
pub mod outages;
pub mod pacing;
pub mod permits;
pub mod reconcile;
pub mod refusals;
pub mod roster;
pub mod sweep;
