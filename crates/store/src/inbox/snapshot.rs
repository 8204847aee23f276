//! The stored state for a batch of events: their calls, the retries of these, and the dials that the calls are.

use std::collections::{BTreeMap, BTreeSet};

use redialer_core::{Id, Timestamp, agent::Channel, callback::ActiveCallback, decide::Redial, id};
use uuid::Uuid;

use crate::{
    EventRow, StoreError, at,
    callbacks::persons::{PersonRef, live_of},
    db::{Tx, bulk_sql::RowValues, row},
    inbox::redials::RedialRow,
};

/// An event to decide.
pub struct DecisionKey<'a> {
    /// The recorded event.
    pub event: EventRow,
    /// The provider's id of the call.
    pub call_id: &'a str,
    /// Voice or chat.
    pub channel: Channel,
    /// The keyed hash of the person's number.
    pub phone_hash: Option<[u8; 16]>,
    /// The callback that the call is a dial of.
    pub redial: Option<&'a RedialRow>,
}

impl DecisionKey<'_> {
    pub(crate) fn call(&self) -> CallKey {
        (self.event.workspace.uuid(), self.call_id.to_owned())
    }

    pub(crate) fn person(&self) -> Option<PersonRef> {
        let EventRow { bucket, tenant, workspace, .. } = self.event;
        Some(PersonRef { bucket, tenant, workspace, ix: self.phone_hash? })
    }
}

/// A workspace, and the provider's id of one of its calls.
pub(crate) type CallKey = (Uuid, String);

/// The stored state of a call.
#[derive(Default)]
pub(crate) struct CallRow {
    pub(crate) settled: bool,
    pub(crate) analyzed: bool,
    pub(crate) retry: Option<Id<id::Callback>>,
    pub(crate) check_at: Option<Timestamp>,
}

fn call_values(key: &DecisionKey<'_>) -> RowValues {
    row![key.event.bucket, key.event.workspace, key.call_id]
}

/// The events of the batch that are still pending.
pub(crate) async fn pending(tx: &mut Tx, keys: &[DecisionKey<'_>]) -> Result<BTreeSet<Uuid>, StoreError> {
    const SQL: &str = "with v (bucket, id) as (values {rows})
         select d.id from v cross join inbound_events d
         where d.bucket = v.bucket and d.id = v.id and (d.state = 'pending') is true";
    let rows = keys.iter().map(|key| row![key.event.bucket, key.event.id]).collect();
    tx.fetch_rows(SQL, vec![], rows).await?.iter().map(|row| row.get("id")).collect()
}

/// Reads the calls of the batch. On Postgres their rows stay locked, so that concurrent decisions about them wait.
pub(crate) async fn read_calls(
    tx: &mut Tx,
    keys: &[DecisionKey<'_>],
) -> Result<BTreeMap<CallKey, CallRow>, StoreError> {
    macro_rules! calls {
        ($end:literal) => {
            concat!(
                "with v (bucket, workspace_id, call_id) as (values {rows})
                 select c.workspace_id, c.call_id, c.settled, c.analyzed, c.retry_id, c.check_at
                 from v cross join calls c
                 where c.bucket = v.bucket and c.workspace_id = v.workspace_id and c.call_id = v.call_id",
                $end
            )
        };
    }
    const READ: &str = calls!("");
    // In key order, so that two transactions cannot deadlock.
    const LOCK: &str = calls!(" order by c.workspace_id, c.call_id for update of c");
    let sql = if tx.is_postgres()? { LOCK } else { READ };
    let mut calls = BTreeMap::new();
    for row in tx.fetch_rows(sql, vec![], keys.iter().map(call_values).collect()).await? {
        let call = CallRow {
            settled: row.get("settled")?,
            analyzed: row.get("analyzed")?,
            retry: row.get::<Option<Uuid>>("retry_id")?.map(Id::from_uuid),
            check_at: row.get::<Option<i64>>("check_at")?.map(at),
        };
        calls.insert((row.get("workspace_id")?, row.get("call_id")?), call);
    }
    Ok(calls)
}

/// The retries that these calls led to, if they still wait.
pub(crate) async fn read_retries(
    tx: &mut Tx,
    keys: &[&DecisionKey<'_>],
    calls: &BTreeMap<CallKey, CallRow>,
) -> Result<BTreeMap<Uuid, ActiveCallback>, StoreError> {
    const SQL: &str = "with v (bucket, id) as (values {rows})
         select b.id, b.chain_id, b.state, b.reason, b.source_ended_at, b.agent_id, coalesce(c.attempts_used, 0) as attempts_used
         from v cross join callbacks b left join chains c on c.bucket = b.bucket and c.id = b.chain_id
         where b.bucket = v.bucket and b.id = v.id and b.state in ('scheduled', 'held')";
    let retry = |key: &&DecisionKey<'_>| Some(row![key.event.bucket, calls.get(&key.call())?.retry?]);
    let rows = tx.fetch_rows(SQL, vec![], keys.iter().filter_map(retry).collect()).await?;
    rows.iter().map(|row| live_of(row).map(|live| (live.id.uuid(), live))).collect()
}

/// The state of the dials that these calls are, by dispatch.
pub(crate) async fn read_redials(
    tx: &mut Tx,
    keys: &[&DecisionKey<'_>],
) -> Result<BTreeMap<Uuid, Redial>, StoreError> {
    const SQL: &str = "with v (bucket, dispatch_id, chain_id) as (values {rows})
         select d.id, d.state, c.attempts_used
         from v cross join dispatches d cross join chains c
         where d.bucket = v.bucket and d.id = v.dispatch_id and c.bucket = v.bucket and c.id = v.chain_id";
    let ours: Vec<(i64, &RedialRow)> =
        keys.iter().filter_map(|key| Some((key.event.bucket, key.redial?))).collect();
    let rows = ours.iter().map(|(bucket, redial)| row![*bucket, redial.dispatch, redial.chain]).collect();
    let mut states: BTreeMap<Uuid, (u32, bool)> = BTreeMap::new();
    for row in tx.fetch_rows(SQL, vec![], rows).await? {
        let attempts_used = u32::try_from(row.get::<i64>("attempts_used")?).unwrap_or(0);
        states.insert(row.get("id")?, (attempts_used, row.get::<String>("state")? == "unresolved"));
    }
    let redial = |(_, redial): (i64, &RedialRow)| {
        let (attempts_used, unresolved) =
            states.get(&redial.dispatch.uuid()).copied().ok_or(StoreError::Corrupt("chain"))?;
        let (id, chain, source_outcome) = (redial.callback, redial.chain, redial.source_outcome.clone());
        Ok((redial.dispatch.uuid(), Redial { id, chain, attempts_used, source_outcome, unresolved }))
    };
    ours.into_iter().map(redial).collect()
}
