//! Looks up placed calls without an outcome, and unconfirmed dispatches, at the provider.
//!
//! Invariants: the provider's records enter the same inbox as its webhooks, so they have the same effects, once. An
//! unknown dispatch is never sent again before the provider's own records prove that it was not placed
//! (`core::decide::after_lookup`). If the provider accepts idempotency keys, the same bytes may be sent again while the
//! provider still stores the key, which places the call at most once. A repeat must pass the same checks as a first
//! request.

use std::time::Duration;

use jiff::SignedDuration;

use redialer_core::{
    decide::{self, Due, Finding, LookupMethod, Resolution, Unknown},
    inbound_event::InboundEvent,
    order::Reply,
    time::{minutes, plus},
};
use redialer_providers::{CallQuery, DispatchQuery, Placement, Provider, Record};
use redialer_store::{AgentContext, Recorded, StoreError, TenantKey, UnconfirmedDispatch, WorkspaceRow};

use crate::{
    app::App,
    flow::{
        account,
        ingest::{EventSource, new_inbound_event},
    },
};

/// The interval between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(1);
const MAX_BATCH: i64 = 20;
/// A lookup whose process died is repeated after this many minutes.
const LOOKUP_RETRY_MINUTES: i64 = 10;

/// Looks up the dispatches whose lookup is due.
pub async fn round(app: &App) -> Result<(), StoreError> {
    for range in app.ranges() {
        let now = app.clock.now();
        for mut unconfirmed in
            app.store.due_lookups(range, now, plus(now, minutes(LOOKUP_RETRY_MINUTES)), MAX_BATCH).await?
        {
            if let Err(error) = reconcile_dispatch(app, &mut unconfirmed).await {
                tracing::warn!(dispatch.id = %unconfirmed.id, %error, "the lookup of dispatch {} failed; it is repeated later", unconfirmed.id);
            }
        }
    }
    Ok(())
}

/// The context for the lookup of a dispatch, in addition to its row.
struct Lookup<'a> {
    app: &'a App,
    provider: &'a dyn Provider,
    workspace: &'a WorkspaceRow,
    key: &'a TenantKey,
    api_key: &'a str,
}

async fn reconcile_dispatch(app: &App, unconfirmed: &mut UnconfirmedDispatch) -> Result<(), StoreError> {
    let key = app.store.open_key(unconfirmed.tenant).await?;
    let workspace = app.store.for_tenant(unconfirmed.tenant).workspace(unconfirmed.workspace).await?;
    let api_key = workspace.api_key(&key)?;
    let provider = app.provider(&workspace, unconfirmed.test)?;
    let lookup = Lookup { app, provider, workspace: &workspace, key: &key, api_key: &api_key };
    if unconfirmed.call_id.is_none() {
        return lookup.unknown(unconfirmed).await;
    }
    if lookup.outcome(unconfirmed).await? {
        return Ok(());
    }
    give_up(app, unconfirmed).await
}

/// Closes a call without a reported outcome, long after the call must be over: the provider no longer has its record,
/// the record never shows an end, or the event with the outcome was set aside.
async fn give_up(app: &App, unconfirmed: &UnconfirmedDispatch) -> Result<(), StoreError> {
    let now = app.clock.now();
    if !decide::is_outcome_overdue(unconfirmed.channel, now.duration_since(unconfirmed.sent_at)) {
        return Ok(());
    }
    if app.store.close_without_outcome(unconfirmed, now).await? {
        tracing::error!(callback.id = %unconfirmed.callback, dispatch.id = %unconfirmed.id, "callback {} was closed as outcome_unknown: the provider reported no outcome of its call", unconfirmed.callback);
        metrics::counter!("redialer_outcomes_unknown_total").increment(1);
    }
    Ok(())
}

