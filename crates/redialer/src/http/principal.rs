//! The authenticated caller of a request.
//!
//! Invariant: a handler that takes a [`Caller`] cannot be reached without a key. The caller's store sees only the key's
//! tenant, or its one workspace, and writes to the tenant's audit log in the key's name.

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

/// The authenticated principal, and the rows that it may see.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The rows that the principal may see.
    pub(crate) store: TenantStore,
    /// The tenant.
    pub(crate) tenant: TenantRow,
    /// The authenticated principal.
    pub(crate) principal: Principal,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Response> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| refused("Send an API key."))
    }
}

impl Caller {
    /// The caller as the principal of an action.
    pub(crate) const fn acting<'a>(&'a self, app: &'a App) -> Acting<'a> {
        Acting { app, principal: &self.principal, tenant: &self.tenant, store: &self.store }
    }

    /// Whether personal data is shown in clear: the key may see it, and the disclosure could be recorded.
    pub(crate) async fn may_show(&self, app: &App, what: &str, targets: &[String]) -> bool {
        if !self.principal.sees_personal_data() {
            return false;
        }
        match self.reveals(app, what, targets).await {
            Ok(()) => true,
            // On a full disk the data is still shown, but masked.
            Err(error) => {
                tracing::warn!(
                    ?error,
                    "the event pii.reveal could not be written to the audit log, so the numbers are masked"
                );
                false
            }
        }
    }

    /// Records in the audit log that personal data is about to be shown.
    pub(crate) async fn reveals(&self, app: &App, what: &str, targets: &[String]) -> Result<(), ApiError> {
        let Some(first) = targets.first() else { return Ok(()) };
        let act = AuditEvent::new("pii.reveal", self.principal.workspace, first)
            .after(json!({"what": what, "of": targets}));
        Ok(self.store.record_audit_event(act, app.clock.now()).await?)
    }
}

pub(crate) fn refused(why: &str) -> Response {
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", why).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
