//! Prepares events for a batch: reads the inputs that stay constant while an event is processed, and decides one event
//! with pure code.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use redialer_core::{
    Id, Phone, Timestamp,
    agent::AgentStatus,
    call::{CallFacts, Turn},
    decide::{self, AfterCall, AfterCallInput, EventNote, Recipient, Redial, RequestedTime},
    id, phone,
    policy::{Policy, PromiseScope},
    time::Zone,
};
use redialer_kek::KeyError;
use redialer_store::{
    AgentContext, AgentRow, Decided, DecisionKey, EventRow, Known, LostDispatch, NextCallbackFields,
    RedialProbe, RedialRow, Secrets, StoreError, TenantKey, WorkspaceContext,
};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::{app::App, flow::ingest::postpone_or_set_aside, state::event_queue::QueuedEvent};

/// The state that the events of one workspace share.
pub(crate) struct EventContext {
    pub(crate) workspace_context: Arc<WorkspaceContext>,
    /// The tenant's opened key, or its variant for test callbacks.
    pub(crate) key: TenantKey,
}

/// The contexts of one batch, each opened once.
#[derive(Default)]
pub(crate) struct EventContexts(HashMap<(Id<id::Workspace>, bool), Arc<EventContext>>);

impl EventContexts {
    pub(crate) async fn get(&mut self, app: &App, event: &EventRow) -> Result<Arc<EventContext>, StoreError> {
        let key = (event.workspace, event.test);
        if let Some(context) = self.0.get(&key) {
            return Ok(Arc::clone(context));
        }
        let workspace_context =
            app.store.workspace_context(event.tenant, event.workspace, app.clock.real_ms()).await?;
        let opened = workspace_context.open_key(&app.store).await?.for_tests(event.test);
        let context = Arc::new(EventContext { workspace_context, key: opened });
        self.0.insert(key, Arc::clone(&context));
        Ok(context)
    }
}

/// An event with the inputs that stay constant while it is processed.
pub(crate) struct Prepared {
    pub(crate) event: EventRow,
    context: Arc<EventContext>,
    /// The id of the callback that may follow.
    next: Id<id::Callback>,
    pub(crate) facts: CallFacts,
    redial: Option<RedialRow>,
    agent: Option<Arc<AgentRow>>,
    recipient: Recipient,
    /// The keyed hash of the person's number.
    phone_hash: Option<[u8; 16]>,
    policy: Arc<Policy>,
    zone: Zone,
    requested_time: RequestedTime,
    secrets: Secrets,
    notes: Vec<EventNote>,
}

/// Prepares events, in order. Events whose tenant key is unavailable stay pending; the returned error says why.
pub(crate) async fn prepare(
    app: &App,
    events: Vec<QueuedEvent>,
) -> Result<(Vec<Prepared>, Option<KeyError>), StoreError> {
    let (mut opened, mut key_unavailable) = (Vec::with_capacity(events.len()), None);
    let mut contexts = EventContexts::default();
    for event in events {
        match contexts.get(app, &event.event).await {
            Ok(context) => opened.push((event, context)),
            // Without the key service every event waits, and no try is counted (I23).
            Err(StoreError::Key(error @ KeyError::Unavailable(_))) => key_unavailable = Some(error),
            Err(error) if error.is_outage() => return Err(error),
            Err(error) => postpone_or_set_aside(app, &event.event, &error.to_string()).await?,
        }
    }
    let probes: Vec<RedialProbe<'_>> = opened.iter().map(|(event, _)| probe(event)).collect();
    let redials = redials(app, &probes).await?;
    let mut prepared = Vec::with_capacity(opened.len());
    for ((event, context), redial) in opened.into_iter().zip(redials) {
        let row = event.event;
        let one = async { prepare_one(app, event, context, redial?).await };
        let done = AssertUnwindSafe(one).catch_unwind().await;
        match done {
            Ok(Ok(one)) => prepared.push(one),
            Ok(Err(error)) if error.is_outage() => return Err(error),
            Ok(Err(error)) => postpone_or_set_aside(app, &row, &error.to_string()).await?,
            Err(_) => postpone_or_set_aside(app, &row, "a panic").await?,
        }
    }
    Ok((prepared, key_unavailable))
}

