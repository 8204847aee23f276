//! A webhook comes in: steps 1 to 3 of a call's journey.
//!
//! Invariants: the checks stand in this order: slug (404), size and time (413, 408), signature (401), agent
//! (403), JSON (400); nothing of a request without a valid signature is stored (I8). 2xx is answered only
//! after the commit, 503 when it cannot be, so that the provider repeats it (I9).

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, Method, Request, StatusCode},
    response::{IntoResponse, Response},
};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use redialer_core::{Id, decide::Notice};
use redialer_providers::retell::{
    SIGNATURE_HEADER,
    webhook::{self, Received},
};
use redialer_store::{Arrival, Desk, NewDelivery, Point, Recorded, SlugOwner};

use super::error::{ApiError, RequestId, enveloped};
use crate::{app::App, flow::ingest};

/// `POST /api/webhooks/{provider}/{slug}`.
pub(super) async fn receive(
    State(app): State<Arc<App>>,
    Path((provider, slug)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(&app, (&provider, &slug), &headers, body).await
}

/// The provider and the slug of a webhook whose path names both in plain letters; other requests are the router's.
pub(super) fn addressed(method: &Method, path: &str) -> Option<(String, String)> {
    let (provider, slug) = path.strip_prefix("/api/webhooks/")?.split_once('/')?;
    let is_plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let is_one = method == Method::POST && is_plain(provider) && is_plain(slug);
    is_one.then(|| (provider.to_owned(), slug.to_owned()))
}

/// What [`receive`] answers, without the router, whose layers would cost as much as reading the event does.
pub(super) async fn received(
    app: Arc<App>,
    (provider, slug): (String, String),
    request: Request<Incoming>,
) -> Response {
    let (head, body) = request.into_parts();
    let id = RequestId::new(&app.chance);
    enveloped(answer(&app, (&provider, &slug), &head.headers, Body::new(body)).await, &id)
}

async fn answer(app: &Arc<App>, (provider, slug): (&str, &str), headers: &HeaderMap, body: Body) -> Response {
    let response = match accept(app, provider, slug, headers, body).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    let status = response.status().as_u16().to_string();
    metrics::counter!("redialer_webhooks_total", "status" => status).increment(1);
    response
}

async fn accept(
    app: &Arc<App>,
    provider: &str,
    slug: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let owner = app.store.slug_owner(slug, app.clock.now(), app.clock.real_ms()).await?;
    let owner = owner.filter(|o| o.provider.word() == provider).ok_or_else(ApiError::not_found)?;
    let mut room = Room::new(app);
    let body = whole(app, body, &mut room).await?;
    let received = verified(app, &owner, headers, &body);
    // A stranger learns nothing about the agent: only a signed request gets past this line.
    let desk = app.store.desk(owner.key.tenant(), owner.workspace, app.clock.real_ms()).await?;
    let received = match received {
        Err(webhook::Rejected::Signature(why)) => {
            tracing::info!(agent.id = %owner.agent, %why, "a webhook for agent {} was refused: {why}", owner.agent);
            app.refusals.count(&owner, Notice::BadSignature);
            // Which part of it is wrong is for the log, not for a stranger.
            let told = "The signature is missing or does not hold for this body.";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "bad_signature", told));
        }
        signed if !owner.enabled => {
            drop(signed);
            app.refusals.count(&owner, Notice::AgentOff);
            let why = "The agent is switched off.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "agent_disabled", why));
        }
        _ if !app.plans.of(desk.plan).hears(desk.before(owner.agent).unwrap_or(0)) => {
            app.refusals.count(&owner, Notice::PastTheCap);
            let why = "The agent is past the plan's number of agents: disable others, or take a larger plan.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "plan_limit", why));
        }
        Err(webhook::Rejected::NotJson) => {
            app.refusals.count(&owner, Notice::NotJson);
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "not_json", "The body is not JSON."));
        }
        Ok(received) => received,
    };
    if !owner.verified {
        Box::pin(app.store.verify_agent(owner.agent, app.clock.now())).await?;
    }
    let answer = answer_to(&received.delivery.event);
    record(app, &desk, owner, received).await?;
    Ok(answer)
}

/// Room for one body in the memory that all bodies share; given back when the request is answered.
struct Room<'a> {
    app: &'a App,
    taken: usize,
}

impl<'a> Room<'a> {
    const fn new(app: &'a App) -> Self {
        Self { app, taken: 0 }
    }

