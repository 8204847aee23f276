//! What is due is dialled: steps 7 to 11 of a call's journey.
//!
//! Invariants (failure-model §2): claim, check again, intent on disk, one request, settle; no transaction is
//! open while the provider is asked. The lease is looked at right before the first byte, and outlives the
//! request's deadline. An answer that is not clear becomes `unconfirmed` and is [`super::reconcile`]'s business.
//! What is claimed, intended and answered at the same time shares a commit (`store/src/ledger.rs`).

mod send;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use redialer_core::{
    Id, Phone, Timestamp,
    agent::Channel,
    callback::{HeldFor, State},
    decide::{self, BeforeDial, Due},
    id,
    order::CallOrder,
};
use redialer_providers::retell::{
    api::{OwnNumber, ReadError},
    order,
};
use redialer_store::{
    AgentRow, Claim, Desk, DueRow, Intent, NewDispatch, Point, Seat, Secrets, StoreError, TenantKey,
    WorkspaceRow,
};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

pub use send::send;

use super::window::Lanes;
use crate::{app::App, clock::Mark};

const POLL: Duration = Duration::from_secs(1);
/// While something is due that the pace holds back.
const POLL_BEHIND: Duration = Duration::from_millis(100);
/// A database that is shared is further away: what comes due meanwhile shares the next round's commits.
const GATHER: Duration = Duration::from_millis(8);
/// What a callback shows that was missed and planned anew.
const MISSED: &str = "missed";
/// A claim without an intent lapses after so long.
const CLAIM_LEASE_MS: i64 = 30_000;
/// An intent's lease outlives its request's deadline by so much.
const INTENT_SLACK: Duration = Duration::from_secs(5);

/// Dials what is due until the program shuts down.
pub async fn run(app: Arc<App>) {
    while !app.is_draining() {
        let bell = app.due_bell.notified();
        let wait = round(&app);
        if app.store.is_shared() {
            app.clock.wait(GATHER).await;
        }
        tokio::select! { () = bell => {}, () = app.clock.wait(wait) => {}, () = app.drained() => {} }
    }
}

/// Starts what may start now; how long nothing else will be due.
fn round(app: &Arc<App>) -> Duration {
    let now = app.clock.now();
    let lanes = lanes(app, now);
    let mut wait = if lanes.is_empty() { POLL } else { POLL_BEHIND };
    for (workspace, rows) in lanes {
        if app.pacer.enter(workspace) {
            // One slow account must not hold up the others.
            tokio::spawn(lane(Arc::clone(app), workspace, rows));
        }
    }
    if let Some(next) = app.window.next(now) {
        wait = wait.min(app.clock.real_until(next));
    }
    wait
}

/// What is due, by workspace.
pub fn lanes(app: &App, now: Timestamp) -> Lanes {
    let lanes = app.window.lanes(now);
    // At normal speed what we hold back is late by the clock anyway.
    if app.clock.speed() > 1 {
        for row in lanes.values().flatten() {
            app.pacer.seen_due(row.id, now, app.clock.real_ms());
        }
    }
    lanes
}

async fn lane(app: Arc<App>, workspace: Id<id::Workspace>, rows: Vec<DueRow>) {
    let task_app = Arc::clone(&app);
    // A task of its own: a panic ends it, and the lane is left all the same.
    let started = tokio::spawn(async move { start(&task_app, workspace, &rows).await });
    match started.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, workspace.id = %workspace, "workspace {workspace} could not dial");
        }
        Err(_) => tracing::error!(workspace.id = %workspace, "dialling for workspace {workspace} panicked"),
    }
    app.pacer.leave(workspace);
    app.due_bell.notify_one();
}

/// Claims as many as pace and lines allow, writes their intents together, and sends each in a task of its own.
async fn start(app: &Arc<App>, id: Id<id::Workspace>, rows: &[DueRow]) -> Result<(), StoreError> {
    let sending = prepare(app, id, rows).await?;
    for ready in sending {
        let permit = Arc::clone(&app.dials).acquire_owned().await;
        let app = Arc::clone(app);
        tokio::spawn(async move {
            send(&app, ready).await;
            let were_all_taken = app.dials.available_permits() == 0;
            drop(permit);
            if were_all_taken {
                app.due_bell.notify_one();
            }
        });
    }
    Ok(())
}

/// An intent on disk, and what its request needs beside it.
pub struct Ready {
    intent: Intent,
    api_key: Zeroizing<String>,
    /// Before its lease was reckoned.
    begun: Mark,
}

impl Ready {
    /// The recorded will to dial.
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }
}

