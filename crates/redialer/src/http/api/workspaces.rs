//! `/v1/workspaces`: connect a provider account, change its settings, sync its agents.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use redialer_core::{
    Timestamp, id,
    quota::month,
    settings::{Retention, WorkspaceSettings},
    workspace::Pause,
};
use redialer_store::WorkspaceRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    actions::workspaces::{NewConnection, WorkspacePatch},
    app::App,
    http::{
        api::{
            etag::{IfMatch, Tagged, tagged},
            page::{ListQuery, Page, PageRequest},
            wire::{self, Body, PathId, Query},
        },
        error::ApiError,
        openapi::settings,
        principal::Caller,
    },
};

/// A workspace. Its keys are never returned.
#[derive(Serialize, ToSchema)]
#[schema(as = Workspace)]
pub(crate) struct View {
    /// The workspace's id.
    id: String,
    /// Its name, for people.
    name: String,
    #[schema(schema_with = settings::provider)]
    provider: String,
    #[schema(schema_with = settings::plan)]
    plan: &'static str,
    #[schema(schema_with = settings::defaults)]
    defaults: WorkspaceSettings,
    #[schema(schema_with = settings::retention)]
    retention: Retention,
    /// Why it does not dial; null if it dials.
    paused: Option<Paused>,
    /// Permissions that its API key lacks; features that need them work without the data.
    missing_permissions: Vec<String>,
    /// Its use in this calendar month.
    usage: Usage,
    /// When it was connected.
    #[schema(format = DateTime)]
    created_at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Pause)]
pub(crate) struct Paused {
    #[schema(schema_with = settings::pause)]
    reason: &'static str,
    /// When the pause began.
    #[schema(format = DateTime)]
    since: String,
    /// The provider's own message, if it gave one.
    message: Option<String>,
}

impl Paused {
    pub(crate) fn new((why, since): (Pause, Timestamp), message: Option<String>) -> Self {
        Self { reason: why.as_str(), since: since.to_string(), message }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceUsage)]
struct Usage {
    /// The start of this calendar month (UTC).
    #[schema(format = DateTime)]
    period_start: String,
    /// Calls placed this month.
    calls_this_period: i64,
    /// The plan's limit of calls per month; null if there is none.
    cap: Option<u64>,
    /// Not available yet: null.
    credits_balance_usd: Option<f64>,
}

async fn view(caller: &Caller, row: WorkspaceRow, app: &App) -> Result<View, ApiError> {
    let now = app.clock.now();
    let (start, _) = month(now);
    let calls = caller.store.calls_this_month(Some(row.id), now).await?;
    Ok(View {
        id: row.id.to_string(),
        name: row.name,
        provider: row.provider.to_string(),
        plan: caller.tenant.plan.as_str(),
        defaults: shown(row.settings, &row.number_countries),
        retention: row.retention,
        paused: row.paused.map(|why| Paused::new(why, row.pause_message)),
        missing_permissions: row.missing_permissions,
        usage: Usage {
            period_start: start.to_string(),
            calls_this_period: calls,
            cap: app.store.limits_of(caller.tenant.plan).calls_a_month,
            credits_balance_usd: None,
        },
        created_at: row.created_at.to_string(),
    })
}

/// The settings in force, with the derived values of settings that are not set.
pub(crate) fn shown(mut settings: WorkspaceSettings, number_countries: &[String]) -> WorkspaceSettings {
    settings.allowed_countries = Some(settings.countries(number_countries));
    settings
}

/// `GET /v1/workspaces`.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let page_request: PageRequest<id::Workspace> = query.page_request()?;
    let rows = caller.store.workspaces(page_request.before, page_request.limit + 1).await?;
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        shown.push(((row.created_at, row.id), view(&caller, row, &app).await?));
    }
    Ok(Json(Page::from_rows(shown, &page_request, |s| s.0, |s| s.1)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewWorkspace)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBody {
    /// Its name, for people.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(schema_with = settings::provider)]
    provider: String,
    /// The provider's API key. Its permissions *Agent: Read* and *Call: Edit* are enough.
    #[schema(min_length = 1, max_length = 500, pattern = "^[!-~]+$")]
    api_key: String,
    /// The key that signs the provider's webhooks. Default: `api_key`.
    #[schema(min_length = 1, max_length = 500, pattern = "^[!-~]+$")]
    webhook_key: Option<String>,
}

/// `POST /v1/workspaces`.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<View>), ApiError> {
    let new = NewConnection {
        name: wire::name("name", &body.name)?,
        provider: &body.provider,
        api_key: secret("api_key", &body.api_key)?,
        webhook_key: body.webhook_key.as_deref().map(|k| secret("webhook_key", k)).transpose()?,
    };
    let row = caller.acting(&app).connect(new).await?;
    Ok((StatusCode::CREATED, Json(view(&caller, row, &app).await?)))
}

