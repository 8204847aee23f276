//! User actions, called by REST and the command line. One file per noun.
//!
//! Invariants: an action takes who acts and a store that sees that principal's rows alone, so no check of a tenant or a
//! workspace can be forgotten; whatever it changes is written into the audit log by the store, in the same transaction.
//! Absent on purpose: parsing input and rendering results, which the callers do.

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

/// Somebody who acts, and what they act on.
#[derive(Clone, Copy)]
pub struct Acting<'a> {
    /// The program.
    pub app: &'a App,
    /// Who acts.
    pub principal: &'a Principal,
    /// The tenant.
    pub tenant: &'a TenantRow,
    /// The rows that the principal may see.
    pub store: &'a TenantStore,
}

/// Why an action was refused; `code` is stable, `why` is for people.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A field that cannot be.
    #[error("{field}: {why}")]
    Unprocessable {
        /// The code.
        code: &'static str,
        /// Its path.
        field: String,
        /// The reason, with the valid values.
        why: String,
    },
    /// The principal, or the plan, may not.
    #[error("{why}")]
    Forbidden {
        /// The code.
        code: &'static str,
        /// Why not.
        why: String,
    },
    /// The state of things does not allow it.
    #[error("{why}")]
    Conflict {
        /// The code.
        code: &'static str,
        /// Why not.
        why: String,
    },
    /// The provider did not answer as it should; trying again may help.
    #[error("{why}")]
    Provider {
        /// The code.
        code: &'static str,
        /// What it did.
        why: String,
    },
    /// The machine could not do it now.
    #[error("try again in a moment")]
    Unavailable,
    /// The store refused it, or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Refusal {
    pub(crate) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Unprocessable { code: "invalid", field: field.into(), why: why.into() }
    }

    /// A field that is described and does nothing yet.
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
    /// What only a principal of the whole tenant may do.
    pub(crate) fn as_whole_tenant(&self, what: &str) -> Result<(), Refusal> {
        match self.principal.workspace {
            None => Ok(()),
            Some(_) => Err(Refusal::forbidden("admin_key_needed", format!("Only an admin key may {what}."))),
        }
    }
}

/// The most retries of a settings merge after concurrent changes.
pub(crate) const MERGES: usize = 8;
