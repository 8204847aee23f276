//! `/v1/callbacks`: list, schedule, reschedule, cancel, dial now.
//!
//! Invariant: numbers are masked except for keys with `pii:read`; each disclosure to such a key is recorded in the audit log.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State, http::StatusCode};
use redialer_core::{Phone, callback::HeldFor, id, settings::is_zone};
use redialer_store::{CallbackRow, Filter, Order, TenantKey, TransitionError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actions::callbacks::{self, ManualRequest, NotScheduled, When},
    app::App,
    http::{
        api::{
            callback_filters::ListQuery,
            etag::{IfMatch, Tagged, tagged},
            page::{Page, PageRequest},
            wire::{self, Body, PathId, Query},
        },
        error::ApiError,
        openapi::settings,
        principal::Caller,
    },
};

/// A callback.
#[derive(Serialize, ToSchema)]
#[schema(as = Callback)]
pub(crate) struct View {
    /// The callback's id.
    id: String,
    /// The id of its workspace.
    workspace_id: String,
    /// The agent that calls.
    agent_id: String,
    /// The id of the first callback of its chain.
    chain_root_id: String,
    /// The callback of its chain that it follows; null for the first.
    parent_id: Option<String>,
    /// The callback that replaced this one or, if it was unresolved, the one that a person forced in its place.
    superseded_by: Option<String>,
    #[schema(schema_with = settings::state)]
    state: &'static str,
    /// Why it is held; null if it is not.
    #[schema(schema_with = settings::held_for)]
    held_for: Option<&'static str>,
    #[schema(schema_with = settings::reason)]
    reason: &'static str,
    /// 1 plus the number of dials counted in the chain so far.
    attempt: i64,
    /// The maximum number of dials in its chain.
    max_attempts: i64,
    /// Whether `max_attempts` allows no dial after this one.
    is_final_attempt: bool,
    /// The time that was asked for, before quiet hours moved it.
    #[schema(format = DateTime)]
    requested_for: Option<String>,
    /// When it is due to be dialed.
    #[schema(format = DateTime)]
    scheduled_for: String,
    /// The callee's IANA time zone.
    timezone: String,
    #[schema(schema_with = settings::timezone_source)]
    timezone_source: &'static str,
    /// The callee's number, E.164; masked without `pii:read`.
    to_number: Option<String>,
    /// The number to dial from, E.164; null for the agent's own. Masked without `pii:read`.
    from_number: Option<String>,
    /// The provider's id of the call that it came from.
    source_call_id: Option<String>,
    /// The provider's id of the call that it placed.
    provider_call_id: Option<String>,
    /// How it ended: the provider's reason, or one of redialer's codes.
    outcome: Option<String>,
    /// The provider's message about a dial that it refused.
    outcome_message: Option<String>,
    /// The id given by the client that scheduled it.
    external_id: Option<String>,
    /// The metadata that the provider gets. Metadata of a call is shown only to keys with `pii:read`.
    #[schema(schema_with = settings::metadata)]
    metadata: Option<serde_json::Value>,
    /// Whether it is a test callback, dialed at the built-in simulator.
    test: bool,
    /// When the provider placed it.
    #[schema(format = DateTime)]
    dialed_at: Option<String>,
    /// When it reached its final state.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

pub(crate) fn view(row: CallbackRow, key: &TenantKey, clear: bool) -> View {
    // A row that cannot be decrypted is shown without its numbers; the cause is an internal error and is logged.
    let secrets = row
        .secrets(key)
        .inspect_err(
            |error| tracing::error!(callback.id = %row.id, %error, "callback {} cannot be decrypted", row.id),
        )
        .ok();
    let shown = |number: Option<&str>| {
        let number = number.and_then(|n| Phone::parse(n).ok())?;
        Some(if clear { number.e164().to_owned() } else { number.masked() })
    };
    View {
        id: row.id.to_string(),
        workspace_id: row.workspace.to_string(),
        agent_id: row.agent.to_string(),
        chain_root_id: row.chain.to_string(),
        parent_id: row.parent.map(|id| id.to_string()),
        superseded_by: row.superseded_by.map(|id| id.to_string()),
        state: row.state.as_str(),
        held_for: row.held_for.map(HeldFor::as_str),
        reason: row.reason.as_str(),
        attempt: row.attempt,
        max_attempts: row.max_attempts,
        is_final_attempt: row.is_final,
        requested_for: row.requested_for.map(|at| at.to_string()),
        scheduled_for: row.scheduled_for.to_string(),
        timezone: row.zone.name.clone(),
        timezone_source: row.zone.source.as_str(),
        to_number: shown(secrets.as_ref().map(|s| s.to.as_str())),
        from_number: shown(secrets.as_ref().and_then(|s| s.from.as_deref())),
        source_call_id: row.source_call_id,
        provider_call_id: row.provider_call_id,
        outcome: row.outcome,
        outcome_message: row.outcome_message,
        external_id: secrets.as_ref().and_then(|s| s.external_id.clone()),
        metadata: secrets
            .as_ref()
            .filter(|_| clear || row.is_manual)
            .and_then(|s| serde_json::from_str(s.metadata.as_deref()?).ok()),
        test: row.test,
        dialed_at: row.dialed_at.map(|at| at.to_string()),
        ended_at: row.state.is_final().then(|| row.updated_at.to_string()),
        created_at: row.created_at.to_string(),
        updated_at: row.updated_at.to_string(),
    }
}

/// `GET /v1/callbacks`.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let page_request = query.page_request()?;
    let key = caller.store.open_key().await?;
    let Some(filter) = query.filter(&caller, &key).await? else {
        return Ok(Json(Page::complete(Vec::new())));
    };
    let order = filter.order;
    let rows = caller.store.callbacks(&filter, page_request.before, page_request.limit + 1).await?;
    let clear = revealed(&app, &caller, &rows).await;
    let place = |row: &CallbackRow| match order {
        Order::Created => (row.created_at, row.id),
        Order::Scheduled => (row.scheduled_for, row.id),
    };
    Ok(Json(Page::from_rows(rows, &page_request, place, |r| view(r, &key, clear))))
}

