//! One provider account: its kind, and whether it may dial right now.

use std::str::FromStr;

use crate::UnknownName;

use std::fmt;

/// A provider's name in paths, in the API and in the store: whose API a workspace speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderName(String);

impl ProviderName {
    /// The name. Whether a provider has it, the registry of providers tells.
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a workspace does not dial until something outside changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The provider refused the API key.
    Key,
    /// The provider wants to be paid first.
    Payment,
}

impl Pause {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Key, Self::Payment];

    /// The word shown as `paused.reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key_refused",
            Self::Payment => "payment_required",
        }
    }

    /// The same for people, naming the remedy.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Key => "the provider refused the API key. Give the workspace a key that it accepts.",
            Self::Payment => "the provider wants to be paid first. It dials again by itself soon after that.",
        }
    }
}

impl FromStr for Pause {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|p| p.as_str() == name).ok_or(UnknownName)
    }
}
