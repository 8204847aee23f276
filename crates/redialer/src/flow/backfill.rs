//! Backfills missed webhooks: imports calls from the provider's lists that have no event, and fetches overdue analysis results.
//!
//! Invariants (I11, I31): records enter the same inbox as webhooks, oldest first. A workspace's backfill position
//! advances only after its lists were read to the end and every call in them was imported or, after repeated failures,
//! skipped. A backfill that stops early, because its share of a round is used up or because the provider failed, is
//! resumed ([`crate::state::backfill_progress`]). The lists are read one page at a time, at the rate that the provider
//! allows. A workspace that was restored from a backup dials only after two complete backfills; the first one starts
//! only when the provider's lists are known to contain every call placed before the restore.

use std::{collections::HashSet, sync::Arc, time::Duration};

use redialer_core::{
    Id, Secret, Timestamp,
    agent::Channel,
    decide::{self, RestoreBackfill},
    id,
    permission::Permission,
    time::{minutes, plus},
    timing::BACKFILL_EVERY_MINUTES,
};
use redialer_providers::{CallQuery, Page, ReadError, ReadFailure, Record};
use redialer_store::{BackfillRow, MissingAnalysis, RestoreGeneration, StoreError, WorkspaceRow};

use crate::{
    app::App,
    flow::{
        account,
        ingest::{self, EventSource},
        reconcile::enter_inbox,
    },
    state::backfill_progress::Progress,
};

/// The interval between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(2);
const MAX_WORKSPACES: i64 = 10;
const MAX_ANALYSES: i64 = 20;
/// The maximum number of requests for one overdue analysis, over about four hours.
const MAX_CHECKS_PER_CALL: i64 = 24;
/// The maximum number of calls imported and of pages read for one workspace per round; then other workspaces continue.
const MAX_RECORDS: usize = 100;
const MAX_PAGES: usize = 50;
/// A call is skipped after its record could not be read this many times.
const MAX_FAILURES: u32 = 5;
/// Two backfills overlap by this much, because the provider's lists lag behind.
const OVERLAP_MINUTES: i64 = 30;

/// Backfills the workspaces that are due, and fetches overdue analysis results.
pub async fn round(app: &Arc<App>) -> Result<(), StoreError> {
    let restore_generation = app.store.restore_generation().await?;
    for range in app.ranges() {
        let now = app.clock.now();
        let next_at = plus(now, minutes(BACKFILL_EVERY_MINUTES));
        for row in app.store.due_backfills(range, now, next_at, MAX_WORKSPACES).await? {
            if let Err(error) = workspace(app, &row, restore_generation).await {
                tracing::warn!(workspace.id = %row.id, %error, "the backfill of workspace {} failed; it is retried in a minute", row.id);
                // A restored workspace dials only after its backfill, so retry it before the regular interval.
                app.store.backfill_soon(row.id, plus(now, minutes(1))).await?;
            }
        }
        for check in app.store.due_checks(range, now, MAX_CHECKS_PER_CALL, MAX_ANALYSES).await? {
            if let Err(error) = analysis(app, &check).await {
                if let Stopped::Provider(error) = &error {
                    account::read_failed(app, check.workspace, error).await;
                }
                tracing::info!(workspace.id = %check.workspace, %error, "the overdue analysis of a call of workspace {} could not be fetched; it is retried later, {MAX_CHECKS_PER_CALL} times at most", check.workspace);
            }
        }
    }
    Ok(())
}

/// Why a backfill stopped early. Its progress is kept, and the next round resumes it.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Provider(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn workspace(
    app: &Arc<App>,
    row: &BackfillRow,
    restore_generation: Option<RestoreGeneration>,
) -> Result<(), Stopped> {
    let waiting = restore_generation.filter(|e| e.restore_generation > row.restore_generation);
    let now = app.clock.now();
    let known_to = waiting
        .map_or(row.backfilled_to, |restore_generation| restore_generation.backup_at.min(row.backfilled_to));
    let wanted =
        waiting.map_or(row.restore_generation, |restore_generation| restore_generation.restore_generation);
    let mut progress = app.backfills.take(row.id, wanted).unwrap_or_else(|| Progress {
        began: now,
        since: plus(known_to, minutes(-OVERLAP_MINUTES)).max(row.created_at),
        restore_generation: wanted,
        lists: [(Channel::Voice, None), (Channel::Chat, None)].into(),
        unprocessed: Vec::new(),
        failures: 0,
    });
    let done = run_share(app, row, waiting.is_some(), &mut progress).await;
    let began = progress.began;
    if !matches!(done, Ok(true)) {
        app.backfills.keep(row.id, progress);
    }
    if !done? {
        // Continues once the other due workspaces have had their share.
        return Ok(app.store.backfill_soon(row.id, now).await?);
    }
    app.store.record_backfill(row.id, began).await?;
    if let Some(restore_generation) = waiting {
        enter_restore_generation(app, row, restore_generation, began).await?;
    }
    Ok(())
}

