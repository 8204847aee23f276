//! What jobs record about a workspace: pauses, missing permissions, its account, and which workspaces are due for a job.

use redialer_core::{
    Id, Timestamp,
    decide::ActivityNotice,
    id,
    time::{minutes, plus},
    timing::PROBE_EVERY_MINUTES,
    workspace::Pause,
};

use crate::{
    Store, StoreError,
    accounts::workspaces::listed,
    db::{Row, Tx, args},
    log::notices::notice_of_workspace,
};

/// A workspace that is due for a job.
#[derive(Debug, Clone, Copy)]
pub struct DueWorkspace {
    /// The workspace.
    pub id: Id<id::Workspace>,
    /// Its tenant.
    pub tenant: Id<id::Tenant>,
}

impl DueWorkspace {
    /// Reads the columns `id` and `tenant_id`.
    pub(crate) fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { id: Id::from_uuid(row.get("id")?), tenant: Id::from_uuid(row.get("tenant_id")?) })
    }
}

impl Store {
    /// Ends a pause.
    pub async fn resume(&self, id: Id<id::Workspace>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str =
            "update workspaces set paused = null, paused_at = null, probe_at = null, pause_message = null
             where id = $1 and paused is not null";
        let mut tx = self.db.begin().await?;
        if tx.execute(SQL, args![id]).await? == 1 {
            notice_of_workspace(&mut tx, id, ActivityNotice::Resumed, now).await?;
            tx.note_due_now();
        }
        tx.commit().await
    }

    /// Stops dialing for a workspace: the provider refused its key or its payment.
    pub async fn pause(
        &self,
        id: Id<id::Workspace>,
        why: Pause,
        message: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        pause(&mut tx, id, why, message, now).await?;
        tx.commit().await
    }

    /// Records whether the workspace's API key has a permission.
    pub async fn set_permission(
        &self,
        id: Id<id::Workspace>,
        permission: &str,
        has_it: bool,
    ) -> Result<(), StoreError> {
        const SQL: &str = "select missing_permissions from workspaces where id = $1";
        const SET: &str = "update workspaces set missing_permissions = $2 where id = $1";
        let mut tx = self.db.begin().await?;
        let Some(row) = tx.fetch_one(SQL, args![id]).await? else { return Ok(()) };
        let mut missing = listed(&row.get::<String>("missing_permissions")?);
        if missing.iter().any(|known| known == permission) != has_it {
            return Ok(());
        }
        missing.retain(|known| known != permission);
        if !has_it {
            missing.push(permission.to_owned());
        }
        missing.sort();
        tx.execute(SET, args![id, missing.join(",")]).await?;
        tx.commit().await
    }

    /// Records the provider's account that a workspace's API key belongs to.
    pub async fn set_account(&self, id: Id<id::Workspace>, account: &str) -> Result<(), StoreError> {
        const SQL: &str = "update workspaces set account = $2 where id = $1 and account is null";
        self.db.write(SQL, args![id, account]).await?;
        Ok(())
    }

    /// Takes the workspaces whose agents are due to be synced. Their `sync_at` moves to `next_at`, so that no other
    /// replica syncs them too.
    pub async fn due_syncs(
        &self,
        range: (i64, i64),
        now: Timestamp,
        next_at: Timestamp,
    ) -> Result<Vec<DueWorkspace>, StoreError> {
        const SQL: &str = "update workspaces set sync_at = $4
             where bucket between $1 and $2 and paused is null and deleted_at is null and sync_at <= $3
             returning id, tenant_id";
        self.claim_due(SQL, range, now, next_at).await
    }

    /// Takes the paused workspaces whose probe is due. Their `probe_at` moves to `next_at`, so that no other replica
    /// probes them too.
    pub async fn due_probes(
        &self,
        range: (i64, i64),
        now: Timestamp,
        next_at: Timestamp,
    ) -> Result<Vec<DueWorkspace>, StoreError> {
        const SQL: &str = "update workspaces set probe_at = $4
             where bucket between $1 and $2 and paused is not null and deleted_at is null and probe_at <= $3
             returning id, tenant_id";
        self.claim_due(SQL, range, now, next_at).await
    }

    async fn claim_due(
        &self,
        sql: &'static str,
        range: (i64, i64),
        now: Timestamp,
        next_at: Timestamp,
    ) -> Result<Vec<DueWorkspace>, StoreError> {
        let mut tx = self.db.begin().await?;
        let rows = tx.fetch(sql, args![range.0, range.1, now, next_at]).await?;
        tx.commit().await?;
        rows.iter().map(DueWorkspace::from_row).collect()
    }
}

/// Stops dialing for a workspace until a probe or a new key succeeds.
pub(crate) async fn pause(
    tx: &mut Tx,
    id: Id<id::Workspace>,
    why: Pause,
    message: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const NEW: &str = "update workspaces set paused = $2, paused_at = $3, probe_at = $4, pause_message = $5
         where id = $1 and paused is null";
    const UPDATE: &str =
        "update workspaces set paused = $2, probe_at = $3, pause_message = coalesce($4, pause_message)
         where id = $1 and paused is not null";
    let probe_at = plus(now, minutes(PROBE_EVERY_MINUTES));
    if tx.execute(NEW, args![id, why.as_str(), now, probe_at, message]).await? == 1 {
        return notice_of_workspace(tx, id, ActivityNotice::Paused, now).await;
    }
    tx.execute(UPDATE, args![id, why.as_str(), probe_at, message]).await.map(|_| ())
}
