//! Rejects input that a route does not accept: unknown query parameters, and a body if the route has none.
//!
//! Invariant: the input of a route is read from the source of the OpenAPI document, so that the two cannot differ.

use std::{collections::HashMap, sync::LazyLock};

use axum::{
    extract::{MatchedPath, Query, Request},
    http::{Method, request::Parts},
};
use serde_json::Value;

use crate::http::{
    error::ApiError,
    openapi::{self, RouteInput},
};

/// The parameters and body of the request's route; `None` if no route matches.
fn route_input(method: &Method, path: Option<&MatchedPath>) -> Option<&'static RouteInput> {
    static ALL: LazyLock<HashMap<(String, String), RouteInput>> = LazyLock::new(openapi::route_input);
    let method = if method == Method::HEAD { &Method::GET } else { method };
    ALL.get(&(method.to_string(), path?.as_str().to_owned()))
}

/// Rejects query parameters that the route does not accept.
pub(crate) fn check_query(request: &Request) -> Result<(), ApiError> {
    let Some(route_input) = route_input(request.method(), request.extensions().get::<MatchedPath>()) else {
        return Ok(());
    };
    // A query that cannot be parsed is rejected by the handler that parses it.
    let Ok(Query(params)) = Query::<Vec<(String, String)>>::try_from_uri(request.uri()) else {
        return Ok(());
    };
    match params.iter().find(|(name, _)| !route_input.query.contains(name)) {
        Some((name, _)) if route_input.query.is_empty() => {
            Err(ApiError::invalid(name, "This path takes no query parameters."))
        }
        Some((name, _)) => {
            let why = format!(
                "This path has no such query parameter. The valid parameters are: {}.",
                route_input.query.join(", ")
            );
            Err(ApiError::invalid(name, why))
        }
        None => Ok(()),
    }
}

/// Rejects a body if the route has none; an empty object counts as no body.
pub(crate) fn check_body(parts: &Parts, body: &[u8]) -> Result<(), ApiError> {
    let route_input = route_input(&parts.method, parts.extensions.get::<MatchedPath>());
    if route_input.is_none_or(|route_input| route_input.body) || body.trim_ascii().is_empty() {
        return Ok(());
    }
    let field = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) if fields.is_empty() => return Ok(()),
        Ok(Value::Object(fields)) => fields.keys().next().cloned(),
        _ => None,
    };
    let why = "This request takes no body.";
    Err(ApiError::invalid(field.unwrap_or_else(|| "body".to_owned()), why))
}
