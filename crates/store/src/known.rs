//! What is known of a batch's calls and persons: read together, locked by nothing.

use std::collections::BTreeMap;

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::Live,
    decide::{Person, Seen},
    delivery::Sameness,
    id,
};
use uuid::Uuid;

use crate::{
    StoreError, at,
    engine::{Row, Tx, row},
    intake::{Arrival, Case, Reading},
    persons::live_of,
};

/// A workspace, and the provider's id of one of its calls.
pub(crate) type CallKey<'a> = (Uuid, &'a str);
/// A workspace, and the keyed index of a number.
pub(crate) type PersonKey = (Uuid, [u8; 16]);

/// One call's row, as it is and as it will be.
pub(crate) struct CallState {
    pub(crate) bucket: i64,
    pub(crate) tenant: Id<id::Tenant>,
    /// A bit for each moment that was heard of.
    pub(crate) events: i64,
    /// What the row says; 0 when there is none.
    pub(crate) seq: i64,
    pub(crate) settled: bool,
    pub(crate) analyzed: bool,
    pub(crate) retry: Option<Id<id::Callback>>,
    pub(crate) check_at: Option<Timestamp>,
    pub(crate) seen_at: Timestamp,
    /// Voice or chat, once an event told.
    pub(crate) channel: Option<Channel>,
    /// It is a dial of ours.
    is_ours: bool,
    /// Something about it is to be written.
    pub(crate) changed: bool,
}

/// The calls of a batch.
#[derive(Default)]
pub(crate) struct Calls<'b>(BTreeMap<Uuid, BTreeMap<&'b str, CallState>>);

