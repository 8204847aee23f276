//! Chains, and the dials that each has spent.
//!
//! Invariant: a chain gets its row with its first intent. A chain without a row has spent nothing, and most waiting
//! callbacks belong to such chains.

use redialer_core::{Id, Timestamp, id};

use crate::{
    StoreError,
    db::{Tx, Value, row},
};

/// The values of a chain's row.
pub(crate) fn opened(
    bucket: i64,
    id: Id<id::Chain>,
    tenant: Id<id::Tenant>,
    workspace: Id<id::Workspace>,
    now: Timestamp,
) -> Vec<Value> {
    row![bucket, id, tenant, workspace, 0_i64, now]
}

/// Inserts the rows of chains that have none.
pub(crate) async fn open_all(tx: &mut Tx, chains: Vec<Vec<Value>>) -> Result<(), StoreError> {
    const SQL: &str =
        "insert into chains (bucket, id, tenant_id, workspace_id, attempts_used, created_at) values {rows}
         on conflict do nothing";
    tx.execute_rows(SQL, vec![], chains).await.map(|_| ())
}
