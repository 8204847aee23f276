//! Workspaces: connect a provider account, change its settings, sync its agents, delete and restore it.

use redialer_core::{
    Id, Timestamp, id,
    settings::{BadSettings, Nulls, Retention, WorkspaceSettings, merge},
    tenant::Limits,
    time::{minutes, plus},
    timing::UNDO_MINUTES,
    workspace::ProviderName,
};
use redialer_providers::{Provider, ReadError, ReadFailure, WebhookAuth};
use redialer_store::{NewWorkspace, StoreError, TenantKey, WorkspaceChange, WorkspaceRow};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    actions::{Acting, MERGES, Refusal},
    flow::{
        account,
        sync::{self, SyncError},
    },
};

/// A replaced webhook key stays valid for a day.
const KEY_GRACE_MINUTES: i64 = 24 * 60;

/// A provider account to connect.
pub struct NewConnection<'a> {
    /// Its name.
    pub name: &'a str,
    /// The provider's name.
    pub provider: &'a str,
    /// The provider's API key.
    pub api_key: &'a str,
    /// The key that webhooks are signed with; `None` for the API key.
    pub webhook_key: Option<&'a str>,
}

/// Changes to a workspace; `None` leaves a field unchanged.
#[derive(Debug, Clone, Copy)]
pub struct WorkspacePatch<'a> {
    /// Its name.
    pub name: Option<&'a str>,
    /// The provider's API key.
    pub api_key: Option<&'a str>,
    /// The key that webhooks are signed with.
    pub webhook_key: Option<&'a str>,
    /// A merge patch for its settings.
    pub settings: Option<&'a Value>,
    /// A merge patch for its retention.
    pub retention: Option<&'a Value>,
}

impl Acting<'_> {
    /// Connects a provider account and syncs its agents. If that first sync fails, the background sync retries it.
    pub async fn connect(&self, new: NewConnection<'_>) -> Result<WorkspaceRow, Refusal> {
        self.as_whole_tenant("connect workspaces")?;
        let (app, name) = (self.app, ProviderName::new(new.provider));
        let provider = app.providers.get(&name, false).map_err(|_| {
            let names = app.providers.names().join(", ");
            Refusal::invalid(
                "provider",
                format!("The value of `provider` is not valid. Valid values: {names}."),
            )
        })?;
        let account = self.account_of(provider, new.api_key).await?;
        let id = Id::new(app.clock.now(), &app.rng);
        let workspace = NewWorkspace {
            id,
            provider: &name,
            name: new.name,
            api_key: new.api_key,
            webhook_auth: &WebhookAuth::of_key(new.webhook_key.unwrap_or(new.api_key)).to_stored(),
            account: Some(&account),
            settings: &json!({}),
        };
        let key = self.store.tenant_key().await?;
        let max = app.store.limits_of(self.tenant.plan).workspaces;
        self.store.create_workspace(&workspace, max, &key, app.clock.now(), &app.rng).await?;
        let row = self.store.workspace(id).await?;
        if let Err(error) = sync::pull(app, self.store, self.tenant, &row).await {
            tracing::warn!(workspace.id = %id, %error, "the agents of new workspace {id} could not be read yet; the next sync reads them");
            if let SyncError::Provider(error) = &error {
                account::read_failed(app, id, error).await;
            }
        }
        Ok(self.store.workspace(id).await?)
    }

    /// The account that a key belongs to. Fails if the provider rejects the key.
    async fn account_of(&self, provider: &dyn Provider, api_key: &str) -> Result<String, Refusal> {
        let key = self.store.tenant_key().await?;
        account::of_key(provider, &key, api_key).await.map_err(|error| match error.failure {
            ReadFailure::KeyRefused { .. } => Refusal::Unprocessable {
                code: "provider_key_refused",
                field: "api_key".to_owned(),
                why: error.to_string(),
            },
            _ => {
                tracing::warn!(%error, "a new provider key could not be checked at the provider");
                let why = format!("The key could not be checked at the provider: {error} Try again.");
                Refusal::Provider { code: "provider_unavailable", why }
            }
        })
    }

    /// Changes a workspace. With `if_unchanged`, fails if the workspace has changed since that time; without it, merges
    /// the patch into concurrent changes.
    pub async fn change_workspace(
        &self,
        row: WorkspaceRow,
        patch: WorkspacePatch<'_>,
        if_unchanged: Option<Timestamp>,
    ) -> Result<(), Refusal> {
        let account = match patch.api_key {
            Some(api_key) => {
                let provider = self.app.provider(&row, false)?;
                Some(self.account_of(provider, api_key).await?)
            }
            None => None,
        };
        let id = row.id;
        let mut changed = self.merge_workspace(row, patch, account.as_deref()).await;
        for _ in 0..MERGES {
            if !matches!(changed, Err(Refusal::Store(StoreError::Changed))) || if_unchanged.is_some() {
                break;
            }
            changed = self.merge_workspace(self.store.workspace(id).await?, patch, account.as_deref()).await;
        }
        changed
    }

    /// Merges the patch into the workspace as read and writes it; [`StoreError::Changed`] if it has changed since.
    async fn merge_workspace(
        &self,
        row: WorkspaceRow,
        patch: WorkspacePatch<'_>,
        account: Option<&str>,
    ) -> Result<(), Refusal> {
        let (key, now) = (self.store.tenant_key().await?, self.app.clock.now());
        let limits = self.app.store.limits_of(self.tenant.plan);
        let settings = patch.settings.map(|patch| patched(&row, patch, limits)).transpose()?;
        if let Some((_, in_force)) = &settings {
            self.fits_overrides(row.id, in_force).await?;
        }
        let retention = patch.retention.map(|patch| kept(&row.retention, patch)).transpose()?;
        let webhook_auth = webhook_auth(&row, patch, &key, now)?;
        let change = WorkspaceChange {
            name: patch.name,
            api_key: patch.api_key,
            webhook_auth: webhook_auth.as_deref(),
            account,
            settings: settings.as_ref().map(|(set, _)| set),
            retention: retention.as_ref(),
            if_unchanged: Some(row.updated_at),
        };
        Ok(self.store.change_workspace(row.id, &change, &key, now, &self.app.rng).await?)
    }

    /// Rejects settings that would make an agent's existing overrides invalid.
    async fn fits_overrides(
        &self,
        workspace: Id<id::Workspace>,
        settings: &WorkspaceSettings,
    ) -> Result<(), Refusal> {
        let newest = (Timestamp::MAX, Id::from_uuid(Uuid::max()));
        for agent in self.store.agents(Some(workspace), newest, i64::MAX).await? {
            agent.overrides.check_against(settings).map_err(|error| {
                let BadSettings { field, problem } = error;
                let why =
                    format!("does not fit the overrides of agent {}: there, `{field}` {problem}", agent.id);
                let setting = field.split('.').next().unwrap_or_default();
                Refusal::invalid(format!("defaults.{setting}"), why)
            })?;
        }
        Ok(())
    }

    /// Deletes a workspace: it stops working immediately, and its data is deleted after a day.
    pub async fn delete_workspace(&self, id: Id<id::Workspace>) -> Result<(), Refusal> {
        self.as_whole_tenant("delete workspaces")?;
        Ok(self.store.delete_workspace(id, self.app.clock.now()).await?)
    }

    /// Undoes a deletion.
    pub async fn restore_workspace(&self, id: Id<id::Workspace>) -> Result<WorkspaceRow, Refusal> {
        self.as_whole_tenant("restore workspaces")?;
        let now = self.app.clock.now();
        let max = self.app.store.limits_of(self.tenant.plan).workspaces;
        self.store.restore_workspace(id, plus(now, -minutes(UNDO_MINUTES)), max, now).await?;
        Ok(self.store.workspace(id).await?)
    }

    /// Syncs the agents now. Returns the number of agents that the provider lists.
    pub async fn sync(&self, id: Id<id::Workspace>) -> Result<usize, Refusal> {
        let row = self.store.workspace(id).await?;
        match sync::pull(self.app, self.store, self.tenant, &row).await {
            Ok(n) => Ok(n),
            Err(SyncError::Store(error)) => Err(error.into()),
            Err(SyncError::Provider(error)) => {
                account::read_failed(self.app, id, &error).await;
                Err(provider_failed(&error))
            }
        }
    }
}

