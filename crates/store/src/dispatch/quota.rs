//! Calls per calendar month, and the plan's limit on them.
//!
//! Invariants (I18): a dispatch is counted in the transaction that writes its intent, so concurrent replicas cannot
//! exceed the limit. A dispatch that was certainly not placed is subtracted in the transaction that records this. A
//! callback without room is held, and released when there is room. Test calls are not counted, because they call no
//! one.

use std::collections::BTreeMap;

use redialer_core::{
    Id, Timestamp, id,
    quota::{RemainingCalls, period},
};
use uuid::Uuid;

use crate::{
    Store, StoreError, TenantStore, at, bucket_of,
    callbacks::transitions,
    db::{Row, Tx, args, bulk_sql::RowValues, row},
    dispatch::prepared::Prepared,
};

/// Identifies the row that counts a whole tenant.
const ALL_WORKSPACES: Id<id::Workspace> = Id::from_uuid(Uuid::nil());

/// A tenant's month: bucket, tenant, period.
type Month = (i64, Uuid, i64);

/// The month that a dial counts toward; `None` for a test.
pub(crate) fn month_of(p: &Prepared) -> Option<Month> {
    (!p.claim.test).then(|| (p.claim.bucket, p.claim.tenant.uuid(), period(p.now)))
}

/// The room that the plans of these dials leave. Other transactions cannot count before this one ends.
pub(crate) async fn room(tx: &mut Tx, prepared: &[&Prepared]) -> Result<RemainingCalls<Month>, StoreError> {
    let limits: BTreeMap<Month, u64> =
        prepared.iter().filter_map(|p| Some((month_of(p)?, p.new.calls_a_month?))).collect();
    // The rows stay locked until the transaction ends.
    let rows = limits.keys().map(|month| added(*month, ALL_WORKSPACES.uuid(), 0)).collect();
    let mut used = Vec::new();
    for row in tx.fetch_rows(ADD, vec![], rows).await? {
        let month: Month = (row.get("bucket")?, row.get("tenant_id")?, row.get("period")?);
        let limit = limits.get(&month).ok_or(StoreError::Corrupt("use"))?;
        used.push((month, *limit, row.get("calls")?));
    }
    Ok(RemainingCalls::new(used))
}

/// Adds to the counts and returns them. Rows are in key order, so that two transactions cannot deadlock.
const ADD: &str = "insert into usage (bucket, tenant_id, period, workspace_id, calls) values {rows}
     on conflict (bucket, tenant_id, period, workspace_id) do update set calls = usage.calls + excluded.calls
     returning bucket, tenant_id, period, calls";

fn added(month: Month, workspace: Uuid, n: i64) -> RowValues {
    let (bucket, tenant, period) = month;
    row![bucket, Id::<id::Tenant>::from_uuid(tenant), period, Id::<id::Workspace>::from_uuid(workspace), n]
}

/// Counts the intents that were written.
pub(crate) async fn count(tx: &mut Tx, kept: &[&Prepared]) -> Result<(), StoreError> {
    let mut counts: BTreeMap<(Month, Uuid), i64> = BTreeMap::new();
    for p in kept {
        let Some(month) = month_of(p) else { continue };
        for workspace in [ALL_WORKSPACES, p.claim.workspace] {
            *counts.entry((month, workspace.uuid())).or_default() += 1;
        }
    }
    let rows = counts.into_iter().map(|((month, workspace), n)| added(month, workspace, n)).collect();
    tx.execute_rows(ADD, vec![], rows).await.map(|_| ())
}

/// Subtracts a dispatch that was certainly not placed. Its row has `bucket`, `tenant_id`, `workspace_id`, `sent_at`,
/// `test`.
pub(crate) async fn uncount(tx: &mut Tx, dispatch: &Row) -> Result<(), StoreError> {
    if dispatch.get("is_test")? {
        return Ok(());
    }
    let month = (dispatch.get("bucket")?, dispatch.get("tenant_id")?, period(at(dispatch.get("sent_at")?)));
    let rows =
        [ALL_WORKSPACES.uuid(), dispatch.get("workspace_id")?].map(|workspace| added(month, workspace, -1));
    tx.execute_rows(ADD, vec![], rows.into()).await.map(|_| ())
}

impl TenantStore {
    /// Calls in the month of `now` that count toward the plan, over all of the tenant's workspaces.
    pub async fn calls_of_plan(&self, now: Timestamp) -> Result<i64, StoreError> {
        self.calls_of(ALL_WORKSPACES, now).await
    }

    /// Calls in the month of `now`, of one workspace or of all.
    pub async fn calls_this_month(
        &self,
        workspace: Option<Id<id::Workspace>>,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        self.calls_of(self.narrowed(workspace)?.unwrap_or(ALL_WORKSPACES), now).await
    }

    async fn calls_of(&self, workspace: Id<id::Workspace>, now: Timestamp) -> Result<i64, StoreError> {
        const SQL: &str = "select calls from usage where bucket = $1 and tenant_id = $2 and period = $3 and workspace_id = $4";
        let args = args![bucket_of(self.tenant), self.tenant, period(now), workspace];
        self.db().read_one(SQL, args).await?.map_or(Ok(0), |row| row.get("calls"))
    }

    /// Releases up to `room` callbacks that are held for the plan's quota, the longest due first; returns how many.
    /// Time spent held is not lateness: an overdue callback is rescheduled to now, and quiet hours apply to it.
    pub async fn release_quota(&self, room: i64, now: Timestamp) -> Result<usize, StoreError> {
        let mut tx = self.db().begin().await?;
        let n = transitions::release_quota(&mut tx, (bucket_of(self.tenant), self.tenant), room, now).await?;
        tx.commit().await?;
        Ok(n)
    }
}

impl Store {
    /// Tenants with callbacks that are held for the plan's quota.
    pub async fn over_quota(
        &self,
        range: (i64, i64),
        now: Timestamp,
    ) -> Result<Vec<Id<id::Tenant>>, StoreError> {
        const SQL: &str = "select distinct tenant_id from callbacks
             where due_at <= $3 and +bucket between $1 and $2 and state = 'held' and held_for = 'quota'";
        let rows = self.db.read(SQL, args![range.0, range.1, now]).await?;
        rows.iter().map(|row| Ok(Id::from_uuid(row.get("tenant_id")?))).collect()
    }
}
