//! The units of the goals, one file each.

pub(crate) mod backlog;
pub(crate) mod burst;
pub(crate) mod disk;
pub(crate) mod dispatch;
pub(crate) mod footprint;
pub(crate) mod ingest;
pub(crate) mod keys;
pub(crate) mod neighbor;
pub(crate) mod neighbors;
pub(crate) mod pollers;
pub(crate) mod soak;
pub(crate) mod when;