/// Reads the dispatch of each call. If the joint read fails, each is read separately, so that a failure affects one event
/// only.
async fn redials(
    app: &App,
    probes: &[RedialProbe<'_>],
) -> Result<Vec<Result<Option<RedialRow>, StoreError>>, StoreError> {
    match app.store.redials(probes).await {
        Ok(redials) => return Ok(redials.into_iter().map(Ok).collect()),
        Err(error) if error.is_outage() => return Err(error),
        Err(error) => {
            tracing::info!(%error, "the dispatches of a batch of events could not be read together; each is read separately")
        }
    }
    let mut redials = Vec::with_capacity(probes.len());
    for probe in probes {
        redials.push(app.store.redials(&[*probe]).await.map(|mut one| one.pop().flatten()));
    }
    Ok(redials)
}

fn probe(event: &QueuedEvent) -> RedialProbe<'_> {
    RedialProbe {
        event: event.event,
        dispatch: event.facts.tags.as_ref().and_then(|tags| tags.dispatch.parse().ok()),
        call_id: &event.facts.call_id,
    }
}

async fn prepare_one(
    app: &App,
    event: QueuedEvent,
    context: Arc<EventContext>,
    mut redial: Option<RedialRow>,
) -> Result<Prepared, StoreError> {
    if redial.is_none() && reattach_dispatch(app, &event, &context.key).await? {
        redial = app.store.redials(&[probe(&event)]).await?.pop().flatten();
    }
    let QueuedEvent { event, mut facts, conversation, .. } = event;
    let mut notes = Vec::new();
    if facts.tags.is_some() && redial.is_none() {
        notes.push(EventNote::ForeignDispatch);
    }
    let known = redial.as_ref().map(|redial| redial.secrets(&context.key)).transpose()?;
    if let Some(known) = &known {
        // The record of a chat does not include its numbers; the request of the dial does.
        facts.person_number.get_or_insert_with(|| known.to.clone());
        if facts.agent_number.is_none() {
            facts.agent_number.clone_from(&known.from);
        }
    }
    let agent_context = match (&facts.agent, &redial) {
        (Some(id), _) => context.workspace_context.by_provider_id(id).cloned(),
        (None, Some(redial)) => {
            Some(context.workspace_context.agent_context(&app.store, redial.agent).await?)
        }
        (None, None) => Some(context.workspace_context.agent_context(&app.store, event.agent).await?),
    };
    Ok(off_the_worker(|| {
        let mut prepared =
            Prepared::new(app, event, context, facts, conversation, agent_context, known.as_ref());
        prepared.redial = redial;
        prepared.notes = notes;
        prepared
    }))
}

/// Runs work that may take milliseconds of CPU without holding up other requests on this thread.
fn off_the_worker<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

impl Prepared {
    /// Computes everything that needs no I/O; `known` is the data of the dial that placed this call.
    fn new(
        app: &App,
        event: EventRow,
        context: Arc<EventContext>,
        facts: CallFacts,
        conversation: Vec<Turn>,
        agent_context: Option<AgentContext>,
        known: Option<&Secrets>,
    ) -> Self {
        let now = app.clock.now();
        let workspace_context = &context.workspace_context;
        let (agent, policy) = match agent_context {
            Some(agent_context) => (Some(agent_context.agent), agent_context.policy),
            None => (None, Arc::clone(&workspace_context.policy)),
        };
        let is_own = |phone: &Phone| workspace_context.is_own_number(&context.key.index(phone.e164()));
        let recipient = decide::recipient_of(&facts, &policy, is_own);
        let agent_zone = agent.as_ref().and_then(|a| a.timezone.as_deref());
        let candidates = recipient.person.as_ref().map_or(&[][..], |p| phone::zones_of(p.e164()));
        let zone = Zone::of_callee(candidates, agent_zone, &policy.timezone);
        let end = decide::end_of(&facts, now);
        let requested_time = decide::requested_time(&facts, || conversation, &zone, agent_zone, &policy, end);
        let secrets = secrets(&facts, &recipient, &requested_time, known);
        let phone_hash = recipient.person.as_ref().map(|person| context.key.index(person.e164()));
        Self {
            event,
            context,
            next: Id::new(now, &app.rng),
            facts,
            redial: None,
            agent,
            recipient,
            phone_hash,
            policy,
            zone,
            requested_time,
            secrets,
            notes: Vec::new(),
        }
    }

