//! Why a read from a provider failed, with messages for people.

use redialer_core::permission::Permission;

/// Why a read failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.description())]
pub struct ReadError {
    /// The provider's display name.
    pub provider: &'static str,
    /// What went wrong.
    pub failure: ReadFailure,
}

/// The kind of failure. Each `message` is the provider's own error message, with keys and numbers masked; empty if it
/// sent none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFailure {
    /// 401: the key is wrong or was revoked. Nothing works until it is replaced.
    KeyRefused {
        /// The provider's message.
        message: String,
        /// The permissions that a key must have, as the provider's dashboard calls them.
        needed: &'static [Permission],
    },
    /// 403: the key is valid but lacks a permission. The caller continues without the data.
    Forbidden {
        /// The permission.
        what: Permission,
        /// The provider's message.
        message: String,
    },
    /// 402: the account must pay first.
    Payment {
        /// The provider's message.
        message: String,
    },
    /// 404 or 422.
    Unknown(u16),
    /// 429.
    Throttled {
        /// Seconds to wait, if the provider gave them.
        after_secs: Option<u64>,
    },
    /// Anything else: try later.
    Unavailable(String),
}

impl ReadError {
    /// Whether no read can succeed until the account's owner acts.
    pub const fn is_of_account(&self) -> bool {
        matches!(self.failure, ReadFailure::KeyRefused { .. } | ReadFailure::Payment { .. })
    }

    fn description(&self) -> String {
        let provider = self.provider;
        match &self.failure {
            ReadFailure::KeyRefused { message, needed } => {
                let needed: Vec<_> = needed.iter().map(|permission| format!("\"{permission}\"")).collect();
                format!(
                    "{provider} refused the API key (HTTP 401){}. Set a key that has the permissions {}.",
                    quoted(message),
                    needed.join(" and ")
                )
            }
            ReadFailure::Forbidden { what, message } => {
                format!(
                    "The {provider} API key lacks the permission \"{what}\" (HTTP 403){}.",
                    quoted(message)
                )
            }
            ReadFailure::Payment { message } => {
                format!("{provider} requires payment (HTTP 402){}.", quoted(message))
            }
            ReadFailure::Unknown(status) => {
                format!("{provider} does not know the requested resource (HTTP {status}).")
            }
            ReadFailure::Throttled { .. } => format!("{provider} asked us to slow down (HTTP 429)."),
            ReadFailure::Unavailable(why) => format!("{provider} could not be reached: {why}."),
        }
    }
}

/// The provider's message, as the end of one of our error messages.
fn quoted(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!("; it said: {}", message.trim_end_matches('.')) }
}
