//! Who asks, once that is settled.
//!
//! Invariant: a handler that takes a [`Caller`] cannot be reached without a key, and the store it holds sees
//! one tenant only, in whose book it writes in the key's name.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use redialer_core::{
    Id, Timestamp,
    access::{Scope, Scopes},
    id,
};
use redialer_store::{Act, TenantRow, TenantStore};
use serde_json::json;

use super::error::ApiError;
use crate::app::App;

/// The tenant that asks.
#[derive(Clone)]
pub(super) struct Caller {
    /// What it may see.
    pub(super) store: TenantStore,
    /// Who it is.
    pub(super) tenant: TenantRow,
    /// Its key.
    pub(super) key: Id<id::Key>,
    /// What the key may do.
    pub(super) scopes: Scopes,
    /// Until when the key counts.
    pub(super) expires_at: Option<Timestamp>,
    /// The one workspace its key opens; `None` for an admin key.
    pub(super) workspace: Option<Id<id::Workspace>>,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Response> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| refused("Send your API key."))
    }
}

impl Caller {
    /// An id that this key may not see does not exist.
    pub(super) fn check(&self, workspace: Id<id::Workspace>) -> Result<(), ApiError> {
        match self.workspace {
            Some(own) if own != workspace => Err(ApiError::not_found()),
            _ => Ok(()),
        }
    }

    /// What only a key of the whole tenant may do.
    pub(super) fn admin(&self, what: &str) -> Result<(), ApiError> {
        match self.workspace {
            None => Ok(()),
            Some(_) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "admin_key_needed",
                format!("Only an admin key may {what}."),
            )),
        }
    }

    /// Whether it may see numbers in clear.
    pub(super) const fn sees_numbers(&self) -> bool {
        self.scopes.has(Scope::PiiRead)
    }

    /// Whether something personal is shown in clear: if the key may see it, and that it does could be written down.
    pub(super) async fn may_show(&self, app: &App, what: &str, targets: &[String]) -> bool {
        if !self.sees_numbers() {
            return false;
        }
        match self.reveals(app, what, targets).await {
            Ok(()) => true,
            // A full disk still shows what it may: masked.
            Err(error) => {
                tracing::warn!(?error, "numbers are masked: that they were shown could not be written down");
                false
            }
        }
    }

    /// Writes down that something personal is about to be shown.
    pub(super) async fn reveals(&self, app: &App, what: &str, targets: &[String]) -> Result<(), ApiError> {
        let Some(first) = targets.first() else { return Ok(()) };
        let act = Act {
            action: "pii.reveal",
            workspace: self.workspace,
            target: first,
            before: None,
            after: Some(json!({"what": what, "of": targets})),
        };
        Ok(self.store.note(act, app.clock.now()).await?)
    }
}

pub(super) fn refused(why: &str) -> Response {
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", why).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
