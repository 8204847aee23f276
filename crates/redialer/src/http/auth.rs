//! Who asks: `Authorization: Bearer rdl_live_…`.
//!
//! Invariant: a handler that takes a [`Caller`] cannot be reached without a key, and the store it holds sees
//! one tenant only.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use redialer_core::{Id, id};
use redialer_store::{TenantRow, TenantStore};

use super::error::ApiError;
use crate::app::App;

/// The tenant that asks.
pub(super) struct Caller {
    /// What it may see.
    pub(super) store: TenantStore,
    /// Who it is.
    pub(super) tenant: TenantRow,
    /// The one workspace its key opens; `None` for an admin key.
    pub(super) workspace: Option<Id<id::Workspace>>,
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let given = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let key =
            given.and_then(|v| v.strip_prefix("Bearer ")).map(str::trim).filter(|k| k.starts_with("rdl_"));
        let Some(key) = key else {
            return Err(refused("Send your API key as `Authorization: Bearer rdl_live_…`."));
        };
        let owner =
            app.store.key_owner(key, app.clock.now()).await.map_err(|e| ApiError::from(e).into_response())?;
        let Some(owner) = owner else { return Err(refused("This API key is unknown, revoked or expired.")) };
        let tenant = app.store.tenant(owner.tenant).await.map_err(|e| ApiError::from(e).into_response())?;
        Ok(Self { store: app.store.of(owner.tenant), tenant, workspace: owner.workspace })
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
}

fn refused(why: &str) -> Response {
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", why).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
