//! `/v1/audit`: the audit log, newest first.

use axum::Json;
use redialer_core::{Id, Timestamp, id};
use redialer_store::{AuditFilter, AuditRow};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::http::{
    api::{
        page::{Page, PageRequest, not_a_cursor},
        wire::{self, Query},
    },
    error::ApiError,
    openapi::settings,
    principal::Caller,
};

/// An audit event. `hash` covers the event and the one before it.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEvent)]
pub(crate) struct View {
    /// The event's id.
    id: String,
    /// The event's number in the tenant's audit log, from 1 without gaps.
    seq: i64,
    /// When it happened.
    #[schema(format = DateTime)]
    at: String,
    /// The id of the API key or member that acted, `command` for the command line, or `program` for the server itself.
    actor: String,
    /// The action: a noun, a dot, a verb.
    action: String,
    /// The workspace in which it happened.
    workspace_id: Option<String>,
    /// The id of the changed resource.
    target: String,
    #[schema(schema_with = settings::changes)]
    before: Option<Value>,
    #[schema(schema_with = settings::changes)]
    after: Option<Value>,
    /// The request's id, as in its `X-Request-Id`.
    request_id: Option<String>,
    /// The client's address.
    ip: Option<String>,
    /// A MAC in hexadecimal over this event and the `hash` of the one before it.
    hash: String,
}

impl From<AuditRow> for View {
    fn from(row: AuditRow) -> Self {
        let json = |text: Option<String>| text.and_then(|t| serde_json::from_str(&t).ok());
        Self {
            id: id_of(row.seq).to_string(),
            seq: row.seq,
            at: row.at.to_string(),
            actor: row.actor,
            action: row.action,
            workspace_id: row.workspace.map(|w| w.to_string()),
            target: row.target,
            before: json(row.before),
            after: json(row.after),
            request_id: row.request,
            ip: row.address,
            hash: row.mac.iter().map(|b| format!("{b:02x}")).collect(),
        }
    }
}

/// The id of an audit event is its sequence number.
fn id_of(seq: i64) -> Id<id::AuditEvent> {
    Id::from_uuid(uuid::Uuid::from_u128(u128::from(seq.unsigned_abs())))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only events in this workspace.
    workspace_id: Option<String>,
    /// Only events of this actor: the id of an API key or a member, `command` or `program`.
    actor: Option<String>,
    /// Only events with this action, such as `workspace.change`.
    action: Option<String>,
    /// Only events on the resource with this id.
    target: Option<String>,
    /// Only events at or after this time.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Only events before this time.
    #[param(format = DateTime)]
    until: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// `GET /v1/audit`.
pub(crate) async fn list(
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<Page<View>>, ApiError> {
    let page_request: PageRequest<id::AuditEvent> = PageRequest::read(query.limit, query.cursor.as_deref())?;
    let named = query.workspace_id.as_deref().map(|t| wire::id("workspace_id", t)).transpose()?;
    let filter = AuditFilter {
        workspace: named,
        actor: query.actor,
        action: query.action,
        target: query.target,
        since: query.since.as_deref().map(|t| wire::timestamp("since", t)).transpose()?,
        until: query.until.as_deref().map(|t| wire::timestamp("until", t)).transpose()?,
    };
    let before = match i64::try_from(page_request.before.1.uuid().as_u128()) {
        Ok(seq) => seq,
        Err(_) if query.cursor.is_none() => i64::MAX,
        // The ids of another list are not sequence numbers.
        Err(_) => return Err(not_a_cursor()),
    };
    let rows = caller.store.audit_events(&filter, before, page_request.limit + 1).await?;
    Ok(Json(Page::from_rows(rows, &page_request, |r| (Timestamp::UNIX_EPOCH, id_of(r.seq)), View::from)))
}
