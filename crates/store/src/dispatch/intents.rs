//! Intents and their results (failure-model §2).
//!
//! Invariants: an [`Intent`] is made only after [`begin_all`]'s commit, guarded by the claim's fence, and is taken by
//! value. No intent, no request (I4). At most one open dispatch per callback (I2). An unknown dispatch stays unknown
//! here; only a response or the provider's records settle it. An attempt is spent once, by the first proof.

use std::collections::{BTreeMap, BTreeSet};

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::{HeldFor, State, held_back},
    decide::{ActivityNotice, AfterDial, GateRecord},
    dispatch, id,
    time::{minutes, plus},
    timing::{CLAIM_RETRY_AFTER, LOOKUP_AFTER_MINUTES, TEST_CALL_TAKES},
    workspace::Pause,
};
use uuid::Uuid;

use crate::{
    CallbackRow, Claim, StoreError, TenantStore,
    accounts::workspace_jobs,
    at, bucket_of,
    callbacks::transitions::{self, End, Wait, close, doubt, give_back},
    db::{Row, Tx, Value, args, row},
    dispatch::{
        chains::{open_all, opened},
        claims::{getters, holds, notice},
        fuse,
        prepared::Prepared,
        quota,
    },
    log::notices::notice_of_callback,
};

/// A recorded decision to dial: the bytes to send are on disk.
pub struct Intent {
    bucket: i64,
    id: Id<id::Dispatch>,
    callback: Id<id::Callback>,
    workspace: Id<id::Workspace>,
    channel: Channel,
    unplaced_tries: i64,
    test: bool,
    body: Vec<u8>,
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
    unplaced_tries: u32 = |i| u32::try_from(i.unplaced_tries).unwrap_or(0);
    /// Whether it is sent to the simulator.
    test: bool = |i| i.test;
});

impl Intent {
    /// Builds the intent from a prepared claim, once it is on disk.
    pub(crate) fn from_prepared(prepared: Prepared) -> Self {
        let Prepared { claim, new, .. } = prepared;
        Self {
            bucket: claim.bucket,
            id: new.id,
            callback: claim.id,
            workspace: claim.workspace,
            channel: claim.channel,
            unplaced_tries: claim.unplaced_tries,
            test: claim.test,
            body: new.body,
        }
    }

    /// The bytes to send.
    pub fn body(&self) -> Vec<u8> {
        self.body.to_vec()
    }
}

/// Writes intents, each guarded by its claim; returns the callbacks whose claims held. The others are returned to
/// waiting.
pub(crate) async fn begin_all(tx: &mut Tx, prepared: &[&Prepared]) -> Result<BTreeSet<Uuid>, StoreError> {
    // Serializes two replicas that dial for one chain.
    const TURN: &str = "with v (bucket, id) as (values {rows})
         select c.id from v cross join chains c where c.bucket = v.bucket and c.id = v.id order by c.id for update of c";
    const PUT: &str = "insert into dispatches
             (bucket, id, tenant_id, workspace_id, callback_id, channel, state, attempt, sealed, sent_at, lookups, updated_at,
              phone_hash, account, gates)
         values {rows}";
    // A chain dials one callback at a time: of two of its claims, the second waits for the first one's response.
    let mut chains = BTreeMap::new();
    let first_of_chain = |p: &&&Prepared| {
        let c = &p.claim;
        chains.insert(c.chain.uuid(), opened(c.bucket, c.chain, c.tenant, c.workspace, p.now)).is_none()
    };
    let firsts: Vec<&Prepared> = prepared.iter().filter(first_of_chain).copied().collect();
    let room = quota::room(tx, &firsts).await?;
    let blown = fuse::blown(tx, &firsts).await?;
    let whole: Vec<&Prepared> =
        firsts.iter().copied().filter(|p| !blown.contains(&p.claim.id.uuid())).collect();
    let fits = room.take(&months(&whole));
    let guards: Vec<_> = whole.iter().zip(fits).filter(|(_, fits)| *fits).map(|(p, _)| p.guard()).collect();
    let chains: Vec<_> = chains.into_values().collect();
    open_all(tx, chains.clone()).await?;
    if tx.is_postgres()? {
        tx.fetch_rows(TURN, vec![], chains).await?;
    }
    let held = transitions::intend(tx, guards).await?;
    let held = held.iter().map(|r| r.get("id")).collect::<Result<BTreeSet<Uuid>, _>>()?;
    let (kept, lost): (Vec<&Prepared>, Vec<_>) =
        prepared.iter().copied().partition(|p| held.contains(&p.claim.id.uuid()));
    let made = months(&kept);
    for p in lost {
        let is_used_up = room.is_used_up(&made, quota::month_of(p));
        let held = held_back(blown.contains(&p.claim.id.uuid()), is_used_up);
        release(tx, &p.claim, held, p.now).await?;
    }
    quota::count(tx, &kept).await?;
    tx.execute_rows(PUT, vec![], kept.iter().map(|p| p.put()).collect()).await?;
    Ok(held)
}

