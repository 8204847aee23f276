//! Silent and unknown calls are asked about.
//!
//! Invariants: what the provider answers enters the same inbox as its webhooks, so it leads to the same
//! effects, once. An unknown dispatch is never sent anew before the provider's own records prove that it was not
//! placed (`core::decide::after_ask`); where the provider keeps idempotency keys, the very same bytes may be
//! repeated well inside its window, which places the call at most once; a repeat passes what a first request passes.

use std::time::Duration;

use jiff::SignedDuration;

use redialer_core::{
    Id,
    decide::{self, AfterAsk, Ask, Due, Finding},
    delivery::Delivery,
    id,
    order::Reply,
    time::{minutes, plus},
};
use redialer_providers::retell::{api::key_lives, webhook};
use redialer_sim::retell::stateless;
use redialer_store::{AskRow, EventRow, NewDelivery, Seat, StoreError, TenantKey, WorkspaceRow, bucket_of};

use super::account;
use crate::app::App;

/// The interval between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(1);
const BATCH: i64 = 20;
/// A question that was lost with whoever asked is asked again after so many minutes.
const ASK_AGAIN: i64 = 10;

/// Asks about what is due to be asked about.
pub async fn round(app: &App) -> Result<(), StoreError> {
    for range in app.ranges() {
        let now = app.clock.now();
        for mut ask in app.store.due_asks(range, now, plus(now, minutes(ASK_AGAIN)), BATCH).await? {
            if let Err(error) = one(app, &mut ask).await {
                tracing::warn!(dispatch.id = %ask.id, %error, "dispatch {} could not be asked about", ask.id);
            }
        }
    }
    Ok(())
}

async fn one(app: &App, ask: &mut AskRow) -> Result<(), StoreError> {
    let key = app.store.open_key(ask.tenant).await?;
    if ask.test {
        return at_the_simulator(app, ask, &key).await;
    }
    let workspace = app.store.of(ask.tenant).workspace(ask.workspace).await?;
    let api_key = workspace.api_key(&key)?;
    match &ask.call_id {
        Some(call_id) => {
            match app.retell.record(&api_key, ask.channel, call_id).await {
                Ok(record) => enter(app, ask, &record, &key).await?,
                Err(error) => {
                    account::read_failed(app, ask.workspace, &error).await;
                    tracing::info!(dispatch.id = %ask.id, %error, "the provider could not tell about dispatch {}", ask.id);
                }
            }
            give_up(app, ask).await
        }
        None => unknown(app, ask, &key, &api_key, &workspace).await,
    }
}

/// Closes a call without a reported outcome, long after it must be over: its record is gone, it never ends, or
/// its outcome was set aside.
async fn give_up(app: &App, ask: &AskRow) -> Result<(), StoreError> {
    let now = app.clock.now();
    if !decide::is_unheard_for_good(ask.channel, now.duration_since(ask.sent_at)) {
        return Ok(());
    }
    if app.store.close_unheard(ask, now).await? {
        tracing::error!(callback.id = %ask.callback, dispatch.id = %ask.id, "callback {} is closed: no outcome was reported for its call", ask.callback);
        metrics::counter!("redialer_outcomes_unknown_total").increment(1);
    }
    Ok(())
}

/// The simulator places every call and remembers none: what became of one follows from its request.
async fn at_the_simulator(app: &App, ask: &AskRow, key: &TenantKey) -> Result<(), StoreError> {
    let Some(call_id) = &ask.call_id else {
        return placed(app, ask, stateless::call_id(&ask.id.to_string())).await;
    };
    match stateless::record(&ask.body(key)?, ask.channel, call_id, ask.sent_at) {
        Some(record) => enter(app, ask, &record, key).await,
        None => Ok(()),
    }
}

/// Settles an unknown dispatch by the provider's records, as far as they tell.
async fn unknown(
    app: &App,
    ask: &mut AskRow,
    key: &TenantKey,
    api_key: &str,
    workspace: &WorkspaceRow,
) -> Result<(), StoreError> {
    // Another account's records say nothing about this dispatch, and its key would place a second call.
    let same_account = ask.account.is_none() || ask.account == workspace.account;
    if same_account
        && may_repeat(app, ask, key, workspace).await?
        && let Some(call_id) = repeated(app, ask, key, api_key).await?
    {
        return placed(app, ask, call_id).await;
    }
    let (dispatch, to) = (ask.id.to_string(), &ask.secrets(key)?.to);
    let finding = match app.retell.find(api_key, ask.channel, &dispatch, to, ask.sent_at).await {
        Ok(Finding::Absent) if !same_account => Finding::NoAnswer,
        Ok(finding) => finding,
        Err(error) => {
            account::read_failed(app, ask.workspace, &error).await;
            tracing::info!(dispatch.id = %ask.id, %error, "dispatch {} could not be looked up", ask.id);
            Finding::NoAnswer
        }
    };
    let now = app.clock.now();
    // As it stands now: a repeat has begun the proof anew.
    let after = decide::after_ask(&ask.unknown(key_lives(ask.channel)), finding, now);
    report(ask, &after);
    app.store.finish_ask(ask, &after, now).await?;
    Ok(())
}

