//! User actions, called by REST and the command line. One file per noun.
//!
//! Invariants: an action takes a principal and a store that sees only that principal's rows, so no tenant or workspace
//! check can be forgotten. The store writes every change to the audit log, in the same transaction. Absent on purpose:
//! parsing input and rendering results, which the callers do.

pub mod agents;
pub mod api_keys;
pub mod callbacks;
pub mod members;
pub mod suppressions;
pub mod tenants;
pub mod workspaces;

use redialer_core::access::Principal;
use redialer_store::{StoreError, TenantRow, TenantStore};

use crate::app::App;

/// A principal and what it acts on.
#[derive(Clone, Copy)]
pub struct Acting<'a> {
    /// The application.
    pub app: &'a App,
    /// The authenticated principal.
    pub principal: &'a Principal,
    /// The tenant.
    pub tenant: &'a TenantRow,
    /// The rows that the principal may see.
    pub store: &'a TenantStore,
}

/// Why an action was refused; `code` is stable, `why` is for people.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A field with an invalid value.
    #[error("{field}: {why}")]
    Unprocessable {
        /// The code.
        code: &'static str,
        /// The path of the field.
        field: String,
        /// The reason, with the valid values.
        why: String,
    },
    /// The principal lacks permission, or the plan does not allow it.
    #[error("{why}")]
    Forbidden {
        /// The code.
        code: &'static str,
        /// The reason.
        why: String,
    },
    /// The current state of the resource does not allow it.
    #[error("{why}")]
    Conflict {
        /// The code.
        code: &'static str,
        /// The reason.
        why: String,
    },
    /// The provider failed or returned an unexpected response; a retry may help.
    #[error("{why}")]
    Provider {
        /// The code.
        code: &'static str,
        /// The reason.
        why: String,
    },
    /// A temporary failure of this server.
    #[error("the server is temporarily unavailable; try again")]
    Unavailable,
    /// The store rejected the action or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    pub(crate) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unprocessable { code: "invalid", field: field.into(), why: why.into() }
    }

    /// A field that is documented but not implemented yet.
    pub(crate) fn not_yet(field: impl Into<String>) -> Self {
        let field = field.into();
        let why = format!("`{field}` is not available yet in this version.");
        Self::Unprocessable { code: "not_available_yet", field, why }
    }

    pub(crate) fn conflict(code: &'static str, why: impl Into<String>) -> Self {
        Self::Conflict { code, why: why.into() }
    }

    pub(crate) fn forbidden(code: &'static str, why: impl Into<String>) -> Self {
        Self::Forbidden { code, why: why.into() }
    }
}

impl Acting<'_> {
    /// Fails unless the principal is tenant-wide; `what` names the action in the error.
    pub(crate) fn as_whole_tenant(&self, what: &str) -> Result<(), Refusal> {
        match self.principal.workspace {
            None => Ok(()),
            Some(_) => Err(Refusal::forbidden("admin_key_needed", format!("Only an admin key may {what}."))),
        }
    }
}

/// The maximum number of retries of a settings merge after concurrent changes.
pub(crate) const MERGES: usize = 8;
