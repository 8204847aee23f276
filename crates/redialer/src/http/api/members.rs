//! `/v1/members`: who can sign in to the tenant, and with which role.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use redialer_core::{access::Role, id};
use redialer_store::MemberRow;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
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

/// A member. Its password is returned only on creation.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub(crate) struct View {
    /// The member's id.
    id: String,
    /// The email address, in lower case.
    email: String,
    #[schema(schema_with = settings::role)]
    role: &'static str,
    /// When the member was added.
    #[schema(format = DateTime)]
    created_at: String,
    /// The password; only in the response that adds the member.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

impl From<MemberRow> for View {
    fn from(row: MemberRow) -> Self {
        Self {
            id: row.id.to_string(),
            email: row.email,
            role: row.role.as_str(),
            created_at: row.created_at.to_string(),
            password: None,
        }
    }
}

/// `GET /v1/members`.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let page_request: PageRequest<id::Member> = query.page_request()?;
    let rows = caller.acting(&app).members(page_request.before, page_request.limit + 1).await?;
    Ok(Json(Page::from_rows(rows, &page_request, |m| (m.created_at, m.id), View::from)))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewMember)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBody {
    /// The member's email address.
    #[schema(example = "ops@example.com")]
    email: String,
    #[schema(schema_with = settings::role)]
    role: String,
}

/// `POST /v1/members`: only this response contains the password (and, sealed, the stored response for repeated requests).
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<View>), ApiError> {
    let (role, email) = (role(&body.role)?, email(&body.email)?);
    let (member, password) = caller.acting(&app).add_member(&email, role).await?;
    Ok((StatusCode::CREATED, Json(View { password: Some(password), ..member.into() })))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = MemberChange)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    #[schema(schema_with = settings::role)]
    role: String,
}

/// `PATCH /v1/members/{id}`.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Member>,
    Body(body): Body<ChangeBody>,
) -> Result<Json<View>, ApiError> {
    let role = role(&body.role)?;
    Ok(Json(caller.acting(&app).change_role(id, role).await?.into()))
}

/// `DELETE /v1/members/{id}`.
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Member>,
) -> Result<StatusCode, ApiError> {
    caller.acting(&app).remove_member(id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn role(word: &str) -> Result<Role, ApiError> {
    word.parse().map_err(|_| wire::not_among("role", &Role::ALL.map(Role::as_str)))
}

/// Checks that the text looks like an e-mail address. Returns it in lower case.
fn email(text: &str) -> Result<String, ApiError> {
    let text = text.trim().to_lowercase();
    let is_address = text.len() <= 254
        && text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
        && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_address { Ok(text) } else { Err(ApiError::invalid("email", "must be an email address")) }
}
