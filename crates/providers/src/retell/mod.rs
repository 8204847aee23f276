//! Retell AI.
//!
//! [`webhook`] parses events with `facts`, [`conversation`] and `extractions`; [`signature`] verifies them. [`order`]
//! builds the request that places a call. [`api`] reads and places; `find` and `pages` read its lists. [`reasons`]
//! classifies disconnection reasons. `provider` combines them.
//! Facts and their sources: `docs/providers/retell.md`.

pub mod api;
pub mod conversation;
mod error_message;
mod extractions;
mod facts;
mod find;
pub mod order;
mod pages;
mod provider;
pub mod reasons;
pub mod signature;
pub mod webhook;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-retell-signature";
/// Retell's public API.
pub const PUBLIC_BASE_URL: &str = "https://api.retellai.com";
/// Its name in paths, in the API and in the store.
pub const NAME: &str = "retell";
/// Its display name.
pub const TITLE: &str = "Retell";