impl<'b> Calls<'b> {
    pub(crate) async fn read(tx: &mut Tx, batch: &'b [Arrival]) -> Result<Self, StoreError> {
        const SQL: &str = "select v.column2 as workspace_id, v.column3 as call_id, c.events, c.seq, c.settled, c.analyzed,
                 c.retry_id, c.check_at, d.id as dispatch_id
             from (values {rows}) as v
                 left join calls c on c.bucket = v.column1 and c.workspace_id = v.column2 and c.call_id = v.column3
                 left join dispatches d on d.bucket = v.column1 and d.workspace_id = v.column2 and d.call_id = v.column3
             where c.bucket is not null or d.bucket is not null";
        let mut calls = Self::default();
        for Arrival { delivery, reading } in batch {
            let call_id = match (reading, &delivery.sameness) {
                (Reading::Fresh(fresh), _) => Some(&fresh.call_id),
                (_, Sameness::Moment(_)) => delivery.call_id.as_ref(),
                (_, Sameness::Content(_)) => None,
            };
            let Some(call_id) = call_id else { continue };
            let of_workspace = calls.0.entry(delivery.workspace.uuid()).or_default();
            of_workspace.entry(call_id.as_str()).or_insert_with(|| CallState {
                bucket: delivery.bucket,
                tenant: delivery.tenant,
                events: 0,
                seq: 0,
                settled: false,
                analyzed: false,
                retry: None,
                check_at: None,
                seen_at: delivery.received_at,
                channel: None,
                is_ours: false,
                changed: false,
            });
        }
        let rows = calls.iter().map(|((workspace, id), c)| row![c.bucket, workspace_of(workspace), id]);
        for row in tx.fetch_rows(SQL, vec![], rows.collect()).await? {
            let (workspace, id): (Uuid, String) = (row.get("workspace_id")?, row.get("call_id")?);
            let call = calls.get_mut((workspace, &id)).ok_or(StoreError::Corrupt("call"))?;
            call.is_ours = row.get::<Option<Uuid>>("dispatch_id")?.is_some();
            let Some(seq) = row.get("seq")? else { continue };
            call.seq = seq;
            call.events = row.get("events")?;
            call.settled = row.get("settled")?;
            call.analyzed = row.get("analyzed")?;
            call.retry = row.get::<Option<Uuid>>("retry_id")?.map(Id::from_uuid);
            call.check_at = row.get::<Option<i64>>("check_at")?.map(at);
        }
        Ok(calls)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (CallKey<'b>, &CallState)> {
        self.0.iter().flat_map(|(w, calls)| calls.iter().map(move |(id, c)| ((*w, *id), c)))
    }

    fn get(&self, (workspace, id): CallKey<'_>) -> Option<&CallState> {
        self.0.get(&workspace)?.get(id)
    }

    pub(crate) fn get_mut(&mut self, (workspace, id): CallKey<'_>) -> Option<&mut CallState> {
        self.0.get_mut(&workspace)?.get_mut(id)
    }

    /// Hears of a moment of a call; whether that is news.
    pub(crate) fn hear(&mut self, workspace: Uuid, call_id: &str, bit: u8) -> bool {
        let Some(call) = self.get_mut((workspace, call_id)) else { return true };
        let is_new = call.events & i64::from(bit) == 0;
        call.events |= i64::from(bit);
        call.changed |= is_new;
        is_new
    }

    /// Whether a case's call is a dial of ours.
    pub(crate) fn is_ours(&self, case: &Case<'_>) -> bool {
        self.get(case.call()).is_some_and(|call| call.is_ours)
    }

    /// The retries that calls have led to, where those still wait.
    pub(crate) async fn retries(
        &self,
        tx: &mut Tx,
        cases: &[Case<'_>],
    ) -> Result<BTreeMap<Uuid, Live>, StoreError> {
        const SQL: &str =
            "select b.id, b.chain_id, b.state, b.reason, b.born_of, b.agent_id, coalesce(c.spent, 0) as spent
             from (values {rows}) as v
                 cross join callbacks b left join chains c on c.bucket = b.bucket and c.id = b.chain_id
             where b.bucket = v.column1 and b.id = v.column2 and b.state in ('scheduled', 'held')";
        let calls = cases.iter().filter_map(|case| self.get(case.call()));
        let rows = calls.filter_map(|call| Some(row![call.bucket, call.retry?])).collect();
        let rows = tx.fetch_rows(SQL, vec![], rows).await?;
        rows.iter().map(|row| live_of(row).map(|live| (live.id.uuid(), live))).collect()
    }

    /// What earlier events of a case's call led to.
    pub(crate) fn seen(&self, case: &Case<'_>, retries: &BTreeMap<Uuid, Live>) -> Seen {
        let Some(call) = self.get(case.call()) else { return Seen::default() };
        let retry = call.retry.and_then(|id| retries.get(&id.uuid())).cloned();
        Seen { settled: call.settled, analyzed: call.analyzed, retry }
    }
}

fn workspace_of(uuid: Uuid) -> Id<id::Workspace> {
    Id::from_uuid(uuid)
}

/// The persons of a batch.
#[derive(Default)]
pub(crate) struct Persons(BTreeMap<PersonKey, (i64, Person)>);

impl Persons {
    pub(crate) async fn read(tx: &mut Tx, cases: &[Case<'_>]) -> Result<Self, StoreError> {
        // Left joins: so both engines begin with the persons that are asked for.
        const SQL: &str = "select v.column2 as workspace_id, v.column3 as person_ix, p.seq, p.reached_at,
                 s.id as suppression_id, b.id, b.chain_id, b.state, b.reason, b.born_of, b.agent_id, coalesce(c.spent, 0) as spent
             from (values {rows}) as v
                 left join persons p on p.bucket = v.column1 and p.workspace_id = v.column2 and p.person_ix = v.column3
                 left join suppressions s
                     on s.bucket = v.column1 and s.tenant_id = v.column4 and s.number_ix = v.column3
                 left join callbacks b
                     on b.bucket = v.column1 and b.workspace_id = v.column2 and b.person_ix = v.column3
                     and b.state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
                 left join chains c on c.bucket = b.bucket and c.id = b.chain_id
             where p.bucket is not null or s.bucket is not null or b.bucket is not null";
        let mut persons = Self::default();
        let with_person = cases.iter().filter_map(|c| Some((c, c.fresh.person_ix?)));
        let rows = with_person
            .map(|(c, ix)| row![c.delivery.bucket, c.delivery.workspace, ix, c.delivery.tenant])
            .collect();
        // A row for each callback that lives, or one.
        for row in tx.fetch_rows(SQL, vec![], rows).await? {
            let person = persons.0.entry(key_of(&row)?).or_default();
            person.0 = row.get::<Option<i64>>("seq")?.unwrap_or(0);
            person.1.suppressed = row.get::<Option<Uuid>>("suppression_id")?.is_some();
            person.1.reached_at = row.get::<Option<i64>>("reached_at")?.map(at);
            if row.get::<Option<Uuid>>("id")?.is_some() {
                person.1.live.push(live_of(&row)?);
            }
        }
        Ok(persons)
    }

    pub(crate) fn person(&self, key: &PersonKey) -> Person {
        self.0.get(key).map(|(_, person)| person.clone()).unwrap_or_default()
    }

    /// What the person's row says; 0 when there is none.
    pub(crate) fn seq(&self, key: &PersonKey) -> i64 {
        self.0.get(key).map_or(0, |(seq, _)| *seq)
    }
}

fn key_of(row: &Row) -> Result<PersonKey, StoreError> {
    let ix: Vec<u8> = row.get("person_ix")?;
    Ok((row.get("workspace_id")?, ix.try_into().map_err(|_| StoreError::Corrupt("number index"))?))
}
