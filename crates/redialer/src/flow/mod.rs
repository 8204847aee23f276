//! The background work of the program; each module is a loop or a list of steps.
//!
//! [`ingest`] parses and processes recorded events. [`dial`] dials due callbacks from the queue that [`due`] fills.
//! [`reconcile`] looks up placed calls without an outcome, and unconfirmed dispatches, at the provider. [`backfill`]
//! imports missed webhooks from the provider's call list. [`sync`] reads agents and numbers from the provider.
//! [`maintenance`] renews leases, recovers lapsed claims and probes paused workspaces.
//! Absent on purpose: rules (in `core`), SQL (in `store`), user actions (in [`crate::actions`]).

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
