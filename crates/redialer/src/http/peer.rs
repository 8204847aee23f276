//! The client of a request.

use std::net::IpAddr;

/// The address of the client that sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);
