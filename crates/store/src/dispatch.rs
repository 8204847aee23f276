//! Intents and what becomes of them (failure-model §2).
//!
//! Invariants: an [`Intent`] is made only by [`Store::begin`], guarded by the claim's fence, and is taken by
//! value. No intent, no request (I4). At most one open dispatch a callback (I2). What is unknown stays unknown
//! here; only an answer or the provider's records settle it. An attempt is spent once, by the first proof.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::State,
    chance::Chance,
    decide::AfterDial,
    id,
    time::{minutes, plus},
};
use tokio::task::JoinHandle;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Claim, Store, StoreError, TenantKey, TenantStore,
    asks::ASK_AFTER_MINUTES,
    at, bucket_of,
    claims::{back_to_waiting, getters, holds},
    engine::{Row, Tx, Value, args, row},
    fail::Point,
    group::{Full, Group},
    workspaces,
};

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
    /// Writes the intents of one workspace's claims, in one commit. Left out are claims that were lost:
    /// cancelled, their lease lapsed, their agent switched off, their workspace paused; and those whose chain has
    /// another dial without an answer yet, or has spent an attempt since they were judged: their number would be
    /// wrong. Nothing may be sent before this returns.
    pub async fn begin(
        &self,
        claims: Vec<(Claim, NewDispatch)>,
        key: &TenantKey,
        chance: &Chance,
        now: Timestamp,
    ) -> Result<Vec<Intent>, StoreError> {
        // Two replicas that dial for one chain take turns on its row.
        const TURN: &str =
            "select id, spent from chains where bucket = $1 and id in ({list}) order by id for update";
        // `is true` keeps SQLite from starting with whatever is being dispatched.
        const GUARD: &str =
            "update callbacks set dispatch_id = v.column2, attempt = v.column3, max_attempts = v.column4,
                 is_final = v.column5, lease_until = v.column6, updated_at = $1
             from (values {rows}) as v
             where callbacks.bucket = v.column9 and callbacks.id = v.column1 and callbacks.fence = v.column7
               and (callbacks.state = 'dispatching') is true and callbacks.dispatch_id is null
               and exists (select 1 from agents where agents.id = callbacks.agent_id and agents.enabled)
               and exists (select 1 from workspaces where workspaces.id = callbacks.workspace_id
                   and workspaces.paused is null and workspaces.deleted_at is null
                   and workspaces.epoch = (select coalesce(max(epoch), 0) from epochs))
               and v.column8 = (select spent from chains
                   where chains.bucket = callbacks.bucket and chains.id = callbacks.chain_id)
               and not exists (select 1 from callbacks other cross join dispatches d
                   where other.bucket = callbacks.bucket and other.chain_id = callbacks.chain_id
                     and other.id <> callbacks.id and d.bucket = other.bucket and d.callback_id = other.id
                     and d.state in ('intent', 'unknown', 'placed') and d.state <> 'placed')
             returning callbacks.id";
        const PUT: &str = "insert into dispatches
                 (bucket, id, tenant_id, workspace_id, callback_id, channel, state, attempt, sealed, sent_at, asks, updated_at)
             values {rows}";
        let Some(bucket) = claims.first().map(|(claim, _)| claim.bucket) else { return Ok(Vec::new()) };
        let guard = |(c, n): &(Claim, NewDispatch)| {
            row![
                c.id,
                n.id,
                n.attempt,
                n.max_attempts,
                n.is_final,
                n.lease_until_ms,
                c.fence,
                c.spent,
                c.bucket
            ]
        };
        // One chain dials once at a time: of two of its claims the second waits for the first one's answer.
        let mut chains = BTreeSet::new();
        let first_of_chain = |(c, _): &&(Claim, NewDispatch)| chains.insert(c.chain.uuid());
        let guards: Vec<_> = claims.iter().filter(first_of_chain).map(guard).collect();
        let mut tx = self.db.begin().await?;
        if self.db.is_postgres() {
            let chains: Vec<Value> = chains.iter().map(|c| Id::<id::Chain>::from_uuid(*c).into()).collect();
            tx.fetch_list(TURN, row![bucket], &chains).await?;
        }
        let held = tx.fetch_rows(GUARD, row![now], &guards).await?;
        let held = held.iter().map(|r| r.get("id")).collect::<Result<BTreeSet<Uuid>, _>>()?;
        let (mut rows, mut intents) = (Vec::with_capacity(held.len()), Vec::with_capacity(held.len()));
        for (claim, new) in claims {
            if !held.contains(&claim.id.uuid()) {
                give_back(&mut tx, &claim, now).await?;
                continue;
            }
            let sealed = key.seal(BODY, new.id.uuid(), &new.body, chance);
            rows.push(put(&claim, &new, sealed, now));
            intents.push(Intent {
                bucket,
                id: new.id,
                callback: claim.id,
                workspace: claim.workspace,
                channel: claim.channel,
                unsent: claim.unsent,
                body: Zeroizing::new(new.body),
            });
        }
        tx.execute_rows(PUT, vec![], &rows).await?;
        self.pass(Point::C4).await?;
        tx.commit().await?;
        Ok(intents)
    }

    /// Records what the provider's answer means, for one dispatch.
    pub async fn finish(&self, intent: Intent, after: AfterDial, now: Timestamp) -> Result<(), StoreError> {
        self.finish_all(vec![(intent, after, now)]).await.map(|_| ())
    }

    /// As [`Store::finish`], for many in one commit.
    async fn finish_all(&self, results: Vec<(Intent, AfterDial, Timestamp)>) -> Result<Vec<()>, StoreError> {
        let done = vec![(); results.len()];
        let mut tx = self.db.begin().await?;
        let mut placed: BTreeMap<i64, Vec<(Id<id::Dispatch>, String, Timestamp)>> = BTreeMap::new();
        for (intent, after, now) in results {
            match after {
                AfterDial::Dialing { call_id } => {
                    placed.entry(intent.bucket).or_default().push((intent.id, call_id, now));
                }
                other => {
                    let about = (intent.bucket, intent.id, intent.callback, intent.workspace);
                    settle(&mut tx, about, &other, now).await?;
                }
            }
        }
        for (bucket, calls) in placed {
            mark_all_placed(&mut tx, bucket, &calls).await?;
        }
        tx.commit().await?;
        self.pass(Point::C9).await?;
        Ok(done)
    }
}

