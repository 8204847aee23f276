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
    Id, Phone, Secret, Timestamp,
    agent::{Channel, OwnNumber},
    callback::{HeldFor, State},
    decide::{self, Attempt, Due, GateRecord, Notice, Verdict},
    id,
    order::CallOrder,
    permission::Permission,
    policy::Policy,
    timing::throttled_for,
};
use redialer_kek::KeyError;
use redialer_providers::retell::{api::ReadError, order};
use redialer_store::{
    AgentRow, Claim, Desk, DueRow, Intent, NewDispatch, Point, Seat, Secrets, StoreError, TenantKey,
    WorkspaceRow,
};
use tokio::sync::OnceCell;

pub use send::send;

use super::{account, permits::Permit};
use crate::{app::App, clock::Mark, state::due_queue::DueByWorkspace};

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
    if let Some(next) = app.due.next(now) {
        wait = wait.min(app.clock.real_until(next));
    }
    wait
}

/// What is due, by workspace.
pub fn lanes(app: &App, now: Timestamp) -> DueByWorkspace {
    let lanes = app.due.due(now);
    // At normal speed what we hold back is late by the clock anyway.
    if app.clock.speed() > 1 {
        for row in lanes.values().flatten() {
            app.pacer.seen_due(row.id, now, app.clock.steady());
        }
    }
    lanes
}

async fn lane(app: Arc<App>, workspace: Id<id::Workspace>, rows: Vec<DueRow>) {
    let task_app = Arc::clone(&app);
    // A task of its own: a panic ends it, and the lane is left all the same.
    let started = tokio::spawn(async move { start(&task_app, workspace, &rows).await });
    let started = match started.await {
        Ok(Ok(n)) => n,
        Ok(Err(error)) => {
            tracing::warn!(%error, workspace.id = %workspace, "workspace {workspace} could not dial");
            0
        }
        Err(_) => {
            tracing::error!(workspace.id = %workspace, "dialing for workspace {workspace} panicked");
            0
        }
    };
    // A workspace that its rate holds back waits for its next start: asked again at once, a backlog would keep a core
    // busy. Other reasons, such as permits, notify by themselves, and a round follows within `POLL_BEHIND`.
    let next_start = app.pacer.next_start_in(workspace, app.clock.steady());
    if started == 0 && !next_start.is_zero() {
        app.clock.wait(next_start.min(POLL_BEHIND)).await;
    }
    app.pacer.leave(workspace);
    if started > 0 || !next_start.is_zero() {
        app.due_bell.notify_one();
    }
}

/// Claims as many as pace and lines allow, writes their intents together, and sends each in a task of its own; how
/// many.
async fn start(app: &Arc<App>, id: Id<id::Workspace>, rows: &[DueRow]) -> Result<usize, StoreError> {
    let sending = prepare(app, id, rows).await?;
    let started = sending.len();
    for ready in sending {
        let app = Arc::clone(app);
        tokio::spawn(async move {
            send(&app, ready).await;
            if app.dials.were_wanted() {
                app.due_bell.notify_one();
            }
        });
    }
    Ok(started)
}

/// An intent on disk, and what its request needs beside it.
pub struct Ready {
    intent: Intent,
    api_key: Secret<String>,
    /// Before its lease was reckoned.
    begun: Mark,
    _permit: Permit,
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
    // A claim is made only for a permit in hand: its lease must not run out while it waits for one.
    let mut permits = app.dials.take(id, rows.len());
    let n = app.pacer.take(id, workspace.settings.calls_per_second, permits.len(), app.clock.steady());
    permits.truncate(n);
    if n == 0 {
        return Ok(Vec::new());
    }
    let chosen = choose(app, workspace, &rows, n).await?;
    app.store.pass(Point::C1).await?;
    let lease = app.clock.real_ms() + CLAIM_LEASE_MS;
    // Without the key service nothing is claimed (I23).
    let lane = match Lane::open(app, Arc::clone(&desk), lease).await {
        Ok(lane) => {
            app.key_outages.ended(app.clock.now());
            lane
        }
        Err(error) => {
            if matches!(error, StoreError::Key(KeyError::Unavailable(_))) {
                app.key_outages.began(app.clock.now());
            }
            app.pacer.give_back(id, n);
            return Err(error);
        }
    };
    let claims = app.ledger.claim(&chosen, &app.replica, app.clock.now(), lease).await?;
    // Whatever was not claimed is somebody else's, or not due any more.
    app.due.remove(&chosen);
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
        return Ok(Vec::new());
    }
    app.store.pass(Point::C3).await?;
    // A process that was frozen since the claim has lost it; what follows is guarded by the fence anyway.
    let intents = app.ledger.begin(intended, &lane.key, &app.chance, app.clock.now()).await?;
    app.store.pass(Point::C5).await?;
    let ready = |(intent, permit)| Ready { intent, api_key: lane.api_key.clone(), begun, _permit: permit };
    Ok(intents.into_iter().zip(permits).map(ready).collect())
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
    let rows = decide::dialed_together(rows, |row| row.failures);
    let chosen: Vec<DueRow> = rows.filter(fits).take(n).copied().collect();
    let calls = chosen.iter().filter(|row| takes_a_line(row)).count();
    app.pacer.use_lines(workspace.id, u32::try_from(calls).unwrap_or(u32::MAX));
    Ok(chosen)
}