    pub(crate) fn key(&self) -> DecisionKey<'_> {
        DecisionKey {
            event: self.event,
            call_id: &self.facts.call_id,
            channel: self.facts.channel,
            phone_hash: self.phone_hash.or_else(|| self.redial.as_ref().map(|redial| redial.phone_hash)),
            redial: self.redial.as_ref(),
        }
    }

    /// The decision keys of the event; no two events of a batch may share one.
    pub(crate) fn conflict_keys(&self) -> Vec<ConflictKey> {
        let workspace = self.event.workspace;
        let of_redial = self.redial.as_ref().map(|redial| ConflictKey::Chain(redial.chain));
        let persons = [self.phone_hash, self.redial.as_ref().map(|redial| redial.phone_hash)];
        let persons = persons.into_iter().flatten().map(|ix| ConflictKey::Person(workspace, ix));
        let call = ConflictKey::Call(workspace, self.facts.call_id.clone());
        persons.chain(of_redial).chain([call]).collect()
    }

    pub(crate) fn decide(&self, known: &Known, now: Timestamp) -> Decided<'_> {
        Decided {
            after: self.after(known, now),
            next: self.agent.as_ref().map(|agent| NextCallbackFields {
                id: self.next,
                agent: agent.id,
                channel: self.facts.channel,
                secrets: &self.secrets,
                promise_scope: (self.policy.one_promise_per == PromiseScope::Agent).then_some(agent.id),
            }),
            number: self.recipient.person.as_ref().map(Phone::e164),
            outcome: self.facts.outcome.as_ref().map(|o| o.reason.as_str()),
            key: &self.context.key,
        }
    }

    fn after(&self, known: &Known, now: Timestamp) -> AfterCall {
        let agent_status = match &self.agent {
            Some(agent) if agent.enabled => AgentStatus::Ready,
            Some(_) => AgentStatus::Disabled,
            None => AgentStatus::Missing,
        };
        let redial: Option<&Redial> = known.redial.as_ref();
        let person = self.recipient.person.as_ref();
        let mut after = decide::after_call(&AfterCallInput {
            facts: &self.facts,
            seen: known.seen.clone(),
            redial,
            person: known.person.as_ref().filter(|_| person.is_some()),
            agent_status,
            agent: self.agent.as_ref().map(|agent| agent.id),
            country_allowed: person.is_none_or(|person| self.policy.calls_country_of(person.e164())),
            observes: self.agent.as_ref().is_some_and(|agent| agent.observe),
            policy: &self.policy,
            zone: &self.zone,
            requested_time: &self.requested_time,
            now,
        });
        after.notes.extend(self.notes.iter().copied());
        let no_recipient = decide::why_no_recipient(&self.facts, &self.recipient, &after);
        after.notes.extend(no_recipient);
        after
    }
}

/// After a restore, attaches a dial that the backup did not contain to its callback (I31). Returns whether to look for
/// the dial again: it was attached here, or while the same event was processed concurrently.
async fn reattach_dispatch(app: &App, event: &QueuedEvent, key: &TenantKey) -> Result<bool, StoreError> {
    let facts = &event.facts;
    let (Some(dispatch), Some(tags)) = (probe(event).dispatch, &facts.tags) else { return Ok(false) };
    let Some(restore_generation) = app.store.restore_generation().await? else { return Ok(false) };
    let created_at = dispatch.created_at();
    if !decide::may_be_reattached(created_at, restore_generation.backup_at, restore_generation.began_at) {
        return Ok(false);
    }
    let person = facts.person_number.as_deref().and_then(|n| Phone::parse(n).ok());
    let lost = LostDispatch {
        dispatch,
        callback: tags.callback.as_deref().and_then(|id| id.parse().ok()),
        phone_hash: person.map(|p| key.index(p.e164())),
        call_id: &facts.call_id,
        started_at: facts.started_at.unwrap_or(created_at),
    };
    app.store.reattach(&event.event, &lost, key, &app.rng, app.clock.now()).await?;
    Ok(true)
}

/// The data of the next callback: this call's own variables and metadata, or else those of the dial that placed it.
fn secrets(
    facts: &CallFacts,
    recipient: &Recipient,
    requested_time: &RequestedTime,
    known: Option<&Secrets>,
) -> Secrets {
    let kept = |now_empty: bool| known.filter(|_| now_empty);
    Secrets {
        to: recipient.person.as_ref().map(|p| p.e164().to_owned()).unwrap_or_default(),
        from: recipient.from.as_ref().map(|p| Phone::e164(p).to_owned()),
        variables: kept(facts.variables.is_empty())
            .map_or_else(|| facts.variables.clone(), |k| k.variables.clone()),
        metadata: kept(facts.metadata.is_none())
            .map_or_else(|| facts.metadata.clone(), |k| k.metadata.clone()),
        version: Secrets::version_text(&facts.version),
        evidence: Some(requested_time.evidence.clone()).filter(|_| facts.request.callback),
        rule: Some(requested_time.rule.clone()).filter(|_| facts.request.callback),
        confidence: Some(requested_time.confidence).filter(|_| facts.request.callback),
        window: requested_time.window.map(|(from, to)| (from.as_millisecond(), to.as_millisecond())),
        doubts: requested_time.doubts.iter().map(|doubt| (*doubt).to_owned()).collect(),
        external_id: None,
    }
}

/// A row or call that processing an event may change.
#[derive(PartialEq, Eq, Hash)]
pub(crate) enum ConflictKey {
    Call(Id<id::Workspace>, String),
    Person(Id<id::Workspace>, [u8; 16]),
    Chain(Id<id::Chain>),
}