/// Everything up to the intents: what is returned must be sent, once.
pub async fn prepare(app: &App, id: Id<id::Workspace>, rows: &[DueRow]) -> Result<Vec<Ready>, StoreError> {
    // Whoever waits for a real call does not queue behind tests.
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.test);
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let desk = app.store.desk(first.tenant, id, app.clock.real_ms()).await?;
    let workspace = &desk.workspace;
    if workspace.paused.is_some() {
        return Ok(Vec::new());
    }
    let room = app.dials.available_permits().min(rows.len());
    let n = app.pacer.take(id, workspace.defaults.calls_per_second, room, app.clock.real_ms());
    if n == 0 {
        return Ok(Vec::new());
    }
    let chosen = choose(app, workspace, &rows, n).await?;
    app.store.pass(Point::C1).await?;
    let lease = app.clock.real_ms() + CLAIM_LEASE_MS;
    // Without the key service nothing is claimed (I23).
    let lane = match Lane::open(app, Arc::clone(&desk), lease).await {
        Ok(lane) => lane,
        Err(error) => {
            app.pacer.give_back(id, n);
            return Err(error);
        }
    };
    let claims = app.ledger.claim(&chosen, &app.replica, app.clock.now(), lease).await?;
    // Whatever was not claimed is somebody else's, or not due any more.
    app.window.forget(&chosen);
    app.store.pass(Point::C2).await?;
    app.pacer.give_back(id, n - claims.len().min(n));
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let begun = app.clock.mark();
    let mut intended = Vec::with_capacity(claims.len());
    for claim in claims {
        intended.extend(lane.one(claim).await);
    }
    if intended.is_empty() {
        app.due_changed();
        return Ok(Vec::new());
    }
    app.store.pass(Point::C3).await?;
    // A process that was frozen since the claim has lost it; what follows is guarded by the fence anyway.
    let intents = app.ledger.begin(intended, &lane.key, &app.chance, app.clock.now()).await?;
    app.store.pass(Point::C5).await?;
    let ready = |intent| Ready { intent, api_key: lane.api_key.clone(), begun };
    Ok(intents.into_iter().map(ready).collect())
}

/// As many of the rows as there are lines for, at most `n`.
async fn choose(
    app: &App,
    workspace: &WorkspaceRow,
    rows: &[DueRow],
    n: usize,
) -> Result<Vec<DueRow>, StoreError> {
    let takes_a_line = |row: &DueRow| row.channel == Channel::Voice && !row.test;
    let lines = if rows.iter().any(takes_a_line) { lines(app, workspace).await? } else { u32::MAX };
    let mut calls = 0;
    let fits = |row: &&DueRow| {
        calls += u32::from(takes_a_line(row));
        !takes_a_line(row) || calls <= lines
    };
    let rows = match rows {
        // What failed before, perhaps by taking the process with it, goes alone: its neighbours are not to blame.
        [first, ..] if first.failures > 0 => &rows[..1],
        rows => rows,
    };
    let alone = rows.len() == 1;
    let blameless = |row: &&DueRow| alone || row.failures == 0;
    let chosen: Vec<DueRow> = rows.iter().filter(blameless).filter(fits).take(n).copied().collect();
    let calls = chosen.iter().filter(|row| takes_a_line(row)).count();
    app.pacer.use_lines(workspace.id, u32::try_from(calls).unwrap_or(u32::MAX));
    Ok(chosen)
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
        // Unknown, or the key may not read it.
        Ok(None) | Err(ReadError::Forbidden { .. }) => {
            app.pacer.set_lines(workspace.id, u32::MAX, now);
            Ok(u32::MAX)
        }
        Err(ReadError::Throttled { after_secs }) => {
            let secs = i64::try_from(after_secs.unwrap_or(10).min(600)).unwrap_or(600);
            app.pacer.slow(workspace.id, now + secs * 1_000);
            Ok(0)
        }
        // Whether the account can be dialled from is the dial's own answer.
        Err(_) => Ok(u32::MAX),
    }
}

/// What test callbacks are dialled from where none names a number.
const TESTS_FROM: &str = "+12025550100";

/// What the dials of one workspace share: its opened key lives no longer than the batch.
struct Lane<'a> {
    app: &'a App,
    desk: Arc<Desk>,
    key: TenantKey,
    api_key: Zeroizing<String>,
    agents: Mutex<BTreeMap<Id<id::Agent>, Seat>>,
    numbers: OnceCell<Vec<OwnNumber>>,
    lease_until_ms: i64,
}

impl<'a> Lane<'a> {
    async fn open(app: &'a App, desk: Arc<Desk>, lease_until_ms: i64) -> Result<Self, StoreError> {
        let key = desk.open_key(&app.store).await?;
        let api_key = desk.workspace.api_key(&key)?;
        Ok(Self {
            app,
            desk,
            key,
            api_key,
            agents: Mutex::default(),
            numbers: OnceCell::new(),
            lease_until_ms,
        })
    }