fn months(prepared: &[&Prepared]) -> Vec<Option<(i64, Uuid, i64)>> {
    prepared.iter().map(|p| quota::month_of(p)).collect()
}

/// Records the results of dials.
pub(crate) async fn finish_all(
    tx: &mut Tx,
    results: &[(&Intent, &AfterDial, Timestamp)],
) -> Result<(), StoreError> {
    let mut placed = Vec::new();
    for (intent, after, now) in results {
        settle(tx, intent, after, &mut placed, *now).await?;
    }
    mark_placed(tx, &placed).await
}

/// One try at the provider, in its current state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchRow {
    /// Its id.
    pub id: Id<id::Dispatch>,
    /// Its state.
    pub state: dispatch::State,
    /// The ordinal of the dial within its chain.
    pub attempt: i64,
    /// The provider's id of the call it became.
    pub call_id: Option<String>,
    /// When its intent was written.
    pub sent_at: Timestamp,
}

impl TenantStore {
    /// The last decision about a callback, and when it was made: the gates that ended it without a dial, else those of
    /// its latest dispatch, which are empty if a version made it that did not record them. `None` if nothing was
    /// decided.
    pub async fn decided(
        &self,
        callback: &CallbackRow,
    ) -> Result<Option<(Timestamp, Vec<GateRecord>)>, StoreError> {
        const ENDED: &str = "select gates, updated_at as decided_at from callbacks
             where bucket = $1 and tenant_id = $2 and id = $3 and gates is not null";
        const DIALED: &str = "select coalesce(gates, '[]') as gates, sent_at as decided_at from dispatches
             where bucket = $1 and tenant_id = $2 and callback_id = $3
             order by sent_at desc, id desc limit 1";
        for sql in [ENDED, DIALED] {
            let of = args![bucket_of(self.tenant), self.tenant, callback.id];
            if let Some(row) = self.db().read_one(sql, of).await? {
                let gates = serde_json::from_str(&row.get::<String>("gates")?)
                    .map_err(|_| StoreError::Corrupt("list of gates"))?;
                return Ok(Some((at(row.get("decided_at")?), gates)));
            }
        }
        Ok(None)
    }

