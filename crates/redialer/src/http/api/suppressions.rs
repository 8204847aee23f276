//! `/v1/suppressions`: numbers of the tenant that must not be called.
//!
//! Invariant: the list is of all the tenant's workspaces, so that a key of one may put numbers on it but not look into it.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use redialer_core::{Phone, id};
use redialer_store::{SuppressionRow, TenantKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    page::{Asked, ListQuery, Page},
    wire::{self, Body, PathId, Query},
};
use crate::{
    app::App,
    http::{auth::Caller, error::ApiError},
};

/// An entry as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Suppression)]
pub(in crate::http) struct View {
    id: String,
    number: Option<String>,
    source: String,
    created_at: String,
}

fn view(row: &SuppressionRow, key: &TenantKey, clear: bool) -> View {
    // An entry that does not open is still shown, without its number; that it does not is our fault, and logged.
    let number = row
        .number(key)
        .inspect_err(|error| tracing::error!(suppression.id = %row.id, %error, "a suppression does not open"))
        .ok();
    let shown = |n: Phone| if clear { n.e164().to_owned() } else { n.masked() };
    View {
        id: row.id.to_string(),
        number: number.map(shown),
        source: row.source.clone(),
        created_at: row.created_at.to_string(),
    }
}

/// `GET /v1/suppressions`.
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    caller.admin("see the do-not-call list, which is of every workspace")?;
    let asked: Asked<id::Suppression> = query.asked()?;
    let key = app.store.open_key(caller.tenant.id).await?;
    let rows = caller.store.suppressions(asked.before, asked.limit + 1).await?;
    let ids: Vec<String> = rows.iter().map(|r| r.id.to_string()).collect();
    let clear = caller.may_show(&app, "numbers", &ids).await;
    Ok(Json(Page::of(rows, &asked, |r| (r.created_at, r.id), |r| view(&r, &key, clear))))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewSuppression)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewBody {
    #[schema(example = "+13125550142")]
    #[serde(alias = "to_number", alias = "phone_number")]
    number: String,
}

/// `POST /v1/suppressions`: what waits for that number ends with it.
pub(in crate::http) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<View>), ApiError> {
    let number = wire::number("number", &body.number)?;
    let key = app.store.open_key(caller.tenant.id).await?;
    let row = caller.store.suppress(&number, &key, app.clock.now(), &app.chance).await?;
    app.due_changed();
    // Whoever sent it knows it.
    Ok((StatusCode::CREATED, Json(view(&row, &key, false))))
}

/// `DELETE /v1/suppressions/{id}`.
pub(in crate::http) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Suppression>,
) -> Result<StatusCode, ApiError> {
    caller.admin("take numbers off the do-not-call list, which is of every workspace")?;
    caller.store.unsuppress(id, app.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
