//! Receives webhooks: steps 1 to 3 of a call's journey.
//!
//! Invariants: the checks run in this order: slug (404), size and time (413, 408), signature (401), agent (403), JSON
//! (400). No part of a request without a valid signature is stored (I8). 2xx is returned only after the commit, and 503
//! if the commit fails, so that the provider sends the webhook again (I9).

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use redialer_core::decide::ActivityNotice;
use redialer_providers::{CheckedAt, Event, Rejected, Webhook, WebhookAuth};
use redialer_store::{FailPoint, Recorded, SlugTarget, StoreError, TenantKey, WorkspaceContext};

use crate::{
    app::App,
    flow::ingest::{self, EventSource, Parsed},
    http::{
        body::{self, Limits},
        error::ApiError,
    },
};

/// `POST /api/webhooks/{provider}/{slug}`.
pub(crate) async fn receive(
    State(app): State<Arc<App>>,
    Path((provider, slug)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let accepted = accept(&app, &provider, &slug, &headers, body).await;
    let response = accepted.unwrap_or_else(ApiError::into_response);
    let status = response.status().as_u16().to_string();
    metrics::counter!("redialer_webhooks_total", "status" => status).increment(1);
    response
}

/// Whether a text can be a slug; other texts are not looked up.
fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

async fn accept(
    app: &Arc<App>,
    provider: &str,
    slug: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if !is_slug(slug) {
        return Err(ApiError::not_found());
    }
    let real_ms = app.clock.real_ms();
    let target =
        app.store.slug_target(slug, app.clock.now(), real_ms).await?.ok_or_else(ApiError::not_found)?;
    let context = app.store.workspace_context(target.tenant, target.workspace, real_ms).await?;
    if context.workspace.provider.as_str() != provider {
        return Err(ApiError::not_found());
    }
    let limits =
        Limits { max_bytes: app.config.max_body_bytes, max_waiting_bytes: app.config.max_waiting_bytes };
    let (body, _room) = body::read(app, body, limits).await?;
    // Keys that cannot be decrypted are an internal error, not a wrong signature.
    let key = context.open_key(&app.store).await?;
    let now = app.clock.signature_now();
    let auth = WebhookAuth::from_stored(&context.workspace.webhook_auth(&key)?);
    let auth = auth.ok_or(StoreError::Corrupt("list of webhook keys"))?.valid_at(now);
    let at = CheckedAt { now, tolerance_ms: app.config.signature_tolerance_ms() };
    let provider = app.provider(&context.workspace, false)?;
    let received = redialer_providers::receive(provider, &auth, Webhook { headers, body: &body }, &at);
    let agent = context.agent(target.agent).map(|agent_context| &*agent_context.agent);
    // Errors about the agent come after the signature check, so that an unsigned request reveals nothing about it.
    let received = match received {
        Err(Rejected::Signature(why)) => {
            tracing::info!(agent.id = %target.agent, %why, "a webhook for agent {} was refused: {why}", target.agent);
            app.rejected_webhooks.count(&target, ActivityNotice::BadSignature);
            // The reason is logged, but not returned to an unauthenticated client.
            let message = "The signature is missing or not valid for this body.";
            return Err(ApiError::new(StatusCode::UNAUTHORIZED, "bad_signature", message));
        }
        signed if agent.is_some_and(|agent| !agent.enabled) => {
            drop(signed);
            app.rejected_webhooks.count(&target, ActivityNotice::DisabledAgentWebhook);
            let why = "The agent is disabled.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "agent_disabled", why));
        }
        _ if !context.accepts_webhooks_of(target.agent, app.store.limits_of(context.plan)) => {
            app.rejected_webhooks.count(&target, ActivityNotice::PlanLimit);
            let why = "The plan allows fewer enabled agents. Disable other agents, or change the plan.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "plan_limit", why));
        }
        Err(Rejected::NotJson(_)) => {
            app.rejected_webhooks.count(&target, ActivityNotice::NotJson);
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "not_json", "The body is not JSON."));
        }
        Ok(received) => received,
    };
    // A webhook to an old slug does not verify the current one.
    if agent.is_some_and(|agent| agent.verified_at.is_none() && agent.slug == slug) {
        Box::pin(app.store.verify_agent(target.agent, app.clock.now())).await?;
    }
    let answer = match provider.acknowledgment(&received.delivery.event) {
        Some(body) => Json(body).into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    };
    record(app, &context, (target, key), received).await?;
    Ok(answer)
}

async fn record(
    app: &Arc<App>,
    context: &WorkspaceContext,
    (target, key): (SlugTarget, TenantKey),
    received: Event<'_>,
) -> Result<(), ApiError> {
    let (agent, workspace) = (target.agent, target.workspace);
    let call_id = received.delivery.call_id.clone().unwrap_or_default();
    tracing::info!(
        workspace.id = %workspace, agent.id = %agent, event = received.delivery.event, call.id = call_id,
        "webhook {:?} of call {call_id:?} was received", received.delivery.event
    );
    let parsed = ingest::parse(&*received.content, context.callback_field(agent));
    let (is_decidable, bytes) = (!matches!(parsed, Parsed::Ignored), received.delivery.body.len());
    let from = EventSource { tenant: target.tenant, workspace, agent, test: false };
    let new = ingest::new_inbound_event(app, from, received.delivery, is_decidable, &key);
    let event = new.event;
    drop(key);
    match app.inbox.record(new).await.map_err(|_| ApiError::unavailable())? {
        Recorded::New => ingest::enqueue(app, event, parsed, bytes),
        Recorded::Duplicate => tracing::debug!(agent.id = %agent, "a duplicate webhook was ignored"),
    }
    app.store.pass(FailPoint::C10).await?;
    Ok(())
}
