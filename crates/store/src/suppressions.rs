//! Numbers that must not be called: a tenant's list, found by the keyed index.

use redialer_core::{Id, Timestamp, chance::Chance, id};

use crate::{
    StoreError, TenantKey,
    engine::{Tx, args},
};

/// Puts a number on the list and ends what waits for it. A dial that has its intent already is not stopped.
pub(crate) async fn suppress(
    tx: &mut Tx,
    bucket: i64,
    key: &TenantKey,
    number: &str,
    source: &str,
    now: Timestamp,
    chance: &Chance,
) -> Result<(), StoreError> {
    const PUT: &str =
        "insert into suppressions (bucket, tenant_id, number_ix, id, source, sealed, created_at)
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
    const END: &str = "update callbacks set state = 'suppressed', outcome = 'do_not_call', held_for = null, fence = fence + 1, updated_at = $4
         where bucket = $1 and workspace_id in (select id from workspaces where tenant_id = $2) and person_ix = $3
           and state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
           and (state in ('scheduled', 'held') or (state = 'dispatching' and dispatch_id is null))";
    let id: Id<id::Suppression> = Id::new(now, chance);
    let sealed = key.seal("suppressions.sealed", id.uuid(), number.as_bytes(), chance);
    let ix = key.index(number);
    tx.execute(PUT, args![bucket, key.tenant(), ix, id, source, sealed, now]).await?;
    tx.execute(END, args![bucket, key.tenant(), ix, now]).await?;
    Ok(())
}

/// Whether a number is on the tenant's list.
pub(crate) async fn is_suppressed(
    tx: &mut Tx,
    bucket: i64,
    tenant: Id<id::Tenant>,
    number_ix: &[u8],
) -> Result<bool, StoreError> {
    const SQL: &str =
        "select 1 as one from suppressions where bucket = $1 and tenant_id = $2 and number_ix = $3";
    Ok(tx.fetch_one(SQL, args![bucket, tenant, number_ix]).await?.is_some())
}
