//! Runs before every `/v1` handler: authenticates the key, checks its scope, and limits its rate.
//!
//! Invariants: the key is looked up for each request, so that a revoked key is rejected immediately. A request whose key
//! lacks the route's scope learns nothing else about the route. The rate limit is per key and replica.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use redialer_core::access::{Principal, Who};
use redialer_store::{Actor, KeyRow};

use crate::{
    app::App,
    http::{
        error::{ApiError, RequestId},
        middleware::requests,
        peer::Peer,
        principal::{Caller, refused},
        routes,
    },
};

/// The shortest and longest delay of the error for a request over the rate limit. The delay is random, so that clients
/// that retry immediately do not retry in sync.
const RATE_LIMIT_DELAY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(600));

/// Authorizes a request and passes it to its handler.
pub(crate) async fn authorize(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().to_string();
    let response = respond(app, request, next).await;
    let labels = [
        ("method", method),
        ("route", route.unwrap_or_default()),
        ("status", response.status().as_u16().to_string()),
    ];
    metrics::counter!("redialer_api_requests_total", &labels).increment(1);
    response
}

async fn respond(app: Arc<App>, mut request: Request, next: Next) -> Response {
    let key_row = match authenticate(&app, request.headers().get(header::AUTHORIZATION).cloned()).await {
        Ok(key_row) => key_row,
        Err(response) => return response,
    };
    let left = match app.api_rate.count(key_row.id) {
        Ok(left) => left,
        Err(wait) => return rate_limited(&app, wait).await,
    };
    let mut response = match check_scope(&app, &key_row, &request) {
        Ok(()) => {
            let caller = caller(&app, key_row, &request);
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert("ratelimit-limit", app.api_rate.burst().into());
    headers.insert("ratelimit-remaining", left.remaining.into());
    headers.insert("ratelimit-reset", left.reset_secs.into());
    response
}

async fn authenticate(app: &App, authorization: Option<HeaderValue>) -> Result<KeyRow, Response> {
    let authorization = authorization.as_ref().and_then(|v| v.to_str().ok());
    let Some(key) = authorization.and_then(bearer).filter(|key| key.starts_with("rdl_")) else {
        return Err(refused("Send your API key as `Authorization: Bearer rdl_live_…` or `rdl_test_…`."));
    };
    // Held only during the lookup, because the body may arrive slowly.
    let _slot = requests::slot(app).map_err(IntoResponse::into_response)?;
    let key_row =
        app.store.key_owner(key, app.clock.now()).await.map_err(|e| ApiError::from(e).into_response())?;
    key_row.ok_or_else(|| refused("This API key is unknown, revoked or expired."))
}

/// The token of `Authorization: Bearer …`; schemes are case-insensitive (RFC 9110, section 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Checks that the plan includes the API, and that the key has the route's scope.
fn check_scope(app: &App, key_row: &KeyRow, request: &Request) -> Result<(), ApiError> {
    if !app.store.limits_of(key_row.tenant.plan).rest_api {
        let plan = key_row.tenant.plan.as_str();
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "plan_limit",
            format!("The plan `{plan}` does not include the REST API."),
        ));
    }
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match routes::scope_of(request.method(), path) {
        Some(scope) if !key_row.scopes.has(scope) => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "missing_scope",
            format!("This API key lacks the scope `{}`.", scope.as_str()),
        )),
        // A path that is not in the table has no handler either, so the router returns the error.
        _ => Ok(()),
    }
}

fn caller(app: &App, key_row: KeyRow, request: &Request) -> Caller {
    let principal = Principal {
        who: Who::Key(key_row.id),
        scopes: key_row.scopes,
        workspace: key_row.workspace,
        expires_at: key_row.expires_at,
    };
    let actor = Actor {
        name: principal.name(),
        request: request.extensions().get::<RequestId>().map(|id| id.0.clone()),
        address: request.extensions().get::<Peer>().map(|peer| peer.0),
    };
    Caller {
        store: app
            .store
            .for_tenant(key_row.tenant.id)
            .within(key_row.workspace)
            .for_tests(key_row.test)
            .by(actor),
        tenant: key_row.tenant,
        principal,
    }
}

/// Rejects a request over the rate limit after a delay, which limits a client that ignores `Retry-After` to one key
/// lookup per connection and delay.
async fn rate_limited(app: &App, wait: u64) -> Response {
    let (shortest, longest) = RATE_LIMIT_DELAY;
    app.clock.wait(shortest + (longest - shortest).mul_f64(app.rng.next_f64())).await;
    let message = format!("Too many requests with this API key. Retry after {wait} s.");
    let mut response = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, wait.into());
    headers.insert("ratelimit-limit", app.api_rate.burst().into());
    headers.insert("ratelimit-remaining", HeaderValue::from_static("0"));
    headers.insert("ratelimit-reset", wait.into());
    response
}