/// Outbound lines that are free; unknown counts as enough, the provider will say.
async fn lines(app: &App, workspace: &WorkspaceRow) -> Result<u32, StoreError> {
    let now = app.clock.steady();
    if let Some(free) = app.pacer.lines(workspace.id, now) {
        return Ok(free);
    }
    let key = app.store.open_key(workspace.tenant).await?;
    let api_key = workspace.api_key(&key)?;
    let read = app.retell.concurrency(&api_key).await;
    if let Err(error) = &read {
        account::read_failed(app, workspace.id, error).await;
    }
    match read {
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
            app.pacer.slow(workspace.id, now + throttled_for(after_secs));
            Ok(0)
        }
        Err(ReadError::KeyRefused { .. } | ReadError::Payment { .. }) => Ok(0),
        // Whether the account can be dialed from is the dial's own answer.
        Err(ReadError::Unknown(_) | ReadError::Unavailable(_)) => Ok(u32::MAX),
    }
}

/// What test callbacks are dialled from where none names a number.
const TESTS_FROM: &str = "+12025550100";

/// What the dials of one workspace share: its opened key lives no longer than the batch.
struct Lane<'a> {
    app: &'a App,
    desk: Arc<Desk>,
    key: TenantKey,
    api_key: Secret<String>,
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
        let secrets = claim.secrets(&self.key)?;
        let due = self.due(&claim, &secrets, &agent, &policy, now);
        let (attempt, gates) = (due.attempt(), decide::gates(&due, now));
        let verdict = decide::decision(&gates);
        let gates: Vec<GateRecord> = gates.into_iter().map(GateRecord::from).collect();
        match verdict {
            Verdict::Wait(until) => app.store.snooze(claim, until, None, now).await?,
            Verdict::Replan(until) => {
                tracing::warn!(callback.id = %claim.id(), "callback {} was missed and is planned anew", claim.id());
                app.store.snooze(claim, until, Some(MISSED), now).await?;
            }
            Verdict::Hold(why) => app.store.hold(claim, why, now).await?,
            Verdict::Stop(State::Canceled) => {
                app.store.close_claim(claim, (State::Canceled, "observed"), &gates, now).await?;
            }
            Verdict::Stop(state) => {
                tracing::info!(callback.id = %claim.id(), state = state.word(), "callback {} is closed without a dial", claim.id());
                app.store.close_claim(claim, (state, state.word()), &gates, now).await?;
            }
            Verdict::Pass => {
                let late_by = now.duration_since(claim.scheduled_for()).as_secs_f64().max(0.0);
                metrics::histogram!("redialer_dial_lateness_seconds").record(late_by);
                let dial = Dial { attempt, gates, agent: &agent };
                return self.intend(claim, secrets, dial).await;
            }
        }
        Ok(None)
    }

    /// What is known of a claimed callback and of the world around it.
    fn due<'d>(
        &self,
        claim: &'d Claim,
        secrets: &'d Secrets,
        agent: &AgentRow,
        policy: &'d Policy,
        now: Timestamp,
    ) -> Due<'d> {
        let app = self.app;
        let late_by = app.pacer.late_by(claim.id(), claim.scheduled_for(), now, app.clock.steady());
        Due {
            late_by: late_by - app.key_outages.within(claim.scheduled_for(), now),
            spent: claim.spent(),
            suppressed: claim.suppressed(),
            ..Due::of(&claim.candidate(&secrets.to), agent.dialing(), policy)
        }
    }

    /// The intent of a claim that may be dialed now.
    async fn intend(
        &self,
        claim: Claim,
        mut secrets: Secrets,
        dial: Dial<'_>,
    ) -> Result<Option<(Claim, NewDispatch)>, StoreError> {
        let (app, now) = (self.app, self.app.clock.now());
        let from = match self.number_of(dial.agent, &secrets, claim.test()).await {
            Ok(Some(from)) => from,
            Ok(None) => {
                app.store.hold(claim, HeldFor::FromNumber, now).await?;
                return Ok(None);
            }
            Err(NumberError::Store(error)) => return Err(error),
            Err(NumberError::Provider(error)) => {
                tracing::warn!(callback.id = %claim.id(), %error, "callback {} waits: the number to dial from could not be read", claim.id());
                account::read_failed(app, claim.workspace(), &error).await;
                app.store.release(claim, later(now), Some(Notice::NumberUnread), now).await?;
                return Ok(None);
            }
        };
        // What it is dialed from is shown on it.
        let shows_number = secrets.from.is_none();
        secrets.from.get_or_insert_with(|| from.e164().to_owned());
        let Ok(to) = Phone::parse(&secrets.to) else {
            app.store.close_claim(claim, (State::Failed, "bad_number"), &dial.gates, now).await?;
            return Ok(None);
        };
        let mut new = dial.intent(self, &claim, &secrets, (from, to));
        new.secrets = shows_number.then(|| secrets.seal(claim.id(), &self.key, &app.chance));
        // From here the claim's lease no longer counts but the intent's.
        if app.clock.real_ms() >= self.lease_until_ms {
            app.store.release(claim, now, None, now).await?;
            return Ok(None);
        }
        Ok(Some((claim, new)))
    }

    /// The number to dial from: the original call's, else the agent's own at the provider.
    async fn number_of(
        &self,
        agent: &AgentRow,
        secrets: &Secrets,
        test: bool,
    ) -> Result<Option<Phone>, NumberError> {
        if let Some(from) = secrets.from.as_deref().and_then(|n| Phone::parse(n).ok()) {
            return Ok(Some(from));
        }
        if test {
            return Ok(Phone::parse(TESTS_FROM).ok());
        }
        let (app, workspace) = (self.app, &self.desk.workspace);
        let read = || async {
            match app.retell.numbers(&self.api_key).await {
                // A key that may not read the account's numbers: they are taken from the calls themselves.
                Err(error @ ReadError::Forbidden { .. }) => {
                    account::read_failed(app, workspace.id, &error).await;
                    Ok(Vec::new())
                }
                read => read,
            }
        };
        let numbers = self.numbers.get_or_try_init(read).await?;
        if let Some(found) = decide::number_of_agent(numbers, &agent.provider_agent_id) {
            let missing = &workspace.missing_permissions;
            account::read_succeeded(app, workspace.id, missing, Permission::Numbers).await;
            return Ok(Phone::parse(&found.number).ok());
        }
        let known = app.store.of(workspace.tenant).last_number_of(agent.id, &self.key).await?;
        Ok(known.and_then(|number| Phone::parse(&number).ok()))
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

/// Why it is not known which number to dial from.
#[derive(Debug, thiserror::Error)]
enum NumberError {
    #[error(transparent)]
    Provider(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn later(now: Timestamp) -> Timestamp {
    redialer_core::time::plus(now, redialer_core::time::minutes(1))
}

/// What this very dial is.
struct Dial<'a> {
    attempt: Attempt,
    gates: Vec<GateRecord>,
    agent: &'a AgentRow,
}

impl Dial<'_> {
    /// The request's exact bytes, and what goes with them.
    fn intent(
        self,
        lane: &Lane<'_>,
        claim: &Claim,
        secrets: &Secrets,
        (from, to): (Phone, Phone),
    ) -> NewDispatch {
        let app = lane.app;
        let dispatch = Id::new(app.clock.now(), &app.chance);
        let order = CallOrder {
            channel: claim.channel(),
            from,
            to,
            agent: self.agent.provider_agent_id.clone(),
            version: secrets.version(),
            variables: secrets.variables.clone(),
            metadata: secrets.metadata.clone(),
            reason: claim.reason(),
            attempt: self.attempt.number,
            is_final: self.attempt.is_final,
            callback: claim.id(),
            chain: claim.chain(),
            dispatch,
        };
        let lease = app.config.place_deadline() + INTENT_SLACK;
        let lease_ms = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 2);
        NewDispatch {
            id: dispatch,
            attempt: self.attempt,
            gates: self.gates,
            body: order::body(&order),
            lease_until_ms: app.clock.real_ms() + lease_ms,
            calls_a_month: app.store.limits_of(lane.desk.plan).calls_a_month,
            fuse: app.config.fuse(),
            account: lane.desk.workspace.account.clone(),
            secrets: None,
        }
    }
}
