//! `Idempotency-Key`: a POST that is sent again is answered again, and done once.
//!
//! Invariants: a name is taken before the handler begins, and the answer kept behind it, whether or not anybody still
//! waits for it. What was refused did nothing, and its name is free again. What ended with a fault of ours may have been
//! done: its name stays taken, and whoever asks is told so.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use redialer_store::{Replay, Slot, StoreError};
use sha2::{Digest as _, Sha256};

use super::{auth::Caller, error::ApiError};
use crate::app::App;

const NAME: &str = "idempotency-key";
const MAX_BODY: usize = 1 << 20;

/// Does a named POST once.
pub(super) async fn once(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let named = request.headers().get(NAME).filter(|_| request.method() == Method::POST).cloned();
    let (Some(name), Some(caller)) = (named, request.extensions().get::<Caller>().cloned()) else {
        return next.run(request).await;
    };
    match named_once(app, caller, &name, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn named_once(
    app: Arc<App>,
    caller: Caller,
    name: &HeaderValue,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let name = name.to_str().ok().filter(|n| (1..=255).contains(&n.len()));
    let name = name
        .ok_or_else(|| ApiError::invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters"))?;
    let (request, hash) = hashed(request).await?;
    let now = app.clock.now();
    let slot = match caller.store.replay(caller.key, name, &hash, now, &app.chance).await? {
        Replay::Fresh(slot) => slot,
        Replay::Other => {
            return Err(ApiError::invalid(
                "Idempotency-Key",
                "was used for another request; send a new key for a new request",
            ));
        }
        Replay::UnderWay => {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "idempotency_in_progress",
                "The first request with this key is under way, or its outcome is not known; look before you send it anew.",
            ));
        }
        Replay::Done(status, answer) => {
            if caller.sees_numbers() {
                caller.reveals(&app, "replay", &[caller.key.to_string()]).await?;
            }
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            let mut response = json(status, Bytes::copy_from_slice(&answer));
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
            return Ok(response);
        }
    };
    // Whoever asked may hang up; what was begun is finished and kept.
    let done = tokio::spawn(async move {
        let response = next.run(request).await;
        keep(&app, &caller, &slot, response).await
    });
    done.await.unwrap_or_else(|_| Err(ApiError::unavailable()))
}

/// The request, and the hash of all of it that counts.
async fn hashed(request: Request) -> Result<(Request, [u8; 32]), ApiError> {
    let (parts, body) = request.into_parts();
    let too_large =
        || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is larger than 1 MiB.");
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| too_large())?;
    let mut hash = Sha256::new();
    hash.update(parts.uri.to_string().as_bytes());
    hash.update([0]);
    hash.update(&body);
    Ok((Request::from_parts(parts, Body::from(body)), hash.finalize().into()))
}

/// Keeps an answer, or gives the name back.
async fn keep(app: &App, caller: &Caller, slot: &Slot, response: Response) -> Result<Response, ApiError> {
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
    let key = app.store.open_key(caller.tenant.id).await?;
    let kept: Result<(), StoreError> =
        caller.store.keep_answer(slot, status.as_u16(), &body, &key, &app.chance).await;
    if let Err(error) = kept {
        // It was done, and this answer says so; only another try would not be told.
        tracing::warn!(%error, "an answer could not be kept");
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn json(status: StatusCode, body: Bytes) -> Response {
    let mut response = (status, body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
