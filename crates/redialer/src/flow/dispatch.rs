//! What is due is dialled: steps 7 to 11 of a call's journey.
//!
//! Invariants (failure-model §2): claim, check again, intent on disk, one request, settle; no transaction is
//! open while the provider is asked. The lease is looked at right before the first byte. An answer that is
//! not clear becomes `unconfirmed` and is [`super::reconcile`]'s business.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redialer_core::{
    Id, Phone, Timestamp,
    agent::Channel,
    callback::HeldFor,
    decide::{self, AfterDial, BeforeDial, Due, Tried},
    id,
    order::{CallOrder, Reply},
};
use redialer_providers::retell::{api::ReadError, order};
use redialer_store::{
    AgentRow, Claim, DueRow, Intent, NewDispatch, Secrets, StoreError, TenantKey, WorkspaceRow,
};
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;

/// Looked at per workspace and round; more would only wait for their pace.
const EACH: i64 = 100;
const BATCH: i64 = 1_000;
const POLL: Duration = Duration::from_secs(1);
/// While something is due that the pace holds back.
const POLL_BEHIND: Duration = Duration::from_millis(100);
/// A claim without an intent lapses after so long.
const CLAIM_LEASE_MS: i64 = 30_000;
/// An intent's lease outlives its request's deadline by so much.
const INTENT_SLACK_MS: i64 = 5_000;

/// Dials what is due until the program shuts down.
pub async fn run(app: Arc<App>) {
    while !app.is_draining() {
        let bell = app.due_bell.notified();
        let wait = match round(&app).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%error, "what is due could not be read");
                POLL
            }
        };
        tokio::select! { () = bell => {}, () = app.clock.wait(wait) => {}, () = app.drained() => {} }
    }
}

/// Starts what may start now; how long nothing else will be due.
pub async fn round(app: &Arc<App>) -> Result<Duration, StoreError> {
    let now = app.clock.now();
    let mut wait = POLL;
    for range in app.ranges() {
        let due = app.store.due(range, now, EACH, BATCH).await?;
        if !due.is_empty() {
            wait = wait.min(POLL_BEHIND);
        }
        let mut lanes: BTreeMap<Id<id::Workspace>, Vec<DueRow>> = BTreeMap::new();
        for row in due {
            app.pacer.seen_due(row.id, now, app.clock.real_ms());
            lanes.entry(row.workspace).or_default().push(row);
        }
        for (workspace, rows) in lanes {
            if app.pacer.enter(workspace) {
                // One slow account must not hold up the others.
                tokio::spawn(lane(Arc::clone(app), workspace, rows));
            }
        }
        if let Some(next) = app.store.next_due(range, now).await? {
            wait = wait.min(app.clock.real_until(next));
        }
    }
    Ok(wait)
}

async fn lane(app: Arc<App>, workspace: Id<id::Workspace>, rows: Vec<DueRow>) {
    if let Err(error) = start(&app, workspace, &rows).await {
        tracing::warn!(%error, workspace.id = %workspace, "workspace {workspace} could not dial");
    }
    app.pacer.leave(workspace);
}

/// Claims as many as pace and lines allow, and dials each in a task of its own.
async fn start(app: &Arc<App>, id: Id<id::Workspace>, rows: &[DueRow]) -> Result<(), StoreError> {
    let Some(first) = rows.first() else { return Ok(()) };
    let workspace = app.store.of(first.tenant).workspace(id).await?;
    if workspace.paused.is_some() {
        return Ok(());
    }
    let room = app.dials.available_permits().min(rows.len());
    let n = app.pacer.take(id, workspace.defaults.calls_per_second, room, app.clock.real_ms());
    if n == 0 {
        return Ok(());
    }
    let lines = lines(app, &workspace).await?;
    let mut calls = 0;
    let chosen: Vec<DueRow> = rows
        .iter()
        .filter(|row| {
            calls += u32::from(row.channel == Channel::Voice);
            row.channel == Channel::Chat || calls <= lines
        })
        .take(n)
        .copied()
        .collect();
    app.pacer.use_lines(id, calls.min(lines));
    let lease = app.clock.real_ms() + CLAIM_LEASE_MS;
    let claims = app.store.claim(&chosen, &app.replica, app.clock.now(), lease).await?;
    app.pacer.give_back(id, n - claims.len().min(n));
    for claim in claims {
        let Ok(permit) = Arc::clone(&app.dials).acquire_owned().await else { break };
        tokio::spawn(dial(Arc::clone(app), claim, lease, permit));
    }
    Ok(())
}

