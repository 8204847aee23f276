//! Persons: locked and read for every decision. Also the values of new callback rows.

use std::collections::{BTreeMap, BTreeSet};

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::{ActiveCallback, HeldFor, State, waits_as},
    decide::{CallbackPlan, Person},
    id,
};

use uuid::Uuid;

use crate::{
    StoreError, at,
    callbacks::columns::{reason_of, state_of},
    db::{Row, Tx, Value, bulk_sql::RowValues, row},
};

/// A workspace, and the keyed hash of a number.
pub(crate) type PersonKey = (Uuid, [u8; 16]);

/// A person of a workspace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PersonRef {
    pub(crate) bucket: i64,
    pub(crate) tenant: Id<id::Tenant>,
    pub(crate) workspace: Id<id::Workspace>,
    pub(crate) ix: [u8; 16],
}

impl PersonRef {
    pub(crate) const fn key(&self) -> PersonKey {
        (self.workspace.uuid(), self.ix)
    }

    pub(crate) fn values(self) -> RowValues {
        row![self.bucket, self.workspace, self.ix, self.tenant]
    }
}

/// Locks a person, so that concurrent decisions about them wait for this transaction. SQLite needs no lock: it has one
/// writer.
pub(crate) async fn lock_person(tx: &mut Tx, person: PersonRef) -> Result<(), StoreError> {
    const SQL: &str =
        "insert into persons (bucket, workspace_id, phone_hash, tenant_id, version) values {rows}
         on conflict (bucket, workspace_id, phone_hash) do update set version = persons.version + 1";
    if !tx.is_postgres()? {
        return Ok(());
    }
    let row = [person.values(), row![1_i64]].concat();
    tx.execute_rows(SQL, vec![], vec![row]).await.map(|_| ())
}

/// Locks the persons of a batch that have a row; returns those without one. Every decision about one of those inserts
/// its row, and so detects that another transaction inserted it first.
pub(crate) async fn lock_persons(
    tx: &mut Tx,
    persons: impl IntoIterator<Item = PersonRef>,
) -> Result<BTreeSet<PersonKey>, StoreError> {
    // In key order, so that two transactions cannot deadlock.
    const SQL: &str = "with v (bucket, workspace_id, phone_hash) as (values {rows})
         select p.workspace_id, p.phone_hash from v cross join persons p
         where p.bucket = v.bucket and p.workspace_id = v.workspace_id and p.phone_hash = v.phone_hash
         order by p.workspace_id, p.phone_hash for update of p";
    if !tx.is_postgres()? {
        return Ok(BTreeSet::new());
    }
    let persons: BTreeMap<PersonKey, PersonRef> = persons.into_iter().map(|p| (p.key(), p)).collect();
    let rows = persons.values().map(|p| row![p.bucket, p.workspace, p.ix]).collect();
    let mut new: BTreeSet<PersonKey> = persons.into_keys().collect();
    for row in tx.fetch_rows(SQL, vec![], rows).await? {
        new.remove(&(row.get("workspace_id")?, row.phone_hash("phone_hash")?));
    }
    Ok(new)
}

