//! `/v1/activity`: what came in, and what followed from it or why nothing did.

use axum::Json;
use redialer_core::{decide::Note, id};
use redialer_store::ActivityRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    page::{Asked, Page},
    wire::Query,
};
use crate::http::{auth::Caller, error::ApiError};

#[derive(Serialize, ToSchema)]
#[schema(as = Activity)]
pub(in crate::http) struct View {
    id: String,
    kind: &'static str,
    workspace_id: String,
    agent_id: String,
    event: String,
    provider_call_id: Option<String>,
    state: String,
    callback_id: Option<String>,
    notes: Vec<NoteView>,
    at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Note)]
struct NoteView {
    code: &'static str,
    message: &'static str,
}

impl From<ActivityRow> for View {
    fn from(row: ActivityRow) -> Self {
        let notes = row.notes.split(' ').filter_map(Note::from_word);
        Self {
            id: row.id.to_string(),
            kind: "webhook",
            workspace_id: row.workspace.to_string(),
            agent_id: row.agent.to_string(),
            event: row.event,
            provider_call_id: row.call_id,
            state: row.state,
            callback_id: row.callback.map(|id| id.to_string()),
            notes: notes.map(|n| NoteView { code: n.word(), message: n.sentence() }).collect(),
            at: row.received_at.to_string(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ListQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

/// `GET /v1/activity`.
pub(in crate::http) async fn list(
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let asked: Asked<id::Delivery> = Asked::read(query.limit, query.cursor.as_deref())?;
    let mut rows = caller.store.activity(caller.workspace, asked.before, asked.limit + 1).await?;
    rows.truncate(usize::try_from(asked.limit + 1).unwrap_or(usize::MAX));
    Ok(Json(Page::of(rows, &asked, |r| (r.received_at, r.id), View::from)))
}
