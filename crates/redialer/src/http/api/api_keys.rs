//! `/v1/api-keys`: list, create and revoke API keys.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use redialer_core::{Id, access::Scope, id};
use redialer_store::KeyInfo;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actions::api_keys::NewApiKey,
    app::App,
    http::{
        api::{
            page::{ListQuery, Page, PageRequest},
            wire::{self, Body, PathId, Query},
        },
        error::ApiError,
        openapi::settings,
        principal::Caller,
    },
};

/// An API key. Its secret is returned only on creation.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct View {
    /// The key's id.
    id: String,
    /// Its name, for people.
    name: String,
    /// The first characters of its secret.
    prefix: String,
    /// Whether it works for all workspaces of the tenant.
    admin: bool,
    /// Whether the key can see and create only test callbacks.
    test: bool,
    /// The only workspace that it works for; null for an admin key.
    workspace_id: Option<String>,
    #[schema(schema_with = settings::scopes)]
    scopes: Vec<&'static str>,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last used; null if never.
    #[schema(format = DateTime)]
    last_used_at: Option<String>,
    /// When it expires; null for never.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// When it was revoked; null if it is valid.
    #[schema(format = DateTime)]
    revoked_at: Option<String>,
    /// The key itself; only in the response that creates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl From<KeyInfo> for View {
    fn from(key: KeyInfo) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            prefix: key.prefix,
            admin: key.workspace.is_none(),
            test: key.test,
            workspace_id: key.workspace.map(|w| w.to_string()),
            scopes: key.scopes.list().map(Scope::as_str).collect(),
            created_at: key.created_at.to_string(),
            last_used_at: key.last_used_at.map(|t| t.to_string()),
            expires_at: key.expires_at.map(|t| t.to_string()),
            revoked_at: key.revoked_at.map(|t| t.to_string()),
            secret: None,
        }
    }
}

/// `GET /v1/api-keys`.
pub(crate) async fn list(
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let page_request: PageRequest<id::Key> = query.page_request()?;
    let rows = caller.store.keys(None, page_request.before, page_request.limit + 1).await?;
    Ok(Json(Page::from_rows(rows, &page_request, |k| (k.created_at, k.id), View::from)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewApiKey)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBody {
    /// Its name, for people: 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// The only workspace that it works for. Required unless `admin` is true.
    workspace_id: Option<String>,
    /// Whether it works for all workspaces of the tenant, instead of one. Default: false.
    #[serde(default)]
    admin: bool,
    /// Whether the key can see and create only test callbacks, which are dialed at the built-in simulator. Default:
    /// false.
    #[serde(default)]
    test: bool,
    #[schema(schema_with = settings::scopes)]
    scopes: Option<Vec<String>>,
    /// When it expires. Default: when the creating key expires.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// `POST /v1/api-keys`: only this response contains the secret (and, sealed, the stored response for repeated requests).
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<View>), ApiError> {
    let new = NewApiKey {
        name: wire::name("name", &body.name)?,
        workspace: workspace(&body)?,
        scopes: body.scopes.as_deref().map(scopes).transpose()?,
        expires_at: body.expires_at.as_deref().map(|t| wire::timestamp("expires_at", t)).transpose()?,
        test: body.test,
    };
    let (key, secret) = caller.acting(&app).create_key(new).await?;
    Ok((StatusCode::CREATED, Json(View { secret: Some(secret), ..key.into() })))
}

/// The workspace that a new key is limited to; `None` for all of the tenant's.
fn workspace(body: &NewBody) -> Result<Option<Id<id::Workspace>>, ApiError> {
    let named = body.workspace_id.as_deref().map(|t| wire::id("workspace_id", t)).transpose()?;
    match (named, body.admin) {
        (Some(_), true) => {
            Err(ApiError::invalid("admin", "Admin keys are tenant-wide; omit `workspace_id`."))
        }
        (None, false) => Err(ApiError::invalid(
            "workspace_id",
            "Send the workspace that the key is for, or `\"admin\": true` for a key to all workspaces.",
        )),
        (named, _) => Ok(named),
    }
}

fn scopes(words: &[String]) -> Result<Vec<Scope>, ApiError> {
    let read = |(n, word): (usize, &String)| {
        word.parse().map_err(|_| wire::not_among(&format!("scopes[{n}]"), &Scope::ALL.map(Scope::as_str)))
    };
    words.iter().enumerate().map(read).collect()
}

/// `DELETE /v1/api-keys/{id}`: the next request with the key is rejected.
pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Key>,
) -> Result<StatusCode, ApiError> {
    caller.acting(&app).revoke_key(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
