//! `ETag` and `If-Match`: a change made on what is no longer so is refused.
//!
//! Invariant: what is compared before the change is guarded on in the change's own statement.

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

/// An answer that says which version of a thing it shows.
pub(crate) struct Tagged<T>(String, T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, self.0)], Json(self.1)).into_response()
    }
}

/// A thing as it was last changed then.
pub(crate) fn tagged<N, T>(id: Id<N>, updated_at: Timestamp, view: T) -> Tagged<T> {
    Tagged(tag(id, updated_at), view)
}

fn tag<N>(id: Id<N>, updated_at: Timestamp) -> String {
    let tail = id.uuid().as_u128() as u32;
    format!("\"{:x}-{tail:x}\"", updated_at.as_millisecond())
}

/// The versions that a change may be made on; `None` for any.
pub(crate) struct IfMatch(Option<Vec<String>>);

impl FromRequestParts<Arc<App>> for IfMatch {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, Response> {
        let Some(given) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let given = given
            .to_str()
            .map_err(|_| ApiError::invalid("If-Match", "must be an ETag as it was sent").into_response())?;
        let tags: Vec<String> = given.split(',').map(|t| t.trim().to_owned()).collect();
        Ok(Self((!tags.iter().any(|t| t == "*")).then_some(tags)))
    }
}

impl IfMatch {
    /// What the change is to guard on; refused where the thing has another version already.
    pub(crate) fn guard<N>(&self, id: Id<N>, updated_at: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        match &self.0 {
            None => Ok(None),
            Some(tags) if tags.contains(&tag(id, updated_at)) => Ok(Some(updated_at)),
            Some(_) => Err(changed()),
        }
    }
}
