//! Liveness, readiness, metrics.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use redialer_core::callback::RedialReason;
use serde_json::json;

use crate::app::App;

/// Histogram buckets for the lateness of dials, in seconds.
const LATE_SECONDS: [f64; 9] = [0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0];

/// A handle to render the process's metrics.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Installs the recorder; `None` if one is already installed.
    pub fn install() -> Option<Self> {
        let late = Matcher::Full("redialer_dial_lateness_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(late, &LATE_SECONDS).ok()?;
        let handle = builder.install_recorder().ok()?;
        for (name, help) in [
            ("redialer_webhooks_total", "Webhooks received, by response status."),
            ("redialer_events_processed_total", "Events processed."),
            ("redialer_events_failed_total", "Events whose processing failed."),
            (
                "redialer_unknown_reasons_total",
                "Calls that ended for a reason that is unknown to this version.",
            ),
            ("redialer_callbacks_scheduled_total", "Callbacks scheduled after calls, by reason."),
            (
                "redialer_outcomes_total",
                "Calls placed by redialer that ended, by the resulting state of their callbacks.",
            ),
            ("redialer_calls_found_total", "Calls found at the provider for which no webhook was received."),
            (
                "redialer_calls_unread_total",
                "Calls skipped by a backfill because their records could not be fetched.",
            ),
            (
                "redialer_outcomes_unknown_total",
                "Callbacks closed because the provider reported no outcome of their calls.",
            ),
            ("redialer_unresolved_total", "Dials whose placement could not be determined."),
            ("redialer_dials_total", "Requests to place a call, by answer."),
            ("redialer_api_requests_total", "API requests, by method, route and status."),
            (
                "redialer_provider_refusals_total",
                "Read requests that the provider refused or failed, by answer.",
            ),
            ("redialer_dials_failed_total", "Dials that failed because of an internal error."),
            ("redialer_connections_refused_total", "Connections that were refused, by reason."),
        ] {
            metrics::describe_counter!(name, help);
        }
        for (name, help) in [
            (
                "redialer_callbacks_due",
                "Callbacks that are due and not dialed yet, counted up to 100,000 per workspace.",
            ),
            ("redialer_callbacks_held", "Held callbacks, by the condition that they wait for."),
            ("redialer_events_waiting", "Received events that are not processed yet."),
            (
                "redialer_oldest_event_seconds",
                "Age of the oldest received event that is not processed yet, in seconds.",
            ),
            ("redialer_workspaces_paused", "Paused workspaces, by reason."),
            (
                "redialer_stuck",
                "Items that need attention, by kind, counted up to 1,000 (overdue callbacks: per workspace).",
            ),
        ] {
            metrics::describe_gauge!(name, help);
        }
        let late = "How long after its due time a callback was dialed, in seconds.";
        metrics::describe_histogram!("redialer_dial_lateness_seconds", late);
        metrics::counter!("redialer_unknown_reasons_total").absolute(0);
        for reason in RedialReason::ALL.into_iter().filter(|reason| *reason != RedialReason::Scheduled) {
            metrics::counter!("redialer_callbacks_scheduled_total", "reason" => reason.as_str()).absolute(0);
        }
        Some(Self(handle))
    }

    /// Metrics without a global recorder: for several servers in one process.
    pub fn detached() -> Self {
        Self(PrometheusBuilder::new().build_recorder().handle())
    }

    pub(crate) fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

/// `GET /healthz`: the process is running.
pub(crate) async fn live(State(app): State<Arc<App>>) -> Response {
    let body =
        json!({"status": "ok", "now": app.clock.now().to_string(), "version": env!("CARGO_PKG_VERSION")});
    Json(body).into_response()
}

/// `GET /readyz`: whether the server can accept work.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let database = app.store.ping().await.is_ok();
    // Without writes, as on a full disk or with a leader that does not answer, accepted events could not be stored.
    let writes = database && app.store.can_write().await;
    // A replica without leased buckets still accepts webhooks and requests.
    let leases = !app.ranges().is_empty();
    let key_service = app.store.prove_key(&app.rng).await.is_ok();
    let ready = database && writes && key_service && !app.is_draining();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready, "database": database, "writes": writes, "key_service": key_service, "leases": leases, "draining": app.is_draining(),
    });
    (status, Json(body)).into_response()
}
