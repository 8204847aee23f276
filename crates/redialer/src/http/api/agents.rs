//! `/v1/agents`: the roster, switches, overrides, and where to point webhooks.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use axum::{Json, extract::State, http::StatusCode};
use redialer_core::{
    Id, id,
    settings::{BadOverrides, Overrides, Retention, WorkspaceSettings},
};
use redialer_store::{AgentChange, AgentRow, StoreError, WorkspaceRow};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    etag::{IfMatch, Tagged, tagged},
    page::{Asked, Page},
    wire::{self, Body, PathId, Query},
    workspaces::{MERGES, shown},
};
use crate::{
    app::App,
    http::{auth::Caller, error::ApiError, openapi::settings},
};

/// An agent as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Agent)]
pub(in crate::http) struct View {
    id: String,
    workspace_id: String,
    provider_agent_id: String,
    name: String,
    channel: &'static str,
    enabled: bool,
    /// Decisions are recorded and shown, and nothing is dialed.
    observe: bool,
    downstream_url: Option<String>,
    /// Its own settings; what is not here is inherited from the workspace.
    #[schema(schema_with = settings::overrides)]
    overrides: Value,
    /// The settings it works under: the workspace's, with its own laid over them.
    #[schema(schema_with = settings::defaults)]
    settings: WorkspaceSettings,
    #[schema(schema_with = settings::retention)]
    retention: Retention,
    timezone: Option<String>,
    created_at: String,
    /// Since when the provider lists it no more.
    gone_at: Option<String>,
}

impl View {
    fn of(row: AgentRow, workspace: &WorkspaceRow) -> Self {
        Self {
            settings: shown(row.settings(&workspace.settings), &workspace.number_countries),
            retention: row.retention(&workspace.retention),
            id: row.id.to_string(),
            workspace_id: row.workspace.to_string(),
            provider_agent_id: row.provider_agent_id,
            name: row.name,
            channel: row.channel.word(),
            enabled: row.enabled,
            observe: row.observe,
            downstream_url: row.downstream_url,
            overrides: row.overrides.document().clone(),
            timezone: row.timezone,
            created_at: row.created_at.to_string(),
            gone_at: row.gone_at.map(|at| at.to_string()),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    workspace_id: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// `GET /v1/agents`.
pub(in crate::http) async fn list(
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let asked: Asked<id::Agent> = Asked::read(query.limit, query.cursor.as_deref())?;
    let named = query.workspace_id.as_deref().map(|t| wire::id("workspace_id", t)).transpose()?;
    if let Some(named) = named {
        caller.check(named)?;
    }
    let rows = caller.store.agents(named.or(caller.workspace), asked.before, asked.limit + 1).await?;
    let mut workspaces = HashMap::new();
    for row in &rows {
        if let Entry::Vacant(place) = workspaces.entry(row.workspace) {
            place.insert(caller.store.workspace(row.workspace).await?);
        }
    }
    Ok(Json(Page::of(
        rows,
        &asked,
        |r| (r.created_at, r.id),
        |r| {
            let workspace = &workspaces[&r.workspace];
            View::of(r, workspace)
        },
    )))
}

/// `GET /v1/agents/{id}`.
pub(in crate::http) async fn show(
    caller: Caller,
    PathId(id): PathId<id::Agent>,
) -> Result<Tagged<View>, ApiError> {
    shown_agent(&caller, id).await
}

async fn shown_agent(caller: &Caller, id: Id<id::Agent>) -> Result<Tagged<View>, ApiError> {
    let row = caller.store.agent(id).await?;
    caller.check(row.workspace)?;
    let workspace = caller.store.workspace(row.workspace).await?;
    Ok(tagged(id, row.updated_at, View::of(row, &workspace)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AgentChange)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ChangeBody {
    enabled: Option<bool>,
    observe: Option<bool>,
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<String>)]
    downstream_url: Option<Option<String>>,
    #[schema(schema_with = settings::overrides)]
    overrides: Option<Value>,
}

/// Tells a null from an absent field.
fn some<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(d).map(Some)
}

/// `PATCH /v1/agents/{id}`.
pub(in crate::http) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Agent>,
    if_match: IfMatch,
    Body(body): Body<ChangeBody>,
) -> Result<Tagged<View>, ApiError> {
    if let Some(Some(_)) = &body.downstream_url {
        return Err(ApiError::not_available_yet("downstream_url"));
    }
    let row = caller.store.agent(id).await?;
    caller.check(row.workspace)?;
    if_match.guard(id, row.updated_at)?;
    let mut changed = merged(&app, &caller, row, &body).await;
    for _ in 0..MERGES {
        // Without `If-Match`, a request changes its own fields on top of concurrent changes.
        if !matches!(changed, Err(StoreError::Changed)) || if_match.is_given() {
            break;
        }
        changed = merged(&app, &caller, caller.store.agent(id).await?, &body).await;
    }
    changed??;
    shown_agent(&caller, id).await
}

/// Writes a change merged into the agent as it was read; [`StoreError::Changed`] when it is no longer so.
async fn merged(
    app: &App,
    caller: &Caller,
    row: AgentRow,
    body: &ChangeBody,
) -> Result<Result<(), ApiError>, StoreError> {
    let overrides = match &body.overrides {
        None => None,
        Some(patch) => match overridden(app, caller, &row, patch).await {
            Ok(overrides) => Some(overrides),
            Err(error) => return Ok(Err(error)),
        },
    };
    let max = app.store.limits_of(caller.tenant.plan).agents;
    let change = AgentChange {
        enabled: body.enabled,
        observe: body.observe,
        downstream_url: body.downstream_url.as_ref().map(|url| url.as_deref()),
        overrides: overrides.as_ref(),
        if_unchanged: Some(row.updated_at),
    };
    caller.store.change_agent(&row, &change, max, app.clock.now()).await.map(Ok)
}

/// The agent's overrides with a patch laid over them; null takes an override away.
async fn overridden(
    app: &App,
    caller: &Caller,
    row: &AgentRow,
    patch: &Value,
) -> Result<Overrides, ApiError> {
    let workspace = caller.store.workspace(row.workspace).await?;
    let limits = app.store.limits_of(caller.tenant.plan);
    let checked = || {
        let overrides = row.overrides.patched(patch)?;
        overrides.check(&workspace.settings, &workspace.retention, limits)?;
        Ok(overrides)
    };
    checked().map_err(|error| match error {
        BadOverrides::Plan(_) => ApiError::new(StatusCode::FORBIDDEN, "plan_limit", error.to_string()),
        BadOverrides::NotYet(field) => ApiError::not_available_yet(format!("overrides.{field}")),
        BadOverrides::Settings(error) if error.field.is_empty() => {
            ApiError::invalid("overrides", error.problem)
        }
        BadOverrides::Settings(error) => {
            ApiError::invalid(format!("overrides.{}", error.field), error.problem)
        }
    })
}

/// Where to point the provider.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct WebhookUrl {
    agent_id: String,
    webhook_url: String,
    /// `pending` until the first good signature, then `verified`.
    verification_status: &'static str,
}

/// `GET /v1/agents/{id}/webhook-url`.
pub(in crate::http) async fn webhook_url(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Agent>,
) -> Result<Json<WebhookUrl>, ApiError> {
    let row = caller.store.agent(id).await?;
    caller.check(row.workspace)?;
    let workspace = caller.store.workspace(row.workspace).await?;
    let url = app.webhook_url(&workspace, &row.slug);
    let status = if row.verified_at.is_some() { "verified" } else { "pending" };
    Ok(Json(WebhookUrl { agent_id: id.to_string(), webhook_url: url, verification_status: status }))
}
