//! `Idempotency-Key`: a POST that is sent again with the same key is not executed again and gets the stored response.
//!
//! Invariants: the key is reserved before the handler runs and the response is stored under it, in the same task as the
//! request, so the response is stored even if the client disconnects. A 4xx or 502 releases the key, because the request
//! had no effect. Any other error keeps the key reserved, because the request may have taken effect, and a retry gets 409.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    http::{HeaderValue, Method, StatusCode, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use redialer_core::access::Who;
use redialer_store::{IdempotencyRecord, Reservation, StoreError};
use sha2::{Digest as _, Sha256};

use crate::{
    app::App,
    http::{error::ApiError, principal::Caller},
};

const NAME: &str = "idempotency-key";

/// Runs a request whose body has been read; a POST with an idempotency key is executed once.
pub(crate) async fn idempotent(
    app: Arc<App>,
    parts: Parts,
    body: Bytes,
    next: Next,
) -> Result<Response, ApiError> {
    let idempotency_key = parts.headers.get(NAME).filter(|_| parts.method == Method::POST);
    let idempotency_key =
        idempotency_key.map(|idempotency_key| parse_key(idempotency_key).map(str::to_owned)).transpose()?;
    let (Some(idempotency_key), Some(caller)) = (idempotency_key, parts.extensions.get::<Caller>().cloned())
    else {
        return Ok(next.run(Request::from_parts(parts, Body::from(body))).await);
    };
    let hash = hash_of(&parts, &body);
    let request = Request::from_parts(parts, Body::from(body));
    run_once(&app, &caller, &idempotency_key, &hash, request, next).await
}

fn parse_key(idempotency_key: &HeaderValue) -> Result<&str, ApiError> {
    let idempotency_key = idempotency_key.to_str().ok().filter(|n| (1..=255).contains(&n.len()));
    idempotency_key
        .ok_or_else(|| ApiError::invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters"))
}

async fn run_once(
    app: &App,
    caller: &Caller,
    idempotency_key: &str,
    hash: &[u8; 32],
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    // Only requests with an API key can be repeated.
    let Who::Key(key) = caller.principal.who else { return Ok(next.run(request).await) };
    let now = app.clock.now();
    let reservation = match caller.store.reserve_key(key, idempotency_key, hash, now, &app.rng).await? {
        IdempotencyRecord::Reserved(reservation) => reservation,
        IdempotencyRecord::DifferentRequest => {
            return Err(ApiError::invalid(
                "Idempotency-Key",
                "was used for a different request. Send a new key with each new request.",
            ));
        }
        IdempotencyRecord::InProgress => {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "idempotency_in_progress",
                "A request with this key is in progress, or its result is unknown. Check whether it took effect before you retry.",
            ));
        }
        IdempotencyRecord::Completed(status, answer) => {
            if caller.principal.sees_personal_data() {
                caller.reveals(app, "replay", &[caller.principal.name()]).await?;
            }
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let headers = [("content-type", "application/json"), ("idempotent-replayed", "true")];
            return Ok((status, headers, Bytes::copy_from_slice(&answer)).into_response());
        }
    };
    let response = next.run(request).await;
    store_or_release(app, caller, &reservation, response).await
}

/// Hashes the URI and the body, which a repeated request must match.
fn hash_of(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(parts.uri.to_string().as_bytes());
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}

/// Stores the response, or releases the key.
async fn store_or_release(
    app: &App,
    caller: &Caller,
    reservation: &Reservation,
    response: Response,
) -> Result<Response, ApiError> {
    let status = response.status();
    if status.is_client_error() || status == StatusCode::BAD_GATEWAY {
        caller.store.release_key(reservation).await?;
        return Ok(response);
    }
    if !status.is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| ApiError::unavailable())?;
    let kept: Result<(), StoreError> = async {
        let key = caller.store.tenant_key().await?;
        caller.store.store_response(reservation, status.as_u16(), &body, &key, &app.rng).await
    }
    .await;
    if let Err(error) = kept {
        // The request was executed; a retry gets 409 instead of this response.
        tracing::warn!(%error, "the response for an idempotency key could not be stored; a retry with this key gets 409");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}
