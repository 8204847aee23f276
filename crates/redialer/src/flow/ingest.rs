//! Events are read and decided: steps 4 to 6 of a call's journey.
//!
//! What is fresh is read by whoever received it and decided by the inbox's writer (`fresh`). The loop here decides
//! the rest, one by one: dials of ours, what an earlier process left behind, what failed.
//! Invariants: whatever happens to one event, the ones behind it go on; one that keeps failing is put off and,
//! after five tries, set aside with a note (I33). Nothing of an event's effects is visible before all of them.

pub mod fresh;

use std::{sync::Arc, time::Duration};

use redialer_core::{
    Id, Phone, Timestamp,
    agent::Dialler,
    call::{CallFacts, Turn},
    decide::{self, AfterCall, AskedTime, Follow, Note, Person, Redial, Scene, Seen, Settle, Whom},
    id, phone,
    policy::{Policy, PromiseScope},
    time::{Zone, minutes, plus},
};
use redialer_kek::KeyError;
use redialer_providers::retell::webhook;
use redialer_store::{
    Adoption, AgentRow, Desk, Following, PendingRow, RedialRow, Seat, Secrets, SpokenWith, StoreError,
    Subject, TenantKey,
};

use crate::app::App;

/// Events of one workspace that are decided before another workspace has its turn.
const SHARE: i64 = 32;
/// How often an event is decided again at once because another decision about the same person came first.
const MAX_CONFLICTS: usize = 8;
const MAX_TRIES: i64 = 5;
const POLL: Duration = Duration::from_secs(1);

/// Reads the inbox until the program shuts down.
pub async fn run(app: Arc<App>) {
    while !app.is_draining() {
        let bell = app.inbox_bell.notified();
        match drain(&app).await {
            Ok(0) => {
                tokio::select! { () = bell => {}, () = app.clock.wait(POLL) => {}, () = app.drained() => {} }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the inbox could not be read");
                app.clock.wait(POLL).await;
            }
        }
    }
}

/// Decides what waits; the number of events looked at. Workspaces take turns, so that a flood of one delays the others
/// by no more than its share of a round (I42); within a workspace the longest-waiting event comes first.
pub async fn drain(app: &Arc<App>) -> Result<usize, StoreError> {
    let mut n = 0;
    for range in app.ranges() {
        for workspace in app.store.workspaces_with_pending(range, app.clock.now()).await? {
            for row in app.store.pending(workspace, app.clock.now(), SHARE).await? {
                n += 1;
                one(app, row).await?;
            }
        }
    }
    Ok(n)
}

async fn one(app: &Arc<App>, row: PendingRow) -> Result<(), StoreError> {
    let (tries, id) = (row.tries, row.id);
    // Without the key service everything waits, and nothing is to blame for it (I23).
    let opened = match opened(app, &row).await {
        Err(error @ StoreError::Key(KeyError::Unavailable(_))) => return Err(error),
        opened => opened,
    };
    // What an earlier process left behind may be what it died of: the try is counted before it is made.
    if row.received_at < app.started_at
        && !app.store.try_delivery(&row, MAX_TRIES, Note::SetAside.word()).await?
    {
        return Ok(());
    }
    let row = Arc::new(row);
    // A task of its own: a panic ends it, not the loop.
    let (task_app, task_row) = (Arc::clone(app), Arc::clone(&row));
    let decided = tokio::spawn(async move {
        let (desk, key) = opened?;
        for _ in 0..MAX_CONFLICTS {
            match decide(&task_app, &task_row, &desk, &key).await {
                // What it was decided by has moved on: it is read and decided again.
                Err(StoreError::Conflict(_)) => {}
                done => return done,
            }
        }
        decide(&task_app, &task_row, &desk, &key).await
    });
    let failure = match decided.await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "a panic".to_owned(),
    };
    tracing::error!(delivery.id = %id, tries, failure, "delivery {id} could not be decided");
    metrics::counter!("redialer_deliveries_failed_total").increment(1);
    let later = plus(app.clock.now(), minutes(1 << tries.min(4)));
    let try_at = (tries + 1 < MAX_TRIES).then_some(later);
    app.store.retry_delivery(&row, try_at, Note::SetAside.word()).await
}

