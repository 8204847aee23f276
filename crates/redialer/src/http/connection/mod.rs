//! What holds for a connection before its requests are read: how many there may be, deadlines, and one framing.

pub(crate) mod framing;
pub(crate) mod limits;
pub(crate) mod socket;
