//! `/v1/usage`: the plan's limits for this month, and the current use.

use std::sync::Arc;

use axum::{Json, extract::State};
use redialer_core::quota::month;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    app::App,
    http::{error::ApiError, openapi::settings, principal::Caller},
};

/// Quota and use of a tenant, or of the one workspace that a key is limited to.
#[derive(Serialize, ToSchema)]
#[schema(as = Usage)]
pub(crate) struct View {
    #[schema(schema_with = settings::plan)]
    plan: &'static str,
    /// The start of this calendar month (UTC).
    #[schema(format = DateTime)]
    period_start: String,
    /// The start of the next calendar month (UTC).
    #[schema(format = DateTime)]
    period_end: String,
    /// Calls placed this month.
    calls: Used,
    /// Workspaces of the tenant.
    workspaces: Used,
    /// The maximum number of enabled agents per workspace; null if there is no limit.
    agents_per_workspace: Option<u32>,
    /// The upper limit of the setting `max_attempts`.
    max_attempts: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Used)]
struct Used {
    /// The current number.
    used: i64,
    /// The plan's limit; null if there is none.
    limit: Option<u64>,
}

/// The limit to show; `None` if there is no limit.
fn limit(n: u32) -> Option<u64> {
    (n < u32::MAX).then_some(u64::from(n))
}

/// `GET /v1/usage`.
pub(crate) async fn show(State(app): State<Arc<App>>, caller: Caller) -> Result<Json<View>, ApiError> {
    let now = app.clock.now();
    let (start, end) = month(now);
    let limits = app.store.limits_of(caller.tenant.plan);
    let workspaces = caller.store.count_workspaces().await?;
    Ok(Json(View {
        plan: caller.tenant.plan.as_str(),
        period_start: start.to_string(),
        period_end: end.to_string(),
        calls: Used { used: caller.store.calls_this_month(None, now).await?, limit: limits.calls_a_month },
        workspaces: Used { used: workspaces, limit: limit(limits.workspaces) },
        agents_per_workspace: limit(limits.agents).and_then(|n| u32::try_from(n).ok()),
        max_attempts: limits.max_attempts,
    }))
}