/// Whether the numbers of these callbacks are shown in clear.
pub(crate) async fn revealed(app: &App, caller: &Caller, rows: &[CallbackRow]) -> bool {
    let ids: Vec<String> = rows.iter().map(|r| r.id.to_string()).collect();
    caller.may_show(app, "numbers", &ids).await
}

/// `GET /v1/callbacks/{id}`.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Callback>,
) -> Result<Tagged<View>, ApiError> {
    let key = caller.store.open_key().await?;
    let row = callbacks::seen(&caller.store, id).await?;
    let clear = revealed(&app, &caller, std::slice::from_ref(&row)).await;
    let updated_at = row.updated_at;
    Ok(tagged(id, updated_at, view(row, &key, clear)))
}

/// `GET /v1/callbacks/{id}/chain`: every callback of its chain, newest first.
pub(crate) async fn chain(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Callback>,
) -> Result<Json<Page<View>>, ApiError> {
    let row = callbacks::seen(&caller.store, id).await?;
    let key = caller.store.open_key().await?;
    let filter = Filter { chain: Some(row.chain), workspace: Some(row.workspace), ..Filter::default() };
    let all: PageRequest<id::Callback> = PageRequest::read(Some(200), None)?;
    let rows = caller.store.callbacks(&filter, all.before, all.limit).await?;
    let clear = revealed(&app, &caller, &rows).await;
    Ok(Json(Page::complete(rows.into_iter().map(|r| view(r, &key, clear)).collect())))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewCallback)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBody {
    /// Redialer's id of the agent that calls.
    #[schema(pattern = "^ag_[0-9a-z]{26}$")]
    agent_id: String,
    /// The callee's number in international notation; E.164 is best.
    #[schema(example = "+13125550142")]
    to_number: String,
    /// The number to dial from, one of the workspace's own. Default: the agent's own at the provider.
    #[schema(example = "+12025550100")]
    from_number: Option<String>,
    /// When to dial: at most 400 days ahead. Send either `at` or `text`.
    #[schema(format = DateTime)]
    at: Option<String>,
    /// When to dial, in words, such as `tomorrow at 3 pm`. Send either `at` or `text`.
    text: Option<String>,
    /// The callee's IANA time zone. Default: derived from the number.
    timezone: Option<String>,
    /// Variables for the agent, in addition to redialer's own.
    dynamic_variables: Option<BTreeMap<String, String>>,
    /// Your own id, by which to find the callback.
    #[schema(min_length = 1, max_length = 200)]
    external_id: Option<String>,
    /// A JSON object of your own, at most 16 KiB; the provider gets it as metadata.
    #[schema(schema_with = settings::metadata)]
    metadata: Option<serde_json::Value>,
    /// Whether to replace a waiting callback that the callee asked for. Default: false.
    #[serde(default)]
    replace: bool,
}

/// `POST /v1/callbacks`.
pub(crate) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(body): Body<NewBody>,
) -> Result<(StatusCode, Tagged<View>), ApiError> {
    let agent = match caller.store.agent(wire::id("agent_id", &body.agent_id)?).await {
        Ok(agent) => agent,
        Err(redialer_store::StoreError::NotFound) => {
            return Err(ApiError::invalid("agent_id", "is not the id of an agent"));
        }
        Err(error) => return Err(error.into()),
    };
    if !agent.enabled {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            "agent_disabled",
            "The agent is disabled. Enable it first.",
        ));
    }
    let when = when(&body)?;
    let has_text = body.text.is_some();
    let manual = ManualRequest {
        to: wire::number("to_number", &body.to_number)?,
        from: body.from_number.as_deref().map(|n| wire::number("from_number", n)).transpose()?,
        when,
        external_id: external_id(body.external_id)?,
        metadata: metadata(body.metadata)?,
        variables: body.dynamic_variables.unwrap_or_default(),
        replaces: body.replace,
    };
    let workspace = caller.store.workspace(agent.workspace).await?;
    let id =
        callbacks::schedule(&app, &caller.store, &workspace, &agent, manual).await.map_err(
            |why| match why {
                NotScheduled::OutOfRange => {
                    ApiError::invalid(if has_text { "text" } else { "at" }, why.to_string())
                }
                why => not_scheduled(why),
            },
        )?;
    Ok((StatusCode::CREATED, show(State(app), caller, PathId(id)).await?))
}