/// Everything about an event that does not change while it is decided.
struct Reading {
    facts: CallFacts,
    redial: Option<RedialRow>,
    agent: Option<Arc<AgentRow>>,
    whom: Whom,
    /// The keyed index of the person's number.
    person_ix: Option<[u8; 16]>,
    policy: Arc<Policy>,
    zone: Zone,
    asked: AskedTime,
    secrets: Secrets,
    notes: Vec<Note>,
}

/// The event's desk, and its tenant's key.
async fn opened(app: &App, row: &PendingRow) -> Result<(Arc<Desk>, TenantKey), StoreError> {
    let desk = app.store.desk(row.tenant, row.workspace, app.clock.real_ms()).await?;
    let key = desk.open_key(&app.store).await?.for_tests(row.test);
    Ok((desk, key))
}

async fn decide(app: &App, row: &PendingRow, desk: &Desk, key: &TenantKey) -> Result<(), StoreError> {
    let body = key.open_body(row.id.uuid(), &row.body)?;
    let Some(facts) = webhook::read(&body, &desk.workspace.defaults.callback_field) else {
        // Events of other kinds are kept for whoever forwards them; nothing follows from them here.
        return app.store.finish_delivery(row, "").await;
    };
    let conversation = || webhook::conversation(&body);
    let reading = read(app, row, desk, facts, conversation, key).await?;
    let person_ix = reading.person_ix.or_else(|| reading.redial.as_ref().map(|redial| redial.person_ix));
    let call_id = reading.facts.call_id.clone();
    let channel = reading.facts.channel;
    let subject =
        Subject { delivery: row, call_id: &call_id, person_ix, redial: reading.redial.as_ref(), channel };
    let Some((decision, known)) = app.store.begin_decision(subject, app.clock.now()).await? else {
        return Ok(());
    };
    let after = after_call(app, &reading, &known.seen, known.redial.as_ref(), known.person.as_ref());
    let following = following(Id::new(app.clock.now(), &app.chance), &reading);
    let spoken_with =
        SpokenWith { number: reading.whom.person.as_ref().map(Phone::e164), outcome: reading.outcome() };
    decision.finish(&after, following, &spoken_with, key, &app.chance).await?;
    report(app, row.workspace, &call_id, &after);
    Ok(())
}

fn following(id: Id<id::Callback>, reading: &Reading) -> Option<Following<'_>> {
    reading.agent.as_ref().map(|agent| Following {
        id,
        agent: agent.id,
        channel: reading.facts.channel,
        secrets: &reading.secrets,
        promise_scope: (reading.policy.one_promise_per == PromiseScope::Agent).then_some(agent.id),
    })
}

async fn read(
    app: &App,
    row: &PendingRow,
    desk: &Desk,
    mut facts: CallFacts,
    conversation: impl FnOnce() -> Vec<Turn>,
    key: &TenantKey,
) -> Result<Reading, StoreError> {
    let mut notes = Vec::new();
    let tagged = facts.tags.as_ref().and_then(|t| t.dispatch.parse().ok());
    let mut redial = app.store.redial_of(row, tagged, &facts.call_id).await?;
    if redial.is_none() && adopted(app, row, &facts, tagged, key).await? {
        redial = app.store.redial_of(row, tagged, &facts.call_id).await?;
    }
    if facts.tags.is_some() && redial.is_none() {
        notes.push(Note::ForeignDispatch);
    }
    let known = redial.as_ref().map(|r| r.secrets(key)).transpose()?;
    if let Some(known) = &known {
        // A chat does not tell its numbers; what we dialled does.
        facts.person_number.get_or_insert_with(|| known.to.clone());
        if facts.agent_number.is_none() {
            facts.agent_number.clone_from(&known.from);
        }
    }
    let seat = match (&facts.agent, &redial) {
        (Some(id), _) => desk.by_provider_id(id).cloned(),
        (None, Some(redial)) => Some(seat(app, desk, redial.agent).await?),
        (None, None) => Some(seat(app, desk, row.agent).await?),
    };
    let mut reading = Reading::of(app.clock.now(), desk, key, facts, conversation, seat, known.as_ref());
    reading.redial = redial;
    reading.notes = notes;
    Ok(reading)
}

