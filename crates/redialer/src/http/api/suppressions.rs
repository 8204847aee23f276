//! `/v1/suppressions`: numbers of the tenant that must not be called.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode};
use redialer_core::{Phone, id};
use redialer_store::{SuppressionRow, TenantKey};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::App,
    http::{
        api::{
            page::{Page, PageRequest},
            wire::{self, Body, PathId, Query},
        },
        error::ApiError,
        principal::Caller,
    },
};

/// The maximum number of phone numbers in one request.
const MAX_NUMBERS: usize = 1_000;
const MAX_NOTE_CHARS: usize = 500;

/// An entry of the do-not-call list.
#[derive(Serialize, ToSchema)]
#[schema(as = Suppression)]
pub(crate) struct View {
    /// The entry's id.
    id: String,
    /// Null if the entry cannot be decrypted.
    number: Option<String>,
    /// The reason; only for admin keys with `pii:read`.
    note: Option<String>,
    /// `api`, or `call` for a person who asked not to be called.
    source: String,
    /// When the number was added.
    #[schema(format = DateTime)]
    created_at: String,
}

fn view(row: &SuppressionRow, key: &TenantKey, clear: bool) -> View {
    // An entry that cannot be decrypted is shown without its number; the cause is an internal error and is logged.
    let opened = row
        .open(key)
        .inspect_err(|error| tracing::error!(suppression.id = %row.id, %error, "a do-not-call entry cannot be decrypted"))
        .ok();
    let (number, note) = opened.unzip();
    let shown = |n: Phone| if clear { n.e164().to_owned() } else { n.masked() };
    View {
        id: row.id.to_string(),
        number: number.map(shown),
        // Notes may contain numbers and names.
        note: note.flatten().filter(|_| clear),
        source: row.source.clone(),
        created_at: row.created_at.to_string(),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    limit: Option<i64>,
    cursor: Option<String>,
    /// Only the entry of this number.
    number: Option<String>,
}

/// `GET /v1/suppressions`.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let page_request: PageRequest<id::Suppression> = PageRequest::read(query.limit, query.cursor.as_deref())?;
    let number = query.number.map(|text| wire::number("number", &text)).transpose()?;
    let key = caller.store.tenant_key().await?;
    let page = (page_request.before, page_request.limit + 1);
    let rows = caller.acting(&app).suppressions(number.as_ref(), &key, page).await?;
    let clear = shows(&app, &caller, &rows).await;
    Ok(Json(Page::from_rows(rows, &page_request, |r| (r.created_at, r.id), |r| view(&r, &key, clear))))
}

async fn shows(app: &App, caller: &Caller, rows: &[SuppressionRow]) -> bool {
    let ids: Vec<String> = rows.iter().map(|r| r.id.to_string()).collect();
    caller.may_show(app, "numbers", &ids).await
}

/// One number, or several.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewSuppression)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBody {
    /// One number, E.164. Send either `number` or `numbers`.
    #[schema(example = "+13125550142")]
    #[serde(alias = "to_number", alias = "phone_number")]
    number: Option<String>,
    /// Instead of `number`: up to 1,000. All of them are added, or none.
    #[schema(max_items = 1_000)]
    numbers: Option<Vec<String>>,
    /// The reason, for all of them. At most 500 characters.
    #[schema(max_length = 500)]
    note: Option<String>,
}

/// The entry of one number, or a list of entries.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedSuppressions)]
#[serde(untagged)]
pub(crate) enum Created {
    /// The entry of `number`.
    One(View),
    /// The entries of `numbers`, in the same order.
    Many {
        /// The entries.
        data: Vec<View>,
    },
}

/// `POST /v1/suppressions`: also ends the waiting callbacks to these numbers.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    let (numbers, is_one) = match (body.number, body.numbers) {
        (Some(number), None) => (vec![wire::number("number", &number)?], true),
        (None, Some(numbers)) if (1..=MAX_NUMBERS).contains(&numbers.len()) => {
            let read = |(i, text): (usize, &String)| wire::number(&format!("numbers[{i}]"), text);
            (numbers.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?, false)
        }
        (None, Some(_)) => {
            let why = format!("`numbers` must contain 1 to {MAX_NUMBERS} numbers.");
            return Err(ApiError::invalid("numbers", why));
        }
        _ => return Err(ApiError::invalid("number", "Send either `number` or `numbers`.")),
    };
    if body.note.as_ref().is_some_and(|note| note.chars().count() > MAX_NOTE_CHARS) {
        let why = format!("`note` must have at most {MAX_NOTE_CHARS} characters.");
        return Err(ApiError::invalid("note", why));
    }
    let key = caller.store.tenant_key().await?;
    let (now, note) = (app.clock.now(), body.note.as_deref());
    let rows = caller.store.suppress(&numbers, note, &key, now, &app.rng).await?;
    let clear = shows(&app, &caller, &rows).await;
    let mut data: Vec<View> = rows.iter().map(|row| view(row, &key, clear)).collect();
    if caller.principal.workspace.is_some() {
        // An entry that already existed may have another workspace's note.
        data.iter_mut().for_each(|entry| entry.note = None);
    }
    let created = match data.pop() {
        Some(one) if is_one => Created::One(one),
        last => Created::Many { data: data.into_iter().chain(last).collect() },
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `DELETE /v1/suppressions/{id}`.
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Suppression>,
) -> Result<StatusCode, ApiError> {
    caller.acting(&app).unsuppress(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
