//! `/v1/activity`: webhooks with their effects, dials with their results, and refusals with their reasons.

use axum::Json;
use redialer_core::{
    Id,
    decide::{ActivityNotice, EventNote},
    id,
};
use redialer_store::{ActivityFilter, ActivityKind, ActivityRow, note_of};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::{
    api::{
        page::{Page, PageRequest},
        wire::{self, Query},
    },
    error::ApiError,
    openapi::settings,
    principal::Caller,
};

/// An entry of the activity feed.
#[derive(Serialize, ToSchema)]
#[schema(as = Activity)]
pub(crate) struct View {
    /// The id of the webhook (`dl_`), of the dial (`dp_`) or of the refusal (`nt_`).
    id: String,
    /// `webhook`: an accepted webhook. `dial`: a try at the provider. `refusal`: rejected webhooks, or a postponed dial.
    #[schema(schema_with = settings::activity)]
    kind: &'static str,
    /// The id of its workspace.
    workspace_id: String,
    /// Null if the entry is about the whole workspace.
    agent_id: Option<String>,
    /// For a webhook, the provider's name of the event; for a dial, `dial`; for a refusal, its code.
    event: String,
    /// The provider's id of the call or chat.
    provider_call_id: Option<String>,
    /// For a webhook `pending`, `done` or `quarantined`; for a dial `intent`, `unknown`, `placed`, `refused`, `not_placed`,
    /// `unresolved` or `ended`; for a refusal `recorded`.
    state: String,
    /// The callback that the entry is about.
    callback_id: Option<String>,
    /// For a dial, its ordinal in the chain, from 1.
    attempt: Option<i64>,
    /// How a dial ended, as reported by the provider, or why it was refused.
    outcome: Option<String>,
    /// The number of occurrences since the last such entry.
    count: i64,
    /// The effects, or the reason why there are none.
    notes: Vec<NoteView>,
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Note)]
struct NoteView {
    /// Stable; for programs.
    code: &'static str,
    /// A sentence for people that names the fix, if there is one.
    message: String,
}

const KINDS: [(&str, ActivityKind); 3] =
    [("webhook", ActivityKind::Webhook), ("dial", ActivityKind::Dial), ("refusal", ActivityKind::Notice)];

fn notes(row: &ActivityRow) -> Vec<NoteView> {
    if row.kind == ActivityKind::Notice {
        // A replica of a newer version may have written a notice that this one does not know.
        let notice = row.event.parse().ok();
        let view = |n: ActivityNotice| NoteView { code: n.as_str(), message: n.description().to_owned() };
        return notice.map(view).into_iter().collect();
    }
    let view = |text: &str| {
        let (code, names) = note_of(text);
        let note: EventNote = code.parse().ok()?;
        let message = match names.as_slice() {
            [] => note.description().to_owned(),
            names => format!(
                "{} The webhook contains these extractions: {}.",
                note.description(),
                names.join(", ")
            ),
        };
        Some(NoteView { code: note.as_str(), message })
    };
    row.notes.split(' ').filter_map(view).collect()
}

impl From<ActivityRow> for View {
    fn from(row: ActivityRow) -> Self {
        let (kind, id) = match row.kind {
            ActivityKind::Webhook => ("webhook", Id::<id::InboundEvent>::from_uuid(row.id).to_string()),
            ActivityKind::Dial => ("dial", Id::<id::Dispatch>::from_uuid(row.id).to_string()),
            ActivityKind::Notice => ("refusal", Id::<id::Notice>::from_uuid(row.id).to_string()),
        };
        Self {
            notes: notes(&row),
            id,
            kind,
            workspace_id: row.workspace.to_string(),
            agent_id: (!row.agent.uuid().is_nil()).then(|| row.agent.to_string()),
            event: row.event,
            provider_call_id: row.call_id,
            state: row.state,
            callback_id: row.callback.map(|id| id.to_string()),
            attempt: row.attempt,
            outcome: row.outcome,
            count: row.count,
            at: row.at.to_string(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    #[param(schema_with = settings::activity)]
    kind: Option<String>,
    /// Only entries about this workspace.
    workspace_id: Option<String>,
    /// Only entries about this agent (`ag_…`).
    agent_id: Option<String>,
    /// Only entries about this callback.
    callback_id: Option<String>,
    /// Only entries about the call or chat with this provider id.
    call_id: Option<String>,
    /// Only entries at or after this time.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only entries before this time.
    #[param(format = DateTime)]
    until: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// `GET /v1/activity`.
pub(crate) async fn list(
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    // The entries have ids of several types: a cursor holds the time and the UUID.
    let page_request: PageRequest<id::InboundEvent> =
        PageRequest::read(query.limit, query.cursor.as_deref())?;
    let known = |word: &str| KINDS.iter().find(|(w, _)| *w == word).map(|(_, kind)| *kind);
    let kind = match &query.kind {
        Some(word) => Some(known(word).ok_or_else(|| wire::not_among("kind", &KINDS.map(|(word, _)| word)))?),
        None => None,
    };
    let named = query.workspace_id.as_deref().map(|t| wire::id("workspace_id", t)).transpose()?;
    let agent = query.agent_id.as_deref().map(|t| wire::id("agent_id", t)).transpose()?;
    let timestamp = |param: &'static str, text: &Option<String>| {
        text.as_deref().map(|t| wire::timestamp(param, t)).transpose()
    };
    let filter = ActivityFilter {
        kind,
        workspace: named,
        agent,
        callback: query.callback_id.as_deref().map(|t| wire::id("callback_id", t)).transpose()?,
        call_id: query.call_id.clone(),
        since: timestamp("since", &query.since)?,
        until: timestamp("until", &query.until)?,
    };
    let before = (page_request.before.0, page_request.before.1.uuid());
    let rows = caller.store.activity(&filter, before, page_request.limit + 1).await?;
    Ok(Json(Page::from_rows(rows, &page_request, |r| (r.at, Id::from_uuid(r.id)), View::from)))
}
