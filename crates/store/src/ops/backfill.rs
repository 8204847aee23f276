//! Backfill of missed webhooks: workspaces whose calls are to be listed at the provider, and calls whose analysis is
//! missing.
//!
//! Invariants: each backfill is taken by one replica; a workspace's `backfilled_to` advances only after everything that was
//! found is in the inbox.

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    id,
    time::{minutes, plus},
    timing::ANALYSIS_AFTER_MINUTES,
};

use crate::{
    Store, StoreError, at, bucket_of,
    db::{args, row},
};

/// A workspace that is due for a backfill.
#[derive(Debug, Clone, Copy)]
pub struct BackfillRow {
    /// The workspace.
    pub id: Id<id::Workspace>,
    /// Its tenant.
    pub tenant: Id<id::Tenant>,
    /// Calls that ended before this have been checked.
    pub backfilled_to: Timestamp,
    /// When it was connected. Earlier calls are ignored.
    pub created_at: Timestamp,
    /// The restore generation in which it may dial.
    pub restore_generation: i64,
    /// When the first complete backfill of a new restore generation ended.
    pub backfilled_once_at: Option<Timestamp>,
}

/// A call that is over and whose analysis has not arrived.
#[derive(Debug, Clone)]
pub struct MissingAnalysis {
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// Its tenant.
    pub tenant: Id<id::Tenant>,
    /// The provider's id of the call.
    pub call_id: String,
    /// Voice or chat.
    pub channel: Channel,
}

impl Store {
    /// Takes the workspaces that are due for a backfill. Their `backfill_at` moves to `next_at`, so that no other replica
    /// takes them too.
    pub async fn due_backfills(
        &self,
        range: (i64, i64),
        now: Timestamp,
        next_at: Timestamp,
        limit: i64,
    ) -> Result<Vec<BackfillRow>, StoreError> {
        const LIST: &str = "select id, tenant_id, restore_generation, created_at, backfilled_to, backfilled_once_at from workspaces
             where bucket between $1 and $2 and backfill_at <= $3 and deleted_at is null
             order by backfill_at, id limit $4";
        const CLAIM: &str = "update workspaces set backfill_at = $2 where id = $1 and backfill_at <= $3";
        let mut tx = self.db.begin().await?;
        let mut due = Vec::new();
        for row in tx.fetch(LIST, args![range.0, range.1, now, limit]).await? {
            let id = Id::from_uuid(row.get("id")?);
            if tx.execute(CLAIM, args![id, next_at, now]).await? == 1 {
                let created_at: i64 = row.get("created_at")?;
                due.push(BackfillRow {
                    id,
                    tenant: Id::from_uuid(row.get("tenant_id")?),
                    backfilled_to: at(row.get::<Option<i64>>("backfilled_to")?.unwrap_or(created_at)),
                    created_at: at(created_at),
                    restore_generation: row.get("restore_generation")?,
                    backfilled_once_at: row.get::<Option<i64>>("backfilled_once_at")?.map(at),
                });
            }
        }
        tx.commit().await?;
        Ok(due)
    }

    /// Those of these calls whose end has not been processed, in the same order.
    pub async fn unprocessed_calls(
        &self,
        row: &BackfillRow,
        calls: &[String],
    ) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "with v (call_id) as (values {rows})
             select c.call_id from v cross join calls c
             where c.bucket = $1 and c.workspace_id = $2 and c.call_id = v.call_id and c.settled";
        let list = calls.iter().map(|id| row![id]).collect();
        let mut tx = self.db.begin().await?;
        let known = tx.fetch_rows(SQL, row![bucket_of(row.tenant), row.id], list).await?;
        let known = known.iter().map(|r| r.get("call_id")).collect::<Result<Vec<String>, _>>()?;
        Ok(calls.iter().filter(|id| !known.contains(id)).cloned().collect())
    }

    /// Records that all calls that ended before `to` have been checked.
    pub async fn record_backfill(
        &self,
        workspace: Id<id::Workspace>,
        to: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str =
            "update workspaces set backfilled_to = $2 where id = $1 and coalesce(backfilled_to, 0) < $2";
        self.db.write(SQL, args![workspace, to]).await.map(|_| ())
    }

    /// Schedules the next backfill of a workspace for that time, if it is earlier than planned.
    pub async fn backfill_soon(&self, workspace: Id<id::Workspace>, at: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "update workspaces set backfill_at = $2 where id = $1 and backfill_at > $2";
        self.db.write(SQL, args![workspace, at]).await.map(|_| ())
    }

    /// Takes the calls whose analysis is overdue. Each is due again after `ANALYSIS_AFTER_MINUTES`, until it was taken
    /// `max_checks` times.
    pub async fn due_checks(
        &self,
        range: (i64, i64),
        now: Timestamp,
        max_checks: i64,
        limit: i64,
    ) -> Result<Vec<MissingAnalysis>, StoreError> {
        const LIST: &str = "select bucket, workspace_id, tenant_id, call_id, channel, checks from calls
             where +bucket between $1 and $2 and check_at <= $3 order by check_at limit $4";
        const CLAIM: &str = "update calls set checks = checks + 1, check_at = $5
             where bucket = $1 and workspace_id = $2 and call_id = $3 and check_at <= $4";
        let mut tx = self.db.begin().await?;
        let mut due = Vec::new();
        for row in tx.fetch(LIST, args![range.0, range.1, now, limit]).await? {
            let (bucket, checks): (i64, i64) = (row.get("bucket")?, row.get("checks")?);
            let check = MissingAnalysis {
                workspace: Id::from_uuid(row.get("workspace_id")?),
                tenant: Id::from_uuid(row.get("tenant_id")?),
                call_id: row.get("call_id")?,
                channel: Channel::from_stored(&row.get::<Option<String>>("channel")?.unwrap_or_default()),
            };
            let next = (checks + 1 < max_checks).then(|| plus(now, minutes(ANALYSIS_AFTER_MINUTES)));
            if tx.execute(CLAIM, args![bucket, check.workspace, &check.call_id, now, next]).await? == 1 {
                due.push(check);
            }
        }
        tx.commit().await?;
        Ok(due)
    }
}
