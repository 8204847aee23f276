//! Who makes a change that the audit log records.

use std::net::IpAddr;

/// Who acts, and how the act came in.
#[derive(Debug, Clone)]
pub struct Actor {
    /// A key's or a member's id, `program`, or `command`.
    pub name: String,
    /// The request it came with.
    pub request: Option<String>,
    /// Where that came from.
    pub address: Option<IpAddr>,
}

impl Actor {
    /// What the program does by itself.
    pub fn program() -> Self {
        Self { name: "program".to_owned(), request: None, address: None }
    }

    /// What somebody does at the machine's own command line.
    pub fn command() -> Self {
        Self { name: "command".to_owned(), request: None, address: None }
    }
}
