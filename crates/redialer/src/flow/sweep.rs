//! Events that never came are found by asking: calls we have not heard of, and analyses that are overdue.
//!
//! Invariants (I11, I31): what is found enters the same inbox as webhooks do; how far a workspace was swept moves
//! on only once all of it is there. The provider's lists are read one page at a time and no faster than it
//! allows. A workspace that was restored from a backup dials only after two complete sweeps, the first no
//! earlier than the provider's lists can be believed; calls are then taken up oldest first.

use std::{collections::HashSet, sync::Arc, time::Duration};

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    decide::{self, SETTLE_MINUTES},
    id,
    time::{minutes, plus},
    workspace::SWEEP_EVERY_MINUTES,
};
use redialer_providers::retell::{api::ReadError, webhook};
use redialer_store::{AgentRow, CheckRow, Epoch, StoreError, SweepRow};
use zeroize::Zeroizing;

use super::{
    ingest,
    reconcile::{Origin, enter_inbox},
};
use crate::app::App;

const POLL: Duration = Duration::from_secs(2);
const WORKSPACES: i64 = 10;
const CHECKS: i64 = 20;
/// An analysis is asked for this often: for about four hours.
const MAX_CHECKS: i64 = 24;
/// Calls taken up by one sweep; what is left comes with the next, which is soon.
const TAKE: usize = 100;
const MAX_PAGES: usize = 50;
/// Two sweeps overlap: the provider's lists lag behind.
const OVERLAP_MINUTES: i64 = 30;

/// Sweeps until the program shuts down.
pub async fn run(app: Arc<App>) {
    while !app.is_draining() {
        if let Err(error) = round(&app).await {
            tracing::warn!(%error, "calls we have not heard of could not be looked for");
        }
        tokio::select! { () = app.clock.wait(POLL) => {}, () = app.drained() => {} }
    }
}

/// Sweeps the workspaces whose turn it is, and asks for overdue analyses.
pub async fn round(app: &Arc<App>) -> Result<(), StoreError> {
    let epoch = app.store.epoch().await?;
    for range in app.ranges() {
        let now = app.clock.now();
        let next_at = plus(now, minutes(SWEEP_EVERY_MINUTES));
        for row in app.store.due_sweeps(range, now, next_at, WORKSPACES).await? {
            if let Err(error) = workspace(app, &row, epoch).await {
                tracing::warn!(workspace.id = %row.id, %error, "workspace {} could not be swept", row.id);
                // Whoever waits to dial should not wait the whole turn for it.
                app.store.sweep_again(row.id, plus(now, minutes(1))).await?;
            }
        }
        for check in app.store.due_checks(range, now, MAX_CHECKS, CHECKS).await? {
            if let Err(error) = analysis(app, &check).await {
                tracing::info!(workspace.id = %check.workspace, %error, "an analysis could not be asked for");
            }
        }
    }
    Ok(())
}

/// Why a sweep ended early: the next one begins where this one began.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Provider(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn workspace(app: &Arc<App>, row: &SweepRow, epoch: Option<Epoch>) -> Result<(), Stopped> {
    let waiting = epoch.filter(|e| e.epoch > row.epoch);
    let began = app.clock.now();
    let known_to = waiting.map_or(row.swept_to, |epoch| epoch.backup_at.min(row.swept_to));
    let since = plus(known_to, minutes(-OVERLAP_MINUTES)).max(row.created_at);
    let sweep = Sweep::open(app, row, waiting.is_some()).await?;
    let mut complete = true;
    for channel in [Channel::Voice, Channel::Chat] {
        complete &= sweep.channel(channel, since).await?;
    }
    if !complete {
        return Ok(app.store.sweep_again(row.id, plus(began, minutes(1))).await?);
    }
    app.store.swept(row.id, began).await?;
    if let Some(epoch) = waiting {
        enter_epoch(app, row, epoch, began).await?;
    }
    Ok(())
}

/// A complete sweep of a restored workspace: the second one that counts lets it dial.
async fn enter_epoch(app: &App, row: &SweepRow, epoch: Epoch, began: Timestamp) -> Result<(), StoreError> {
    let settled_at = plus(epoch.began_at, minutes(SETTLE_MINUTES));
    if began < settled_at {
        return app.store.sweep_again(row.id, settled_at).await;
    }
    match row.swept_once_at {
        Some(first) if began >= plus(first, minutes(1)) => {
            tracing::info!(workspace.id = %row.id, "workspace {} was compared with the provider's records and dials", row.id);
            app.store.enter_epoch(row.id, epoch.epoch).await?;
            app.due_changed();
            Ok(())
        }
        _ => {
            app.store.swept_once(row.id, began).await?;
            app.store.sweep_again(row.id, plus(began, minutes(1))).await
        }
    }
}