/// Reads those persons. A person without any row is omitted.
pub(crate) async fn read_persons(
    tx: &mut Tx,
    of: impl IntoIterator<Item = PersonRef>,
) -> Result<BTreeMap<PersonKey, Person>, StoreError> {
    // Left joins make both engines start with the persons of the batch.
    const SQL: &str = "with v (bucket, workspace_id, phone_hash, tenant_id) as (values {rows})
         select v.workspace_id, v.phone_hash, p.reached_at, s.id as suppression_id, b.id, b.chain_id, b.state, b.reason,
             b.source_ended_at, b.agent_id, coalesce(c.attempts_used, 0) as attempts_used
         from v
             left join persons p
                 on p.bucket = v.bucket and p.workspace_id = v.workspace_id and p.phone_hash = v.phone_hash
             left join suppressions s
                 on s.bucket = v.bucket and s.tenant_id = v.tenant_id and s.phone_hash = v.phone_hash
             left join callbacks b
                 on b.bucket = v.bucket and b.workspace_id = v.workspace_id and b.phone_hash = v.phone_hash
                 and b.state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
             left join chains c on c.bucket = b.bucket and c.id = b.chain_id
         where p.bucket is not null or s.bucket is not null or b.bucket is not null";
    let mut persons: BTreeMap<PersonKey, Person> = BTreeMap::new();
    // One row per callback that is not final, or one row without a callback.
    for row in tx.fetch_rows(SQL, vec![], of.into_iter().map(PersonRef::values).collect()).await? {
        let person = persons.entry((row.get("workspace_id")?, row.phone_hash("phone_hash")?)).or_default();
        person.suppressed = row.get::<Option<Uuid>>("suppression_id")?.is_some();
        person.reached_at = row.get::<Option<i64>>("reached_at")?.map(at);
        if row.get::<Option<Uuid>>("id")?.is_some() {
            person.live.push(live_of(&row)?);
        }
    }
    Ok(persons)
}

/// Reads an active callback, as decisions use it.
pub(crate) fn live_of(row: &Row) -> Result<ActiveCallback, StoreError> {
    Ok(ActiveCallback {
        id: Id::from_uuid(row.get("id")?),
        chain: Id::from_uuid(row.get("chain_id")?),
        attempts_used: u32::try_from(row.get::<i64>("attempts_used")?).unwrap_or(0),
        state: state_of(row)?,
        reason: reason_of(row)?,
        source_ended_at: at(row.get("source_ended_at")?),
        agent: Id::from_uuid(row.get("agent_id")?),
    })
}

/// A callback row to insert.
pub(crate) struct NewRow<'a> {
    pub(crate) id: Id<id::Callback>,
    pub(crate) bucket: i64,
    pub(crate) tenant: Id<id::Tenant>,
    pub(crate) workspace: Id<id::Workspace>,
    pub(crate) agent: Id<id::Agent>,
    pub(crate) channel: Channel,
    pub(crate) phone_hash: [u8; 16],
    pub(crate) planned: &'a CallbackPlan,
    pub(crate) source: Option<&'a str>,
    pub(crate) kind: &'static str,
    pub(crate) test: bool,
    pub(crate) sealed: Vec<u8>,
    /// The agent within which the person may have one promise; `None` for the whole workspace.
    pub(crate) promise_scope: Option<Id<id::Agent>>,
    /// Whether a person forced it: it is dialed at once, outside calling hours too.
    pub(crate) forced: bool,
    /// The keyed index of its external id.
    pub(crate) external_id_hash: Option<[u8; 16]>,
    /// When it is created.
    pub(crate) now: Timestamp,
}

impl NewRow<'_> {
    /// The state it begins in.
    pub(crate) const fn state(&self) -> State {
        waits_as(self.planned.held, false).0
    }

    pub(crate) fn values(&self) -> Vec<Value> {
        let p = self.planned;
        row![
            self.bucket,
            self.id,
            self.tenant,
            self.workspace,
            self.agent,
            self.channel.as_str(),
            p.chain.unwrap_or(self.id.as_root()),
            p.parent,
            self.phone_hash,
            self.state().as_str(),
            p.held.map(HeldFor::as_str),
            p.reason.as_str(),
            p.source_outcome.clone(),
            p.attempt,
            p.max_attempts,
            p.attempt >= p.max_attempts,
            self.forced,
            p.requested_for,
            p.scheduled_for,
            p.scheduled_for,
            &p.zone.name,
            p.zone.source.as_str(),
            p.source_ended_at,
            self.source,
            self.kind,
            0_i64,
            0_i64,
            self.sealed.as_slice(),
            self.now,
            self.now,
            self.test,
            self.promise_scope.unwrap_or(Id::from_uuid(Uuid::nil())),
            self.external_id_hash.map(|ix| ix.to_vec())
        ]
    }
}