fn not_scheduled(why: NotScheduled) -> ApiError {
    let message = why.to_string();
    let conflict = |code| ApiError::new(StatusCode::CONFLICT, code, message.clone());
    match why {
        NotScheduled::Store(error) => error.into(),
        NotScheduled::NoTime | NotScheduled::OutOfRange => ApiError::invalid("text", message),
        NotScheduled::ForeignNumber => ApiError::invalid("from_number", message),
        NotScheduled::Country => ApiError::unprocessable("country_not_allowed", "to_number", message),
        NotScheduled::Note(note) => conflict(note.as_str()),
        NotScheduled::PromisePending(_) => conflict("promise_pending"),
        NotScheduled::ForcedBefore(_) => conflict("already_forced"),
        NotScheduled::Fuse => conflict("fuse"),
        NotScheduled::Now(TransitionError::Dialling) => conflict("already_dialing"),
        NotScheduled::Now(TransitionError::Final) => conflict("final"),
    }
}

fn external_id(id: Option<String>) -> Result<Option<String>, ApiError> {
    match id {
        Some(id) if id.trim().is_empty() || id.chars().count() > 200 => {
            Err(ApiError::invalid("external_id", "`external_id` must be 1 to 200 characters."))
        }
        id => Ok(id),
    }
}

fn metadata(value: Option<serde_json::Value>) -> Result<Option<String>, ApiError> {
    const MAX_BYTES: usize = 16 << 10;
    match value {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(value) if !value.is_object() => {
            Err(ApiError::invalid("metadata", "`metadata` must be a JSON object."))
        }
        Some(value) => Some(value.to_string())
            .filter(|text| text.len() <= MAX_BYTES)
            .map(Some)
            .ok_or_else(|| ApiError::invalid("metadata", "`metadata` must be at most 16 KiB of JSON.")),
    }
}

fn when(body: &NewBody) -> Result<When, ApiError> {
    if body.timezone.as_deref().is_some_and(|zone| !is_zone(zone)) {
        return Err(ApiError::invalid(
            "timezone",
            "`timezone` must be an IANA time zone, such as Europe/Berlin.",
        ));
    }
    match (&body.at, &body.text) {
        (Some(at), None) => Ok(When::At(wire::timestamp("at", at)?, body.timezone.clone())),
        (None, Some(text)) => Ok(When::Words(text.clone(), body.timezone.clone())),
        (Some(_), Some(_)) => Err(ApiError::invalid("at", "Send either `at` or `text`, not both.")),
        (None, None) => {
            Err(ApiError::invalid("at", "Send `at` (RFC 3339) or `text` (words, with `timezone`)."))
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = CallbackChange)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeBody {
    /// The new time, from now to 400 days ahead. Quiet hours do not move it.
    #[schema(format = DateTime)]
    scheduled_for: String,
}

/// `PATCH /v1/callbacks/{id}`.
pub(crate) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Callback>,
    if_match: IfMatch,
    Body(body): Body<ChangeBody>,
) -> Result<Tagged<View>, ApiError> {
    let row = callbacks::seen(&caller.store, id).await?;
    let if_unchanged = if_match.guard(id, row.updated_at)?;
    let to = wire::timestamp("scheduled_for", &body.scheduled_for)?;
    let moved = callbacks::reschedule(&app, &caller.store, id, (to, if_unchanged)).await;
    moved.map_err(|why| match why {
        NotScheduled::OutOfRange => {
            let why = "`scheduled_for` must be between now and 400 days from now.";
            ApiError::invalid("scheduled_for", why)
        }
        why => not_scheduled(why),
    })?;
    show(State(app), caller, PathId(id)).await
}

/// `POST /v1/callbacks/{id}/cancel`.
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Callback>,
) -> Result<Tagged<View>, ApiError> {
    callbacks::seen(&caller.store, id).await?;
    caller.store.cancel(id, app.clock.now()).await?.map_err(|why| not_scheduled(why.into()))?;
    show(State(app), caller, PathId(id)).await
}

/// `POST /v1/callbacks/{id}/force`.
pub(crate) async fn force(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Callback>,
) -> Result<Tagged<View>, ApiError> {
    let row = callbacks::seen(&caller.store, id).await?;
    let dialed = callbacks::force(&app, &caller.store, &row).await.map_err(not_scheduled)?;
    show(State(app), caller, PathId(dialed)).await
}