struct Sweep<'a> {
    app: &'a Arc<App>,
    row: &'a SweepRow,
    api_key: Zeroizing<String>,
    /// The provider's ids of the agents that we hear.
    agents: HashSet<String>,
    /// After a restore, what goes on right now counts too, and the order of events matters.
    restored: bool,
}

impl<'a> Sweep<'a> {
    async fn open(app: &'a Arc<App>, row: &'a SweepRow, restored: bool) -> Result<Self, StoreError> {
        let key = app.store.open_key(row.tenant).await?;
        let api_key = app.store.of(row.tenant).workspace(row.id).await?.api_key(&key)?;
        let most = app.plans.of(app.store.tenant(row.tenant).await?.plan).agents;
        let agents = app.store.of(row.tenant).heard_agents(row.id, most).await?;
        Ok(Self { app, row, api_key, agents: agents.into_iter().collect(), restored })
    }

    /// Takes up calls or chats since then; whether that were all.
    async fn channel(&self, channel: Channel, since: Timestamp) -> Result<bool, Stopped> {
        let mut unheard = Vec::new();
        let mut page = None;
        for _ in 0..MAX_PAGES {
            let (calls, next) = self.app.retell.listed(&self.api_key, channel, page.as_deref()).await?;
            let swept = decide::sweep_page(&calls, since, |agent| self.agents.contains(agent));
            unheard.extend(self.app.store.unheard(self.row, &swept.within).await?);
            match next.filter(|_| !swept.is_last) {
                Some(next) => page = Some(next),
                None => break,
            }
        }
        // Newest first in the list; what happened first is told first.
        unheard.reverse();
        let all = unheard.len() <= TAKE;
        for call_id in unheard.iter().take(TAKE) {
            self.take(channel, call_id).await?;
        }
        Ok(all)
    }

    async fn take(&self, channel: Channel, call_id: &str) -> Result<(), Stopped> {
        let record = match self.app.retell.record(&self.api_key, channel, call_id).await {
            // Listed a moment ago and gone now: its retention ended.
            Err(ReadError::Unknown(_)) => return Ok(()),
            other => other?,
        };
        if take_up(self.app, self.row.tenant, self.row.id, channel, &record, self.restored).await? {
            tracing::info!(workspace.id = %self.row.id, "a call was found that no webhook told of");
            metrics::counter!("redialer_calls_found_total").increment(1);
        }
        if self.restored {
            ingest::drain(self.app).await?;
        }
        Ok(())
    }
}

/// A call that ended long ago and was not analysed, as far as we heard: perhaps it was.
async fn analysis(app: &Arc<App>, check: &CheckRow) -> Result<(), Stopped> {
    let key = app.store.open_key(check.tenant).await?;
    let api_key = app.store.of(check.tenant).workspace(check.workspace).await?.api_key(&key)?;
    let channel = check.channel();
    let record = app.retell.record(&api_key, channel, &check.call_id).await?;
    take_up(app, check.tenant, check.workspace, channel, &record, false).await?;
    Ok(())
}

/// Enters a record into the inbox, unless it is not over or its agent is none that we hear.
async fn take_up(
    app: &App,
    tenant: Id<id::Tenant>,
    workspace: Id<id::Workspace>,
    channel: Channel,
    record: &str,
    even_if_going_on: bool,
) -> Result<bool, StoreError> {
    let Some(fetched) = webhook::fetched(record, channel).filter(|f| f.over || even_if_going_on) else {
        return Ok(false);
    };
    let Some(agent_id) = fetched.agent else { return Ok(false) };
    let agent = app.store.of(tenant).agent_by_provider_id(workspace, &agent_id).await?;
    let desk = app.store.desk(tenant, workspace, app.clock.real_ms()).await?;
    let hears = |a: &AgentRow| app.plans.of(desk.plan).hears(desk.before(a.id).unwrap_or(0));
    // Otherwise its webhook would be turned away as well.
    let Some(agent) = agent.filter(|a| a.enabled && hears(a)) else { return Ok(false) };
    // Not the key that the sweep began with: it may have taken minutes since.
    let key = app.store.open_key(tenant).await?;
    enter_inbox(app, Origin { tenant, workspace, agent: agent.id, test: false }, fetched.delivery, &key)
        .await?;
    Ok(true)
}
