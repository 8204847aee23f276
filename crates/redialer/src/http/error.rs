//! Every error that an API client can receive, in one envelope.
//!
//! Invariant: the body is `{"error":{"type","code","message","param","request_id"}}` with the matching status, for
//! every kind of failure; `code` is stable. Internal failures are logged once, here, and not disclosed.

use axum::{
    Extension, Json,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use redialer_core::rng::Rng;
use redialer_store::{KeyError, StoreError};
use serde_json::json;

use crate::actions::Refusal;

/// An error for an API client.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    param: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), param: None }
    }

    /// 422 about one field of the request. A message that begins with a lower-case letter completes the sentence that
    /// begins with the field's name.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let (param, message) = (param.into(), message.into());
        let message = match message.starts_with(char::is_lowercase) {
            true => format!("`{param}` {}.", message.trim_end_matches('.')),
            false => message,
        };
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, code: "invalid", message, param: Some(param) }
    }

    /// 422 about one field of the request, with a specific code.
    pub(crate) fn unprocessable(
        code: &'static str,
        param: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { code, ..Self::invalid(param, message) }
    }

    fn conflict(message: &str) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "Not found.")
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The server is temporarily unavailable. Try again after the time in `Retry-After`.",
        )
    }

    const fn kind(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 | 405 => "not_found_error",
            409 => "conflict_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "api_error",
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::not_found(),
            StoreError::PlanLimit => Self::new(
                StatusCode::FORBIDDEN,
                "plan_limit",
                "The plan's limit for this resource is reached.",
            ),
            StoreError::AlreadyConnected => Self::new(
                StatusCode::CONFLICT,
                "already_connected",
                "This provider account is connected to another workspace.",
            ),
            StoreError::Changed => changed(),
            StoreError::Duplicate => Self::conflict("This resource exists already."),
            StoreError::DecidedMeanwhile => {
                Self::conflict("The resource changed while the request was processed. Retry the request.")
            }
            StoreError::NotDeleted => Self::conflict("The workspace is not deleted."),
            StoreError::EmailTaken => Self::conflict("Another member has this email address."),
            StoreError::LastOwner => {
                Self::conflict("This member is the last owner. Make another member an owner first.")
            }
            StoreError::KeysLocked => Self::conflict("Another `redialer keys` command is running."),
            StoreError::Unavailable(_) => {
                tracing::error!(%error, "a request failed: the database is unavailable");
                Self::unavailable()
            }
            StoreError::Key(KeyError::Unavailable(_)) => {
                tracing::warn!(%error, "a request failed: the key service is unavailable");
                Self::unavailable()
            }
            StoreError::Full | StoreError::Injected => Self::unavailable(),
            StoreError::Schema(_) | StoreError::Corrupt(_) | StoreError::Key(_) => {
                tracing::error!(%error, "a request failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "Internal server error. The server's log has the details.",
                )
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(why: Refusal) -> Self {
        match why {
            Refusal::Unprocessable { code, field, why } => Self::unprocessable(code, field, why),
            Refusal::Forbidden { code, why } => Self::new(StatusCode::FORBIDDEN, code, why),
            Refusal::Conflict { code, why } => Self::new(StatusCode::CONFLICT, code, why),
            Refusal::Provider { code, why } => Self::new(StatusCode::BAD_GATEWAY, code, why),
            Refusal::Unavailable => Self::unavailable(),
            Refusal::Store(error) => error.into(),
        }
    }
}

impl IntoResponse for ApiError {
    /// The status, and the error itself as an extension, from which [`envelope`] writes the body.
    fn into_response(self) -> Response {
        let more = match self.status {
            StatusCode::SERVICE_UNAVAILABLE => Some([(header::RETRY_AFTER, "2")]),
            // The rest of the body is not read.
            StatusCode::PAYLOAD_TOO_LARGE => Some([(header::CONNECTION, "close")]),
            _ => None,
        };
        (self.status, more, Extension(self)).into_response()
    }
}

/// Rejects a request whose end a proxy may see elsewhere than this server, and closes its connection.
pub(crate) fn two_framings() -> Response {
    let why =
        "Send either `Content-Length` or `Transfer-Encoding: chunked`, once, and no other transfer coding.";
    let error = ApiError::new(StatusCode::BAD_REQUEST, "bad_framing", why);
    ([(header::CONNECTION, "close")], error).into_response()
}

/// The id of one request, also sent in the response's `X-Request-Id`.
#[derive(Clone)]
pub(crate) struct RequestId(pub(crate) String);

impl RequestId {
    pub(crate) fn new(rng: &Rng) -> Self {
        Self(format!("req_{}", rng.token::<10>()))
    }
}

/// Gives each request an id and each error its envelope.
pub(crate) async fn envelope(
    axum::extract::State(app): axum::extract::State<std::sync::Arc<crate::app::App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::new(&app.rng);
    request.extensions_mut().insert(id.clone());
    let is_api = request.uri().path().starts_with("/v1/");
    let mut response = enveloped(next.run(request).await, &id);
    if is_api {
        // Responses contain personal data, secrets that are shown once, and states that change.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Adds the request's id to the response; an error also gets its envelope.
pub(crate) fn enveloped(response: Response, id: &RequestId) -> Response {
    let mut response = match response.extensions().get::<ApiError>().cloned() {
        Some(error) => written(&error, id, response),
        // Rejections by axum itself: unknown methods, paths that are not text.
        None if response.status().is_client_error() && !is_json(&response) => {
            let (code, why) = rejection(response.status());
            written(&ApiError::new(response.status(), code, why), id, response)
        }
        None => response,
    };
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

fn written(error: &ApiError, id: &RequestId, from: Response) -> Response {
    let body = json!({"error": {
        "type": error.kind(), "code": error.code, "message": error.message, "param": error.param, "request_id": id.0,
    }});
    let mut response = (error.status, Json(body)).into_response();
    for name in [
        "retry-after",
        "allow",
        "connection",
        "www-authenticate",
        "ratelimit-limit",
        "ratelimit-remaining",
        "ratelimit-reset",
    ] {
        if let Some(value) = from.headers().get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn is_json(response: &Response) -> bool {
    response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|v| v.as_bytes().starts_with(b"application/json"))
}

/// The code and the message of a rejection by axum itself.
fn rejection(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::NOT_FOUND => ("not_found", "This path does not exist."),
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "This path does not support this method."),
        _ => ("invalid", "The request could not be parsed."),
    }
}

/// 412: the resource was changed by another request.
pub(crate) fn changed() -> ApiError {
    ApiError::new(
        StatusCode::PRECONDITION_FAILED,
        "changed",
        "The resource has changed since you fetched it. Fetch it again and retry.",
    )
}
