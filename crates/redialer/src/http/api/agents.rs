//! `/v1/agents`: list agents, enable and override them, and get their webhook URLs.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use axum::{Json, extract::State};
use redialer_core::{
    id,
    settings::{Retention, WorkspaceSettings},
};
use redialer_store::{AgentRow, WorkspaceRow};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    actions::{Refusal, agents::AgentPatch},
    app::App,
    http::{
        api::{
            etag::{IfMatch, Tagged, tagged},
            page::{Page, PageRequest},
            wire::{self, Body, PathId, Query},
            workspaces::shown,
        },
        error::ApiError,
        openapi::settings,
        principal::Caller,
    },
};

/// An agent.
#[derive(Serialize, ToSchema)]
#[schema(as = Agent)]
pub(crate) struct View {
    /// Redialer's id of the agent.
    id: String,
    /// The id of its workspace.
    workspace_id: String,
    /// The provider's id of the agent.
    provider_agent_id: String,
    /// The agent's name at the provider.
    name: String,
    #[schema(schema_with = settings::channel)]
    channel: &'static str,
    /// Whether its webhooks are processed and its callbacks are dialed.
    enabled: bool,
    /// If true, decisions are recorded and shown, and nothing is dialed.
    observe: bool,
    /// Not available yet: null.
    downstream_url: Option<String>,
    /// The agent's own settings; all others are inherited from the workspace.
    #[schema(schema_with = settings::overrides)]
    overrides: Value,
    /// The settings in force: the workspace's, with the agent's overrides applied.
    #[schema(schema_with = settings::defaults)]
    settings: WorkspaceSettings,
    #[schema(schema_with = settings::retention)]
    retention: Retention,
    /// The agent's IANA time zone at the provider, if it has one.
    timezone: Option<String>,
    /// When it was first read from the provider.
    #[schema(format = DateTime)]
    created_at: String,
    /// Since when the provider no longer lists the agent.
    gone_at: Option<String>,
}

impl View {
    fn from_row(row: AgentRow, workspace: &WorkspaceRow) -> Self {
        Self {
            settings: shown(row.settings(&workspace.settings), &workspace.number_countries),
            retention: row.retention(&workspace.retention),
            id: row.id.to_string(),
            workspace_id: row.workspace.to_string(),
            provider_agent_id: row.provider_agent_id,
            name: row.name,
            channel: row.channel.as_str(),
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
pub(crate) struct ListQuery {
    /// Only agents of this workspace.
    workspace_id: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// `GET /v1/agents`.
pub(crate) async fn list(
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let page_request: PageRequest<id::Agent> = PageRequest::read(query.limit, query.cursor.as_deref())?;
    let named = query.workspace_id.as_deref().map(|t| wire::id("workspace_id", t)).transpose()?;
    let rows = caller.store.agents(named, page_request.before, page_request.limit + 1).await?;
    let mut workspaces = HashMap::new();
    for row in &rows {
        if let Entry::Vacant(place) = workspaces.entry(row.workspace) {
            place.insert(caller.store.workspace(row.workspace).await?);
        }
    }
    Ok(Json(Page::from_rows(
        rows,
        &page_request,
        |r| (r.created_at, r.id),
        |r| {
            let workspace = &workspaces[&r.workspace];
            View::from_row(r, workspace)
        },
    )))
}

/// `GET /v1/agents/{id}`.
pub(crate) async fn show(caller: Caller, PathId(id): PathId<id::Agent>) -> Result<Tagged<View>, ApiError> {
    let row = caller.store.agent(id).await?;
    let workspace = caller.store.workspace(row.workspace).await?;
    Ok(tagged(id, row.updated_at, View::from_row(row, &workspace)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = AgentChange)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    /// Whether its webhooks are processed and its callbacks are dialed.
    enabled: Option<bool>,
    /// If true, decisions are recorded and shown, and nothing is dialed.
    observe: Option<bool>,
    /// Not available yet: only null is accepted.
    #[serde(default, deserialize_with = "some")]
    #[schema(value_type = Option<String>)]
    downstream_url: Option<Option<String>>,
    #[schema(schema_with = settings::overrides)]
    overrides: Option<Value>,
}

/// Distinguishes null from an absent field.
fn some<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(d).map(Some)
}

/// `PATCH /v1/agents/{id}`.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Agent>,
    if_match: IfMatch,
    Body(body): Body<ChangeBody>,
) -> Result<Tagged<View>, ApiError> {
    if let Some(Some(_)) = &body.downstream_url {
        return Err(Refusal::not_yet("downstream_url").into());
    }
    let row = caller.store.agent(id).await?;
    let if_unchanged = if_match.guard(id, row.updated_at)?;
    let patch =
        AgentPatch { enabled: body.enabled, observe: body.observe, overrides: body.overrides.as_ref() };
    caller.acting(&app).change_agent(row, patch, if_unchanged).await?;
    show(caller, PathId(id)).await
}

/// The URL to which the provider sends the agent's webhooks.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookUrl {
    /// Redialer's id of the agent.
    agent_id: String,
    /// The URL to configure at the provider.
    webhook_url: String,
    /// `pending` until the first webhook with a valid signature, then `verified`.
    verification_status: &'static str,
}

/// `GET /v1/agents/{id}/webhook-url`.
pub(crate) async fn webhook_url(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Agent>,
) -> Result<Json<WebhookUrl>, ApiError> {
    let row = caller.store.agent(id).await?;
    let workspace = caller.store.workspace(row.workspace).await?;
    let url = app.webhook_url(&workspace, &row.slug);
    let status = if row.verified_at.is_some() { "verified" } else { "pending" };
    Ok(Json(WebhookUrl { agent_id: id.to_string(), webhook_url: url, verification_status: status }))
}
