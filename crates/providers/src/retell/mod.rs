//! Retell AI.
//!
//! [`webhook`]: verifies what it sends, and reads it: `facts`, [`conversation`], `extractions`. [`order`]: the request
//! that places a call. [`api`]: reads and places; `find` and `pages` read its lists. [`reasons`]: what its reasons mean.
//! Facts and their sources: `docs/providers/retell.md`.

pub mod api;
pub mod conversation;
mod extractions;
mod facts;
mod find;
pub mod order;
mod pages;
pub mod reasons;
mod said;
pub mod signature;
pub mod webhook;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-retell-signature";
/// Retell's public API.
pub const PUBLIC_BASE_URL: &str = "https://api.retellai.com";