/// One try at the provider, as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchRow {
    /// Its id.
    pub id: Id<id::Dispatch>,
    /// `intent`, `unknown`, `placed`, `refused`, `not_placed`, `unresolved` or `ended`.
    pub state: String,
    /// The ordinal of the dial within its chain.
    pub attempt: i64,
    /// The provider's id of the call it became.
    pub call_id: Option<String>,
    /// When its intent was written.
    pub sent_at: Timestamp,
}

impl TenantStore {
    /// Every try of a callback, oldest first.
    pub async fn dispatches(&self, callback: Id<id::Callback>) -> Result<Vec<DispatchRow>, StoreError> {
        const SQL: &str = "select id, state, attempt, call_id, sent_at from dispatches
             where bucket = $1 and tenant_id = $2 and callback_id = $3 order by sent_at, id";
        let rows = self.store.db.read(SQL, args![bucket_of(self.tenant), self.tenant, callback]).await?;
        let read = |row: &Row| {
            Ok(DispatchRow {
                id: Id::from_uuid(row.get("id")?),
                state: row.get("state")?,
                attempt: row.get("attempt")?,
                call_id: row.get("call_id")?,
                sent_at: at(row.get("sent_at")?),
            })
        };
        rows.iter().map(read).collect()
    }
}

/// The way to record results: many share a commit.
#[derive(Clone)]
pub struct Results(Group<(Intent, AfterDial, Timestamp), ()>);

impl Results {
    /// Starts the writer.
    pub fn start(store: Store) -> (Self, JoinHandle<()>) {
        let (group, writer) = Group::start(4096, move |results| {
            let store = store.clone();
            async move { store.finish_all(results).await }
        });
        (Self(group), writer)
    }

    /// Records one; returns once it is on disk.
    pub async fn record(&self, intent: Intent, after: AfterDial, now: Timestamp) -> Result<(), Full> {
        self.0.write_patiently((intent, after, now)).await
    }
}

const GIVEN_BACK_FOR: SignedDuration = SignedDuration::from_secs(20);

fn put(claim: &Claim, new: &NewDispatch, sealed: Vec<u8>, now: Timestamp) -> Vec<Value> {
    row![
        claim.bucket,
        new.id,
        claim.tenant,
        claim.workspace,
        claim.id,
        claim.channel.word(),
        "intent",
        new.attempt,
        sealed,
        now,
        0_i64,
        now
    ]
}

/// A claim that may not become an intent goes back, if it is still ours to give. Whatever stands in its way may
/// stand there for a while.
async fn give_back(tx: &mut Tx, claim: &Claim, now: Timestamp) -> Result<(), StoreError> {
    if holds(tx, claim).await? {
        let due_at = plus(now, GIVEN_BACK_FOR);
        back_to_waiting(tx, claim.bucket, claim.id, State::Scheduled, None, due_at, now).await?;
    }
    Ok(())
}

/// The bucket, the dispatch, its callback and its workspace.
pub(crate) type About = (i64, Id<id::Dispatch>, Id<id::Callback>, Id<id::Workspace>);