    /// Every try of a callback, oldest first.
    pub async fn dispatches(&self, callback: Id<id::Callback>) -> Result<Vec<DispatchRow>, StoreError> {
        const SQL: &str = "select id, state, attempt, call_id, sent_at from dispatches
             where bucket = $1 and tenant_id = $2 and callback_id = $3 order by sent_at, id";
        let rows = self.db().read(SQL, args![bucket_of(self.tenant), self.tenant, callback]).await?;
        let read = |row: &Row| {
            Ok(DispatchRow {
                id: Id::from_uuid(row.get("id")?),
                state: row
                    .get::<String>("state")?
                    .parse()
                    .map_err(|_| StoreError::Corrupt("dispatch state"))?,
                attempt: row.get("attempt")?,
                call_id: row.get("call_id")?,
                sent_at: at(row.get("sent_at")?),
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Returns the callback of a claim to waiting if the claim is still held but may not become an intent.
async fn release(
    tx: &mut Tx,
    claim: &Claim,
    held: Option<HeldFor>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if holds(tx, claim).await? {
        notice(tx, claim, held.and_then(ActivityNotice::of_hold), now).await?;
        let wait = Wait { held_for: held, ..Wait::until(plus(now, CLAIM_RETRY_AFTER)) };
        give_back(tx, claim.bucket, claim.id, wait, now).await?;
    }
    Ok(())
}

/// Records one result; a placed call is added to `placed` for [`mark_placed`].
async fn settle<'a>(
    tx: &mut Tx,
    intent: &Intent,
    after: &'a AfterDial,
    placed: &mut Vec<Placed<'a>>,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Once the provider was asked, a repeat may have been placed, and a late refusal concerns only the first request.
    const REFUSED: &str =
        "update dispatches set state = 'refused', next_lookup_at = null, result = $4, updated_at = $3
         where bucket = $1 and id = $2 and (state = 'intent' or (state = 'unknown' and lookups = 0))
         returning bucket, tenant_id, workspace_id, sent_at,
             (select c.is_test from callbacks c where c.bucket = dispatches.bucket and c.id = dispatches.callback_id) as is_test";
    const UNKNOWN: &str =
        "update dispatches set state = 'unknown', next_lookup_at = $3, in_flight_until = $3, updated_at = $3
         where bucket = $1 and id = $2 and state = 'intent'";
    // Recovery may have marked it as unknown first, with an estimated end of the request; the sender has the actual
    // one.
    const OVER: &str = "update dispatches set in_flight_until = $3 where bucket = $1 and id = $2 and state = 'unknown' and in_flight_until < $3";
    let Intent { bucket, id, callback, workspace, test, .. } = *intent;
    match after {
        AfterDial::Dialing { call_id } => placed.push(Placed { bucket, id, call_id, test, now }),
        AfterDial::Retry { at, pause, slow, why: message } => {
            let why = pause.map(Pause::as_str).unwrap_or(if *slow { "throttled" } else { "not_placed" });
            if let Some(dispatch) = tx.fetch_one(REFUSED, args![bucket, id, now, why]).await? {
                quota::uncount(tx, &dispatch).await?;
                let wait = Wait { was_unplaced: true, ..Wait::until(*at) };
                give_back(tx, bucket, callback, wait, now).await?;
            }
            if let Some(pause) = pause {
                workspace_jobs::pause(tx, workspace, *pause, Some(message), now).await?;
            }
        }
        AfterDial::Close { state, outcome, why: message } => {
            if let Some(dispatch) = tx.fetch_one(REFUSED, args![bucket, id, now, outcome]).await? {
                quota::uncount(tx, &dispatch).await?;
                let message = Some(message.as_str()).filter(|text| !text.is_empty());
                let end = End { bucket, id: callback, state: *state, outcome: Some(outcome), message };
                if !close(tx, &[end], now).await?.is_empty() {
                    let notice = if *state == State::Suppressed {
                        ActivityNotice::DoNotCall
                    } else {
                        ActivityNotice::Refused
                    };
                    notice_of_callback(tx, bucket, callback, notice, now).await?;
                }
            }
        }
        AfterDial::Unconfirmed { .. } => {
            if tx.execute(UNKNOWN, args![bucket, id, now]).await? == 1 {
                doubt(tx, bucket, callback, None, now).await?;
            } else {
                tx.execute(OVER, args![bucket, id, now]).await?;
            }
        }
    }
    Ok(())
}

/// A dispatch that became a call.
pub(crate) struct Placed<'a> {
    pub(crate) bucket: i64,
    pub(crate) id: Id<id::Dispatch>,
    pub(crate) call_id: &'a str,
    /// Whether it was sent to the simulator, which reports nothing by itself and is polled soon.
    pub(crate) test: bool,
    pub(crate) now: Timestamp,
}

/// Records the first proof that dispatches became calls, which spends an attempt of each, once. For a dispatch that
/// ended as unresolved, only the call's id is recorded (I12).
pub(crate) async fn mark_placed(tx: &mut Tx, calls: &[Placed<'_>]) -> Result<(), StoreError> {
    let Some(now) = calls.iter().map(|call| call.now).max() else { return Ok(()) };
    const PLACED: &str = "with v (bucket, id, call_id, next_lookup_at, now) as (values {rows})
         update dispatches set state = 'placed', call_id = v.call_id, next_lookup_at = v.next_lookup_at, updated_at = v.now
         from v
         where dispatches.bucket = v.bucket and dispatches.id = v.id and dispatches.state in ('intent', 'unknown')
         returning dispatches.bucket, dispatches.callback_id, dispatches.call_id, dispatches.updated_at";
    const NOTED: &str = "with v (bucket, id, call_id, now) as (values {rows})
         update dispatches set call_id = v.call_id, updated_at = v.now
         from v
         where dispatches.bucket = v.bucket and dispatches.id = v.id and dispatches.state = 'unresolved'
           and dispatches.call_id is null";
    const SPEND: &str = "with v (bucket, id, n) as (values {rows})
         update chains set attempts_used = chains.attempts_used + v.n from v where chains.bucket = v.bucket and chains.id = v.id";
    let next_lookup_at = |c: &Placed<'_>| match c.test {
        true => plus(c.now, TEST_CALL_TAKES),
        false => plus(c.now, minutes(LOOKUP_AFTER_MINUTES)),
    };
    let rows = calls.iter().map(|c| row![c.bucket, c.id, c.call_id, next_lookup_at(c), c.now]).collect();
    let placed = tx.fetch_rows(PLACED, vec![], rows).await?;
    let dialing = |r: &Row| -> Result<Vec<Value>, StoreError> {
        let callback = Id::<id::Callback>::from_uuid(r.get("callback_id")?);
        Ok(row![r.get::<i64>("bucket")?, callback, r.get::<String>("call_id")?, r.get::<i64>("updated_at")?])
    };
    let rows = placed.iter().map(dialing).collect::<Result<Vec<_>, _>>()?;
    let mut attempts_used: BTreeMap<(i64, Uuid), i64> = BTreeMap::new();
    for row in transitions::place(tx, rows, now).await? {
        *attempts_used.entry((row.get("bucket")?, row.get("chain_id")?)).or_default() += 1;
    }
    if placed.len() < calls.len() {
        let noted = calls.iter().map(|c| row![c.bucket, c.id, c.call_id, c.now]).collect();
        tx.execute_rows(NOTED, vec![], noted).await?;
    }
    let rows =
        attempts_used.iter().map(|((bucket, id), n)| row![*bucket, Id::<id::Chain>::from_uuid(*id), *n]);
    tx.execute_rows(SPEND, vec![], rows.collect()).await.map(|_| ())
}
