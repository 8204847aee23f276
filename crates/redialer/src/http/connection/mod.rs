//! Limits of a connection before its requests are parsed: number of connections, deadlines, and unambiguous framing.

pub(crate) mod framing;
pub(crate) mod limits;
pub(crate) mod socket;