fn provider_failed(error: &ReadError) -> Refusal {
    let why = error.to_string();
    // Failures that the account's owner must fix are conflicts with the workspace's state; failures of the provider are not.
    match &error.failure {
        ReadFailure::KeyRefused { .. } | ReadFailure::Forbidden { .. } => {
            Refusal::conflict("provider_key_refused", why)
        }
        ReadFailure::Payment { .. } => Refusal::conflict("provider_payment_required", why),
        ReadFailure::Throttled { .. } => Refusal::Provider { code: "provider_throttled", why },
        ReadFailure::Unknown(_) | ReadFailure::Unavailable(_) => {
            Refusal::Provider { code: "provider_unavailable", why }
        }
    }
}

/// Returns the webhook authentication to store if the patch changes it. A workspace without its own webhook key uses
/// its API key to verify webhooks, so a new API key also becomes its webhook key.
fn webhook_auth(
    row: &WorkspaceRow,
    patch: WorkspacePatch<'_>,
    key: &TenantKey,
    now: Timestamp,
) -> Result<Option<Vec<u8>>, StoreError> {
    let stored = WebhookAuth::from_stored(&row.webhook_auth(key)?);
    let mut auth = stored.ok_or(StoreError::Corrupt("list of webhook keys"))?;
    let signs_with_api_key =
        auth.keys.first().is_some_and(|first| row.api_key(key).is_ok_and(|api_key| first.key == *api_key));
    let new = match (patch.webhook_key, patch.api_key) {
        (Some(new), _) => new,
        (None, Some(new)) if signs_with_api_key => new,
        (None, _) => return Ok(None),
    };
    auth.replace(new, now, plus(now, minutes(KEY_GRACE_MINUTES)));
    Ok(Some(auth.to_stored()))
}

/// Applies the patch. Returns the explicitly set settings, and the resulting settings in force after their check.
fn patched(
    row: &WorkspaceRow,
    patch: &Value,
    limits: &Limits,
) -> Result<(Value, WorkspaceSettings), Refusal> {
    let named = |e: BadSettings| {
        let field = if e.field.is_empty() { "defaults".to_owned() } else { format!("defaults.{}", e.field) };
        Refusal::invalid(field, e.problem)
    };
    let settings = row.settings.patched(patch).map_err(named)?;
    settings.check(limits).map_err(named)?;
    let mut set = row.set.clone();
    merge(&mut set, patch, Nulls::Kept);
    Ok((set, settings))
}

fn kept(retention: &Retention, patch: &Value) -> Result<Retention, Refusal> {
    let patched = retention
        .patched(patch)
        .map_err(|e| Refusal::invalid(format!("retention.{}", e.field), e.problem))?;
    if patched.keeps_everything() { Ok(patched) } else { Err(Refusal::not_yet("retention")) }
}
