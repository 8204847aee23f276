//! The domain types of redialer and every rule about whether and when to call.
//!
//! Invariant: this crate does not read a clock, draw random numbers, or do IO. Time and randomness are arguments, so
//! equal inputs give equal results.
//! Deliberately absent: serialization, except for the settings document and stored gate records, whose format the rules
//! define. Wire and row shapes live at the edge that uses them and are converted there.

pub mod access;
pub mod agent;
pub mod call;
pub mod callback;
pub mod decide;
pub mod dispatch;
pub mod fuse;
pub mod id;
pub mod inbound_event;
pub mod order;
pub mod outcome;
pub mod permission;
pub mod phone;
pub mod policy;
pub mod quota;
pub mod rng;
pub mod rules;
mod secret;
pub mod settings;
pub mod tenant;
pub mod time;
pub mod timing;
pub mod windows;
pub mod workspace;

pub use id::Id;
pub use jiff::Timestamp;
pub use phone::Phone;
pub use secret::Secret;

/// Text that names no value of the requested type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name is not known")]
pub struct UnknownName;
