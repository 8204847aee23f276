//! The HTTP server: no decisions, no SQL.
//!
//! [`server`] accepts connections. [`mod@router`] lists all routes, `routes` those of the REST API with their scopes.
//! `middleware` runs before the REST handlers in `api`. `webhooks` receives the providers' webhooks.

mod api;
mod body;
mod connection;
mod docs;
mod error;
mod health;
mod middleware;
mod openapi;
mod peer;
mod principal;
pub(crate) mod router;
mod routes;
pub(crate) mod server;
mod webhooks;

pub use docs::examples::{Example, examples};
pub use health::Metrics;
pub use openapi::document;
pub use router::router;
pub use routes::{Route, TABLE};
pub use server::{Listeners, serve};
