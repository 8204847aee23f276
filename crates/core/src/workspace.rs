//! One provider account: its provider, and why it may be paused.

use std::str::FromStr;

use crate::UnknownName;

use std::fmt;

/// A provider's name in paths, in the API and in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderName(String);

impl ProviderName {
    /// A name. The provider registry decides whether such a provider exists.
    pub fn new(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a workspace does not dial until something external changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The provider refused the API key.
    Key,
    /// The provider requires payment first.
    Payment,
}

impl Pause {
    /// Every reason.
    pub const ALL: [Self; 2] = [Self::Key, Self::Payment];

    /// The value of `paused.reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key_refused",
            Self::Payment => "payment_required",
        }
    }

    /// The reason in words, with the remedy.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Key => "the provider refused the API key. Set a key that the provider accepts.",
            Self::Payment => {
                "the provider requires payment. Dialing resumes by itself after the account is paid."
            }
        }
    }
}

impl FromStr for Pause {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|p| p.as_str() == name).ok_or(UnknownName)
    }
}
