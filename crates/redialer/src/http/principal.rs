//! Who asks, once that is settled.
//!
//! Invariant: a handler that takes a [`Caller`] cannot be reached without a key, and the store it holds sees the key's
//! tenant alone, or its one workspace alone, and writes into the tenant's audit log in the key's name.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use redialer_core::access::Principal;
use redialer_store::{AuditEvent, TenantRow, TenantStore};
use serde_json::json;

use crate::{actions::Acting, app::App, http::error::ApiError};

/// Who asks, and what they may see.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The rows that it may see.
    pub(crate) store: TenantStore,
    /// The tenant.
    pub(crate) tenant: TenantRow,
    /// Who it is.
    pub(crate) principal: Principal,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Response> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| refused("Send your API key."))
    }
}

impl Caller {
    /// The caller as whoever acts.
    pub(crate) const fn acting<'a>(&'a self, app: &'a App) -> Acting<'a> {
        Acting { app, principal: &self.principal, tenant: &self.tenant, store: &self.store }
    }

    /// Whether something personal is shown in clear: if the key may see it, and that it does could be written down.
    pub(crate) async fn may_show(&self, app: &App, what: &str, targets: &[String]) -> bool {
        if !self.principal.sees_personal_data() {
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
    pub(crate) async fn reveals(&self, app: &App, what: &str, targets: &[String]) -> Result<(), ApiError> {
        let Some(first) = targets.first() else { return Ok(()) };
        let act = AuditEvent::new("pii.reveal", self.principal.workspace, first)
            .after(json!({"what": what, "of": targets}));
        Ok(self.store.note(act, app.clock.now()).await?)
    }
}

pub(crate) fn refused(why: &str) -> Response {
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", why).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
