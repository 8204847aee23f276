//! `/v1/workspaces`: connect a provider account, set it up, pull its roster.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use redialer_core::{
    Id, Timestamp, id,
    quota::month,
    settings::{BadSettings, Nulls, Retention, WorkspaceSettings, merge},
    tenant::Limits,
    time::{minutes, plus},
    timing::UNDO_MINUTES,
    workspace::{Pause, ProviderName},
};
use redialer_providers::{Provider, ReadError, ReadFailure, WebhookAuth};
use redialer_store::{NewWorkspace, StoreError, TenantKey, WorkspaceChange, WorkspaceRow};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{
    etag::{IfMatch, Tagged, tagged},
    page::{Asked, ListQuery, Page},
    wire::{self, Body, PathId, Query},
};
use crate::{
    app::App,
    flow::{
        account,
        manage::{self, SyncError},
    },
    http::{auth::Caller, error::ApiError, openapi::settings},
};

/// A workspace as it is shown; keys never are.
#[derive(Serialize, ToSchema)]
#[schema(as = Workspace)]
pub(in crate::http) struct View {
    id: String,
    name: String,
    provider: String,
    plan: &'static str,
    #[schema(schema_with = settings::defaults)]
    defaults: WorkspaceSettings,
    #[schema(schema_with = settings::retention)]
    retention: Retention,
    /// Why it does not dial; null while it does.
    paused: Option<Paused>,
    /// What its API key may not read; what needs it goes without.
    missing_permissions: Vec<String>,
    usage: Usage,
    created_at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Pause)]
pub(super) struct Paused {
    /// `key_refused` or `payment_required`.
    reason: &'static str,
    since: String,
    /// The provider's own sentence, if it gave one.
    message: Option<String>,
}

impl Paused {
    pub(super) fn of((why, since): (Pause, Timestamp), message: Option<String>) -> Self {
        Self { reason: why.word(), since: since.to_string(), message }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceUsage)]
struct Usage {
    period_start: String,
    calls_this_period: i64,
    cap: Option<u64>,
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
        plan: caller.tenant.plan.word(),
        defaults: shown(row.settings, &row.number_countries),
        retention: row.retention,
        paused: row.paused.map(|why| Paused::of(why, row.pause_message)),
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

/// Settings as they are in force: what is not set is shown as what it comes to.
pub(super) fn shown(mut settings: WorkspaceSettings, number_countries: &[String]) -> WorkspaceSettings {
    settings.allowed_countries = Some(settings.countries(number_countries));
    settings
}

/// `GET /v1/workspaces`.
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let asked: Asked<id::Workspace> = query.asked()?;
    let rows = match caller.workspace {
        Some(own) => vec![caller.store.workspace(own).await?],
        None => caller.store.workspaces(asked.before, asked.limit + 1).await?,
    };
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        shown.push(((row.created_at, row.id), view(&caller, row, &app).await?));
    }
    Ok(Json(Page::of(shown, &asked, |s| s.0, |s| s.1)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewWorkspace)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewBody {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(schema_with = settings::provider)]
    provider: String,
    #[schema(min_length = 1, max_length = 500, pattern = "^[!-~]+$")]
    api_key: String,
    webhook_key: Option<String>,
}

/// `POST /v1/workspaces`.
pub(in crate::http) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<View>), ApiError> {
    caller.admin("connect workspaces")?;
    let name = wire::name("name", &body.name)?;
    let name_of_provider = ProviderName::new(&body.provider);
    let provider = app.providers.of(&name_of_provider, false);
    let provider = provider.map_err(|_| wire::not_among("provider", &app.providers.names()))?;
    let api_key = secret("api_key", &body.api_key)?;
    let webhook_key =
        body.webhook_key.as_deref().map(|k| secret("webhook_key", k)).transpose()?.unwrap_or(api_key);
    let account = account_of(provider, &caller, api_key).await?;
    let id = Id::new(app.clock.now(), &app.chance);
    let new = NewWorkspace {
        id,
        provider: &name_of_provider,
        name,
        api_key,
        webhook_auth: &WebhookAuth::of_key(webhook_key).to_stored(),
        account: Some(&account),
        settings: &json!({}),
    };
    let key = caller.store.tenant_key().await?;
    let max = app.store.limits_of(caller.tenant.plan).workspaces;
    caller.store.create_workspace(&new, max, &key, app.clock.now(), &app.chance).await?;
    let row = caller.store.workspace(id).await?;
    // The roster at once. A provider that does not answer now is asked again by itself.
    if let Err(error) = manage::sync(&app, &caller.store, &caller.tenant, &row).await {
        tracing::warn!(workspace.id = %id, %error, "the roster of workspace {id} could not be pulled yet");
        if let SyncError::Provider(error) = &error {
            account::read_failed(&app, id, error).await;
        }
    }
    let row = caller.store.workspace(id).await?;
    Ok((StatusCode::CREATED, Json(view(&caller, row, &app).await?)))
}