/// Runs one round's share of a backfill. Returns whether the backfill is complete.
async fn run_share(
    app: &Arc<App>,
    row: &BackfillRow,
    restored: bool,
    progress: &mut Progress,
) -> Result<bool, Stopped> {
    let backfill = WorkspaceBackfill::open(app, row, restored).await?;
    let done = async {
        backfill.list(progress).await?;
        if progress.lists.is_empty() { backfill.import_batch(progress).await } else { Ok(false) }
    };
    let done = done.await;
    if let Err(Stopped::Provider(error)) = &done {
        account::read_failed(app, row.id, error).await;
        if matches!(error.failure, ReadFailure::Forbidden { .. }) && !restored {
            // The key lacks permission to read the account's calls, so webhooks are the only source.
            progress.lists.clear();
            progress.unprocessed.clear();
            return Ok(true);
        }
    }
    done
}

/// Records a complete backfill of a restored workspace. Dialing resumes after the second backfill that counts.
async fn enter_restore_generation(
    app: &App,
    row: &BackfillRow,
    restore_generation: RestoreGeneration,
    began: Timestamp,
) -> Result<(), StoreError> {
    match decide::after_restore_backfill(restore_generation.began_at, row.backfilled_once_at, began) {
        RestoreBackfill::TooEarly { again_at } => app.store.backfill_soon(row.id, again_at).await,
        RestoreBackfill::First { again_at } => {
            app.store.record_first_backfill(row.id, began).await?;
            app.store.backfill_soon(row.id, again_at).await
        }
        RestoreBackfill::Last => {
            tracing::info!(workspace.id = %row.id, "workspace {} was compared with the provider's records after the restore; dialing resumes", row.id);
            app.store.enter_restore_generation(row.id, restore_generation.restore_generation).await
        }
    }
}

struct WorkspaceBackfill<'a> {
    app: &'a Arc<App>,
    row: &'a BackfillRow,
    workspace: WorkspaceRow,
    api_key: Secret<String>,
    /// The provider's ids of the agents whose webhooks are accepted.
    agents: HashSet<String>,
    /// After a restore, calls in progress are imported too, and each event is processed before the next import.
    restored: bool,
}

impl<'a> WorkspaceBackfill<'a> {
    async fn open(app: &'a Arc<App>, row: &'a BackfillRow, restored: bool) -> Result<Self, StoreError> {
        let key = app.store.open_key(row.tenant).await?;
        let workspace = app.store.for_tenant(row.tenant).workspace(row.id).await?;
        let api_key = workspace.api_key(&key)?;
        let context = app.store.workspace_context(row.tenant, row.id, app.clock.real_ms()).await?;
        let active_agents = context.active_agents(app.store.limits_of(context.plan));
        let agents = active_agents.map(|agent| agent.provider_agent_id.clone()).collect();
        Ok(Self { app, row, workspace, api_key, agents, restored })
    }

    /// Reads the lists of calls and chats from where the last round stopped, at most `MAX_PAGES` pages.
    async fn list(&self, progress: &mut Progress) -> Result<(), Stopped> {
        for _ in 0..MAX_PAGES {
            let Some((channel, page)) = progress.lists.front_mut() else { return Ok(()) };
            let provider = self.app.provider(&self.workspace, false)?;
            let Page { calls, next } = provider.calls(&self.api_key, *channel, page.as_deref()).await?;
            let missing = &self.workspace.missing_permissions;
            account::read_succeeded(self.app, self.row.id, missing, Permission::History).await;
            let swept_page =
                decide::select_calls(&calls, progress.since, |agent| self.agents.contains(agent));
            let unprocessed = self.app.store.unprocessed_calls(self.row, &swept_page.within).await?;
            progress.unprocessed.extend(unprocessed.into_iter().map(|id| (*channel, id)));
            match next.filter(|_| !swept_page.is_last) {
                Some(next) => *page = Some(next),
                None => {
                    progress.lists.pop_front();
                }
            }
        }
        Ok(())
    }

