//! Runs one authorized API request.
//!
//! Invariants, in this order: input that the route does not accept is rejected; the whole body is read, within its size
//! and time limits; a slot is taken only afterwards, so that a slow client holds none. A request that changes something runs
//! to its end in its own task, even if the client disconnects.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    app::App,
    http::{
        body::{self, Limits},
        error::ApiError,
        middleware::{idempotency, strict},
    },
};

/// The largest body of an API request.
const MAX_BODY: usize = 1 << 20;

/// Takes a slot for an API request, or fails immediately: webhooks and dials have priority (I34).
pub(crate) fn slot(app: &App) -> Result<OwnedSemaphorePermit, ApiError> {
    Arc::clone(&app.api_requests).try_acquire_owned().map_err(|_| ApiError::unavailable())
}

/// Runs a request.
pub(crate) async fn run(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    match execute(app, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn execute(app: Arc<App>, request: Request, next: Next) -> Result<Response, ApiError> {
    strict::check_query(&request)?;
    let (parts, body) = request.into_parts();
    // Half of the memory for bodies is reserved for webhooks.
    let limits = Limits { max_bytes: MAX_BODY, max_waiting_bytes: app.config.max_waiting_bytes / 2 };
    let (body, room) = body::read(&app, body, limits).await?;
    strict::check_body(&parts, &body)?;
    let held = (slot(&app)?, room);
    let only_reads = matches!(parts.method, Method::GET | Method::HEAD);
    let work = async move {
        let _held = held;
        idempotency::idempotent(app, parts, body, next).await
    };
    if only_reads {
        return work.await;
    }
    tokio::spawn(work).await.unwrap_or_else(|_| Err(ApiError::unavailable()))
}
