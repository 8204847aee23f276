//! Sends one request and records its result: steps 10 and 11 of a call's journey.
//!
//! Invariant: an intent is taken by value and sent once. A result that could not be recorded is unknown and is looked up.

use futures_util::future::{Either, select};
use redialer_core::{
    decide::{self, AfterDial, RetryContext},
    order::Reply,
};
use redialer_providers::Placement;
use redialer_store::{FailPoint, Intent, StoreError};

use crate::{
    app::App,
    flow::dial::{INTENT_SLACK, PreparedDial},
};

/// Sends one request and records the result. If the result cannot be recorded, it is unknown and is looked up later.
pub async fn send(app: &App, ready: PreparedDial) {
    let id = ready.intent.callback();
    let Ok(reply) = place(app, &ready).await else { return };
    let intent = ready.intent;
    let now = app.clock.now();
    let tried = RetryContext {
        earlier: intent.unplaced_tries(),
        jitter: app.rng.next_f64(),
        speed: app.clock.speed(),
    };
    let after = decide::after_dial(&tried, reply, now);
    report(app, &intent, &after);
    if let Err(error) = app.dispatch_writer.finish(intent, after, now).await {
        tracing::error!(callback.id = %id, %error, "the result of dialing callback {id} could not be recorded; the call is looked up at the provider");
        metrics::counter!("redialer_dials_failed_total").increment(1);
    }
}

async fn place(app: &App, ready: &PreparedDial) -> Result<Reply, StoreError> {
    // A process that was suspended after the intent must not send: another process may have taken over. The lease outlives
    // the request's deadline by the slack, so a request that starts within the slack ends before the lease does. A
    // process that is suspended while it connects checks the lease again right before the first byte. The fence of an
    // intent changes only after its lease has expired, so a valid lease implies a valid fence.
    if app.clock.elapsed(ready.begun) >= INTENT_SLACK {
        return Ok(Reply::NotSent { why: "the lease would end before the request".to_owned() });
    }
    let intent = &ready.intent;
    let lease = app.config.place_deadline() + INTENT_SLACK;
    let holds_lease = || app.clock.elapsed(ready.begun) < lease;
    let dispatch = intent.id().to_string();
    let placement = Placement {
        channel: intent.channel(),
        dispatch: &dispatch,
        body: intent.body(),
        ready: Some(&holds_lease),
    };
    let provider = app.provider(&ready.context.workspace, intent.test())?;
    let reply = await_with_crash_points(app, provider.place(&ready.api_key, placement)).await?;
    app.store.pass(FailPoint::C8).await?;
    Ok(reply)
}

/// Awaits a request and exposes crash points C6 and C7 while it is in flight.
async fn await_with_crash_points<T>(app: &App, request: impl Future<Output = T>) -> Result<T, StoreError> {
    let (request, crash_point) = (std::pin::pin!(request), std::pin::pin!(app.store.pass(FailPoint::C6)));
    let request = match select(request, crash_point).await {
        Either::Left((reply, _)) => return Ok(reply),
        Either::Right((passed, request)) => {
            passed?;
            request
        }
    };
    let crash_point = std::pin::pin!(app.store.pass(FailPoint::C7));
    match select(request, crash_point).await {
        Either::Left((reply, _)) => Ok(reply),
        Either::Right((passed, request)) => {
            passed?;
            Ok(request.await)
        }
    }
}

fn report(app: &App, intent: &Intent, after: &AfterDial) {
    let (id, workspace) = (intent.callback(), intent.workspace());
    let answer = match after {
        AfterDial::Dialing { call_id } => {
            tracing::info!(callback.id = %id, workspace.id = %workspace, call.id = call_id, "callback {id} was placed as call {call_id}");
            "placed"
        }
        AfterDial::Retry { at, pause, slow, why } => {
            if *slow {
                app.dial_rate.slow(workspace, app.clock.steady().saturating_add(app.clock.real_until(*at)));
            }
            if let Some(pause) = pause {
                tracing::warn!(workspace.id = %workspace, provider.message = why, "workspace {workspace} is paused: {}", pause.description());
            }
            tracing::warn!(callback.id = %id, why, "callback {id} was not placed; it is dialed again later");
            "retry"
        }
        AfterDial::Close { outcome, why, .. } => {
            tracing::warn!(callback.id = %id, outcome, provider.message = why, "the provider refused callback {id}: {outcome}");
            "refused"
        }
        AfterDial::Unconfirmed { why } => {
            tracing::warn!(callback.id = %id, why, "callback {id} is unconfirmed: the call may have been placed and is looked up at the provider");
            "unknown"
        }
    };
    metrics::counter!("redialer_dials_total", "answer" => answer).increment(1);
}