    fn take(&mut self, bytes: usize) -> Result<(), ApiError> {
        let (all, max) = (&self.app.waiting_bytes, self.app.config.max_waiting_bytes);
        self.taken += bytes;
        if all.fetch_add(bytes, Ordering::Relaxed) + bytes > max {
            return Err(ApiError::unavailable());
        }
        Ok(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.app.waiting_bytes.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// Bytes of a piece that is kept as it came: an eighth of the buffer that it may lie in.
const WORTH_KEEPING: usize = 8 << 10;

/// The body, within its size, its time and its share of memory.
async fn whole(app: &App, body: Body, room: &mut Room<'_>) -> Result<Bytes, ApiError> {
    let deadline = Duration::from_secs(app.config.body_deadline_secs);
    match tokio::time::timeout(deadline, collected(app, body, room)).await {
        Ok(body) => body,
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "The body took too long.")),
    }
}

async fn collected(app: &App, mut body: Body, room: &mut Room<'_>) -> Result<Bytes, ApiError> {
    let max = app.config.max_body_bytes;
    let too_large = || {
        let why = format!("The body is larger than {max} bytes.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why)
    };
    let announced = body.size_hint().exact().and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    if announced > max {
        discard(&mut body).await;
        return Err(too_large());
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let unreadable = |_| ApiError::new(StatusCode::BAD_REQUEST, "unreadable", "The body ended early.");
        let Ok(data) = frame.map_err(unreadable)?.into_data() else { continue };
        if whole.len() + data.len() > max {
            drop(whole);
            discard(&mut body).await;
            return Err(too_large());
        }
        room.take(data.len())?;
        // Most bodies come in one piece, and need not be copied. Small ones are: they would hold on to a buffer that is
        // many times as large.
        if whole.is_empty() && data.len() >= WORTH_KEEPING && data.len() == announced {
            return Ok(data);
        }
        whole.reserve_exact(announced.min(64 << 10).saturating_sub(whole.len()));
        whole.extend_from_slice(&data);
    }
    Ok(whole.into())
}

/// A sender that is still sending does not hear an answer: some of what is too much is read and forgotten.
async fn discard(body: &mut Body) {
    const PATIENCE: usize = 32 << 20;
    let mut read = 0;
    while let (true, Some(Ok(frame))) = (read < PATIENCE, body.frame().await) {
        read += frame.data_ref().map_or(0, |data| data.len());
    }
}

fn verified<'b>(
    app: &App,
    owner: &SlugOwner,
    headers: &HeaderMap,
    body: &'b [u8],
) -> Result<Received<'b>, webhook::Rejected> {
    let now = app.clock.now();
    let mut given = headers.get_all(SIGNATURE_HEADER).iter();
    // Two headers are as good as none: which of them would count?
    let header = given.next().filter(|_| given.next().is_none()).map(|v| v.as_bytes().to_vec());
    let keys = owner.webhook_keys(now).unwrap_or_default();
    let keys = keys.iter().map(|k| k.key.as_bytes());
    webhook::receive(header.as_deref(), body, keys, now.as_millisecond(), app.config.signature_tolerance_ms())
}

async fn record(
    app: &Arc<App>,
    desk: &Desk,
    owner: SlugOwner,
    received: Received<'_>,
) -> Result<(), ApiError> {
    let (agent, workspace) = (owner.agent, owner.workspace);
    let arrival = arrival(app, desk, owner, received);
    match app.inbox.record(arrival).await.map_err(|_| ApiError::unavailable())? {
        Recorded::Decided(after) => ingest::report(app, workspace, &after),
        Recorded::New => app.inbox_bell.notify_one(),
        Recorded::Seen => tracing::debug!(agent.id = %agent, "a webhook came again"),
    }
    app.store.pass(Point::C10).await?;
    Ok(())
}

/// What to record, and what reading it came to.
fn arrival(app: &Arc<App>, desk: &Desk, owner: SlugOwner, received: Received<'_>) -> Arrival {
    let now = app.clock.now();
    let id = Id::new(now, &app.chance);
    let body = owner.key.seal_body(id.uuid(), &received.delivery.body, &app.chance);
    let (bucket, agent, workspace, key) = owner.into_parts();
    let tenant = key.tenant();
    let reading = ingest::fresh::read(app, desk, agent, &received, key);
    let told = received.delivery;
    let delivery = NewDelivery {
        bucket,
        id,
        tenant,
        workspace,
        agent,
        event: told.event,
        call_id: told.call_id,
        sameness: told.sameness,
        body,
        signature: told.signature,
        received_at: now,
        test: false,
    };
    Arrival { delivery, reading }
}

/// Inbound hooks that were pointed here by mistake want an answer: the caller hears ringing meanwhile.
fn answer_to(event: &str) -> Response {
    match event {
        "call_inbound" => Json(serde_json::json!({"call_inbound": {}})).into_response(),
        "chat_inbound" => Json(serde_json::json!({"chat_inbound": {}})).into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}
