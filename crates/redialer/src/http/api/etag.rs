//! Optimistic concurrency via `ETag` and `If-Match`.
//!
//! Invariant: the version compared before a change is also a condition in the change's SQL statement.

use std::sync::Arc;

use axum::{
    Json,
    extract::FromRequestParts,
    http::{header, request::Parts},
    response::{IntoResponse, Response},
};
use redialer_core::{Id, Timestamp};
use serde::Serialize;

use crate::{
    app::App,
    http::error::{ApiError, changed},
};

/// A response with the `ETag` of the version that it shows.
pub(crate) struct Tagged<T>(String, T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, self.0)], Json(self.1)).into_response()
    }
}

/// Tags a resource with the version of its last change.
pub(crate) fn tagged<N, T>(id: Id<N>, updated_at: Timestamp, view: T) -> Tagged<T> {
    Tagged(tag(id, updated_at), view)
}

fn tag<N>(id: Id<N>, updated_at: Timestamp) -> String {
    let tail = id.uuid().as_u128() as u32;
    format!("\"{:x}-{tail:x}\"", updated_at.as_millisecond())
}

/// The versions on which a change may be made; `None` for any.
pub(crate) struct IfMatch(Option<Vec<String>>);

impl FromRequestParts<Arc<App>> for IfMatch {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Response> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let value = value.to_str().map_err(|_| {
            ApiError::invalid("If-Match", "must be an ETag that the API returned").into_response()
        })?;
        let tags: Vec<String> = value.split(',').map(|t| t.trim().to_owned()).collect();
        Ok(Self((!tags.iter().any(|t| t == "*")).then_some(tags)))
    }
}

impl IfMatch {
    /// The version that the change must be conditional on; an error if the resource already has another version.
    pub(crate) fn guard<N>(&self, id: Id<N>, updated_at: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        match &self.0 {
            None => Ok(None),
            Some(tags) if tags.contains(&tag(id, updated_at)) => Ok(Some(updated_at)),
            Some(_) => Err(changed()),
        }
    }
}
