//! `/v1/attention`: callbacks and workspaces that need manual action.

use std::sync::Arc;

use axum::{Json, extract::State};
use redialer_core::{Id, Timestamp, id};
use redialer_store::WorkspaceRow;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    http::{
        api::{
            callbacks,
            page::{ListQuery, Page, PageRequest},
            wire::Query,
            workspaces::Paused,
        },
        error::ApiError,
        principal::Caller,
    },
};

/// The maximum number of checked workspaces; plans allow fewer.
const MOST_WORKSPACES: i64 = 1_000;

/// Callbacks and workspaces that need attention.
#[derive(Serialize, ToSchema)]
#[schema(as = Attention)]
pub(crate) struct View {
    /// Callbacks that need attention or are being resolved, newest first.
    data: Vec<callbacks::View>,
    /// Send it as `cursor` for the next page.
    next_cursor: Option<String>,
    /// Workspaces that are paused, lack a permission, or wait for a backfill after a restore; on the first page only.
    workspaces: Vec<Workspace>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WorkspaceInNeed)]
struct Workspace {
    /// The workspace's id.
    id: String,
    /// The workspace's name.
    name: String,
    /// Why it does not dial; null if it dials.
    paused: Option<Paused>,
    /// Permissions that its API key lacks; features that need them work without the data.
    missing_permissions: Vec<String>,
    /// Whether it was restored from a backup and does not dial until it has been compared with the provider's records.
    restoring: bool,
}

fn in_need(row: WorkspaceRow) -> Option<Workspace> {
    let fine = row.paused.is_none() && row.missing_permissions.is_empty() && !row.is_restoring;
    (!fine).then(|| Workspace {
        id: row.id.to_string(),
        name: row.name,
        paused: row.paused.map(|why| Paused::new(why, row.pause_message)),
        missing_permissions: row.missing_permissions,
        restoring: row.is_restoring,
    })
}

/// `GET /v1/attention`.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<View>, ApiError> {
    let page_request: PageRequest<id::Callback> = query.page_request()?;
    let key = caller.store.open_key().await?;
    let rows = caller.store.attention(None, page_request.before, page_request.limit + 1).await?;
    let clear = callbacks::revealed(&app, &caller, &rows).await;
    let page =
        Page::from_rows(rows, &page_request, |r| (r.created_at, r.id), |r| callbacks::view(r, &key, clear));
    let (data, next_cursor) = page.into_parts();
    let first = (Timestamp::MAX, Id::from_uuid(uuid::Uuid::max()));
    let workspaces = match query.goes_on() {
        true => Vec::new(),
        false => caller.store.workspaces(first, MOST_WORKSPACES).await?,
    };
    let workspaces = workspaces.into_iter().filter_map(in_need).collect();
    Ok(Json(View { data, next_cursor, workspaces }))
}