    /// The intent of one claim, or nothing when it went another way. A failure is the claim's own: what it was
    /// about is given back and held once it failed too often (I33), and nothing behind it waits.
    async fn one(&self, claim: Claim) -> Option<(Claim, NewDispatch)> {
        let (id, row, fence) = (claim.id(), claim.due_row(), claim.fence());
        let failure = match AssertUnwindSafe(self.checked(claim)).catch_unwind().await {
            Ok(Ok(intended)) => return intended,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "a panic".to_owned(),
        };
        tracing::error!(callback.id = %id, failure, "callback {id} could not be dialled");
        metrics::counter!("redialer_dials_failed_total").increment(1);
        let now = self.app.clock.now();
        if let Err(error) = self.app.store.fail_claim(row, fence, later(now), now).await {
            // Its lease lapses.
            tracing::warn!(callback.id = %id, %error, "callback {id} could not be given back");
        }
        None
    }

    async fn checked(&self, claim: Claim) -> Result<Option<(Claim, NewDispatch)>, StoreError> {
        let (app, now) = (self.app, self.app.clock.now());
        let Seat { agent, policy } = self.agent(claim.agent()).await?;
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
            BeforeDial::Snooze { until } => app.store.snooze(claim, until, None, now).await?,
            BeforeDial::Replan { until } => {
                tracing::warn!(callback.id = %claim.id(), "callback {} was missed and is planned anew", claim.id());
                app.store.snooze(claim, until, Some(MISSED), now).await?;
            }
            BeforeDial::Hold(why) => app.store.hold(claim, why, now).await?,
            BeforeDial::Close(state) => app.store.close_claim(claim, state, state.word(), now).await?,
            BeforeDial::Dial { attempt, max_attempts, is_final } => {
                let secrets = claim.secrets(&self.key)?;
                let from = match self.number_of(&agent, &secrets, claim.test()).await {
                    Ok(Some(from)) => from,
                    Ok(None) => {
                        app.store.hold(claim, HeldFor::FromNumber, now).await?;
                        return Ok(None);
                    }
                    Err(_) => {
                        app.store.release(claim, later(now), now).await?;
                        return Ok(None);
                    }
                };
                let calls_a_month = app.plans.of(self.desk.plan).calls_a_month;
                let dial = Dial { attempt, max_attempts, is_final, from, agent: &agent, calls_a_month };
                let Some(new) = dial.intent(app, &claim, &secrets) else {
                    app.store.close_claim(claim, State::Failed, "bad_number", now).await?;
                    return Ok(None);
                };
                // From here the claim's lease no longer counts but the intent's.
                if app.clock.real_ms() >= self.lease_until_ms {
                    app.store.release(claim, now, now).await?;
                    return Ok(None);
                }
                return Ok(Some((claim, new)));
            }
        }
        Ok(None)
    }

    /// The number to dial from: the original call's, else the agent's own at the provider.
    async fn number_of(
        &self,
        agent: &AgentRow,
        secrets: &Secrets,
        test: bool,
    ) -> Result<Option<Phone>, ReadError> {
        if let Some(from) = secrets.from.as_deref().and_then(|n| Phone::parse(n).ok()) {
            return Ok(Some(from));
        }
        if test {
            return Ok(Phone::parse(TESTS_FROM).ok());
        }
        let read = || async {
            match self.app.retell.numbers(&self.api_key).await {
                // A key that may not read the account's numbers: none of them is known.
                Err(ReadError::Forbidden { .. }) => Ok(Vec::new()),
                read => read,
            }
        };
        let numbers = self.numbers.get_or_try_init(read).await?;
        let id = &agent.provider_agent_id;
        let outbound = numbers.iter().find(|n| n.outbound_agents.contains(id));
        let found = outbound.or_else(|| numbers.iter().find(|n| n.inbound_agents.contains(id)));
        Ok(found.and_then(|n| Phone::parse(&n.number).ok()))
    }

    /// An agent; one that the provider has lost is not at the desk.
    async fn agent(&self, id: Id<id::Agent>) -> Result<Seat, StoreError> {
        if let Some(seat) = self.desk.agent(id) {
            return Ok(seat.clone());
        }
        let known = |agents: &Mutex<BTreeMap<_, _>>| {
            agents.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
        };
        if let Some(seat) = known(&self.agents) {
            return Ok(seat);
        }
        let workspace = &self.desk.workspace;
        let seat = Seat::of(self.app.store.of(workspace.tenant).agent(id).await?, workspace);
        self.agents.lock().unwrap_or_else(PoisonError::into_inner).insert(id, seat.clone());
        Ok(seat)
    }
}

fn later(now: Timestamp) -> Timestamp {
    redialer_core::time::plus(now, redialer_core::time::minutes(1))
}

/// What this very dial is.
struct Dial<'a> {
    attempt: u32,
    max_attempts: u32,
    is_final: bool,
    from: Phone,
    agent: &'a AgentRow,
    calls_a_month: Option<u64>,
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
        let lease = app.config.place_deadline() + INTENT_SLACK;
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 2);
        Some(NewDispatch {
            id: dispatch,
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            is_final: self.is_final,
            body: order::body(&order),
            lease_until_ms: app.clock.real_ms() + lease_ms,
            calls_a_month: self.calls_a_month,
        })
    }
}
