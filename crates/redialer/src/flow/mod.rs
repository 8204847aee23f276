//! What the program does by itself, each a loop or a list of steps.
//!
//! [`ingest`]: recorded events are decided. [`dial`]: due callbacks are dialed from the queue that [`due`] keeps filled.
//! [`reconcile`]: the provider is asked about silent and unknown calls. [`backfill`]: missed webhooks are read from the
//! provider's call list. [`sync`]: agents and numbers are read from the provider. [`maintenance`]: leases, lapsed claims, pauses.
//! Absent on purpose: rules (they are in `core`), SQL (in `store`), what people do (in [`crate::actions`]).

pub mod account;
pub mod backfill;
pub mod census;
pub mod dial;
pub mod due;
pub mod ingest;
pub mod job;
pub mod maintenance;
pub mod reconcile;
pub mod rejected_webhooks;
pub mod sync;
