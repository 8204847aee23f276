//! Deleting a workspace: inactive at once, restorable for a day, then removed.
//!
//! Invariants (I7): claims and intents require a workspace that is not deleted, so nothing more of it is dialed after
//! the deletion's commit; a request whose intent is on disk may be in flight. A workspace restored within the day
//! continues unchanged. The removal runs in small transactions and resumes where it stopped (C14).

use redialer_core::{Id, Timestamp, id};
use redialer_kek::KeyError;
use serde_json::json;

use crate::{
    Store, StoreError, TenantStore, accounts::workspace_jobs::DueWorkspace, bucket_of, db::args,
    log::audit::AuditEvent,
};

impl TenantStore {
    /// Marks a workspace as deleted.
    pub async fn delete_workspace(&self, id: Id<id::Workspace>, now: Timestamp) -> Result<(), StoreError> {
        const DELETE: &str = "update workspaces set deleted_at = $3, updated_at = $3
             where tenant_id = $1 and id = $2 and deleted_at is null";
        self.check_whole_tenant()?;
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        if tx.execute(DELETE, args![self.tenant, id, now]).await? == 0 {
            return Err(StoreError::NotFound);
        }
        audit_writer.write(&mut tx, AuditEvent::new("workspace.delete", Some(id), id), now).await?;
        tx.commit().await
    }

    /// Undoes a deletion that is not older than `since`, if the plan has room.
    pub async fn restore_workspace(
        &self,
        id: Id<id::Workspace>,
        since: Timestamp,
        max: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const LOCK: &str = "update tenants set name = name where id = $1";
        const COUNT: &str =
            "select count(*) as n from workspaces where tenant_id = $1 and deleted_at is null";
        const STANDS: &str = "select deleted_at, account from workspaces where tenant_id = $1 and id = $2";
        const RESTORE: &str = "update workspaces set deleted_at = null, updated_at = $3
             where tenant_id = $1 and id = $2 and deleted_at is not null";
        self.check_whole_tenant()?;
        let audit_writer = self.audit_writer().await?;
        let mut tx = self.db().begin().await?;
        tx.execute(LOCK, args![self.tenant]).await?;
        let row = tx.fetch_one(STANDS, args![self.tenant, id]).await?.ok_or(StoreError::NotFound)?;
        match row.get::<Option<i64>>("deleted_at")? {
            None => return Err(StoreError::NotDeleted),
            Some(at) if at < since.as_millisecond() => return Err(StoreError::NotFound),
            Some(_) => {}
        }
        let n: i64 = tx.fetch_one(COUNT, args![self.tenant]).await?.ok_or(StoreError::NotFound)?.get("n")?;
        if n >= i64::from(max) {
            return Err(StoreError::PlanLimit);
        }
        self.account_is_free(&mut tx, id, row.get::<Option<String>>("account")?.as_deref()).await?;
        tx.execute(RESTORE, args![self.tenant, id, now]).await?;
        tx.note_due_now();
        audit_writer.write(&mut tx, AuditEvent::new("workspace.restore", Some(id), id), now).await?;
        tx.commit().await
    }

    /// Removes a part of a deleted workspace permanently; `false` if nothing is left of it.
    pub async fn purge_workspace(&self, id: Id<id::Workspace>, now: Timestamp) -> Result<bool, StoreError> {
        const LAST: &str =
            "delete from workspaces where tenant_id = $1 and id = $2 and deleted_at is not null";
        let bucket = bucket_of(self.tenant);
        for part in PARTS {
            let mut tx = self.db().begin().await?;
            if tx.execute(part, args![bucket, id]).await? > 0 {
                tx.commit().await?;
                return Ok(true);
            }
        }
        let audit_writer = match self.audit_writer().await {
            Ok(audit_writer) => Some(audit_writer),
            // The tenant's key is destroyed, so no event can be added to its audit log.
            Err(StoreError::Key(KeyError::Destroyed)) => None,
            Err(error) => return Err(error),
        };
        let mut tx = self.db().begin().await?;
        if tx.execute(LAST, args![self.tenant, id]).await? > 0
            && let Some(audit_writer) = audit_writer
        {
            let act = AuditEvent::new("workspace.clear", Some(id), id).after(json!({"rows": "none left"}));
            audit_writer.write(&mut tx, act, now).await?;
        }
        tx.commit().await?;
        Ok(false)
    }
}

/// Each deletes the rows of one workspace from a table, a few hundred at a time: `$1` is its bucket, `$2` the
/// workspace. Dependent rows come first.
const PARTS: [&str; 13] = [
    "delete from event_payloads where bucket = $1 and event_id in
             (select d.id from inbound_events d join event_payloads b on b.event_id = d.id and b.bucket = d.bucket
              where d.bucket = $1 and d.workspace_id = $2 limit 500)",
    "delete from inbound_events where bucket = $1 and id in (select id from inbound_events where bucket = $1 and workspace_id = $2 limit 500)",
    "delete from dispatches where bucket = $1 and id in (select id from dispatches where bucket = $1 and workspace_id = $2 limit 500)",
    "delete from callbacks where bucket = $1 and id in (select id from callbacks where bucket = $1 and workspace_id = $2 limit 500)",
    "delete from chains where bucket = $1 and id in (select id from chains where bucket = $1 and workspace_id = $2 limit 500)",
    "delete from calls where bucket = $1 and workspace_id = $2 and call_id in (select call_id from calls where bucket = $1 and workspace_id = $2 limit 500)",
    "delete from persons where bucket = $1 and workspace_id = $2 and phone_hash in (select phone_hash from persons where bucket = $1 and workspace_id = $2 limit 500)",
    "delete from activity_notices where bucket = $1 and workspace_id = $2 and (tenant_id, at, id) in
             (select tenant_id, at, id from activity_notices where bucket = $1 and workspace_id = $2
                and tenant_id = (select tenant_id from workspaces where id = $2) limit 500)",
    "delete from callback_events where bucket = $1 and workspace_id = $2 and id in (select id from callback_events where bucket = $1 and workspace_id = $2 limit 500)",
    "delete from workspace_numbers where $1 >= 0 and workspace_id = $2",
    "delete from webhook_slugs where agent_id in (select id from agents where bucket = $1 and workspace_id = $2)",
    "delete from agents where bucket = $1 and workspace_id = $2",
    "delete from api_keys where $1 >= 0 and workspace_id = $2",
];

impl Store {
    /// Deleted workspaces that can no longer be restored.
    pub async fn removals(
        &self,
        range: (i64, i64),
        before: Timestamp,
    ) -> Result<Vec<DueWorkspace>, StoreError> {
        const SQL: &str = "select id, tenant_id from workspaces
             where bucket between $1 and $2 and deleted_at is not null and deleted_at < $3 limit 10";
        let rows = self.db.read(SQL, args![range.0, range.1, before]).await?;
        rows.iter().map(DueWorkspace::from_row).collect()
    }
}
