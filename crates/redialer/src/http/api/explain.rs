//! `/v1/callbacks/{id}/explain`: why a callback is scheduled for its time: the words heard, the time zone, and every gate.
//!
//! A callback that was dialed or closed by its gates shows the gates as they were evaluated then: they are stored with
//! the dispatch or the callback. A waiting callback shows the gates as of now. A callback that ended otherwise
//! (canceled, superseded) shows them as of its end, with the current settings.

use std::sync::Arc;

use axum::{Json, extract::State};
use jiff::SignedDuration;
use redialer_core::{
    Timestamp,
    decide::{Due, GateRecord, WorkspaceConditions, condition_gates, gates, held},
    id,
    time::plus,
};
use redialer_store::{AgentContext, CallbackRow, Secrets, WorkspaceRow};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    actions::callbacks,
    app::App,
    http::{api::wire::PathId, error::ApiError, openapi::settings, principal::Caller},
};

/// Why a callback is scheduled for its time.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(crate) struct View {
    /// The callback's id.
    callback_id: String,
    #[schema(schema_with = settings::state)]
    state: &'static str,
    #[schema(schema_with = settings::reason)]
    reason: &'static str,
    /// The requested time, before quiet hours moved it.
    #[schema(format = DateTime)]
    requested_for: Option<String>,
    /// When it is due to be dialed.
    #[schema(format = DateTime)]
    scheduled_for: String,
    /// The callee's IANA time zone.
    timezone: String,
    #[schema(schema_with = settings::timezone_source)]
    timezone_source: &'static str,
    /// How the requested time was determined; null if it does not come from spoken words.
    heard: Option<Heard>,
    /// The time for which the gates were evaluated: that of the dial, or else of the end, or else now.
    as_of: String,
    /// The gates in order; the first that does not pass decides.
    gates: Vec<GateView>,
}

/// How the requested time was determined.
#[derive(Serialize, ToSchema)]
#[schema(as = Heard)]
struct Heard {
    /// The words; only for keys that may see personal data.
    evidence: Option<String>,
    /// The rule that recognized the time.
    rule: Option<String>,
    /// The confidence of the recognition, from 0 to 1.
    confidence: Option<f64>,
    /// The start of the period that fits the words.
    #[schema(format = DateTime)]
    earliest: Option<String>,
    /// The end of that period.
    #[schema(format = DateTime)]
    latest: Option<String>,
    /// Codes of the reasons for doubt about the time.
    doubts: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Gate)]
struct GateView {
    /// The gate's name.
    gate: String,
    /// The facts that it checked.
    input: String,
    #[schema(schema_with = settings::verdict)]
    verdict: String,
    /// For `wait`, the time until which the callback waits.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// The verdict in words.
    message: String,
}

impl From<GateRecord> for GateView {
    fn from(gate: GateRecord) -> Self {
        let GateRecord { gate, input, verdict, until, message } = gate;
        Self { gate, input, verdict, until, message }
    }
}

/// `GET /v1/callbacks/{id}/explain`.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    caller: Caller,
    PathId(id): PathId<id::Callback>,
) -> Result<Json<View>, ApiError> {
    let row = callbacks::seen(&caller.store, id).await?;
    let key = caller.store.tenant_key().await?;
    // A row that cannot be decrypted is still explained, without the words heard.
    let secrets = row
        .secrets(&key)
        .inspect_err(
            |error| tracing::error!(callback.id = %row.id, %error, "callback {} cannot be decrypted; it is explained without the words", row.id),
        )
        .unwrap_or_default();
    let clear = secrets.evidence.is_some() && caller.may_show(&app, "evidence", &[id.to_string()]).await;
    let (as_of, gates) = gates_of(&app, &caller, &row, &secrets).await?;
    Ok(Json(View {
        callback_id: row.id.to_string(),
        state: row.state.as_str(),
        reason: row.reason.as_str(),
        requested_for: row.requested_for.map(|at| at.to_string()),
        scheduled_for: row.scheduled_for.to_string(),
        timezone: row.zone.name.clone(),
        timezone_source: row.zone.source.as_str(),
        heard: heard(&secrets, clear),
        as_of: as_of.to_string(),
        gates: gates.into_iter().map(GateView::from).collect(),
    }))
}

/// The stored gates and the time of their evaluation. If none are stored, evaluates them as of now or, for a callback
/// that has ended, as of its end.
async fn gates_of(
    app: &App,
    caller: &Caller,
    row: &CallbackRow,
    secrets: &Secrets,
) -> Result<(Timestamp, Vec<GateRecord>), ApiError> {
    if !row.state.is_waiting()
        && let Some(decided) = caller.store.decided(row).await?
    {
        return Ok(decided);
    }
    let workspace = caller.store.workspace(row.workspace).await?;
    let AgentContext { agent, policy } = AgentContext::new(caller.store.agent(row.agent).await?, &workspace);
    let as_of = if row.state.is_final() { row.updated_at } else { app.clock.now() };
    let overdue = as_of.duration_since(row.scheduled_for).max(SignedDuration::ZERO);
    let due = Due {
        late_by: overdue,
        overdue,
        attempts_used: caller.store.attempts_used(row.chain).await?,
        suppressed: caller.store.is_suppressed(&row.phone_hash).await?,
        ..Due::new(&row.candidate(&secrets.to), agent.dialing(), &policy)
    };
    let held = row.held_for.map(held);
    let mut all: Vec<GateRecord> =
        held.into_iter().chain(gates(&due, as_of).into_iter().map(GateRecord::from)).collect();
    // The state of the workspace is current, so it is included only while the callback waits.
    if row.state.is_waiting() {
        all.extend(condition_gates(&conditions(app, caller, row, &workspace).await?));
    }
    Ok((as_of, all))
}

async fn conditions(
    app: &App,
    caller: &Caller,
    row: &CallbackRow,
    workspace: &WorkspaceRow,
) -> Result<WorkspaceConditions, ApiError> {
    let (now, steady) = (app.clock.now(), app.clock.steady());
    let used = caller.store.calls_of_plan(now).await?;
    let limit = app.store.limits_of(caller.tenant.plan).calls_a_month;
    Ok(WorkspaceConditions {
        paused: workspace.paused.map(|(why, _)| (why, workspace.pause_message.clone())),
        is_restoring: workspace.is_restoring,
        // Test callbacks are not counted.
        calls_left: limit
            .filter(|_| !row.test)
            .map(|limit| limit.saturating_sub(u64::try_from(used).unwrap_or(0))),
        free_lines: app.dial_rate.lines(row.workspace, steady).filter(|lines| *lines < u32::MAX),
        slowed_until: app.dial_rate.slowed_until(row.workspace, steady).map(|until| {
            let wait = SignedDuration::try_from(until.saturating_sub(steady)).unwrap_or(SignedDuration::MAX);
            plus(now, wait.saturating_mul(i32::try_from(app.clock.speed()).unwrap_or(i32::MAX)))
        }),
        fuse_blown: caller.store.is_fuse_blown(row.phone_hash, app.config.fuse(), now).await?,
    })
}

fn heard(secrets: &Secrets, clear: bool) -> Option<Heard> {
    let time = |ms: i64| Timestamp::from_millisecond(ms).ok().map(|t| t.to_string());
    secrets.rule.as_ref()?;
    Some(Heard {
        evidence: secrets.evidence.clone().filter(|_| clear),
        rule: secrets.rule.clone(),
        confidence: secrets.confidence,
        earliest: secrets.window.and_then(|w| time(w.0)),
        latest: secrets.window.and_then(|w| time(w.1)),
        doubts: secrets.doubts.clone(),
    })
}
