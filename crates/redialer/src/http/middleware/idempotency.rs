//! `Idempotency-Key`: a POST that is sent again is executed once and gets the stored response.
//!
//! Invariants: the key is reserved before the handler runs and the response is stored under it, in the same task as the
//! request: a client that disconnects leaves no key without its response. A 4xx or 502 releases the key, because nothing
//! was done. Any other error keeps it reserved, because the request may have taken effect, and a repeat gets 409.

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
    let name = parts.headers.get(NAME).filter(|_| parts.method == Method::POST);
    let name = name.map(|name| visible(name).map(str::to_owned)).transpose()?;
    let (Some(name), Some(caller)) = (name, parts.extensions.get::<Caller>().cloned()) else {
        return Ok(next.run(Request::from_parts(parts, Body::from(body))).await);
    };
    let hash = hash_of(&parts, &body);
    let request = Request::from_parts(parts, Body::from(body));
    run_once(&app, &caller, &name, &hash, request, next).await
}

fn visible(name: &HeaderValue) -> Result<&str, ApiError> {
    let name = name.to_str().ok().filter(|n| (1..=255).contains(&n.len()));
    name.ok_or_else(|| ApiError::invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters"))
}

async fn run_once(
    app: &App,
    caller: &Caller,
    name: &str,
    hash: &[u8; 32],
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    // Only requests with an API key can be repeated.
    let Who::Key(key) = caller.principal.who else { return Ok(next.run(request).await) };
    let now = app.clock.now();
    let slot = match caller.store.replay(key, name, hash, now, &app.rng).await? {
        IdempotencyRecord::Fresh(slot) => slot,
        IdempotencyRecord::Other => {
            return Err(ApiError::invalid(
                "Idempotency-Key",
                "was used for a different request. Send a new key with each new request.",
            ));
        }
        IdempotencyRecord::UnderWay => {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "idempotency_in_progress",
                "The first request with this key is being processed, or its result is unknown. Check its result before you send it again.",
            ));
        }
        IdempotencyRecord::Done(status, answer) => {
            if caller.principal.sees_personal_data() {
                caller.reveals(app, "replay", &[caller.principal.name()]).await?;
            }
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let headers = [("content-type", "application/json"), ("idempotent-replayed", "true")];
            return Ok((status, headers, Bytes::copy_from_slice(&answer)).into_response());
        }
    };
    let response = next.run(request).await;
    keep(app, caller, &slot, response).await
}

/// The hash of the parts of a request that a repeat must have in common with it.
fn hash_of(parts: &Parts, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(parts.uri.to_string().as_bytes());
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}

/// Stores the response, or releases the key.
async fn keep(
    app: &App,
    caller: &Caller,
    slot: &Reservation,
    response: Response,
) -> Result<Response, ApiError> {
    let status = response.status();
    if status.is_client_error() || status == StatusCode::BAD_GATEWAY {
        caller.store.give_back(slot).await?;
        return Ok(response);
    }
    if !status.is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|_| ApiError::unavailable())?;
    let kept: Result<(), StoreError> = async {
        let key = caller.store.tenant_key().await?;
        caller.store.store_response(slot, status.as_u16(), &body, &key, &app.rng).await
    }
    .await;
    if let Err(error) = kept {
        // The request was executed, as this response shows; only a repeat would not get it.
        tracing::warn!(%error, "the response for an idempotency key could not be stored");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}