/// Whether the same bytes may be sent again: what a first request would have to pass has to be passed now.
async fn may_repeat(
    app: &App,
    ask: &AskRow,
    key: &TenantKey,
    workspace: &WorkspaceRow,
) -> Result<bool, StoreError> {
    let store = app.store.of(ask.tenant);
    let callback = store.callback(ask.callback).await?;
    let Seat { agent, policy } = Seat::of(store.agent(ask.agent).await?, workspace);
    let to = ask.secrets(key)?.to;
    let suppressed = store.is_suppressed(&callback.person_ix).await?;
    let due = Due { suppressed, ..Due::of(&callback.candidate(&to), agent.dialing(), &policy) };
    let unknown = ask.unknown(key_lives(ask.channel));
    Ok(decide::how_to_ask(&unknown, &due, app.clock.now()) == Ask::Repeat)
}

/// The same bytes under the same key: the call they made, or make now.
async fn repeated(
    app: &App,
    ask: &mut AskRow,
    key: &TenantKey,
    api_key: &str,
) -> Result<Option<String>, StoreError> {
    let body = ask.body(key)?.to_vec();
    let now = app.clock.now();
    let deadline_ms = i64::try_from(app.config.place_deadline().as_millis()).unwrap_or(i64::MAX / 2);
    let over_at = plus(now, SignedDuration::from_millis(deadline_ms * i64::from(app.clock.speed())));
    if !app.store.begin_repeat(ask, over_at, now).await? {
        return Ok(None);
    }
    // A process that was frozen while connecting must not repeat it: the provider may have forgotten the key by then.
    let is_in_time = || app.clock.now() < over_at;
    match app.retell.place(api_key, ask.channel, body, Some(&is_in_time)).await {
        Reply::Placed { call_id } => Ok(Some(call_id)),
        // A refusal may be of the repeat alone; whether the first was placed, the lists will tell.
        _ => Ok(None),
    }
}

async fn placed(app: &App, ask: &AskRow, call_id: String) -> Result<(), StoreError> {
    let after = AfterAsk::Placed { call_id };
    report(ask, &after);
    app.store.finish_ask(ask, &after, app.clock.now()).await
}

fn report(ask: &AskRow, after: &AfterAsk) {
    let id = ask.id;
    match after {
        AfterAsk::Placed { .. } => tracing::info!(dispatch.id = %id, "dispatch {id} is known to be placed"),
        AfterAsk::NotPlaced => tracing::info!(dispatch.id = %id, "dispatch {id} is proven not to be placed"),
        AfterAsk::Unresolved => {
            tracing::error!(dispatch.id = %id, "nobody can tell whether dispatch {id} was placed; a person must decide");
            metrics::counter!("redialer_unresolved_total").increment(1);
        }
        AfterAsk::Later { .. } => {}
    }
}

/// The record of a call that is over goes the way of a webhook.
async fn enter(app: &App, ask: &AskRow, record: &str, key: &TenantKey) -> Result<(), StoreError> {
    let Some(fetched) = webhook::fetched(record, ask.channel).filter(|f| f.over) else { return Ok(()) };
    let from = Origin { tenant: ask.tenant, workspace: ask.workspace, agent: ask.agent, test: ask.test };
    enter_inbox(app, from, fetched.delivery, key).await
}

/// Whose record it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) tenant: Id<id::Tenant>,
    pub(super) workspace: Id<id::Workspace>,
    pub(super) agent: Id<id::Agent>,
    /// Of the simulator.
    pub(super) test: bool,
}

/// A record we asked for enters the inbox; returns once it is on disk.
pub(super) async fn enter_inbox(
    app: &App,
    from: Origin,
    delivery: Delivery<'_>,
    key: &TenantKey,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let event = EventRow {
        bucket: bucket_of(from.tenant),
        id: Id::new(now, &app.chance),
        tenant: from.tenant,
        workspace: from.workspace,
        agent: from.agent,
        tries: 0,
        received_at: now,
        test: from.test,
    };
    let new = NewDelivery {
        event,
        is_decidable: true,
        name: delivery.event,
        call_id: delivery.call_id,
        sameness: delivery.sameness,
        body: key.seal_body(event.id.uuid(), &delivery.body, &app.chance),
        signature: delivery.signature,
    };
    app.inbox.record(new).await?;
    app.inbox_bell.notify_one();
    Ok(())
}
