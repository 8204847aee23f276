//! How each voice-AI provider speaks: its signatures, its payloads, its API.
//!
//! Reading is pure; only `api` modules do IO. A provider's words stop here: what leaves is in the nouns of
//! `core`. Absent on purpose: any decision, any storage, any retry of a request that places a call.

pub mod http;
mod json;
mod placing;
pub mod retell;