/// An agent; one that the provider has lost is not at the desk.
async fn seat(app: &App, desk: &Desk, id: Id<id::Agent>) -> Result<Seat, StoreError> {
    match desk.agent(id) {
        Some(seat) => Ok(seat.clone()),
        None => Ok(Seat::of(app.store.of(desk.workspace.tenant).agent(id).await?, &desk.workspace)),
    }
}

impl Reading {
    /// What can be read without asking anybody; `known` is what the dial carried that this call is.
    fn of(
        now: Timestamp,
        desk: &Desk,
        key: &TenantKey,
        facts: CallFacts,
        conversation: impl FnOnce() -> Vec<Turn>,
        seat: Option<Seat>,
        known: Option<&Secrets>,
    ) -> Self {
        let (agent, policy) = match seat {
            Some(seat) => (Some(seat.agent), seat.policy),
            None => (None, Arc::clone(&desk.policy)),
        };
        let mut whom = decide::whom(&facts, &policy);
        let agent_zone = agent.as_ref().and_then(|a| a.timezone.as_deref());
        let candidates = whom.person.as_ref().map_or(&[][..], |p| phone::zones_of(p.e164()));
        let zone = Zone::of_callee(candidates, agent_zone, &policy.timezone);
        let end = decide::end_of(&facts, now);
        let asked = decide::asked_time(&facts, conversation, &zone, agent_zone, &policy, end);
        let secrets = secrets(&facts, &whom, &asked, known);
        let mut person_ix = whom.person.as_ref().map(|person| key.index(person.e164()));
        if person_ix.take_if(|ix| desk.is_own_number(ix)).is_some() {
            whom.person = None;
            whom.note = Some(Note::OwnNumber);
        }
        Self { facts, redial: None, agent, whom, person_ix, policy, zone, asked, secrets, notes: Vec::new() }
    }

    fn outcome(&self) -> Option<&str> {
        self.facts.outcome.as_ref().map(|o| o.reason.as_str())
    }
}

/// After a restore, a dial of ours that the backup did not know is given back to its callback (I31). Whether to
/// look for it again: if not by us, then by whoever decides the same event beside us and was faster.
async fn adopted(
    app: &App,
    row: &PendingRow,
    facts: &CallFacts,
    dispatch: Option<Id<id::Dispatch>>,
    key: &TenantKey,
) -> Result<bool, StoreError> {
    let (Some(dispatch), Some(tags)) = (dispatch, &facts.tags) else { return Ok(false) };
    let Some(epoch) = app.store.epoch().await? else { return Ok(false) };
    // An id tells when it was made: what the backup could know is not adopted, nor what was dialled since.
    let made_at = dispatch.made_at();
    if made_at < plus(epoch.backup_at, minutes(-1)) || made_at > plus(epoch.began_at, minutes(1)) {
        return Ok(false);
    }
    let person = facts.person_number.as_deref().and_then(|n| Phone::parse(n).ok());
    let adoption = Adoption {
        dispatch,
        callback: tags.callback.as_deref().and_then(|id| id.parse().ok()),
        person_ix: person.map(|p| key.index(p.e164())),
        call_id: &facts.call_id,
        started_at: facts.started_at.unwrap_or(made_at),
    };
    app.store.adopt(row, &adoption, key, &app.chance, app.clock.now()).await?;
    Ok(true)
}

