//! Voice-AI providers: their signatures, their payloads, their APIs.
//!
//! [`Provider`] is the common interface, in the nouns of `core`; [`Providers`] selects one. Absent on purpose: any
//! decision, any storage, any retry of a request that places a call.

mod auth;
mod json;
mod provider;
mod read_error;
mod registry;
pub mod retell;
pub mod status;

/// Outbound HTTP; a test supplies its own `Transport`.
pub use redialer_outbound as http;

pub use auth::{WebhookAuth, WebhookKey};
pub use provider::{
    BadSignature, CallQuery, Capabilities, CheckedAt, Content, DispatchQuery, Event, NotJson, Page,
    Placement, Provider, ProviderFuture, ReadFuture, Record, Rejected, RosterAgent, Webhook, only_header,
    receive,
};
pub use read_error::{ReadError, ReadFailure};
pub use registry::{GUIDES, NAMES, Providers, UnknownProvider};
