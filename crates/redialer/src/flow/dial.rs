//! Dials due callbacks: steps 7 to 11 of a call's journey.
//!
//! Invariants (failure-model §2): claim, check again, commit the intent, send one request, settle. No transaction
//! is open during a request to the provider. The lease is checked right before the first byte, and outlives the
//! request's deadline. An unclear response leaves the callback `unconfirmed`, for [`crate::flow::reconcile`] to resolve.
//! Claims, intents and results that are written concurrently share a commit (`store/src/dispatch/writer.rs`).

mod batch;
mod send;

use std::{sync::Arc, time::Duration};

use redialer_core::{Id, Secret, Timestamp, agent::Channel, decide, id, timing::throttled_for};
use redialer_kek::KeyError;
use redialer_providers::ReadFailure;
use redialer_store::{DueRow, FailPoint, Intent, StoreError, WorkspaceContext, WorkspaceRow};

use self::batch::WorkspaceDials;
pub use send::send;

use crate::{
    app::App,
    clock::Stopwatch,
    flow::account,
    state::{dial_permits::Permit, due_queue::DueByWorkspace},
};

const POLL: Duration = Duration::from_secs(1);
/// The poll interval while due callbacks are held back by the rate limit.
const POLL_BEHIND: Duration = Duration::from_millis(100);
/// On a shared database each commit is a network round trip, so callbacks that come due within this time share commits.
const GATHER_INTERVAL: Duration = Duration::from_millis(8);
/// A claim without an intent expires after this time.
const CLAIM_LEASE_MS: i64 = 30_000;
/// How long the lease of an intent outlives its request's deadline.
const INTENT_SLACK: Duration = Duration::from_secs(5);

/// Dials due callbacks until the program shuts down.
pub async fn run(app: Arc<App>) {
    while !app.is_draining() {
        let bell = app.due_bell.notified();
        let wait = round(&app);
        if app.store.is_shared() {
            app.clock.wait(GATHER_INTERVAL).await;
        }
        tokio::select! { () = bell => {}, () = app.clock.wait(wait) => {}, () = app.drained() => {} }
    }
}

/// Starts the dials that may start now. Returns how long to wait for the next round.
fn round(app: &Arc<App>) -> Duration {
    let now = app.clock.now();
    let due = due_by_workspace(app, now);
    let mut wait = if due.is_empty() { POLL } else { POLL_BEHIND };
    for (workspace, rows) in due {
        if app.dial_rate.enter(workspace) {
            // One slow account must not hold up the others.
            tokio::spawn(workspace_dials(Arc::clone(app), workspace, rows));
        }
    }
    if let Some(next) = app.due.next(now) {
        wait = wait.min(app.clock.real_until(next));
    }
    wait
}

/// The due callbacks, by workspace.
pub fn due_by_workspace(app: &App, now: Timestamp) -> DueByWorkspace {
    let due = app.due.due(now);
    // Needed only with a faster virtual clock: at normal speed, the time since `scheduled_for` already includes the wait
    // for the rate limit.
    if app.clock.speed() > 1 {
        for row in due.values().flatten() {
            app.dial_rate.seen_due(row.id, now, app.clock.steady());
        }
    }
    due
}

async fn workspace_dials(app: Arc<App>, workspace: Id<id::Workspace>, rows: Vec<DueRow>) {
    let task_app = Arc::clone(&app);
    // A separate task: if it panics, this one still releases the workspace.
    let started = tokio::spawn(async move { start(&task_app, workspace, &rows).await });
    let started = match started.await {
        Ok(Ok(n)) => n,
        Ok(Err(error)) => {
            tracing::warn!(%error, workspace.id = %workspace, "a round of dialing for workspace {workspace} failed; the next round retries");
            0
        }
        Err(_) => {
            tracing::error!(workspace.id = %workspace, "a round of dialing for workspace {workspace} panicked; the next round retries");
            0
        }
    };
    // A workspace held back by its rate waits until its next start is allowed: if it were retried immediately, a backlog
    // would keep a core busy. Other limits, such as permits, notify when they allow more, and a round follows within `POLL_BEHIND`.
    let next_start = app.dial_rate.next_start_in(workspace, app.clock.steady());
    if started == 0 && !next_start.is_zero() {
        app.clock.wait(next_start.min(POLL_BEHIND)).await;
    }
    app.dial_rate.leave(workspace);
    if started > 0 || !next_start.is_zero() {
        app.due_bell.notify_one();
    }
}

/// Claims as many callbacks as rate, permits and lines allow, writes their intents together, and sends each in its own
/// task. Returns the number of sent requests.
async fn start(app: &Arc<App>, id: Id<id::Workspace>, rows: &[DueRow]) -> Result<usize, StoreError> {
    let prepared_dials = prepare(app, id, rows).await?;
    let started = prepared_dials.len();
    for ready in prepared_dials {
        let app = Arc::clone(app);
        tokio::spawn(async move {
            send(&app, ready).await;
            if app.dials.had_unmet_requests() {
                app.due_bell.notify_one();
            }
        });
    }
    Ok(started)
}

/// A committed intent, with everything that its request needs.
pub struct PreparedDial {
    intent: Intent,
    context: Arc<WorkspaceContext>,
    api_key: Secret<String>,
    /// Started before the lease of the intent was computed.
    begun: Stopwatch,
    _permit: Permit,
}

impl PreparedDial {
    /// The recorded decision to dial.
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }
}

