//! The actor of a change that the audit log records.

use std::net::IpAddr;

/// Who made a change, and by which request.
#[derive(Debug, Clone)]
pub struct Actor {
    /// A key's or a member's id, `program`, or `command`.
    pub name: String,
    /// The id of the request.
    pub request: Option<String>,
    /// The client address of the request.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// The program itself.
    pub fn program() -> Self {
        Self { name: "program".to_owned(), request: None, address: None }
    }

    /// An operator at the command line.
    pub fn command() -> Self {
        Self { name: "command".to_owned(), request: None, address: None }
    }
}
