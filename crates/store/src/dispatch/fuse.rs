//! The fuse (I38): a final limit on the calls to one number, independent of every policy above it.
//!
//! Invariants: committed intents are counted, in the transaction that writes the next one, over all workspaces of a
//! tenant. Dispatches that certainly placed no call are not counted. Transactions of one tenant count one after
//! another.

use std::collections::{BTreeMap, BTreeSet};

use redialer_core::{
    Id, Timestamp,
    fuse::{FuseLimits, RecentCalls},
    id,
};
use uuid::Uuid;

use crate::{
    StoreError, TenantStore, bucket_of,
    db::{Row, Tx, args, row},
    dispatch::prepared::Prepared,
};

fn calls_of(row: &Row) -> Result<RecentCalls, StoreError> {
    Ok(RecentCalls { day: row.get("day")?, minutes: row.get("minutes")? })
}

/// Returns the callbacks, among those to be dialed now, whose number has reached its limit.
pub(crate) async fn blown(tx: &mut Tx, prepared: &[&Prepared]) -> Result<BTreeSet<Uuid>, StoreError> {
    const TURN: &str = "with v (id) as (values {rows})
         select t.id from v cross join tenants t where t.id = v.id order by t.id for update of t";
    const COUNT: &str = "with v (bucket, tenant_id, phone_hash, since_day, since_minutes) as (values {rows})
         select v.tenant_id, v.phone_hash,
             (select count(*) from dispatches d where d.bucket = v.bucket and d.tenant_id = v.tenant_id
                 and d.phone_hash = v.phone_hash and d.sent_at > v.since_day
                 and d.state not in ('refused', 'not_placed')) as day,
             (select count(*) from dispatches d where d.bucket = v.bucket and d.tenant_id = v.tenant_id
                 and d.phone_hash = v.phone_hash and d.sent_at > v.since_minutes
                 and d.state not in ('refused', 'not_placed')) as minutes
         from v";
    // Test dispatches place no call.
    let live: Vec<&Prepared> = prepared.iter().copied().filter(|p| !p.claim.test).collect();
    if tx.is_postgres()? {
        let tenants: BTreeSet<Uuid> = live.iter().map(|p| p.claim.tenant.uuid()).collect();
        let rows = tenants.into_iter().map(|t| row![Id::<id::Tenant>::from_uuid(t)]).collect();
        tx.fetch_rows(TURN, vec![], rows).await?;
    }
    let mut numbers = BTreeMap::new();
    for p in &live {
        let since = RecentCalls::since(p.now);
        let c = &p.claim;
        numbers.insert(
            (c.tenant.uuid(), c.phone_hash),
            row![c.bucket, c.tenant, c.phone_hash, since.0, since.1],
        );
    }
    let mut calls: BTreeMap<(Uuid, Vec<u8>), RecentCalls> = BTreeMap::new();
    for row in tx.fetch_rows(COUNT, vec![], numbers.into_values().collect()).await? {
        calls.insert((row.get("tenant_id")?, row.get("phone_hash")?), calls_of(&row)?);
    }
    let mut blown = BTreeSet::new();
    for p in live {
        let calls = calls.entry((p.claim.tenant.uuid(), p.claim.phone_hash.to_vec())).or_default();
        if p.new.fuse.are_reached(*calls) {
            blown.insert(p.claim.id.uuid());
        } else {
            calls.count();
        }
    }
    Ok(blown)
}

impl TenantStore {
    /// Whether a number has reached its limit, so that the next call would be held.
    pub async fn is_fuse_blown(
        &self,
        phone_hash: [u8; 16],
        limits: FuseLimits,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "select count(*) as day, cast(coalesce(sum(case when sent_at > $5 then 1 else 0 end), 0) as bigint) as minutes
             from dispatches where bucket = $1 and tenant_id = $2 and phone_hash = $3 and sent_at > $4
               and state not in ('refused', 'not_placed')";
        if self.is_for_tests() {
            return Ok(false);
        }
        let since = RecentCalls::since(now);
        let args = args![bucket_of(self.tenant), self.tenant, phone_hash, since.0, since.1];
        let row = self.db().read_one(SQL, args).await?.ok_or(StoreError::Corrupt("count"))?;
        Ok(limits.are_reached(calls_of(&row)?))
    }
}
