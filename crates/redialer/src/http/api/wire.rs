//! Extractors and parsers of requests, shared by all handlers.
//!
//! Invariant: an error about a request names the field and does not repeat the value, which may be personal. Unknown
//! fields are errors.

use std::{str::FromStr, sync::Arc};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
};
use redialer_core::{Id, Phone, Timestamp, id::Noun};
use serde::de::DeserializeOwned;
use serde_json::Value;

use redialer_core::settings::parse_problem;

use crate::{app::App, http::error::ApiError};

/// A JSON body that fits `T`.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        // `requests` has already read it, within its size and time limits.
        let bytes = Bytes::from_request(request, app).await.map_err(|_| not_json())?;
        if let Some(param) = nul_in_json(&bytes) {
            return Err(has_nul(if param.is_empty() { "body" } else { &param }));
        }
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|e| unfit(&e))?;
        json.end().map_err(|_| not_json())?;
        Ok(Self(value))
    }
}

/// The path of a text with U+0000, which Postgres cannot store. JSON can contain it only as an escape.
fn nul_in_json(json: &[u8]) -> Option<String> {
    const ESCAPE: &[u8] = br"\u0000";
    if !json.windows(ESCAPE.len()).any(|part| part == ESCAPE) {
        return None;
    }
    // The handler's own parsing rejects invalid JSON.
    nul_in(&serde_json::from_slice::<Value>(json).ok()?, "")
}

/// The path of a text or a name with U+0000 in a value that is at `path`.
fn nul_in(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(|| path.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(i, item)| nul_in(item, &format!("{path}[{i}]")))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, value)| {
            if name.contains('\0') {
                return Some(path.to_owned());
            }
            let dot = if path.is_empty() { "" } else { "." };
            nul_in(value, &format!("{path}{dot}{name}"))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn has_nul(param: &str) -> Response {
    ApiError::invalid(param, format!("`{param}` must not contain the character U+0000.")).into_response()
}

fn not_json() -> Response {
    ApiError::new(StatusCode::BAD_REQUEST, "not_json", "The body must be one JSON object.").into_response()
}

fn unfit(error: &serde_path_to_error::Error<serde_json::Error>) -> Response {
    let inner = error.inner();
    if inner.is_syntax() || inner.is_eof() || inner.is_io() {
        return not_json();
    }
    let text = inner.to_string();
    let message = text.split(" at line ").next().unwrap_or_default();
    let (param, problem) = parse_problem(&error.path().to_string(), message);
    ApiError::invalid(param, problem).into_response()
}

/// The `{id}` of the path; a text that is not an id of this type is not found.
pub(crate) struct PathId<T>(pub(crate) Id<T>);

impl<T: Noun> FromRequestParts<Arc<App>> for PathId<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let Path(text) = Path::<String>::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::not_found().into_response())?;
        text.parse().map(Self).map_err(|_| ApiError::not_found().into_response())
    }
}

/// The query string, strictly: unknown parameters are errors.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let params = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let params = params.map(|axum::extract::Query(params)| params).unwrap_or_default();
        if let Some((name, _)) = params.iter().find(|(_, value)| value.contains('\0')) {
            return Err(has_nul(name));
        }
        match axum::extract::Query::<T>::from_request_parts(parts, app).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(error) => {
                let text = error.body_text();
                // `Failed to deserialize query string: limit: invalid digit …`: the field, then the problem.
                let message = text.split_once(": ").map_or(text.as_str(), |(_, message)| message);
                let (field, message) = message
                    .split_once(": ")
                    .filter(|(field, _)| !field.contains(' '))
                    .unwrap_or((".", message));
                let (param, problem) = parse_problem(field, message);
                let param = if param.is_empty() { "query".to_owned() } else { param };
                Err(ApiError::invalid(param, problem).into_response())
            }
        }
    }
}

/// An id in a body or a query.
pub(crate) fn id<T: Noun>(param: &str, text: &str) -> Result<Id<T>, ApiError> {
    Id::from_str(text).map_err(|e| ApiError::invalid(param, e.to_string()))
}

/// A resource's name.
pub(crate) fn name<'t>(param: &str, text: &'t str) -> Result<&'t str, ApiError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 200 {
        return Err(ApiError::invalid(param, "must be 1 to 200 characters"));
    }
    Ok(text)
}

/// 422 for a word that is not one of the valid values.
pub(crate) fn not_among(param: &str, words: &[&str]) -> ApiError {
    ApiError::invalid(
        param,
        format!("The value of `{param}` is not valid. Valid values: {}.", words.join(", ")),
    )
}

/// A timestamp in a body or a query.
pub(crate) fn timestamp(param: &str, text: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|_| {
        ApiError::invalid(
            param,
            format!("`{param}` must be a time in RFC 3339 with an offset, such as 2026-11-24T15:00:00Z."),
        )
    })
}

/// A phone number in a body or a query.
pub(crate) fn number(param: &str, text: &str) -> Result<Phone, ApiError> {
    Phone::parse(text).map_err(|e| ApiError::invalid(param, e.to_string()))
}
