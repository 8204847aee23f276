//! A callback's personal data: sealed under the tenant's key, as one value.

use std::collections::BTreeMap;

use redialer_core::{Id, agent::Version, id, rng::Rng};
use serde::{Deserialize, Serialize};

use crate::{StoreError, TenantKey};

/// A callback's personal data, sealed as one value.
#[derive(Clone, Serialize, Deserialize, Default)]
pub struct Secrets {
    /// The number to dial, E.164.
    pub to: String,
    /// The number to dial from, E.164.
    pub from: Option<String>,
    /// The original call's dynamic variables.
    pub variables: BTreeMap<String, String>,
    /// The original call's metadata, a JSON object as text.
    pub metadata: Option<String>,
    /// The agent's version: `tag:…`, `number:…`, or absent for the published one.
    pub version: Option<String>,
    /// The words from which the time was derived.
    pub evidence: Option<String>,
    /// The rule that derived it.
    pub rule: Option<String>,
    /// The confidence in it, 0 to 1.
    pub confidence: Option<f64>,
    /// The earliest and the latest time that would also satisfy the request, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(i64, i64)>,
    /// The doubts about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
    /// The external id that the API client assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

pub(crate) const SEALED: &str = "callbacks.sealed";

impl Secrets {
    /// Seals it for that callback.
    pub fn seal(&self, id: Id<id::Callback>, key: &TenantKey, rng: &Rng) -> Vec<u8> {
        let plain = serde_json::to_vec(self).unwrap_or_default();
        key.seal(SEALED, id.uuid(), &plain, rng)
    }

    pub(crate) fn open(id: Id<id::Callback>, sealed: &[u8], key: &TenantKey) -> Result<Self, StoreError> {
        serde_json::from_slice(&key.open(SEALED, id.uuid(), sealed)?)
            .map_err(|_| StoreError::Corrupt("callback"))
    }

    /// The version as text.
    pub fn version_text(version: &Version) -> Option<String> {
        match version {
            Version::Tag(tag) => Some(format!("tag:{tag}")),
            Version::Number(n) => Some(format!("number:{n}")),
            Version::LatestPublished => None,
        }
    }

    /// The agent's version.
    pub fn version(&self) -> Version {
        match self.version.as_deref().and_then(|v| v.split_once(':')) {
            Some(("tag", tag)) => Version::Tag(tag.to_owned()),
            Some(("number", n)) => n.parse().map_or(Version::LatestPublished, Version::Number),
            _ => Version::LatestPublished,
        }
    }
}
