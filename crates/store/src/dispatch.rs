//! The way out: claim, intend, settle (failure-model §2).
//!
//! Invariants: a [`Claim`] is made only by [`Store::claim`] and an [`Intent`] only by [`Store::begin`], each
//! guarded by the fence; both are taken by value, so one claim is one dial. No intent, no request (I4). At
//! most one open dispatch a callback (I2). What is unknown stays unknown here; only an answer settles it.

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::{HeldFor, RedialReason, State},
    decide::AfterDial,
    id,
    time::{Zone, minutes, plus},
};
use zeroize::Zeroizing;

use crate::{
    Secrets, Store, StoreError, TenantKey,
    asks::ASK_AFTER_MINUTES,
    at,
    callbacks::{reason_of, zone_of},
    engine::{Row, Tx, args},
    suppressions::is_suppressed,
    workspaces,
};

/// A callback that is due: enough to choose by.
#[derive(Debug, Clone, Copy)]
pub struct DueRow {
    /// The tenant's bucket.
    pub bucket: i64,
    /// The callback.
    pub id: Id<id::Callback>,
    /// Its tenant.
    pub tenant: Id<id::Tenant>,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// Voice or chat.
    pub channel: Channel,
}

/// Hold on one due callback, until a lease ends.
pub struct Claim {
    bucket: i64,
    id: Id<id::Callback>,
    fence: i64,
    tenant: Id<id::Tenant>,
    workspace: Id<id::Workspace>,
    agent: Id<id::Agent>,
    chain: Id<id::Chain>,
    channel: Channel,
    reason: RedialReason,
    scheduled_for: Timestamp,
    forced: bool,
    zone: Zone,
    unsent: i64,
    spent: i64,
    suppressed: bool,
    sealed: Vec<u8>,
}

/// Recorded will to dial: the bytes to send are on disk.
pub struct Intent {
    bucket: i64,
    id: Id<id::Dispatch>,
    callback: Id<id::Callback>,
    workspace: Id<id::Workspace>,
    channel: Channel,
    unsent: i64,
    body: Zeroizing<Vec<u8>>,
}

/// What an intent is made of.
pub struct NewDispatch {
    /// Its id; also in the body.
    pub id: Id<id::Dispatch>,
    /// The ordinal of this dial within its chain.
    pub attempt: u32,
    /// The ceiling it was judged by.
    pub max_attempts: u32,
    /// Whether it is the chain's last.
    pub is_final: bool,
    /// The exact bytes of the request.
    pub body: Vec<u8>,
    /// Until when the request may be under way, on the real clock.
    pub lease_until_ms: i64,
}

pub(crate) const BODY: &str = "dispatches.sealed";

