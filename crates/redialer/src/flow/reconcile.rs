//! Silent and unknown calls are asked about.
//!
//! Invariants: what the provider answers enters the same inbox as its webhooks, so it leads to the same
//! effects, once. An unknown dispatch is never sent anew; where the provider keeps idempotency keys, the very
//! same bytes may be repeated well inside its window, which places the call at most once.

use std::{sync::Arc, time::Duration};

use redialer_core::{
    Id,
    agent::Channel,
    decide::AfterDial,
    order::Reply,
    time::{minutes, plus},
};
use redialer_providers::retell::{api::ReadError, webhook};
use redialer_store::{AskRow, NewDelivery, StoreError, TenantKey, bucket_of};

use crate::app::App;

const POLL: Duration = Duration::from_secs(1);
const BATCH: i64 = 20;
/// Between two questions about one call, in minutes.
const ASK_AGAIN: i64 = 10;
/// The provider keeps a key for an hour; a repeat stays well inside.
const REPEAT_WITHIN_MINUTES: i64 = 50;

/// Asks until the program shuts down.
pub async fn run(app: Arc<App>) {
    while !app.is_draining() {
        if let Err(error) = round(&app).await {
            tracing::warn!(%error, "silent calls could not be looked up");
        }
        tokio::select! { () = app.clock.wait(POLL) => {}, () = app.drained() => {} }
    }
}

/// Asks about what is due to be asked about.
pub async fn round(app: &App) -> Result<(), StoreError> {
    for range in app.ranges() {
        let now = app.clock.now();
        for ask in app.store.due_asks(range, now, plus(now, minutes(ASK_AGAIN)), BATCH).await? {
            if let Err(error) = one(app, &ask).await {
                tracing::warn!(dispatch.id = %ask.id, %error, "dispatch {} could not be asked about", ask.id);
            }
        }
    }
    Ok(())
}

async fn one(app: &App, ask: &AskRow) -> Result<(), StoreError> {
    let key = app.store.open_key(ask.tenant).await?;
    let workspace = app.store.of(ask.tenant).workspace(ask.workspace).await?;
    let api_key = workspace.api_key(&key)?;
    match &ask.call_id {
        Some(call_id) => match app.retell.record(&api_key, ask.channel, call_id).await {
            Ok(record) => enter(app, ask, &record, &key).await,
            Err(error) => {
                tracing::info!(dispatch.id = %ask.id, %error, "the provider could not tell about dispatch {}", ask.id);
                Ok(())
            }
        },
        None => match found(app, ask, &key, &api_key).await? {
            Some(call_id) => {
                tracing::info!(dispatch.id = %ask.id, "dispatch {} is known to be placed", ask.id);
                app.store.finish_asked(ask, &AfterDial::Dialing { call_id }, app.clock.now()).await
            }
            None => Ok(()),
        },
    }
}

/// The call that an unknown dispatch became, if the provider can tell.
async fn found(
    app: &App,
    ask: &AskRow,
    key: &TenantKey,
    api_key: &str,
) -> Result<Option<String>, StoreError> {
    let now = app.clock.now();
    let has_key = ask.channel == Channel::Voice;
    if has_key && now < plus(ask.sent_at, minutes(REPEAT_WITHIN_MINUTES)) {
        let body = ask.body(key)?.to_vec();
        if let Reply::Placed { call_id } = app.retell.place(api_key, ask.channel, body).await {
            return Ok(Some(call_id));
        }
    }
    match app.retell.find(api_key, ask.channel, &ask.id.to_string(), &ask.secrets(key)?.to).await {
        Ok(found) => Ok(found),
        Err(ReadError::Throttled { .. } | ReadError::Unavailable(_)) => Ok(None),
        Err(error) => {
            tracing::warn!(dispatch.id = %ask.id, %error, "dispatch {} could not be looked up", ask.id);
            Ok(None)
        }
    }
}

/// The record of a call that is over goes the way of a webhook.
async fn enter(app: &App, ask: &AskRow, record: &str, key: &TenantKey) -> Result<(), StoreError> {
    let Some(delivery) = webhook::fetched(record, ask.channel) else { return Ok(()) };
    let id = Id::new(app.clock.now(), &app.chance);
    let new = NewDelivery {
        bucket: bucket_of(ask.tenant),
        id,
        tenant: ask.tenant,
        workspace: ask.workspace,
        agent: ask.agent,
        event: delivery.event,
        call_id: delivery.call_id,
        dedup_key: delivery.dedup_key,
        body: key.seal("bodies.body", id.uuid(), &delivery.body, &app.chance),
        signature: delivery.signature,
        received_at: app.clock.now(),
    };
    if app.inbox.record(new).await.is_ok() {
        app.inbox_bell.notify_one();
    }
    Ok(())
}
