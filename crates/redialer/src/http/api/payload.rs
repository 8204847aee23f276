//! `/v1/callbacks/{id}/payload`: the webhooks that a callback came from and led to, as received.
//!
//! Invariant: only for keys with `pii:read`, and every access is recorded in the audit log.

use std::sync::Arc;

use axum::{Json, extract::State};
use redialer_core::id;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    actions::callbacks,
    app::App,
    http::{
        api::{page::Page, wire::PathId},
        error::ApiError,
        openapi::settings,
        principal::Caller,
    },
};

/// A captured webhook.
#[derive(Serialize, ToSchema)]
#[schema(as = Payload)]
pub(crate) struct View {
    /// The webhook's id.
    id: String,
    /// The provider's name of the event.
    event: String,
    /// The provider's id of the call or chat.
    provider_call_id: Option<String>,
    /// When it was received.
    #[schema(format = DateTime)]
    received_at: String,
    #[schema(schema_with = settings::payload)]
    body: Option<Box<RawValue>>,
}

/// `GET /v1/callbacks/{id}/payload`.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Callback>,
) -> Result<Json<Page<View>>, ApiError> {
    let row = callbacks::seen(&caller.store, id).await?;
    let key = caller.store.tenant_key().await?;
    caller.reveals(&app, "payload", &[id.to_string()]).await?;
    let rows = caller.store.payloads(&row).await?;
    let views = rows.into_iter().map(|payload| {
        let body = payload
            .body(&key)
            .inspect_err(
                |error| tracing::error!(event.id = %payload.id, %error, "the payload of event {} cannot be decrypted; it is shown without its body", payload.id),
            )
            .ok()
            .and_then(|body| String::from_utf8(body.to_vec()).ok());
        View {
            id: payload.id.to_string(),
            event: payload.event,
            provider_call_id: payload.call_id,
            received_at: payload.received_at.to_string(),
            body: body.and_then(|text| RawValue::from_string(text).ok()),
        }
    });
    Ok(Json(Page::complete(views.collect())))
}