macro_rules! getters {
    ($on:ty { $($(#[$doc:meta])* $name:ident: $type:ty = $get:expr;)* }) => {
        impl $on {$( $(#[$doc])* pub fn $name(&self) -> $type { let get: fn(&Self) -> $type = $get; get(self) } )*}
    };
}

getters!(Claim {
    /// The callback.
    id: Id<id::Callback> = |c| c.id;
    /// Its tenant.
    tenant: Id<id::Tenant> = |c| c.tenant;
    /// Its workspace.
    workspace: Id<id::Workspace> = |c| c.workspace;
    /// The agent that dials.
    agent: Id<id::Agent> = |c| c.agent;
    /// Its chain.
    chain: Id<id::Chain> = |c| c.chain;
    /// Voice or chat.
    channel: Channel = |c| c.channel;
    /// Why it exists.
    reason: RedialReason = |c| c.reason;
    /// When it should have been dialled.
    scheduled_for: Timestamp = |c| c.scheduled_for;
    /// Whether a person pressed "dial now".
    forced: bool = |c| c.forced;
    /// Dials its chain has spent.
    spent: u32 = |c| u32::try_from(c.spent).unwrap_or(u32::MAX);
    /// Whether the number is on the do-not-call list.
    suppressed: bool = |c| c.suppressed;
});

impl Claim {
    /// The callee's clock.
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// What is personal about it.
    pub fn secrets(&self, key: &TenantKey) -> Result<Secrets, StoreError> {
        Secrets::open(self.id, &self.sealed, key)
    }
}

getters!(Intent {
    /// The dispatch.
    id: Id<id::Dispatch> = |i| i.id;
    /// Its callback.
    callback: Id<id::Callback> = |i| i.callback;
    /// Its workspace.
    workspace: Id<id::Workspace> = |i| i.workspace;
    /// Voice or chat.
    channel: Channel = |i| i.channel;
    /// Earlier tries that were certainly not placed.
    unsent: u32 = |i| u32::try_from(i.unsent).unwrap_or(0);
});

impl Intent {
    /// The bytes to send.
    pub fn body(&self) -> Vec<u8> {
        self.body.to_vec()
    }
}

impl Store {
    /// Due callbacks of workspaces that may dial: at most `each` a workspace, so that none crowds out another.
    pub async fn due(
        &self,
        range: (i64, i64),
        now: Timestamp,
        each: i64,
        limit: i64,
    ) -> Result<Vec<DueRow>, StoreError> {
        const SQL: &str = "select bucket, id, tenant_id, workspace_id, channel from (
                 select c.bucket, c.id, c.tenant_id, c.workspace_id, c.channel, c.due_at,
                     row_number() over (partition by c.workspace_id order by c.due_at, c.id) as place
                 from callbacks c join workspaces w on w.id = c.workspace_id
                 where c.bucket between $1 and $2 and c.state = 'scheduled' and c.due_at <= $3
                   and w.paused is null and w.deleted_at is null
             ) as due where place <= $4 order by due_at, id limit $5";
        let rows = self.db.read(SQL, args![range.0, range.1, now, each, limit]).await?;
        rows.iter()
            .map(|row| {
                Ok(DueRow {
                    bucket: row.get("bucket")?,
                    id: Id::from_uuid(row.get("id")?),
                    tenant: Id::from_uuid(row.get("tenant_id")?),
                    workspace: Id::from_uuid(row.get("workspace_id")?),
                    channel: Channel::from_word(&row.get::<String>("channel")?),
                })
            })
            .collect()
    }

    /// The next moment after `now` at which something becomes due.
    pub async fn next_due(&self, range: (i64, i64), now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        const SQL: &str = "select min(due_at) as due_at from callbacks
             where bucket between $1 and $2 and state = 'scheduled' and due_at > $3";
        let row = self.db.read_one(SQL, args![range.0, range.1, now]).await?;
        Ok(row.map(|r| r.get::<Option<i64>>("due_at")).transpose()?.flatten().map(at))
    }

    /// Claims due callbacks for the replica `owner`; those that somebody else took meanwhile are left out.
    ///
    /// Lapsed claims are [`Store::recover`]'s business.
    pub async fn claim(
        &self,
        due: &[DueRow],
        owner: &str,
        now: Timestamp,
        lease_until_ms: i64,
    ) -> Result<Vec<Claim>, StoreError> {
        const SQL: &str = "update callbacks set state = 'dispatching', fence = fence + 1, lease_owner = $5, lease_until = $4, updated_at = $3
             where bucket = $1 and id = $2 and state = 'scheduled' and due_at <= $3
             returning bucket, id, fence, tenant_id, workspace_id, agent_id, chain_id, channel, reason, scheduled_for,
                 forced, timezone, timezone_source, unsent, person_ix, sealed";
        const SPENT: &str = "select spent from chains where bucket = $1 and id = $2";
        let mut tx = self.db.begin().await?;
        let mut claims = Vec::with_capacity(due.len());
        for row in due {
            let Some(row) = tx.fetch_one(SQL, args![row.bucket, row.id, now, lease_until_ms, owner]).await?
            else {
                continue;
            };
            let (bucket, chain): (i64, uuid::Uuid) = (row.get("bucket")?, row.get("chain_id")?);
            let spent = tx.fetch_one(SPENT, args![bucket, Id::<id::Chain>::from_uuid(chain)]).await?;
            let tenant = Id::from_uuid(row.get("tenant_id")?);
            let suppressed =
                is_suppressed(&mut tx, bucket, tenant, &row.get::<Vec<u8>>("person_ix")?).await?;
            claims.push(Claim::from_row(
                &row,
                spent.ok_or(StoreError::Corrupt("chain"))?.get("spent")?,
                suppressed,
            )?);
        }
        tx.commit().await?;
        Ok(claims)
    }

    /// Puts a claimed callback off; spends nothing.
    pub async fn snooze(&self, claim: Claim, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        const MOVE: &str =
            "update callbacks set scheduled_for = $3 where bucket = $1 and id = $2 and fence = $4";
        let mut tx = self.db.begin().await?;
        if holds(&mut tx, &claim).await? {
            tx.execute(MOVE, args![claim.bucket, claim.id, until, claim.fence]).await?;
            back_to_waiting(&mut tx, claim.bucket, claim.id, State::Scheduled, None, until, now).await?;
        }
        tx.commit().await
    }

    /// Gives a claimed callback back as it was, due at `due_at`.
    pub async fn release(&self, claim: Claim, due_at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        if holds(&mut tx, &claim).await? {
            back_to_waiting(&mut tx, claim.bucket, claim.id, State::Scheduled, None, due_at, now).await?;
        }
        tx.commit().await
    }

    /// Holds a claimed callback until something else happens.
    pub async fn hold(&self, claim: Claim, why: HeldFor, now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        if holds(&mut tx, &claim).await? {
            back_to_waiting(
                &mut tx,
                claim.bucket,
                claim.id,
                State::Held,
                Some(why),
                claim.scheduled_for,
                now,
            )
            .await?;
        }
        tx.commit().await
    }

    /// Ends a claimed callback without dialling.
    pub async fn close_claim(
        &self,
        claim: Claim,
        state: State,
        outcome: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "update callbacks set state = $4, outcome = $5, lease_until = null, updated_at = $6
             where bucket = $1 and id = $2 and fence = $3 and state = 'dispatching' and dispatch_id is null";
        self.db
            .write(SQL, args![claim.bucket, claim.id, claim.fence, state.word(), outcome, now])
            .await
            .map(|_| ())
    }

    /// Writes the intent. `None` when the claim is lost: cancelled, its lease lapsed, its agent switched off,
    /// its workspace paused. Nothing may be sent before this returns.
    pub async fn begin(
        &self,
        claim: Claim,
        new: NewDispatch,
        key: &TenantKey,
        chance: &redialer_core::chance::Chance,
        now: Timestamp,
    ) -> Result<Option<Intent>, StoreError> {
        const GUARD: &str =
            "update callbacks set dispatch_id = $4, attempt = $5, max_attempts = $6, is_final = $7,
                 lease_until = $8, updated_at = $9
             where bucket = $1 and id = $2 and fence = $3 and state = 'dispatching' and dispatch_id is null
               and exists (select 1 from agents where agents.id = callbacks.agent_id and agents.enabled)
               and exists (select 1 from workspaces where workspaces.id = callbacks.workspace_id
                   and workspaces.paused is null and workspaces.deleted_at is null)";
        const PUT: &str = "insert into dispatches
                 (bucket, id, tenant_id, workspace_id, callback_id, channel, state, attempt, sealed, sent_at, asks, updated_at)
             values ($1, $2, $3, $4, $5, $6, 'intent', $7, $8, $9, 0, $9)";
        let sealed = key.seal(BODY, new.id.uuid(), &new.body, chance);
        let mut tx = self.db.begin().await?;
        let guard = args![
            claim.bucket,
            claim.id,
            claim.fence,
            new.id,
            new.attempt,
            new.max_attempts,
            new.is_final,
            new.lease_until_ms,
            now
        ];
        if tx.execute(GUARD, guard).await? == 0 {
            if holds(&mut tx, &claim).await? {
                back_to_waiting(&mut tx, claim.bucket, claim.id, State::Scheduled, None, now, now).await?;
                tx.commit().await?;
            }
            return Ok(None);
        }
        let put = args![
            claim.bucket,
            new.id,
            claim.tenant,
            claim.workspace,
            claim.id,
            claim.channel.word(),
            new.attempt,
            sealed,
            now
        ];
        tx.execute(PUT, put).await?;
        tx.commit().await?;
        Ok(Some(Intent {
            bucket: claim.bucket,
            id: new.id,
            callback: claim.id,
            workspace: claim.workspace,
            channel: claim.channel,
            unsent: claim.unsent,
            body: Zeroizing::new(new.body),
        }))
    }

    /// Records what the provider's answer means.
    pub async fn finish(&self, intent: Intent, after: &AfterDial, now: Timestamp) -> Result<(), StoreError> {
        self.settle(intent.bucket, intent.id, intent.callback, intent.workspace, after, now).await
    }

    pub(crate) async fn settle(
        &self,
        bucket: i64,
        id: Id<id::Dispatch>,
        callback: Id<id::Callback>,
        workspace: Id<id::Workspace>,
        after: &AfterDial,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const REFUSED: &str = "update dispatches set state = 'refused', ask_at = null, updated_at = $3
             where bucket = $1 and id = $2 and state in ('intent', 'unknown')";
        const UNKNOWN: &str = "update dispatches set state = 'unknown', ask_at = $3, updated_at = $3
             where bucket = $1 and id = $2 and state = 'intent'";
        const UNSENT: &str = "update callbacks set unsent = unsent + 1 where bucket = $1 and id = $2";
        const CLOSE: &str =
            "update callbacks set state = $3, outcome = $4, lease_until = null, updated_at = $5
             where bucket = $1 and id = $2 and state in ('dispatching', 'unconfirmed')";
        const UNCONFIRMED: &str =
            "update callbacks set state = 'unconfirmed', lease_until = null, updated_at = $3
             where bucket = $1 and id = $2 and state = 'dispatching'";
        let mut tx = self.db.begin().await?;
        match after {
            AfterDial::Dialing { call_id } => mark_placed(&mut tx, bucket, id, call_id, now).await?,
            AfterDial::Again { at, pause, .. } => {
                if tx.execute(REFUSED, args![bucket, id, now]).await? == 1 {
                    tx.execute(UNSENT, args![bucket, callback]).await?;
                    back_to_waiting(&mut tx, bucket, callback, State::Scheduled, None, *at, now).await?;
                }
                if let Some(pause) = pause {
                    workspaces::pause(&mut tx, workspace, *pause, now).await?;
                }
            }
            AfterDial::Close { state, outcome, .. } => {
                if tx.execute(REFUSED, args![bucket, id, now]).await? == 1 {
                    tx.execute(CLOSE, args![bucket, callback, state.word(), outcome, now]).await?;
                }
            }
            AfterDial::Unconfirmed { .. } => {
                if tx.execute(UNKNOWN, args![bucket, id, now]).await? == 1 {
                    tx.execute(UNCONFIRMED, args![bucket, callback, now]).await?;
                }
            }
        }
        tx.commit().await
    }
}

impl Claim {
    fn from_row(row: &Row, spent: i64, suppressed: bool) -> Result<Self, StoreError> {
        Ok(Self {
            bucket: row.get("bucket")?,
            id: Id::from_uuid(row.get("id")?),
            fence: row.get("fence")?,
            tenant: Id::from_uuid(row.get("tenant_id")?),
            workspace: Id::from_uuid(row.get("workspace_id")?),
            agent: Id::from_uuid(row.get("agent_id")?),
            chain: Id::from_uuid(row.get("chain_id")?),
            channel: Channel::from_word(&row.get::<String>("channel")?),
            reason: reason_of(row)?,
            scheduled_for: at(row.get("scheduled_for")?),
            forced: row.get("forced")?,
            zone: zone_of(row)?,
            unsent: row.get("unsent")?,
            spent,
            suppressed,
            sealed: row.get("sealed")?,
        })
    }
}

/// Whether a claim is still ours; locks its row until the transaction ends.
async fn holds(tx: &mut Tx, claim: &Claim) -> Result<bool, StoreError> {
    const SQL: &str = "update callbacks set lease_until = null
         where bucket = $1 and id = $2 and fence = $3 and state = 'dispatching' and dispatch_id is null";
    Ok(tx.execute(SQL, args![claim.bucket, claim.id, claim.fence]).await? == 1)
}

/// The first proof that a dispatch became a call: spends the attempt, once.
pub(crate) async fn mark_placed(
    tx: &mut Tx,
    bucket: i64,
    id: Id<id::Dispatch>,
    call_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const PLACED: &str = "update dispatches set state = 'placed', call_id = $3, ask_at = $4, updated_at = $5
         where bucket = $1 and id = $2 and state in ('intent', 'unknown') returning callback_id, channel";
    const DIALING: &str =
        "update callbacks set state = 'dialing', provider_call_id = $3, lease_until = null, updated_at = $4
         where bucket = $1 and id = $2 and state in ('dispatching', 'unconfirmed') returning chain_id";
    const SPEND: &str = "update chains set spent = spent + 1 where bucket = $1 and id = $2";
    let ask_at = plus(now, minutes(ASK_AFTER_MINUTES));
    let Some(dispatch) = tx.fetch_one(PLACED, args![bucket, id, call_id, ask_at, now]).await? else {
        return Ok(());
    };
    let callback: Id<id::Callback> = Id::from_uuid(dispatch.get("callback_id")?);
    if let Some(row) = tx.fetch_one(DIALING, args![bucket, callback, call_id, now]).await? {
        tx.execute(SPEND, args![bucket, Id::<id::Chain>::from_uuid(row.get("chain_id")?)]).await?;
    }
    Ok(())
}

/// Puts a callback back to waiting, unless a newer one waits for that person already: then it is superseded.
pub(crate) async fn back_to_waiting(
    tx: &mut Tx,
    bucket: i64,
    id: Id<id::Callback>,
    state: State,
    held_for: Option<HeldFor>,
    due_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    const OTHER: &str = "select 1 as one from callbacks mine join callbacks other
             on other.bucket = mine.bucket and other.workspace_id = mine.workspace_id and other.person_ix = mine.person_ix
         where mine.bucket = $1 and mine.id = $2 and other.id <> mine.id and other.state in ('scheduled', 'held')";
    const SQL: &str =
        "update callbacks set state = $3, held_for = $4, due_at = $5, lease_until = null, dispatch_id = null,
             provider_call_id = null, updated_at = $6
         where bucket = $1 and id = $2 and state in ('dispatching', 'dialing', 'unconfirmed')";
    let newer = tx.fetch_one(OTHER, args![bucket, id]).await?.is_some();
    let state = if newer { State::Superseded } else { state };
    let held_for = held_for.filter(|_| !newer).map(HeldFor::word);
    tx.execute(SQL, args![bucket, id, state.word(), held_for, due_at, now]).await.map(|_| ())
}