/// Runs the steps up to the intents. Every returned dial must be sent, exactly once.
pub async fn prepare(
    app: &App,
    id: Id<id::Workspace>,
    rows: &[DueRow],
) -> Result<Vec<PreparedDial>, StoreError> {
    // Real callbacks go before test callbacks.
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.test);
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let context = app.store.workspace_context(first.tenant, id, app.clock.real_ms()).await?;
    if context.workspace.paused.is_some() {
        return Ok(Vec::new());
    }
    // A claim needs an available permit first: its lease must not expire while it waits for one.
    let mut permits = app.dials.take(id, rows.len());
    let rate = context.workspace.settings.calls_per_second;
    let starts = app.dial_rate.take(id, rate, permits.len(), app.clock.steady());
    permits.truncate(starts.n());
    if permits.is_empty() {
        return Ok(Vec::new());
    }
    let prepared = claim_and_intend(app, &context, &rows, permits).await?;
    starts.used(prepared.claimed);
    Ok(prepared.ready)
}

/// The result of claiming due rows.
struct Prepared {
    /// The number of claimed rows.
    claimed: usize,
    /// The claimed callbacks that may be dialed now.
    ready: Vec<PreparedDial>,
}

/// Claims as many of the rows as permits and lines allow, and writes their intents.
async fn claim_and_intend(
    app: &App,
    context: &Arc<WorkspaceContext>,
    rows: &[DueRow],
    permits: Vec<Permit>,
) -> Result<Prepared, StoreError> {
    let chosen = choose(app, &context.workspace, rows, permits.len()).await?;
    app.store.pass(FailPoint::C1).await?;
    let lease = app.clock.real_ms() + CLAIM_LEASE_MS;
    // Without the key service nothing is claimed (I23).
    let workspace_dials =
        WorkspaceDials::open(app, Arc::clone(context), lease).await.inspect_err(|error| {
            if matches!(error, StoreError::Key(KeyError::Unavailable(_))) {
                app.key_outages.began(app.clock.now());
            }
        })?;
    app.key_outages.ended(app.clock.now());
    let claims = app.dispatch_writer.claim(&chosen, &app.replica, app.clock.now(), lease).await?;
    // Rows that were not claimed belong to another replica or are no longer due.
    app.due.remove(&chosen);
    app.store.pass(FailPoint::C2).await?;
    let claimed = claims.len();
    let begun = app.clock.mark();
    let mut intended = Vec::with_capacity(claimed);
    for claim in claims {
        intended.extend(workspace_dials.prepare_claim(claim).await);
    }
    if intended.is_empty() {
        return Ok(Prepared { claimed, ready: Vec::new() });
    }
    app.store.pass(FailPoint::C3).await?;
    // If this process was suspended after the claim, another replica may hold the callback; the fence then rejects the
    // next writes.
    let intents =
        app.dispatch_writer.begin(intended, &workspace_dials.key, &app.rng, app.clock.now()).await?;
    app.store.pass(FailPoint::C5).await?;
    // Lines are counted only here: nothing after this point can fail, so no line has to be released.
    let calls = intents.iter().filter(|intent| takes_a_line(intent.channel(), intent.test())).count();
    app.dial_rate.use_lines(context.workspace.id, u32::try_from(calls).unwrap_or(u32::MAX));
    let ready = |(intent, permit)| PreparedDial {
        intent,
        context: Arc::clone(context),
        api_key: workspace_dials.api_key.clone(),
        begun,
        _permit: permit,
    };
    Ok(Prepared { claimed, ready: intents.into_iter().zip(permits).map(ready).collect() })
}

/// Whether a dial occupies one of the account's lines.
fn takes_a_line(channel: Channel, is_test: bool) -> bool {
    channel == Channel::Voice && !is_test
}

/// At most `n` of the rows, with no more calls than there are free lines.
async fn choose(
    app: &App,
    workspace: &WorkspaceRow,
    rows: &[DueRow],
    n: usize,
) -> Result<Vec<DueRow>, StoreError> {
    let takes_a_line = |row: &DueRow| takes_a_line(row.channel, row.test);
    let lines = if rows.iter().any(takes_a_line) { lines(app, workspace).await? } else { u32::MAX };
    let mut calls = 0;
    let fits = |row: &&DueRow| {
        calls += u32::from(takes_a_line(row));
        !takes_a_line(row) || calls <= lines
    };
    let rows = decide::dialed_together(rows, |row| row.failures);
    Ok(rows.filter(fits).take(n).copied().collect())
}

/// The number of free outbound lines. If it is unknown, no limit applies: the provider accepts or refuses the dial.
async fn lines(app: &App, workspace: &WorkspaceRow) -> Result<u32, StoreError> {
    let now = app.clock.steady();
    if let Some(free) = app.dial_rate.lines(workspace.id, now) {
        return Ok(free);
    }
    let key = app.store.open_key(workspace.tenant).await?;
    let api_key = workspace.api_key(&key)?;
    let read = app.provider(workspace, false)?.free_lines(&api_key).await;
    if let Err(error) = &read {
        account::read_failed(app, workspace.id, error).await;
    }
    match read {
        Ok(Some(free)) => {
            app.dial_rate.set_lines(workspace.id, free, now);
            Ok(free)
        }
        Ok(None) => {
            app.dial_rate.set_lines(workspace.id, u32::MAX, now);
            Ok(u32::MAX)
        }
        Err(error) => match error.failure {
            ReadFailure::Forbidden { .. } => {
                app.dial_rate.set_lines(workspace.id, u32::MAX, now);
                Ok(u32::MAX)
            }
            ReadFailure::Throttled { after_secs } => {
                app.dial_rate.slow(workspace.id, now + throttled_for(after_secs));
                Ok(0)
            }
            ReadFailure::KeyRefused { .. } | ReadFailure::Payment { .. } => Ok(0),
            // The response to the dial shows whether the account can place calls.
            ReadFailure::Unknown(_) | ReadFailure::Unavailable(_) => Ok(u32::MAX),
        },
    }
}