/// Outbound lines that are free; unknown counts as enough, the provider will say.
async fn lines(app: &App, workspace: &WorkspaceRow) -> Result<u32, StoreError> {
    let now = app.clock.real_ms();
    if let Some(free) = app.pacer.lines(workspace.id, now) {
        return Ok(free);
    }
    let key = app.store.open_key(workspace.tenant).await?;
    let api_key = workspace.api_key(&key)?;
    match app.retell.concurrency(&api_key).await {
        Ok(Some(c)) => {
            let free = c.outbound_limit.saturating_sub(c.current);
            app.pacer.set_lines(workspace.id, free, now);
            Ok(free)
        }
        Ok(None) => Ok(u32::MAX),
        Err(ReadError::Throttled { after_secs }) => {
            let secs = i64::try_from(after_secs.unwrap_or(10).min(600)).unwrap_or(600);
            app.pacer.slow(workspace.id, now + secs * 1_000);
            Ok(0)
        }
        // Whether the account can be dialled from is the dial's own answer.
        Err(_) => Ok(u32::MAX),
    }
}

async fn dial(app: Arc<App>, claim: Claim, lease_until_ms: i64, permit: OwnedSemaphorePermit) {
    let id = claim.id();
    if let Err(error) = dial_one(&app, claim, lease_until_ms).await {
        // What was claimed lapses and is taken up again; what was sent is unknown and asked about.
        tracing::error!(callback.id = %id, %error, "callback {id} could not be dialled");
        metrics::counter!("redialer_dials_failed_total").increment(1);
    }
    drop(permit);
    app.due_bell.notify_one();
}

async fn dial_one(app: &App, claim: Claim, lease_until_ms: i64) -> Result<(), StoreError> {
    let key = app.store.open_key(claim.tenant()).await?;
    let tenant = app.store.of(claim.tenant());
    let (agent, workspace) = (tenant.agent(claim.agent()).await?, tenant.workspace(claim.workspace()).await?);
    let policy = agent.settings(&workspace.defaults).policy();
    let now = app.clock.now();
    let due = Due {
        reason: claim.reason(),
        scheduled_for: claim.scheduled_for(),
        late_by: app.pacer.late_by(claim.id(), claim.scheduled_for(), now, app.clock.real_ms()),
        forced: claim.forced(),
        spent: claim.spent(),
        agent_enabled: agent.enabled,
        suppressed: claim.suppressed(),
        zone: claim.zone(),
        policy: &policy,
    };
    match decide::before_dial(&due, now) {
        BeforeDial::Snooze { until } => app.store.snooze(claim, until, now).await,
        BeforeDial::Hold(why) => app.store.hold(claim, why, now).await,
        BeforeDial::Close(state) => app.store.close_claim(claim, state, state.word(), now).await,
        BeforeDial::Dial { attempt, max_attempts, is_final } => {
            let secrets = claim.secrets(&key)?;
            let api_key = workspace.api_key(&key)?;
            let from = match from_number(app, &api_key, &agent, &secrets).await {
                Ok(Some(from)) => from,
                Ok(None) => return app.store.hold(claim, HeldFor::FromNumber, now).await,
                Err(_) => return app.store.release(claim, later(now), now).await,
            };
            let dial = Dial { attempt, max_attempts, is_final, from, agent: &agent };
            let Some(new) = dial.intent(app, &claim, &secrets) else {
                return app
                    .store
                    .close_claim(claim, redialer_core::callback::State::Failed, "bad_number", now)
                    .await;
            };
            // From here the claim's lease no longer counts but the intent's.
            if app.clock.real_ms() >= lease_until_ms {
                return app.store.release(claim, now, now).await;
            }
            send(app, claim, new, &key, &api_key).await
        }
    }
}

fn later(now: Timestamp) -> Timestamp {
    redialer_core::time::plus(now, redialer_core::time::minutes(1))
}