/// Writes what an answer means.
pub(crate) async fn settle(
    tx: &mut Tx,
    (bucket, id, callback, workspace): About,
    after: &AfterDial,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Once the provider was asked, a repeat may have been placed: a late "no" is of the first request alone.
    const REFUSED: &str = "update dispatches set state = 'refused', ask_at = null, updated_at = $3
         where bucket = $1 and id = $2 and (state = 'intent' or (state = 'unknown' and asks = 0))";
    const UNKNOWN: &str =
        "update dispatches set state = 'unknown', ask_at = $3, over_at = $3, updated_at = $3
         where bucket = $1 and id = $2 and state = 'intent'";
    // The first to say "unknown" may have guessed when the request was over; the sender knows.
    const OVER: &str = "update dispatches set over_at = $3 where bucket = $1 and id = $2 and state = 'unknown' and over_at < $3";
    const UNSENT: &str = "update callbacks set unsent = unsent + 1 where bucket = $1 and id = $2";
    const CLOSE: &str = "update callbacks set state = $3, outcome = $4, lease_until = null, updated_at = $5
         where bucket = $1 and id = $2 and state in ('dispatching', 'unconfirmed')";
    const UNCONFIRMED: &str =
        "update callbacks set state = 'unconfirmed', lease_until = null, updated_at = $3
         where bucket = $1 and id = $2 and state = 'dispatching'";
    match after {
        AfterDial::Dialing { call_id } => mark_placed(tx, bucket, id, call_id, now).await?,
        AfterDial::Again { at, pause, .. } => {
            if tx.execute(REFUSED, args![bucket, id, now]).await? == 1 {
                tx.execute(UNSENT, args![bucket, callback]).await?;
                back_to_waiting(tx, bucket, callback, State::Scheduled, None, *at, now).await?;
            }
            if let Some(pause) = pause {
                workspaces::pause(tx, workspace, *pause, now).await?;
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
            } else {
                tx.execute(OVER, args![bucket, id, now]).await?;
            }
        }
    }
    Ok(())
}

/// The first proof that a dispatch became a call: spends the attempt, once. Of one that ended unresolved only the
/// call's id is noted (I12).
pub(crate) async fn mark_placed(
    tx: &mut Tx,
    bucket: i64,
    id: Id<id::Dispatch>,
    call_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    const NOTED: &str = "update dispatches set call_id = $3, updated_at = $4
         where bucket = $1 and id = $2 and state = 'unresolved' and call_id is null";
    mark_all_placed(tx, bucket, &[(id, call_id.to_owned(), now)]).await?;
    tx.execute(NOTED, args![bucket, id, call_id, now]).await.map(|_| ())
}

async fn mark_all_placed(
    tx: &mut Tx,
    bucket: i64,
    calls: &[(Id<id::Dispatch>, String, Timestamp)],
) -> Result<(), StoreError> {
    const PLACED: &str = "update dispatches set state = 'placed', call_id = v.column2, ask_at = v.column3, updated_at = v.column4
         from (values {rows}) as v
         where dispatches.bucket = v.column5 and dispatches.id = v.column1 and dispatches.state in ('intent', 'unknown')
         returning dispatches.callback_id, dispatches.call_id, dispatches.updated_at";
    const DIALING: &str = "update callbacks set state = 'dialing', provider_call_id = v.column2, lease_until = null, updated_at = v.column3
         from (values {rows}) as v
         where callbacks.bucket = v.column4 and callbacks.id = v.column1 and callbacks.state in ('dispatching', 'unconfirmed')
         returning callbacks.chain_id";
    const SPEND: &str = "update chains set spent = chains.spent + v.column2 from (values {rows}) as v
         where chains.bucket = v.column3 and chains.id = v.column1";
    let ask_at = |now| plus(now, minutes(ASK_AFTER_MINUTES));
    let rows: Vec<_> = calls.iter().map(|(id, call, now)| row![*id, call, ask_at(*now), *now, bucket]).collect();
    let placed = tx.fetch_rows(PLACED, vec![], &rows).await?;
    let dialing = |r: &Row| -> Result<Vec<Value>, StoreError> {
        let callback = Id::<id::Callback>::from_uuid(r.get("callback_id")?);
        Ok(row![callback, r.get::<String>("call_id")?, r.get::<i64>("updated_at")?, bucket])
    };
    let rows = placed.iter().map(dialing).collect::<Result<Vec<_>, _>>()?;
    let mut spent: BTreeMap<Uuid, i64> = BTreeMap::new();
    for row in tx.fetch_rows(DIALING, vec![], &rows).await? {
        *spent.entry(row.get("chain_id")?).or_default() += 1;
    }
    let rows: Vec<_> = spent.iter().map(|(id, n)| row![Id::<id::Chain>::from_uuid(*id), *n, bucket]).collect();
    tx.execute_rows(SPEND, vec![], &rows).await.map(|_| ())
}
