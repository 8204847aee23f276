//! `/v1/api-keys`: who else may ask, and for what.
//!
//! Invariants: a key gives away no more than it has: no scope, no workspace, no longer time. A test key has no scope with
//! which something live could be changed, so it can make no key at all.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use redialer_core::{
    Id,
    access::{Scope, Scopes},
    id,
};
use redialer_store::{KeyInfo, NewKey, StoreError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    page::{Asked, ListQuery, Page},
    wire::{self, Body, PathId, Query},
};
use crate::{
    app::App,
    http::{auth::Caller, error::ApiError, openapi::settings},
};

/// A key as it is shown; its secret only once.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(in crate::http) struct View {
    id: String,
    name: String,
    prefix: String,
    admin: bool,
    /// Whether it sees and makes test callbacks, and nothing else.
    test: bool,
    workspace_id: Option<String>,
    scopes: Vec<&'static str>,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    revoked_at: Option<String>,
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
            scopes: key.scopes.list().map(Scope::word).collect(),
            created_at: key.created_at.to_string(),
            last_used_at: key.last_used_at.map(|t| t.to_string()),
            expires_at: key.expires_at.map(|t| t.to_string()),
            revoked_at: key.revoked_at.map(|t| t.to_string()),
            secret: None,
        }
    }
}

/// `GET /v1/api-keys`.
pub(in crate::http) async fn list(
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let asked: Asked<id::Key> = query.asked()?;
    let rows = caller.store.keys(caller.workspace, asked.before, asked.limit + 1).await?;
    Ok(Json(Page::of(rows, &asked, |k| (k.created_at, k.id), View::from)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewApiKey)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewBody {
    name: String,
    workspace_id: Option<String>,
    #[serde(default)]
    admin: bool,
    /// A key that sees and makes test callbacks, which are dialled at the built-in simulator.
    #[serde(default)]
    test: bool,
    #[schema(schema_with = settings::scopes)]
    scopes: Option<Vec<String>>,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// `POST /v1/api-keys`: the secret is in this answer alone (and, sealed, in what a repeated request is answered).
pub(in crate::http) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<View>), ApiError> {
    let now = app.clock.now();
    let name = wire::name("name", &body.name)?;
    let expires_at = body.expires_at.as_deref().map(|t| wire::moment("expires_at", t)).transpose()?;
    if expires_at.is_some_and(|at| at <= now) {
        return Err(ApiError::invalid("expires_at", "must be in the future"));
    }
    // Who asks for no end gets the asking key's own.
    let expires_at = match (expires_at, caller.expires_at) {
        (Some(asked), Some(own)) if asked > own => {
            return Err(ApiError::invalid(
                "expires_at",
                format!("must not be after {own}, the asking key's own"),
            ));
        }
        (asked, own) => asked.or(own),
    };
    let workspace = workspace(&caller, &body).await?;
    let kind = if body.test { "test" } else { "live" };
    let secret = format!("rdl_{kind}_{}", app.chance.token::<20>());
    let new = NewKey {
        id: Id::new(now, &app.chance),
        name,
        secret: &secret,
        workspace,
        scopes: scopes(&caller, body.scopes.as_deref(), body.test)?,
        expires_at,
        test: body.test,
    };
    caller.store.create_key(&new, now).await?;
    let shown = View { secret: Some(secret.clone()), ..caller.store.key(new.id).await?.into() };
    Ok((StatusCode::CREATED, Json(shown)))
}

/// The one workspace that a new key opens; `None` for all of the tenant's.
async fn workspace(caller: &Caller, body: &NewBody) -> Result<Option<Id<id::Workspace>>, ApiError> {
    let named = body.workspace_id.as_deref().map(|t| wire::id("workspace_id", t)).transpose()?;
    match (named, body.admin) {
        (Some(_), true) => {
            Err(ApiError::invalid("admin", "an admin key is of no one workspace; leave `workspace_id` away"))
        }
        (None, true) => caller.admin("make another").map(|()| None),
        (None, false) => Err(ApiError::invalid(
            "workspace_id",
            "name the workspace that the key opens, or send `\"admin\": true` for all of them",
        )),
        (Some(named), false) => {
            let unknown = || ApiError::invalid("workspace_id", "no workspace has that id");
            caller.check(named).map_err(|_| unknown())?;
            match caller.store.workspace(named).await {
                Ok(row) => Ok(Some(row.id)),
                Err(StoreError::NotFound) => Err(unknown()),
                Err(error) => Err(error.into()),
            }
        }
    }
}

fn scopes(caller: &Caller, words: Option<&[String]>, test: bool) -> Result<Scopes, ApiError> {
    let most = if test { Scopes::of_tests() } else { Scopes::EVERY };
    let Some(words) = words else { return Ok(Scopes::usual().within(caller.scopes).within(most)) };
    let mut scopes = Vec::with_capacity(words.len());
    for (n, word) in words.iter().enumerate() {
        let known = || Scope::ALL.map(Scope::word).join(", ");
        let scope = Scope::from_word(word).ok_or_else(|| {
            ApiError::invalid(format!("scopes[{n}]"), format!("is no scope; there are {}", known()))
        })?;
        if !most.has(scope) {
            return Err(ApiError::invalid(
                format!("scopes[{n}]"),
                "is not for test keys: it changes what is live",
            ));
        }
        scopes.push(scope);
    }
    if scopes.is_empty() {
        return Err(ApiError::invalid("scopes", "a key needs at least one"));
    }
    let scopes = Scopes::of(&scopes);
    if !caller.scopes.covers(scopes) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "missing_scope",
            "A key can give away only scopes that it has itself.",
        ));
    }
    Ok(scopes)
}

/// `DELETE /v1/api-keys/{id}`: from the next request on it opens nothing.
pub(in crate::http) async fn revoke(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Key>,
) -> Result<StatusCode, ApiError> {
    let key = caller.store.key(id).await?;
    if caller.workspace.is_some() && key.workspace != caller.workspace {
        return Err(ApiError::not_found());
    }
    if key.id == caller.key {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "own_key",
            "A key cannot revoke itself: use another one.",
        ));
    }
    caller.store.revoke_key(&key, app.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}
