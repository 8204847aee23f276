//! Calls of a calendar month, and the plan's limit on them.
//!
//! Invariants (I18): a dispatch is counted in the transaction that writes its intent, so that of two replicas none goes
//! beyond the limit; what was certainly not placed is taken off in the transaction that says so. What finds no room is
//! held, and goes on by itself when there is some. Test calls are not counted: nobody is called.

use std::collections::BTreeMap;

use redialer_core::{
    Id, Timestamp, id,
    quota::{Room, period},
};
use uuid::Uuid;

use crate::{
    Store, StoreError, TenantStore, at, bucket_of,
    dispatch::Prepared,
    engine::{Row, Tx, args},
    transitions,
};

/// The row of a whole tenant.
const ALL: Id<id::Workspace> = Id::from_uuid(Uuid::nil());

/// A tenant's month: bucket, tenant, period.
type Month = (i64, Uuid, i64);

/// The month that a dial counts in; a test in none.
pub(crate) fn month_of(p: &Prepared) -> Option<Month> {
    (!p.claim.test).then(|| (p.claim.bucket, p.claim.tenant.uuid(), period(p.now())))
}

/// The room that the plans of these leave; nobody else counts before this transaction ends.
pub(crate) async fn room(tx: &mut Tx, prepared: &[&Prepared]) -> Result<Room<Month>, StoreError> {
    const FIRST: &str =
        "insert into usage (bucket, tenant_id, period, workspace_id, calls) values ($1, $2, $3, $4, 0)
         on conflict do nothing";
    // Whoever has this row counts next.
    const ROOM: &str = "update usage set calls = calls where bucket = $1 and tenant_id = $2 and period = $3
         and workspace_id = $4 returning calls";
    let limits: BTreeMap<Month, u64> =
        prepared.iter().filter_map(|p| Some((month_of(p)?, p.limit()?))).collect();
    let mut used = Vec::new();
    for (month, limit) in limits {
        let (bucket, tenant, period) = (month.0, Id::<id::Tenant>::from_uuid(month.1), month.2);
        tx.execute(FIRST, args![bucket, tenant, period, ALL]).await?;
        let row = tx.fetch_one(ROOM, args![bucket, tenant, period, ALL]).await?;
        used.push((month, limit, row.ok_or(StoreError::Corrupt("use"))?.get("calls")?));
    }
    Ok(Room::new(used))
}

const ADD: &str = "insert into usage (bucket, tenant_id, period, workspace_id, calls) values ($1, $2, $3, $4, $5)
     on conflict (bucket, tenant_id, period, workspace_id) do update set calls = usage.calls + excluded.calls";

/// Counts intents that were written.
pub(crate) async fn count(tx: &mut Tx, kept: &[&Prepared]) -> Result<(), StoreError> {
    let mut counts: BTreeMap<(i64, Uuid, i64, Uuid), i64> = BTreeMap::new();
    for p in kept.iter().filter(|p| !p.claim.test) {
        for workspace in [ALL, p.claim.workspace] {
            let of = (p.claim.bucket, p.claim.tenant.uuid(), period(p.now()), workspace.uuid());
            *counts.entry(of).or_default() += 1;
        }
    }
    for ((bucket, tenant, period, workspace), n) in counts {
        let (tenant, workspace) =
            (Id::<id::Tenant>::from_uuid(tenant), Id::<id::Workspace>::from_uuid(workspace));
        tx.execute(ADD, args![bucket, tenant, period, workspace, n]).await?;
    }
    Ok(())
}

/// Takes a dispatch off again that was certainly not placed: a row with `bucket`, `tenant_id`, `workspace_id`, `sent_at`, `test`.
pub(crate) async fn take_off(tx: &mut Tx, dispatch: &Row) -> Result<(), StoreError> {
    if dispatch.get("test")? {
        return Ok(());
    }
    let bucket: i64 = dispatch.get("bucket")?;
    let tenant: Id<id::Tenant> = Id::from_uuid(dispatch.get("tenant_id")?);
    let period = period(at(dispatch.get("sent_at")?));
    for workspace in [ALL, Id::from_uuid(dispatch.get("workspace_id")?)] {
        tx.execute(ADD, args![bucket, tenant, period, workspace, -1_i64]).await?;
    }
    Ok(())
}

impl TenantStore {
    /// Calls of the month of `now` that count against the plan, whichever of the tenant's workspaces made them.
    pub async fn calls_of_plan(&self, now: Timestamp) -> Result<i64, StoreError> {
        self.calls_of(ALL, now).await
    }

    /// Calls of the month of `now`, of a workspace or of all.
    pub async fn calls_this_month(
        &self,
        workspace: Option<Id<id::Workspace>>,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        self.calls_of(self.narrowed(workspace)?.unwrap_or(ALL), now).await
    }

    async fn calls_of(&self, workspace: Id<id::Workspace>, now: Timestamp) -> Result<i64, StoreError> {
        const SQL: &str = "select calls from usage where bucket = $1 and tenant_id = $2 and period = $3 and workspace_id = $4";
        let args = args![bucket_of(self.tenant), self.tenant, period(now), workspace];
        self.db().read_one(SQL, args).await?.map_or(Ok(0), |row| row.get("calls"))
    }

    /// Lets so many of those go on that wait for room in the plan, the longest due first; how many there were. The time
    /// they were held is not lateness: what is overdue is planned for now, and quiet time binds it.
    pub async fn release_quota(&self, room: i64, now: Timestamp) -> Result<usize, StoreError> {
        let mut tx = self.db().begin().await?;
        let n = transitions::release_quota(&mut tx, (bucket_of(self.tenant), self.tenant), room, now).await?;
        tx.commit().await?;
        Ok(n)
    }
}

impl Store {
    /// Tenants of whom something waits for room in the plan.
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