/// The number to dial from: the original call's, else the agent's own at the provider.
async fn from_number(
    app: &App,
    api_key: &str,
    agent: &AgentRow,
    secrets: &Secrets,
) -> Result<Option<Phone>, ReadError> {
    if let Some(from) = secrets.from.as_deref().and_then(|n| Phone::parse(n).ok()) {
        return Ok(Some(from));
    }
    let numbers = app.retell.numbers(api_key).await?;
    let id = &agent.provider_agent_id;
    let outbound = numbers.iter().find(|n| n.outbound_agents.contains(id));
    let found = outbound.or_else(|| numbers.iter().find(|n| n.inbound_agents.contains(id)));
    Ok(found.and_then(|n| Phone::parse(&n.number).ok()))
}

/// What this very dial is.
struct Dial<'a> {
    attempt: u32,
    max_attempts: u32,
    is_final: bool,
    from: Phone,
    agent: &'a AgentRow,
}

impl Dial<'_> {
    /// The request's exact bytes; `None` when the stored number is not one we dial.
    fn intent(self, app: &App, claim: &Claim, secrets: &Secrets) -> Option<NewDispatch> {
        let dispatch = Id::new(app.clock.now(), &app.chance);
        let order = CallOrder {
            channel: claim.channel(),
            from: self.from,
            to: Phone::parse(&secrets.to).ok()?,
            agent: self.agent.provider_agent_id.clone(),
            version: secrets.version(),
            variables: secrets.variables.clone(),
            metadata: secrets.metadata.clone(),
            reason: claim.reason(),
            attempt: self.attempt,
            is_final: self.is_final,
            callback: claim.id(),
            chain: claim.chain(),
            dispatch,
        };
        let deadline_ms = i64::try_from(app.config.place_deadline().as_millis()).unwrap_or(i64::MAX / 2);
        Some(NewDispatch {
            id: dispatch,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            is_final: self.is_final,
            body: order::body(&order),
            lease_until_ms: app.clock.real_ms() + deadline_ms + INTENT_SLACK_MS,
        })
    }
}

/// Intent on disk, one request, settle.
async fn send(
    app: &App,
    claim: Claim,
    new: NewDispatch,
    key: &TenantKey,
    api_key: &str,
) -> Result<(), StoreError> {
    let lease_until_ms = new.lease_until_ms;
    let begun_ms = app.clock.real_ms();
    let Some(intent) = app.store.begin(claim, new, key, &app.chance, app.clock.now()).await? else {
        return Ok(()); // cancelled, held or taken over meanwhile
    };
    // A process that was frozen since the intent must not send: somebody may have taken it over.
    let reply = if app.clock.real_ms() - begun_ms > CLAIM_LEASE_MS || app.clock.real_ms() >= lease_until_ms {
        Reply::Unsent { why: "the lease ended before the request".to_owned() }
    } else {
        app.retell.place(api_key, intent.channel(), intent.body()).await
    };
    let now = app.clock.now();
    let tried = Tried { earlier: intent.unsent(), jitter: app.chance.fraction(), speed: app.clock.speed() };
    let after = decide::after_dial(&tried, reply, now);
    report(app, &intent, &after);
    app.store.finish(intent, &after, now).await
}

fn report(app: &App, intent: &Intent, after: &AfterDial) {
    let (id, workspace) = (intent.callback(), intent.workspace());
    let answer = match after {
        AfterDial::Dialing { .. } => "placed",
        AfterDial::Again { at, pause, slow, why } => {
            if *slow {
                let wait = i64::try_from(app.clock.real_until(*at).as_millis()).unwrap_or(i64::MAX);
                app.pacer.slow(workspace, app.clock.real_ms() + wait);
            }
            if let Some(pause) = pause {
                tracing::warn!(workspace.id = %workspace, "workspace {workspace} is paused: {}", pause.word());
            }
            tracing::warn!(callback.id = %id, why, "callback {id} was not placed; it will be tried again");
            "again"
        }
        AfterDial::Close { outcome, .. } => {
            tracing::warn!(callback.id = %id, outcome, "callback {id} was refused: {outcome}");
            "refused"
        }
        AfterDial::Unconfirmed { why } => {
            tracing::warn!(callback.id = %id, why, "callback {id} may have been placed; the provider will be asked");
            "unknown"
        }
    };
    metrics::counter!("redialer_dials_total", "answer" => answer).increment(1);
}
