//! Every route, with the layers around it.

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};

use crate::{
    app::App,
    http::{
        docs::{guides, reference},
        error,
        health::{self, Metrics},
        middleware::{authorize, requests},
        openapi, routes, webhooks,
    },
};

/// Every public route as one service.
pub fn router(app: Arc<App>, metrics: Metrics) -> Router {
    let with = |app: &Arc<App>| Arc::clone(app);
    let v1 = routes::v1()
        .route_layer(middleware::from_fn_with_state(with(&app), requests::run))
        .route_layer(middleware::from_fn_with_state(with(&app), authorize::authorize));
    let public = Router::new().route("/", get(guides::home));
    let public = match app.config.metrics_listen {
        None => public.route("/metrics", get(move || async move { metrics.render() })),
        Some(_) => public,
    };
    public
        .route("/api/webhooks/{provider}/{slug}", post(webhooks::receive))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/v1/openapi.json", get(openapi::serve))
        .route("/docs", get(guides::first))
        .route("/docs/api", get(reference::serve))
        .route("/docs/{page}", get(guides::show))
        .nest("/v1", v1)
        // Also wraps the router's own 404.
        .layer(middleware::from_fn_with_state(with(&app), error::envelope))
        .with_state(app)
}

/// The routes at `metrics_listen`.
pub(crate) fn of_metrics(app: Arc<App>, metrics: Metrics) -> Router {
    Router::new()
        .route("/metrics", get(move || async move { metrics.render() }))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), error::envelope))
        .with_state(app)
}
