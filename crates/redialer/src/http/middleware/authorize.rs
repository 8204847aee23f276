//! What comes before every `/v1` handler: whose key, whether it may, and how often.
//!
//! Invariants: a key is looked up anew for each request, so that one that was revoked opens nothing from then on; a key
//! learns nothing of a route it has no scope for but that it lacks it. Pacing is per key, on each replica.

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

/// How long a request beyond the key's pace waits for its refusal, at least and at most: at random, so that clients
/// that ask again at once do not come back together.
const REFUSAL_DELAY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(600));

/// Lets a request through to its handler.
pub(crate) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().to_string();
    let response = admitted(app, request, next).await;
    let labels = [
        ("method", method),
        ("route", route.unwrap_or_default()),
        ("status", response.status().as_u16().to_string()),
    ];
    metrics::counter!("redialer_api_requests_total", &labels).increment(1);
    response
}

async fn admitted(app: Arc<App>, mut request: Request, next: Next) -> Response {
    let owner = match owner(&app, request.headers().get(header::AUTHORIZATION).cloned()).await {
        Ok(owner) => owner,
        Err(response) => return response,
    };
    let left = match app.api_rate.count(owner.id) {
        Ok(left) => left,
        Err(wait) => return too_often(&app, wait).await,
    };
    let mut response = match may(&app, &owner, &request) {
        Ok(()) => {
            let caller = caller(&app, owner, &request);
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

async fn owner(app: &App, given: Option<HeaderValue>) -> Result<KeyRow, Response> {
    let given = given.as_ref().and_then(|v| v.to_str().ok());
    let Some(key) = given.and_then(bearer).filter(|key| key.starts_with("rdl_")) else {
        return Err(refused("Send your API key as `Authorization: Bearer rdl_live_…` or `rdl_test_…`."));
    };
    // Held for the look-up alone: the body may take its time.
    let _slot = requests::slot(app).map_err(IntoResponse::into_response)?;
    let owner =
        app.store.key_owner(key, app.clock.now()).await.map_err(|e| ApiError::from(e).into_response())?;
    owner.ok_or_else(|| refused("This API key is unknown, revoked or expired."))
}

/// The token of `Authorization: Bearer …`; schemes have no case (RFC 9110, section 11.1).
fn bearer(given: &str) -> Option<&str> {
    let (scheme, token) = given.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the plan has the API, and the key the route's scope.
fn may(app: &App, owner: &KeyRow, request: &Request) -> Result<(), ApiError> {
    if !app.store.limits_of(owner.tenant.plan).rest_api {
        let plan = owner.tenant.plan.as_str();
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "plan_limit",
            format!("The plan `{plan}` does not include the REST API."),
        ));
    }
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    match routes::scope_of(request.method(), path) {
        Some(scope) if !owner.scopes.has(scope) => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "missing_scope",
            format!("This API key lacks the scope `{}`.", scope.as_str()),
        )),
        // What is in no table has no handler either: the router says so.
        _ => Ok(()),
    }
}

fn caller(app: &App, owner: KeyRow, request: &Request) -> Caller {
    let principal = Principal {
        who: Who::Key(owner.id),
        scopes: owner.scopes,
        workspace: owner.workspace,
        expires_at: owner.expires_at,
    };
    let actor = Actor {
        name: principal.name(),
        request: request.extensions().get::<RequestId>().map(|id| id.0.clone()),
        address: request.extensions().get::<Peer>().map(|peer| peer.0),
    };
    Caller {
        store: app.store.for_tenant(owner.tenant.id).within(owner.workspace).for_tests(owner.test).by(actor),
        tenant: owner.tenant,
        principal,
    }
}

/// Refuses a request beyond the key's pace, after a delay: a client that ignores `Retry-After` and asks again at once
/// costs a key look-up per connection and delay, not as many as it can send.
async fn too_often(app: &App, wait: u64) -> Response {
    let (shortest, longest) = REFUSAL_DELAY;
    app.clock.wait(shortest + (longest - shortest).mul_f64(app.rng.next_f64())).await;
    let message = format!("Too many requests with this key; wait {wait} s.");
    let mut response = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).into_response();
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, wait.into());
    headers.insert("ratelimit-limit", app.api_rate.burst().into());
    headers.insert("ratelimit-remaining", HeaderValue::from_static("0"));
    headers.insert("ratelimit-reset", wait.into());
    response
}