/// `GET /v1/workspaces/{id}`.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Workspace>,
) -> Result<Tagged<View>, ApiError> {
    let row = caller.store.workspace(id).await?;
    Ok(tagged(id, row.updated_at, view(&caller, row, &app).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnQuery {
    /// Required with an admin key, which has no workspace of its own.
    workspace_id: Option<String>,
}

/// `GET /v1/workspace`: the workspace of the key; an admin key must name one.
pub(crate) async fn own(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<OwnQuery>,
) -> Result<Json<View>, ApiError> {
    let named = query.workspace_id.as_deref().map(|t| wire::id("workspace_id", t)).transpose()?;
    let id = match (caller.principal.workspace, named) {
        (Some(own), None) => own,
        (_, Some(named)) => named,
        (None, None) => {
            let why = "An admin key must name the workspace in `workspace_id`.";
            return Err(ApiError::invalid("workspace_id", why));
        }
    };
    let row = caller.store.workspace(id).await?;
    Ok(Json(view(&caller, row, &app).await?))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = WorkspaceChange)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    /// Its name, for people: 1 to 200 characters.
    name: Option<String>,
    /// A new API key of the same provider; it is checked at the provider.
    api_key: Option<String>,
    /// A new key that signs the provider's webhooks; the replaced one stays valid for 24 h.
    webhook_key: Option<String>,
    #[schema(schema_with = settings::defaults_patch)]
    defaults: Option<Value>,
    #[schema(schema_with = settings::retention_patch)]
    retention: Option<Value>,
}

/// `PATCH /v1/workspaces/{id}`. Objects are merged into the stored ones when they are written.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Workspace>,
    if_match: IfMatch,
    Body(body): Body<ChangeBody>,
) -> Result<Tagged<View>, ApiError> {
    let row = caller.store.workspace(id).await?;
    let if_unchanged = if_match.guard(id, row.updated_at)?;
    let patch = WorkspacePatch {
        name: body.name.as_deref().map(|name| wire::name("name", name)).transpose()?,
        api_key: body.api_key.as_deref().map(|key| secret("api_key", key)).transpose()?,
        webhook_key: body.webhook_key.as_deref().map(|key| secret("webhook_key", key)).transpose()?,
        settings: body.defaults.as_ref(),
        retention: body.retention.as_ref(),
    };
    caller.acting(&app).change_workspace(row, patch, if_unchanged).await?;
    show(State(app), caller, PathId(id)).await
}

/// `DELETE /v1/workspaces/{id}`: the workspace stops working immediately and is deleted after a day.
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Workspace>,
) -> Result<StatusCode, ApiError> {
    caller.acting(&app).delete_workspace(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/workspaces/{id}/restore`.
pub(crate) async fn restore(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Workspace>,
) -> Result<Json<View>, ApiError> {
    let row = caller.acting(&app).restore_workspace(id).await?;
    Ok(Json(view(&caller, row, &app).await?))
}

/// The result of a sync.
#[derive(Serialize, ToSchema)]
pub(crate) struct Synced {
    /// The workspace's id.
    workspace_id: String,
    /// The number of agents that the provider lists.
    agents: usize,
}

/// `POST /v1/workspaces/{id}/sync`.
pub(crate) async fn sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Workspace>,
) -> Result<Json<Synced>, ApiError> {
    let n = caller.acting(&app).sync(id).await?;
    Ok(Json(Synced { workspace_id: id.to_string(), agents: n }))
}

fn secret<'t>(param: &str, text: &'t str) -> Result<&'t str, ApiError> {
    let text = text.trim();
    if text.is_empty() || text.len() > 500 || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::invalid(
            param,
            format!("`{param}` must be the provider's key: 1 to 500 visible characters."),
        ));
    }
    Ok(text)
}