/// What the next callback would carry: this call's own variables and metadata, else those of the dial it was.
fn secrets(facts: &CallFacts, whom: &Whom, asked: &AskedTime, known: Option<&Secrets>) -> Secrets {
    let kept = |now_empty: bool| known.filter(|_| now_empty);
    Secrets {
        to: whom.person.as_ref().map(|p| p.e164().to_owned()).unwrap_or_default(),
        from: whom.from.as_ref().map(|p| Phone::e164(p).to_owned()),
        variables: kept(facts.variables.is_empty())
            .map_or_else(|| facts.variables.clone(), |k| k.variables.clone()),
        metadata: kept(facts.metadata.is_none())
            .map_or_else(|| facts.metadata.clone(), |k| k.metadata.clone()),
        version: Secrets::version_text(&facts.version),
        evidence: Some(asked.evidence.clone()).filter(|_| facts.asked.callback),
        rule: Some(asked.rule.clone()).filter(|_| facts.asked.callback),
        confidence: Some(asked.confidence).filter(|_| facts.asked.callback),
        window: asked.window.map(|(from, to)| (from.as_millisecond(), to.as_millisecond())),
        doubts: asked.doubts.iter().map(|doubt| (*doubt).to_owned()).collect(),
        external_id: None,
    }
}

fn after_call(
    app: &App,
    reading: &Reading,
    seen: &Seen,
    redial: Option<&Redial>,
    person: Option<&Person>,
) -> AfterCall {
    let dialler = match &reading.agent {
        Some(agent) if agent.enabled => Dialler::Ready,
        Some(_) => Dialler::Disabled,
        None => Dialler::Missing,
    };
    let mut after = decide::after_call(&Scene {
        facts: &reading.facts,
        seen: seen.clone(),
        redial,
        person: person.filter(|_| reading.whom.person.is_some()),
        dialler,
        agent: reading.agent.as_ref().map(|agent| agent.id),
        country_allowed: reading
            .whom
            .person
            .as_ref()
            .is_none_or(|person| reading.policy.calls_country_of(person.e164())),
        observes: reading.agent.as_ref().is_some_and(|agent| agent.observe),
        policy: &reading.policy,
        zone: &reading.zone,
        asked: &reading.asked,
        now: app.clock.now(),
    });
    after.notes.extend(reading.notes.iter().copied());
    // Why nobody can be dialled matters only where somebody would have been.
    let wanted = reading.facts.asked.callback || reading.facts.is_outbound_call();
    if wanted && (after.settled || after.analyzed) {
        after.notes.extend(reading.whom.note);
    }
    after
}

/// Logs and counts what was decided, and has the window read again where something is due soon.
pub fn report(app: &App, workspace: Id<id::Workspace>, call_id: &str, after: &AfterCall) {
    if after.notes.contains(&Note::UnknownReason) {
        metrics::counter!("redialer_unknown_reasons_total").increment(1);
    }
    if let Some(pause) = after.pause {
        tracing::warn!(workspace.id = %workspace, "workspace {workspace} is paused: {}", pause.description());
    }
    if let Some(settle) = after.settle {
        let outcome = match settle {
            Settle::Close(state) => state.word(),
            Settle::Again { .. } => "again",
        };
        metrics::counter!("redialer_outcomes_total", "state" => outcome).increment(1);
        tracing::info!(workspace.id = %workspace, call.id = call_id, outcome, "call {call_id} of ours ended: {outcome}");
    }
    if let Some(Follow::New(planned) | Follow::Move(_, planned)) = &after.follow {
        let reason = planned.reason.word();
        metrics::counter!("redialer_callbacks_scheduled_total", "reason" => reason).increment(1);
        tracing::info!(
            workspace.id = %workspace, call.id = call_id, reason, scheduled_for = %planned.scheduled_for,
            "a callback was scheduled for {} after call {call_id}: {reason}", planned.scheduled_for
        );
        // Soon means within the window; whatever is further off comes in with a later reading.
        if planned.scheduled_for <= app.window.until() {
            app.due_changed();
        }
    } else if !after.notes.is_empty() {
        let notes = after.notes.iter().map(|note| note.word()).collect::<Vec<_>>().join(" ");
        tracing::info!(workspace.id = %workspace, call.id = call_id, notes, "no callback followed call {call_id}: {notes}");
    }
    metrics::counter!("redialer_deliveries_decided_total").increment(1);
}
