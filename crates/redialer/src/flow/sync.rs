//! Syncs agents and numbers from the provider periodically: adds new agents and marks those that are gone.
//!
//! Invariant: a workspace is synced periodically by one replica at a time, at most once an hour. Data that cannot be read
//! stays as it was last stored.

use std::time::Duration;

use redialer_core::{
    Phone,
    permission::Permission,
    phone,
    time::{minutes, plus},
    timing::SYNC_EVERY_MINUTES,
};
use redialer_providers::{Provider, ReadError};
use redialer_store::{
    DueWorkspace, RosterEntry, StoreError, TenantKey, TenantRow, TenantStore, WorkspaceRow,
};

use crate::{app::App, flow::account};

/// The interval between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(10);

async fn sync_workspace(app: &App, due: &DueWorkspace) -> Result<(), SyncError> {
    let store = app.store.for_tenant(due.tenant);
    let tenant = app.store.tenant(due.tenant).await?;
    let workspace = store.workspace(due.id).await?;
    pull(app, &store, &tenant, &workspace).await.map(|_| ())
}

/// Syncs the workspaces that are due.
pub async fn round(app: &App) -> Result<(), StoreError> {
    for range in app.ranges() {
        let now = app.clock.now();
        for due in app.store.due_syncs(range, now, plus(now, minutes(SYNC_EVERY_MINUTES))).await? {
            // A workspace that fails, or was deleted since it was listed, must not stop the others.
            if let Err(error) = sync_workspace(app, &due).await {
                if let SyncError::Provider(error) = &error {
                    account::read_failed(app, due.id, error).await;
                }
                tracing::warn!(workspace.id = %due.id, %error, "the sync of workspace {} failed: its agents could not be read", due.id);
            }
        }
    }
    Ok(())
}

/// Why a sync failed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// A provider error.
    #[error(transparent)]
    Provider(#[from] ReadError),
    /// A store error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the agents and the workspace's own numbers from the provider and stores them. Returns the number of agents.
/// Changes nothing at the provider.
pub async fn pull(
    app: &App,
    store: &TenantStore,
    tenant: &TenantRow,
    workspace: &WorkspaceRow,
) -> Result<usize, SyncError> {
    let key = app.store.open_key(tenant.id).await?;
    let api_key = workspace.api_key(&key)?;
    let began = app.clock.now();
    let provider = app.provider(workspace, false)?;
    let agents = provider.agents(&api_key).await?;
    let missing = &workspace.missing_permissions;
    account::read_succeeded(app, workspace.id, missing, Permission::Agents).await;
    if workspace.account.is_none() {
        // Connected by a version that did not read the account.
        match account::of_key(provider, &key, &api_key).await {
            Ok(account) => app.store.set_account(workspace.id, &account).await?,
            Err(error) => {
                tracing::warn!(workspace.id = %workspace.id, %error, "the provider account of workspace {} could not be read; the next sync retries", workspace.id);
            }
        }
    }
    let own = own_numbers(app, provider, workspace, (&key, &api_key)).await?;
    let roster: Vec<RosterEntry<'_>> = agents
        .iter()
        .map(|a| RosterEntry {
            provider_agent_id: &a.id,
            name: &a.name,
            channel: a.channel,
            timezone: a.timezone.as_deref(),
        })
        .collect();
    let max = app.store.limits_of(tenant.plan).agents;
    store
        .sync_agents(
            workspace.id,
            &roster,
            own.as_ref().map(|(indexes, countries)| (indexes.as_slice(), countries.as_slice())),
            max,
            (began, app.clock.now()),
            &app.rng,
        )
        .await?;
    tracing::info!(workspace.id = %workspace.id, n = agents.len(), "workspace {} was synced: the provider lists {} agents", workspace.id, agents.len());
    Ok(agents.len())
}

/// The keyed indexes of the workspace's own numbers, and their countries.
type OwnNumbers = (Vec<[u8; 16]>, Vec<String>);

/// The workspace's own numbers; `None` if they cannot be read now.
async fn own_numbers(
    app: &App,
    provider: &dyn Provider,
    workspace: &WorkspaceRow,
    (key, api_key): (&TenantKey, &str),
) -> Result<Option<OwnNumbers>, ReadError> {
    let numbers = match provider.numbers(api_key).await {
        Ok(numbers) => numbers,
        Err(error) if error.is_of_account() => return Err(error),
        Err(error) => {
            account::read_failed(app, workspace.id, &error).await;
            tracing::warn!(workspace.id = %workspace.id, %error, "the phone numbers of workspace {} could not be read; the numbers of the last sync are kept", workspace.id);
            return Ok(None);
        }
    };
    let missing = &workspace.missing_permissions;
    account::read_succeeded(app, workspace.id, missing, Permission::Numbers).await;
    let numbers: Vec<Phone> = numbers.iter().filter_map(|n| Phone::parse(&n.number).ok()).collect();
    let mut countries: Vec<String> =
        numbers.iter().filter_map(|n| phone::country_of(n)).map(str::to_owned).collect();
    countries.sort();
    countries.dedup();
    Ok(Some((numbers.iter().map(|n| key.index(n.e164())).collect(), countries)))
}
