//! Backups and restores, leases of replicas, the stored clock, backfill, and counts for metrics.

pub(crate) mod backfill;
pub(crate) mod backup;
pub(crate) mod census;
pub(crate) mod clock;
pub(crate) mod inspection;
pub(crate) mod leases;
pub(crate) mod restore;
pub(crate) mod table_copy;
