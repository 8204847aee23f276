//! `/v1/members`: who signs in to the tenant, and as what.
//!
//! Invariants: members are the tenant's, so only an admin key sees them; nobody makes a member of a role that may do more
//! than the asking key, nor touches one of such a role.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use redialer_core::{Id, access::Role, id};
use redialer_store::{MemberRow, NewMember};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    page::{Asked, ListQuery, Page},
    wire::{Body, PathId, Query},
};
use crate::{
    app::App,
    flow::manage,
    http::{auth::Caller, error::ApiError, openapi::settings},
};

/// A member as it is shown; its password only once.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(in crate::http) struct View {
    id: String,
    email: String,
    #[schema(schema_with = settings::role)]
    role: &'static str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl From<MemberRow> for View {
    fn from(row: MemberRow) -> Self {
        Self {
            id: row.id.to_string(),
            email: row.email,
            role: row.role.word(),
            created_at: row.created_at.to_string(),
            password: None,
        }
    }
}

/// `GET /v1/members`.
pub(in crate::http) async fn list(
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    caller.admin("see members")?;
    let asked: Asked<id::Member> = query.asked()?;
    let rows = caller.store.members(asked.before, asked.limit + 1).await?;
    Ok(Json(Page::of(rows, &asked, |m| (m.created_at, m.id), View::from)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewMember)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NewBody {
    #[schema(example = "ops@example.com")]
    email: String,
    #[schema(schema_with = settings::role)]
    role: String,
}

/// `POST /v1/members`: the password is in this answer alone (and, sealed, in what a repeated request is answered).
pub(in crate::http) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<View>), ApiError> {
    caller.admin("add members")?;
    let role = given(&caller, &body.role)?;
    let email = email(&body.email)?;
    let (password, hash) = manage::password(&app.chance).await.map_err(|error| {
        tracing::error!(%error, "a password could not be made");
        ApiError::unavailable()
    })?;
    let new =
        NewMember { id: Id::new(app.clock.now(), &app.chance), email: &email, password_hash: &hash, role };
    caller.store.add_member(&new, app.clock.now()).await?;
    let shown = View { password: Some(password), ..caller.store.member(new.id).await?.into() };
    Ok((StatusCode::CREATED, Json(shown)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = MemberChange)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ChangeBody {
    #[schema(schema_with = settings::role)]
    role: String,
}

/// `PATCH /v1/members/{id}`.
pub(in crate::http) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Member>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<View>, ApiError> {
    caller.admin("change members")?;
    let member = caller.store.member(id).await?;
    covers(&caller, member.role)?;
    caller.store.change_role(&member, given(&caller, &body.role)?, app.clock.now()).await?;
    Ok(Json(caller.store.member(id).await?.into()))
}

/// `DELETE /v1/members/{id}`.
pub(in crate::http) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Member>,
) -> Result<StatusCode, ApiError> {
    caller.admin("remove members")?;
    let member = caller.store.member(id).await?;
    covers(&caller, member.role)?;
    caller.store.remove_member(&member, app.clock.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn given(caller: &Caller, word: &str) -> Result<Role, ApiError> {
    let known = || Role::ALL.map(Role::word).join(", ");
    let role = Role::from_word(word)
        .ok_or_else(|| ApiError::invalid("role", format!("is no role; there are {}", known())))?;
    covers(caller, role).map(|()| role)
}

fn covers(caller: &Caller, role: Role) -> Result<(), ApiError> {
    if caller.scopes.covers(role.scopes()) {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "missing_scope",
        format!("A key that lacks scopes of the role `{}` cannot make, change or remove one.", role.word()),
    ))
}

/// An e-mail address, as far as that can be told without asking; in lower case.
fn email(text: &str) -> Result<String, ApiError> {
    let text = text.trim().to_lowercase();
    let is_address = text.len() <= 254
        && text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_address { Ok(text) } else { Err(ApiError::invalid("email", "must be an e-mail address")) }
}
