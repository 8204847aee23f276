//! Persons, and the rows of callbacks that are written for them: what one-by-one decisions and batches share.

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::{HeldFor, Live, State, waits_as},
    decide::{Person, Planned},
    id,
};

use crate::{
    StoreError, at,
    callbacks::{reason_of, state_of},
    engine::{Row, Tx, Value, args, row},
    suppressions::is_suppressed,
};

/// Makes all that decide about one person take turns: the row is locked until the transaction ends.
pub(crate) async fn lock_person(
    tx: &mut Tx,
    bucket: i64,
    tenant: Id<id::Tenant>,
    workspace: Id<id::Workspace>,
    person_ix: &[u8],
) -> Result<(), StoreError> {
    const SQL: &str =
        "insert into persons (bucket, workspace_id, person_ix, tenant_id, seq) values ($1, $2, $3, $4, 1)
         on conflict (bucket, workspace_id, person_ix) do update set seq = persons.seq + 1";
    tx.execute(SQL, args![bucket, workspace, person_ix, tenant]).await.map(|_| ())
}

pub(crate) async fn read_person(
    tx: &mut Tx,
    bucket: i64,
    tenant: Id<id::Tenant>,
    workspace: Id<id::Workspace>,
    person_ix: &[u8],
) -> Result<Person, StoreError> {
    const LIVE: &str =
        "select b.id, b.chain_id, b.state, b.reason, b.born_of, b.agent_id, coalesce(c.spent, 0) as spent
         from callbacks b left join chains c on c.bucket = b.bucket and c.id = b.chain_id
         where b.bucket = $1 and b.workspace_id = $2 and b.person_ix = $3
           and b.state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')";
    const REACHED: &str =
        "select reached_at from persons where bucket = $1 and workspace_id = $2 and person_ix = $3";
    let live = tx.fetch(LIVE, args![bucket, workspace, person_ix]).await?;
    let reached = tx.fetch_one(REACHED, args![bucket, workspace, person_ix]).await?;
    let reached_at: Option<i64> = reached.map(|row| row.get("reached_at")).transpose()?.flatten();
    Ok(Person {
        live: live.iter().map(live_of).collect::<Result<_, StoreError>>()?,
        suppressed: is_suppressed(tx, bucket, tenant, person_ix).await?,
        reached_at: reached_at.map(at),
    })
}

/// What a decision knows of another callback.
pub(crate) fn live_of(row: &Row) -> Result<Live, StoreError> {
    Ok(Live {
        id: Id::from_uuid(row.get("id")?),
        chain: Id::from_uuid(row.get("chain_id")?),
        spent: u32::try_from(row.get::<i64>("spent")?).unwrap_or(0),
        state: state_of(row)?,
        reason: reason_of(row)?,
        born_of: at(row.get("born_of")?),
        agent: Id::from_uuid(row.get("agent_id")?),
    })
}

/// Where a promise counts: with that agent, or, without one, in the whole workspace.
pub(crate) fn scope_value(agent: Option<Id<id::Agent>>) -> Id<id::Agent> {
    agent.unwrap_or(Id::from_uuid(uuid::Uuid::nil()))
}

/// A callback row to be.
pub(crate) struct NewRow<'a> {
    pub(crate) id: Id<id::Callback>,
    pub(crate) bucket: i64,
    pub(crate) tenant: Id<id::Tenant>,
    pub(crate) workspace: Id<id::Workspace>,
    pub(crate) agent: Id<id::Agent>,
    pub(crate) channel: Channel,
    pub(crate) person_ix: [u8; 16],
    pub(crate) planned: &'a Planned,
    pub(crate) source: Option<&'a str>,
    pub(crate) kind: &'static str,
    pub(crate) test: bool,
    pub(crate) sealed: Vec<u8>,
    /// The agent with which it is the one promise; `None` in the whole workspace.
    pub(crate) promise_scope: Option<Id<id::Agent>>,
    /// Whether a person decided that it is dialed now, whatever the hour.
    pub(crate) forced: bool,
    /// The keyed index of the id that a program gave it.
    pub(crate) external_ix: Option<[u8; 16]>,
    /// When it is made.
    pub(crate) now: Timestamp,
}

impl NewRow<'_> {
    /// The chain it belongs to: its own when it is the first of one.
    fn chain(&self) -> Id<id::Chain> {
        self.planned.chain.unwrap_or(self.id.as_root())
    }

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
            self.channel.word(),
            self.chain(),
            p.parent,
            self.person_ix,
            self.state().word(),
            p.held.map(HeldFor::word),
            p.reason.word(),
            p.cause.clone(),
            p.attempt,
            p.max_attempts,
            p.attempt >= p.max_attempts,
            self.forced,
            p.requested_for,
            p.scheduled_for,
            p.scheduled_for,
            &p.zone.name,
            p.zone.source.word(),
            p.born_of,
            self.source,
            self.kind,
            0_i64,
            0_i64,
            self.sealed.as_slice(),
            self.now,
            self.now,
            self.test,
            scope_value(self.promise_scope),
            self.external_ix.map(|ix| ix.to_vec())
        ]
    }
}