impl Lookup<'_> {
    /// Fetches the record of a placed call. If the call is over, adds the record to the inbox. Returns whether the
    /// record is new; if so, it is not processed yet.
    async fn outcome(&self, unconfirmed: &UnconfirmedDispatch) -> Result<bool, StoreError> {
        let Some(id) = &unconfirmed.call_id else { return Ok(false) };
        let body = unconfirmed.body(self.key)?;
        let call =
            CallQuery { channel: unconfirmed.channel, id, placed_by: Some((&body, unconfirmed.sent_at)) };
        match self.provider.record(self.api_key, call).await {
            Ok(record) => self.enter(unconfirmed, record).await,
            Err(error) => {
                account::read_failed(self.app, unconfirmed.workspace, &error).await;
                tracing::info!(dispatch.id = %unconfirmed.id, %error, "the call record of dispatch {} could not be fetched", unconfirmed.id);
                Ok(false)
            }
        }
    }

    async fn enter(
        &self,
        unconfirmed: &UnconfirmedDispatch,
        record: Option<Record>,
    ) -> Result<bool, StoreError> {
        let Some(record) = record.filter(|record| record.is_over) else { return Ok(false) };
        let from = EventSource {
            tenant: unconfirmed.tenant,
            workspace: unconfirmed.workspace,
            agent: unconfirmed.agent,
            test: unconfirmed.test,
        };
        let recorded = enter_inbox(self.app, from, record.delivery, self.key).await?;
        Ok(matches!(recorded, Recorded::New))
    }

    /// Resolves an unknown dispatch by the provider's records, as far as they allow.
    async fn unknown(&self, unconfirmed: &mut UnconfirmedDispatch) -> Result<(), StoreError> {
        // Another account's records prove nothing about this dispatch, and its key would place a second call.
        let same_account = unconfirmed.account.is_none() || unconfirmed.account == self.workspace.account;
        if same_account
            && self.may_repeat(unconfirmed).await?
            && let Some(call_id) = self.repeat_request(unconfirmed).await?
        {
            return self.record_placed(unconfirmed, call_id).await;
        }
        let (dispatch, to) = (unconfirmed.id.to_string(), &unconfirmed.secrets(self.key)?.to);
        let query = DispatchQuery {
            channel: unconfirmed.channel,
            dispatch: &dispatch,
            to,
            sent_at: unconfirmed.sent_at,
        };
        let finding = match self.provider.find(self.api_key, query).await {
            Ok(Finding::Absent) if !same_account => Finding::NoAnswer,
            Ok(finding) => finding,
            Err(error) => {
                account::read_failed(self.app, unconfirmed.workspace, &error).await;
                tracing::info!(dispatch.id = %unconfirmed.id, %error, "dispatch {} could not be looked up", unconfirmed.id);
                Finding::NoAnswer
            }
        };
        let now = self.app.clock.now();
        // Computed after the repeat, because a repeat restarts the period that the proof needs.
        let after = decide::after_lookup(&self.known_of(unconfirmed), finding, now);
        report(unconfirmed, &after);
        self.app.store.finish_lookup(unconfirmed, &after, now).await?;
        Ok(())
    }

    fn known_of(&self, unconfirmed: &UnconfirmedDispatch) -> Unknown {
        unconfirmed.unknown(self.provider.capabilities().repeats_for(unconfirmed.channel))
    }

    /// Whether the same bytes may be sent again: a repeat must pass the same checks as a first request, at the current
    /// time.
    async fn may_repeat(&self, unconfirmed: &UnconfirmedDispatch) -> Result<bool, StoreError> {
        let store = self.app.store.for_tenant(unconfirmed.tenant).for_tests(unconfirmed.test);
        let callback = store.callback(unconfirmed.callback).await?;
        let AgentContext { agent, policy } =
            AgentContext::new(store.agent(unconfirmed.agent).await?, self.workspace);
        let to = unconfirmed.secrets(self.key)?.to;
        let suppressed = store.is_suppressed(&callback.phone_hash).await?;
        let due = Due { suppressed, ..Due::new(&callback.candidate(&to), agent.dialing(), &policy) };
        Ok(decide::lookup_method(&self.known_of(unconfirmed), &due, self.app.clock.now())
            == LookupMethod::Repeat)
    }

    /// Sends the same bytes with the same idempotency key. Returns the id of the call that the first request or this
    /// repeat placed.
    async fn repeat_request(
        &self,
        unconfirmed: &mut UnconfirmedDispatch,
    ) -> Result<Option<String>, StoreError> {
        let app = self.app;
        let body = unconfirmed.body(self.key)?.to_vec();
        let now = app.clock.now();
        let deadline_ms = i64::try_from(app.config.place_deadline().as_millis()).unwrap_or(i64::MAX / 2);
        let in_flight_until =
            plus(now, SignedDuration::from_millis(deadline_ms * i64::from(app.clock.speed())));
        if !app.store.begin_repeat(unconfirmed, in_flight_until, now).await? {
            return Ok(None);
        }
        // A process that was suspended while it connected must not send: the provider may have dropped the key by then.
        let is_in_time = || app.clock.now() < in_flight_until;
        let dispatch = unconfirmed.id.to_string();
        let placement =
            Placement { channel: unconfirmed.channel, dispatch: &dispatch, body, ready: Some(&is_in_time) };
        match self.provider.place(self.api_key, placement).await {
            Reply::Placed { call_id } => Ok(Some(call_id)),
            // The refusal may concern only the repeat; the lists show whether the first request was placed.
            _ => Ok(None),
        }
    }

    async fn record_placed(
        &self,
        unconfirmed: &UnconfirmedDispatch,
        call_id: String,
    ) -> Result<(), StoreError> {
        let after = Resolution::Placed { call_id };
        report(unconfirmed, &after);
        self.app.store.finish_lookup(unconfirmed, &after, self.app.clock.now()).await
    }
}

fn report(unconfirmed: &UnconfirmedDispatch, after: &Resolution) {
    let id = unconfirmed.id;
    match after {
        Resolution::Placed { .. } => {
            tracing::info!(dispatch.id = %id, "dispatch {id} was placed, according to the provider's records")
        }
        Resolution::NotPlaced => {
            tracing::info!(dispatch.id = %id, "dispatch {id} was not placed, according to the provider's records")
        }
        Resolution::Unresolved => {
            tracing::error!(dispatch.id = %id, "dispatch {id} is unresolved: redialer could not determine whether the call was placed. Check the provider's call list; force the callback to dial again");
            metrics::counter!("redialer_unresolved_total").increment(1);
        }
        Resolution::Later { .. } => {}
    }
}

/// Adds a fetched record to the inbox. Returns after the commit, with whether the record was new.
pub(crate) async fn enter_inbox(
    app: &App,
    from: EventSource,
    inbound: InboundEvent<'_>,
    key: &TenantKey,
) -> Result<Recorded, StoreError> {
    let recorded = app.inbox.record(new_inbound_event(app, from, inbound, true, key)).await?;
    app.inbox_bell.notify_one();
    Ok(recorded)
}
