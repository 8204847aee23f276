//! What is known about a batch of events: of their calls, their persons and the dials they are of.

use std::collections::{BTreeMap, BTreeSet};

use redialer_core::{
    Id, Timestamp,
    callback::Live,
    decide::{Person, Redial},
    id,
};
use uuid::Uuid;

use crate::{
    DecisionKey, StoreError, at,
    bulk_sql::RowValues,
    engine::{Tx, row},
    persons::live_of,
    redials::RedialRow,
};

/// A workspace, and the provider's id of one of its calls.
pub(crate) type CallKey = (Uuid, String);
/// A workspace, and the keyed hash of a number.
pub(crate) type PersonKey = (Uuid, [u8; 16]);

/// What is stored about a call.
#[derive(Default)]
pub(crate) struct CallRow {
    pub(crate) settled: bool,
    pub(crate) analyzed: bool,
    pub(crate) retry: Option<Id<id::Callback>>,
    pub(crate) check_at: Option<Timestamp>,
}

/// Makes others that decide about these persons and calls wait until this transaction ends.
pub(crate) async fn lock(tx: &mut Tx, keys: &[DecisionKey<'_>]) -> Result<(), StoreError> {
    const PERSONS: &str =
        "insert into persons (bucket, workspace_id, person_ix, tenant_id, seq) values {rows}
         on conflict (bucket, workspace_id, person_ix) do update set seq = persons.seq + 1";
    const CALLS: &str = "with v (bucket, workspace_id, call_id) as (values {rows})
         select 1 as one from v cross join calls c
         where c.bucket = v.bucket and c.workspace_id = v.workspace_id and c.call_id = v.call_id
         order by c.workspace_id, c.call_id for update of c";
    if !tx.is_postgres()? {
        return Ok(());
    }
    let mut persons = BTreeMap::new();
    for key in keys {
        let event = key.event;
        if let Some(person) = key.person() {
            persons.insert(person, row![event.bucket, event.workspace, person.1, event.tenant, 1_i64]);
        }
    }
    tx.execute_rows(PERSONS, vec![], persons.into_values().collect()).await?;
    tx.fetch_rows(CALLS, vec![], keys.iter().map(call_values).collect()).await?;
    Ok(())
}

fn call_values(key: &DecisionKey<'_>) -> RowValues {
    row![key.event.bucket, key.event.workspace, key.call_id]
}

/// The events of the batch that nobody has decided yet.
pub(crate) async fn pending(tx: &mut Tx, keys: &[DecisionKey<'_>]) -> Result<BTreeSet<Uuid>, StoreError> {
    const SQL: &str = "with v (bucket, id) as (values {rows})
         select d.id from v cross join deliveries d
         where d.bucket = v.bucket and d.id = v.id and (d.state = 'pending') is true";
    let rows = keys.iter().map(|key| row![key.event.bucket, key.event.id]).collect();
    tx.fetch_rows(SQL, vec![], rows).await?.iter().map(|row| row.get("id")).collect()
}

pub(crate) async fn read_calls(
    tx: &mut Tx,
    keys: &[&DecisionKey<'_>],
) -> Result<BTreeMap<CallKey, CallRow>, StoreError> {
    const SQL: &str = "with v (bucket, workspace_id, call_id) as (values {rows})
         select c.workspace_id, c.call_id, c.settled, c.analyzed, c.retry_id, c.check_at
         from v cross join calls c
         where c.bucket = v.bucket and c.workspace_id = v.workspace_id and c.call_id = v.call_id";
    let mut calls = BTreeMap::new();
    for row in tx.fetch_rows(SQL, vec![], keys.iter().map(|key| call_values(key)).collect()).await? {
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

/// The retries that these calls led to, where they still wait.
pub(crate) async fn read_retries(
    tx: &mut Tx,
    keys: &[&DecisionKey<'_>],
    calls: &BTreeMap<CallKey, CallRow>,
) -> Result<BTreeMap<Uuid, Live>, StoreError> {
    const SQL: &str = "with v (bucket, id) as (values {rows})
         select b.id, b.chain_id, b.state, b.reason, b.born_of, b.agent_id, coalesce(c.spent, 0) as spent
         from v cross join callbacks b left join chains c on c.bucket = b.bucket and c.id = b.chain_id
         where b.bucket = v.bucket and b.id = v.id and b.state in ('scheduled', 'held')";
    let retry = |key: &&DecisionKey<'_>| Some(row![key.event.bucket, calls.get(&key.call())?.retry?]);
    let rows = tx.fetch_rows(SQL, vec![], keys.iter().filter_map(retry).collect()).await?;
    rows.iter().map(|row| live_of(row).map(|live| (live.id.uuid(), live))).collect()
}

pub(crate) async fn read_persons(
    tx: &mut Tx,
    keys: &[&DecisionKey<'_>],
) -> Result<BTreeMap<PersonKey, Person>, StoreError> {
    // Left joins: so both engines begin with the persons of the batch.
    const SQL: &str = "with v (bucket, workspace_id, person_ix, tenant_id) as (values {rows})
         select v.workspace_id, v.person_ix, p.reached_at, s.id as suppression_id, b.id, b.chain_id, b.state, b.reason,
             b.born_of, b.agent_id, coalesce(c.spent, 0) as spent
         from v
             left join persons p
                 on p.bucket = v.bucket and p.workspace_id = v.workspace_id and p.person_ix = v.person_ix
             left join suppressions s
                 on s.bucket = v.bucket and s.tenant_id = v.tenant_id and s.number_ix = v.person_ix
             left join callbacks b
                 on b.bucket = v.bucket and b.workspace_id = v.workspace_id and b.person_ix = v.person_ix
                 and b.state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
             left join chains c on c.bucket = b.bucket and c.id = b.chain_id
         where p.bucket is not null or s.bucket is not null or b.bucket is not null";
    let values = |key: &&DecisionKey<'_>| {
        Some(row![key.event.bucket, key.event.workspace, key.person_ix?, key.event.tenant])
    };
    let mut persons: BTreeMap<PersonKey, Person> = BTreeMap::new();
    // A row for each callback that is not final, or one row.
    for row in tx.fetch_rows(SQL, vec![], keys.iter().filter_map(values).collect()).await? {
        let ix: Vec<u8> = row.get("person_ix")?;
        let ix = ix.try_into().map_err(|_| StoreError::Corrupt("number index"))?;
        let person = persons.entry((row.get("workspace_id")?, ix)).or_default();
        person.suppressed = row.get::<Option<Uuid>>("suppression_id")?.is_some();
        person.reached_at = row.get::<Option<i64>>("reached_at")?.map(at);
        if row.get::<Option<Uuid>>("id")?.is_some() {
            person.live.push(live_of(&row)?);
        }
    }
    Ok(persons)
}

/// The state of the dials that these calls are, by dispatch.
pub(crate) async fn read_redials(
    tx: &mut Tx,
    keys: &[&DecisionKey<'_>],
) -> Result<BTreeMap<Uuid, Redial>, StoreError> {
    const SQL: &str = "with v (bucket, dispatch_id, chain_id) as (values {rows})
         select d.id, d.state, c.spent
         from v cross join dispatches d cross join chains c
         where d.bucket = v.bucket and d.id = v.dispatch_id and c.bucket = v.bucket and c.id = v.chain_id";
    let ours: Vec<(i64, &RedialRow)> =
        keys.iter().filter_map(|key| Some((key.event.bucket, key.redial?))).collect();
    let rows = ours.iter().map(|(bucket, redial)| row![*bucket, redial.dispatch, redial.chain]).collect();
    let mut states: BTreeMap<Uuid, (u32, bool)> = BTreeMap::new();
    for row in tx.fetch_rows(SQL, vec![], rows).await? {
        let spent = u32::try_from(row.get::<i64>("spent")?).unwrap_or(0);
        states.insert(row.get("id")?, (spent, row.get::<String>("state")? == "unresolved"));
    }
    let redial = |(_, redial): (i64, &RedialRow)| {
        let (spent, unresolved) =
            states.get(&redial.dispatch.uuid()).copied().ok_or(StoreError::Corrupt("chain"))?;
        let (id, chain, cause) = (redial.callback, redial.chain, redial.cause.clone());
        Ok((redial.dispatch.uuid(), Redial { id, chain, spent, cause, unresolved }))
    };
    ours.into_iter().map(redial).collect()
}
