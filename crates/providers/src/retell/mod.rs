//! Retell AI.
//!
//! [`webhook`]: verify and read what it sends. [`order`]: the request that places a call. [`api`]: asking and
//! placing. [`reasons`]: what its reasons mean. Facts and their sources: `docs/providers/retell.md`.

pub mod api;
pub mod order;
pub mod reasons;
pub mod signature;
pub mod webhook;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-retell-signature";
/// Retell's public API.
pub const PUBLIC_BASE_URL: &str = "https://api.retellai.com";