/// The account that a key belongs to. A key that the provider refuses is refused here.
async fn account_of(provider: &dyn Provider, caller: &Caller, api_key: &str) -> Result<String, ApiError> {
    let key = caller.store.tenant_key().await?;
    account::of_key(provider, &key, api_key).await.map_err(|error| match error.failure {
        ReadFailure::KeyRefused { .. } => {
            ApiError::unprocessable("provider_key_refused", "api_key", error.to_string())
        }
        _ => {
            tracing::warn!(%error, "the provider could not be asked about a new key");
            ApiError::new(
                StatusCode::BAD_GATEWAY,
                "provider_unavailable",
                format!("The key could not be checked: {error} Try again."),
            )
        }
    })
}

/// `GET /v1/workspaces/{id}`.
pub(in crate::http) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Workspace>,
) -> Result<Tagged<View>, ApiError> {
    caller.check(id)?;
    let row = caller.store.workspace(id).await?;
    Ok(tagged(id, row.updated_at, view(&caller, row, &app).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct OwnQuery {
    workspace_id: Option<String>,
}

/// `GET /v1/workspace`: the key's own; an admin key names one.
pub(in crate::http) async fn own(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<OwnQuery>,
) -> Result<Json<View>, ApiError> {
    let named = query.workspace_id.as_deref().map(|t| wire::id("workspace_id", t)).transpose()?;
    let id = match (caller.workspace, named) {
        (Some(own), None) => own,
        (_, Some(named)) => named,
        (None, None) => {
            let why = "An admin key must name the workspace in `workspace_id`.";
            return Err(ApiError::invalid("workspace_id", why));
        }
    };
    caller.check(id)?;
    let row = caller.store.workspace(id).await?;
    Ok(Json(view(&caller, row, &app).await?))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = WorkspaceChange)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ChangeBody {
    name: Option<String>,
    api_key: Option<String>,
    webhook_key: Option<String>,
    #[schema(schema_with = settings::defaults_patch)]
    defaults: Option<Value>,
    #[schema(schema_with = settings::retention_patch)]
    retention: Option<Value>,
}

/// A replaced webhook key still counts for a day.
const KEY_GRACE_MINUTES: i64 = 24 * 60;

/// How often a merge is made anew because somebody else's came between.
pub(super) const MERGES: usize = 8;

/// `PATCH /v1/workspaces/{id}`. Objects are merged into what is there when they are written.
pub(in crate::http) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Workspace>,
    if_match: IfMatch,
    Body(body): Body<ChangeBody>,
) -> Result<Tagged<View>, ApiError> {
    caller.check(id)?;
    let row = caller.store.workspace(id).await?;
    let account = match &body.api_key {
        Some(text) => {
            let provider = app.provider(&row, false)?;
            Some(account_of(provider, &caller, secret("api_key", text)?).await?)
        }
        None => None,
    };
    if_match.guard(id, row.updated_at)?;
    let mut changed = merged(&app, &caller, row, &body, account.as_deref()).await;
    for _ in 0..MERGES {
        // Whoever did not name a version wants their fields changed, whatever else was changed meanwhile.
        if !matches!(changed, Err(StoreError::Changed)) || if_match.is_given() {
            break;
        }
        let row = caller.store.workspace(id).await?;
        changed = merged(&app, &caller, row, &body, account.as_deref()).await;
    }
    changed??;
    let row = caller.store.workspace(id).await?;
    Ok(tagged(id, row.updated_at, view(&caller, row, &app).await?))
}

/// Writes a change merged into the workspace as it was read; [`StoreError::Changed`] when it is no longer so.
async fn merged(
    app: &App,
    caller: &Caller,
    row: WorkspaceRow,
    body: &ChangeBody,
    account: Option<&str>,
) -> Result<Result<(), ApiError>, StoreError> {
    let key = caller.store.tenant_key().await?;
    let now = app.clock.now();
    let prepared = || -> Result<_, ApiError> {
        let settings = body
            .defaults
            .as_ref()
            .map(|patch| patched(&row, patch, app.store.limits_of(caller.tenant.plan)))
            .transpose()?;
        let retention = body.retention.as_ref().map(|patch| retention(&row.retention, patch)).transpose()?;
        let api_key = body.api_key.as_deref().map(|k| secret("api_key", k)).transpose()?;
        let webhook_auth = webhook_auth(&row, body, &key, now)?;
        let name = body.name.as_deref().map(|n| wire::name("name", n)).transpose()?;
        Ok((settings, retention, api_key, webhook_auth, name))
    };
    let (settings, retention, api_key, webhook_auth, name) = match prepared() {
        Ok(prepared) => prepared,
        Err(error) => return Ok(Err(error)),
    };
    let change = WorkspaceChange {
        name,
        api_key,
        webhook_auth: webhook_auth.as_deref(),
        account,
        settings: settings.as_ref(),
        retention: retention.as_ref(),
        if_unchanged: Some(row.updated_at),
    };
    caller.store.change_workspace(row.id, &change, &key, now, &app.chance).await.map(Ok)
}

/// How webhooks prove who sent them from now on, where a change touches it. A workspace that never named a webhook key of
/// its own signs with its API key, and goes on doing so with a new one.
fn webhook_auth(
    row: &WorkspaceRow,
    body: &ChangeBody,
    key: &TenantKey,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, ApiError> {
    let stored = WebhookAuth::from_stored(&row.webhook_auth(key)?);
    let mut auth = stored.ok_or(StoreError::Corrupt("list of webhook keys"))?;
    let signs_with_api_key =
        auth.keys.first().is_some_and(|first| row.api_key(key).is_ok_and(|api_key| first.key == *api_key));
    let new = match (&body.webhook_key, &body.api_key) {
        (Some(new), _) => secret("webhook_key", new)?,
        (None, Some(new)) if signs_with_api_key => secret("api_key", new)?,
        (None, _) => return Ok(None),
    };
    auth.replace(new, now, plus(now, minutes(KEY_GRACE_MINUTES)));
    Ok(Some(auth.to_stored()))
}

/// `DELETE /v1/workspaces/{id}`: silent at once, gone after a day.
pub(in crate::http) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Workspace>,
) -> Result<StatusCode, ApiError> {
    caller.check(id)?;
    caller.admin("delete workspaces")?;
    caller.store.delete_workspace(id, app.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/workspaces/{id}/restore`.
pub(in crate::http) async fn restore(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Workspace>,
) -> Result<Json<View>, ApiError> {
    caller.check(id)?;
    caller.admin("restore workspaces")?;
    let now = app.clock.now();
    let max = app.store.limits_of(caller.tenant.plan).workspaces;
    caller.store.restore_workspace(id, plus(now, -minutes(UNDO_MINUTES)), max, now).await?;
    let row = caller.store.workspace(id).await?;
    Ok(Json(view(&caller, row, &app).await?))
}

/// What a sync found.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Synced {
    workspace_id: String,
    /// Agents in the provider's roster.
    agents: usize,
}

/// `POST /v1/workspaces/{id}/sync`.
pub(in crate::http) async fn sync(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Workspace>,
) -> Result<Json<Synced>, ApiError> {
    caller.check(id)?;
    let row = caller.store.workspace(id).await?;
    let n = match manage::sync(&app, &caller.store, &caller.tenant, &row).await {
        Ok(n) => n,
        Err(SyncError::Store(error)) => return Err(error.into()),
        Err(SyncError::Provider(error)) => {
            account::read_failed(&app, id, &error).await;
            return Err(provider_failed(&error));
        }
    };
    Ok(Json(Synced { workspace_id: id.to_string(), agents: n }))
}

fn provider_failed(error: &ReadError) -> ApiError {
    // What the account's owner must mend is a state of the workspace; what the provider must, is not.
    let (status, code) = match &error.failure {
        ReadFailure::KeyRefused { .. } | ReadFailure::Forbidden { .. } => {
            (StatusCode::CONFLICT, "provider_key_refused")
        }
        ReadFailure::Payment { .. } => (StatusCode::CONFLICT, "provider_payment_required"),
        ReadFailure::Throttled { .. } => (StatusCode::BAD_GATEWAY, "provider_throttled"),
        ReadFailure::Unknown(_) | ReadFailure::Unavailable(_) => {
            (StatusCode::BAD_GATEWAY, "provider_unavailable")
        }
    };
    ApiError::new(status, code, error.to_string())
}

/// What the workspace has set once the patch is laid over it, after checking the settings that this comes to.
fn patched(row: &WorkspaceRow, patch: &Value, limits: &Limits) -> Result<Value, ApiError> {
    let named = |e: BadSettings| {
        let field = if e.field.is_empty() { "defaults".to_owned() } else { format!("defaults.{}", e.field) };
        ApiError::invalid(field, e.problem)
    };
    row.settings.patched(patch).and_then(|settings| settings.check(limits)).map_err(named)?;
    let mut set = row.set.clone();
    merge(&mut set, patch, Nulls::Kept);
    Ok(set)
}

fn retention(retention: &Retention, patch: &Value) -> Result<Retention, ApiError> {
    let patched = retention
        .patched(patch)
        .map_err(|e| ApiError::invalid(format!("retention.{}", e.field), e.problem))?;
    if patched.keeps_everything() { Ok(patched) } else { Err(ApiError::not_available_yet("retention")) }
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
