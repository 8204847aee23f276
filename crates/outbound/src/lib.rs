//! Outbound HTTP: the only crate that builds clients.
//!
//! Invariants (failure-model §6): nothing here retries, follows redirects or reads proxy variables. TLS trusts the
//! roots bundled with the binary, or only those that the caller passes.

mod client;
mod placing;
mod transport;

pub use client::{Limits, Roots, USER_AGENT_NAME, client};
pub use placing::Placing;
pub use transport::{
    Answer, Clients, PLACE_DEADLINE, ReadyCheck, Request, SendFuture, SharedTransport, Transport,
    TransportError,
};