    /// Imports calls, oldest first, at most `MAX_RECORDS`. Returns whether all are imported.
    async fn import_batch(&self, progress: &mut Progress) -> Result<bool, Stopped> {
        for _ in 0..MAX_RECORDS {
            let Some((channel, call_id)) = progress.unprocessed.last() else { return Ok(true) };
            match self.import_call(*channel, call_id).await {
                Err(Stopped::Provider(error)) if matches!(error.failure, ReadFailure::Unavailable(_)) => {
                    progress.failures += 1;
                    if progress.failures < MAX_FAILURES || !self.provider_responds().await? {
                        return Err(error.into());
                    }
                    // One unreadable record must not keep all others from being imported (I33).
                    tracing::error!(workspace.id = %self.row.id, call.id = call_id, %error, "the record of call {call_id} could not be fetched in {MAX_FAILURES} attempts; the call is skipped");
                    metrics::counter!("redialer_calls_unread_total").increment(1);
                }
                imported => imported?,
            }
            progress.unprocessed.pop();
            progress.failures = 0;
        }
        Ok(progress.unprocessed.is_empty())
    }

    /// Whether the provider responds to another request, so that only this record is unreadable.
    async fn provider_responds(&self) -> Result<bool, StoreError> {
        let provider = self.app.provider(&self.workspace, false)?;
        Ok(provider.calls(&self.api_key, Channel::Voice, None).await.is_ok())
    }

    async fn import_call(&self, channel: Channel, call_id: &str) -> Result<(), Stopped> {
        let query = CallQuery { channel, id: call_id, placed_by: None };
        let record = match self.app.provider(&self.workspace, false)?.record(&self.api_key, query).await {
            // The list contained it, but the record is gone: its retention has ended.
            Err(ReadError { failure: ReadFailure::Unknown(_), .. }) => return Ok(()),
            other => other?,
        };
        if import_record(self.app, self.row.tenant, self.row.id, record, self.restored).await? {
            tracing::info!(workspace.id = %self.row.id, "a call for which no webhook arrived was imported from the provider's list");
            metrics::counter!("redialer_calls_found_total").increment(1);
        }
        if self.restored {
            ingest::drain(self.app).await?;
        }
        Ok(())
    }
}

/// Fetches a call that ended long ago and has no recorded analysis; the analysis may exist by now.
async fn analysis(app: &Arc<App>, check: &MissingAnalysis) -> Result<(), Stopped> {
    let key = app.store.open_key(check.tenant).await?;
    let workspace = app.store.for_tenant(check.tenant).workspace(check.workspace).await?;
    let api_key = workspace.api_key(&key)?;
    let query = CallQuery { channel: check.channel, id: &check.call_id, placed_by: None };
    let record = app.provider(&workspace, false)?.record(&api_key, query).await?;
    import_record(app, check.tenant, check.workspace, record, false).await?;
    Ok(())
}

/// Adds a record to the inbox, unless the call is still in progress or its agent's webhooks are not accepted.
async fn import_record(
    app: &App,
    tenant: Id<id::Tenant>,
    workspace: Id<id::Workspace>,
    record: Option<Record>,
    include_ongoing: bool,
) -> Result<bool, StoreError> {
    let Some(record) = record.filter(|record| record.is_over || include_ongoing) else {
        return Ok(false);
    };
    let Some(agent_id) = record.agent else { return Ok(false) };
    let agent = app.store.for_tenant(tenant).agent_by_provider_id(workspace, &agent_id).await?;
    let context = app.store.workspace_context(tenant, workspace, app.clock.real_ms()).await?;
    // A webhook for this agent would be rejected as well.
    let Some(agent) = agent.filter(|a| context.accepts_webhooks_of(a.id, app.store.limits_of(context.plan)))
    else {
        return Ok(false);
    };
    // Not the key opened at the start of the backfill: minutes may have passed since then.
    let key = app.store.open_key(tenant).await?;
    enter_inbox(app, EventSource { tenant, workspace, agent: agent.id, test: false }, record.delivery, &key)
        .await?;
    Ok(true)
}
