//! What should happen: the nouns of redialer and every rule about whether and when to call.
//!
//! Invariant: nothing here reads a clock, draws a random number, or does IO. Time and chance are arguments,
//! so the same question always gets the same answer.
//! Absent on purpose: serialization, but of the settings document and of stored gates, whose text the rules define. Wire
//! and row shapes live at their own wall and are converted.

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

/// The name of no value of its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no value has this name")]
pub struct UnknownName;
