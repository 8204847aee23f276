//! How each voice-AI provider speaks: its signatures, its payloads, its API.
//!
//! [`Provider`] is what can be asked of each, in the nouns of `core`; [`Providers`] chooses among them. Absent on purpose:
//! any decision, any storage, any retry of a request that places a call.

mod auth;
mod json;
mod provider;
mod read_error;
mod registry;
pub mod retell;
pub mod status;

/// How requests leave; a test brings a wire of its own.
pub use redialer_outbound as http;

pub use auth::{WebhookAuth, WebhookKey};
pub use provider::{
    Asked, BadSignature, CallQuery, Capabilities, CheckedAt, Content, DispatchQuery, Event, NotJson, Page,
    Placement, Provider, Reading, Record, Rejected, RosterAgent, Webhook, only_header, receive,
};
pub use read_error::{ReadError, ReadFailure};
pub use registry::{GUIDES, NAMES, Providers, UnknownProvider};
