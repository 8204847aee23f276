//! Finds the calls that are dials of ours, by our dispatch id in their metadata or by the provider's call id.

use redialer_core::{Id, id};
use uuid::Uuid;

use crate::{
    EventRow, Secrets, Store, StoreError, TenantKey,
    db::{Row, row},
};

/// The callback that a call is a dial of. These fields do not change while it is dialed.
#[derive(Clone)]
pub struct RedialRow {
    /// The dispatch.
    pub dispatch: Id<id::Dispatch>,
    /// The callback.
    pub callback: Id<id::Callback>,
    /// Its chain.
    pub chain: Id<id::Chain>,
    /// The agent that dialed.
    pub agent: Id<id::Agent>,
    /// The keyed hash of the number.
    pub phone_hash: [u8; 16],
    pub(crate) source_outcome: Option<String>,
    sealed: Vec<u8>,
}

impl RedialRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            dispatch: Id::from_uuid(row.get("dispatch_id")?),
            callback: Id::from_uuid(row.get("id")?),
            chain: Id::from_uuid(row.get("chain_id")?),
            agent: Id::from_uuid(row.get("agent_id")?),
            phone_hash: row.phone_hash("phone_hash")?,
            source_outcome: row.get("source_outcome")?,
            sealed: row.get("sealed")?,
        })
    }

    /// Opens the callback's personal data.
    pub fn secrets(&self, key: &TenantKey) -> Result<Secrets, StoreError> {
        Secrets::open(self.callback, &self.sealed, key)
    }
}

/// A call that may be a dial of ours.
#[derive(Clone, Copy)]
pub struct RedialProbe<'a> {
    /// An event of the call.
    pub event: EventRow,
    /// The dispatch id in its metadata.
    pub dispatch: Option<Id<id::Dispatch>>,
    /// The provider's id of the call.
    pub call_id: &'a str,
}

impl Store {
    /// The callbacks that these calls are dials of, in the same order.
    pub async fn redials(&self, probes: &[RedialProbe<'_>]) -> Result<Vec<Option<RedialRow>>, StoreError> {
        // Excludes a dispatch that became another call.
        const SQL: &str = "with v (event_id, bucket, workspace_id, dispatch_id, call_id, is_test) as (values {rows}),
             found as (
                 select v.event_id, v.is_test, d.bucket, d.id, d.callback_id from v cross join dispatches d
                     where d.bucket = v.bucket and d.id = v.dispatch_id and d.workspace_id = v.workspace_id
                       and (d.call_id is null or d.call_id = v.call_id)
                 union select v.event_id, v.is_test, d.bucket, d.id, d.callback_id from v cross join dispatches d
                     where d.bucket = v.bucket and d.workspace_id = v.workspace_id and d.call_id = v.call_id)
             select f.event_id, f.id as dispatch_id, c.id, c.chain_id, c.agent_id, c.phone_hash, c.source_outcome, c.sealed
             from found f cross join callbacks c
             where c.bucket = f.bucket and c.id = f.callback_id and c.is_test = f.is_test";
        let values = |probe: &RedialProbe<'_>| {
            let event = probe.event;
            row![event.id, event.bucket, event.workspace, probe.dispatch, probe.call_id, event.test]
        };
        let mut redials = vec![None; probes.len()];
        for row in self.db.read_rows(SQL, probes.iter().map(values).collect()).await? {
            let event: Uuid = row.get("event_id")?;
            if let Some(place) = probes.iter().position(|probe| probe.event.id.uuid() == event) {
                redials[place] = Some(RedialRow::from_row(&row)?);
            }
        }
        Ok(redials)
    }
}
