//! Permissions of a provider's API key.
//!
//! A restricted key lacks some of them. Placing calls needs [`Permission::Calls`], the roster [`Permission::Agents`];
//! features that need another permission are disabled without it.

use std::{fmt, str::FromStr};

/// A permission of a provider's API key, named as in the provider's dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// Read agents: the roster and their time zones.
    Agents,
    /// Place calls and open chats.
    Calls,
    /// Read calls and chats, to find missed webhooks and dispatches whose response was lost.
    History,
    /// Read the account's own numbers.
    Numbers,
    /// Read how many concurrent calls the account allows. Which dashboard permission covers it is not documented.
    Concurrency,
    /// Read which account the key belongs to. Which dashboard permission covers it is not documented.
    KeyInfo,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 6] =
        [Self::Agents, Self::Calls, Self::History, Self::Numbers, Self::Concurrency, Self::KeyInfo];

    /// The permission's name in the provider's dashboard, or the request that needs it if the dashboard has no name for
    /// it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agents => "Agent: Read",
            Self::Calls => "Call: Edit",
            Self::History => "History: Read",
            Self::Numbers => "Phone: Read",
            Self::Concurrency => "get-concurrency",
            Self::KeyInfo => "get-api-key-info",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text that names no permission.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the permission is not known; the valid permissions are \"Agent: Read\", \"Call: Edit\", \"History: Read\", \"Phone: Read\", \"get-concurrency\" and \"get-api-key-info\""
)]
pub struct UnknownPermission;

impl FromStr for Permission {
    type Err = UnknownPermission;

    fn from_str(text: &str) -> Result<Self, UnknownPermission> {
        Self::ALL.into_iter().find(|p| p.as_str() == text).ok_or(UnknownPermission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_permission_and_the_error_lists_them_all() {
        for permission in Permission::ALL {
            assert_eq!(permission.as_str().parse(), Ok(permission));
            assert!(UnknownPermission.to_string().contains(&format!("\"{permission}\"")), "{permission}");
        }
        assert_eq!("agent: read".parse::<Permission>(), Err(UnknownPermission));
    }
}
