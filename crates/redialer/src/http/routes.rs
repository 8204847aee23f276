//! The whole surface on one page.

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};

use super::{
    api::{activity, agents, callbacks, workspaces},
    error, health,
    health::Metrics,
    webhooks,
};
use crate::app::App;

pub(super) fn all(app: Arc<App>, metrics: Metrics) -> Router {
    Router::new()
        .route("/api/webhooks/{provider}/{slug}", post(webhooks::receive))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(move || async move { metrics.render() }))
        .nest("/v1", v1().layer(middleware::from_fn_with_state(Arc::clone(&app), error::shed)))
        .fallback(|| async {
            error::ApiError::new(axum::http::StatusCode::NOT_FOUND, "not_found", "There is no such path.")
        })
        .layer(middleware::from_fn_with_state(Arc::clone(&app), error::envelope))
        .with_state(app)
}

fn v1() -> Router<Arc<App>> {
    Router::new()
        .route("/workspaces", get(workspaces::list).post(workspaces::create))
        .route("/workspaces/{id}", get(workspaces::show).patch(workspaces::change))
        .route("/workspaces/{id}/sync", post(workspaces::sync))
        .route("/workspace", get(workspaces::own))
        .route("/agents", get(agents::list))
        .route("/agents/{id}", get(agents::show).patch(agents::change))
        .route("/agents/{id}/webhook-url", get(agents::webhook_url))
        .route("/callbacks", get(callbacks::list).post(callbacks::create))
        .route("/callbacks/{id}", get(callbacks::show).patch(callbacks::change))
        .route("/callbacks/{id}/chain", get(callbacks::chain))
        .route("/callbacks/{id}/cancel", post(callbacks::cancel))
        .route("/callbacks/{id}/force", post(callbacks::force))
        .route("/activity", get(activity::list))
        .route("/attention", get(callbacks::attention))
}
