//! Recovery: lapsed claims, and dispatches to look up at the provider.
//!
//! Invariants: a claim without an intent returns to scheduled; one with an intent becomes unknown and is never claimed
//! again, only looked up. Each lookup is taken by one replica.

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::State,
    decide::{ActivityNotice, Resolution, Unknown},
    dispatch, id,
    time::plus,
};

use crate::{
    Secrets, Store, StoreError, TenantKey, at,
    callbacks::transitions::{End, Wait, close, doubt, give_back},
    db::{Row, args},
    dispatch::{
        claims::fail,
        intents::{Placed, mark_placed},
        prepared::BODY,
        quota,
    },
    log::notices::notice_of_callback,
};

/// A dispatch to look up at the provider.
pub struct UnconfirmedDispatch {
    /// The tenant's bucket.
    pub bucket: i64,
    /// The dispatch.
    pub id: Id<id::Dispatch>,
    /// Its tenant.
    pub tenant: Id<id::Tenant>,
    /// Its workspace.
    pub workspace: Id<id::Workspace>,
    /// Its callback.
    pub callback: Id<id::Callback>,
    /// The agent that dialed.
    pub agent: Id<id::Agent>,
    /// Voice or chat.
    pub channel: Channel,
    /// The provider's id of the call; `None` while it is unknown whether there is one.
    pub call_id: Option<String>,
    /// When the intent was written.
    pub sent_at: Timestamp,
    /// Whether it was sent to the simulator.
    pub test: bool,
    /// The provider's account that it was sent to, if that was known.
    pub account: Option<String>,
    in_flight_until: Option<i64>,
    first_absent_at: Option<i64>,
    lookups: i64,
    sealed: Vec<u8>,
    callback_sealed: Vec<u8>,
}

impl UnconfirmedDispatch {
    /// Its state while it is unknown whether there is a call. `key_lives` is how long the provider keeps an idempotency
    /// key; `None` without one.
    pub fn unknown(&self, key_lives: Option<jiff::SignedDuration>) -> Unknown {
        Unknown {
            sent_at: self.sent_at,
            in_flight_until: self.in_flight_until.map_or(self.sent_at, at),
            first_absent_at: self.first_absent_at.map(at),
            key_lives,
            lookups: u32::try_from(self.lookups).unwrap_or(u32::MAX),
        }
    }

    /// The bytes that were sent. A repeat sends exactly these.
    pub fn body(&self, key: &TenantKey) -> Result<Vec<u8>, StoreError> {
        Ok(key.open(BODY, self.id.uuid(), &self.sealed)?)
    }

    /// Opens the callback's personal data.
    pub fn secrets(&self, key: &TenantKey) -> Result<Secrets, StoreError> {
        Secrets::open(self.callback, &self.callback_sealed, key)
    }
}

impl Store {
    /// Records that an unknown dispatch is about to be repeated under its idempotency key: a byte of it may leave until
    /// `in_flight_until`, and an earlier absence from the provider's lists proves nothing any more. `false` if it is already
    /// settled or may not ring any more; then only the lists are read (I7).
    pub async fn begin_repeat(
        &self,
        ask: &mut UnconfirmedDispatch,
        in_flight_until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str =
            "update dispatches set in_flight_until = $3, first_absent_at = null, updated_at = $4
             where bucket = $1 and id = $2 and state = 'unknown' and coalesce(in_flight_until, 0) = $5
               and exists (select 1 from callbacks c join agents a on a.id = c.agent_id
                       join workspaces w on w.id = c.workspace_id
                   where c.bucket = $1 and c.id = dispatches.callback_id and a.enabled
                     and w.paused is null and w.deleted_at is null
                     and w.restore_generation = (select coalesce(max(generation), 0) from restore_generations)
                     and not exists (select 1 from suppressions s
                         where s.bucket = $1 and s.tenant_id = c.tenant_id and s.phone_hash = c.phone_hash))";
        let known = ask.in_flight_until.unwrap_or(0);
        let begun = self.db.write(SQL, args![ask.bucket, ask.id, in_flight_until, now, known]).await? == 1;
        if begun {
            (ask.in_flight_until, ask.first_absent_at) = (Some(in_flight_until.as_millisecond()), None);
        }
        Ok(begun)
    }

    /// Records the result of a lookup. A list that was read before another replica repeated the request proves nothing,
    /// so only a placed call is recorded from it.
    pub async fn finish_lookup(
        &self,
        ask: &UnconfirmedDispatch,
        after: &Resolution,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const LATER: &str = "update dispatches set next_lookup_at = $3, first_absent_at = $4, updated_at = $5
             where bucket = $1 and id = $2 and state = 'unknown' and coalesce(in_flight_until, 0) = $6";
        const ENDED: &str = "update dispatches set state = $3, next_lookup_at = null, updated_at = $4
             where bucket = $1 and id = $2 and state = 'unknown' and coalesce(in_flight_until, 0) = $5
             returning bucket, tenant_id, workspace_id, sent_at,
                 (select c.is_test from callbacks c where c.bucket = dispatches.bucket and c.id = dispatches.callback_id) as is_test";
        const SPEND: &str =
            "update chains set attempts_used = attempts_used + 1 where bucket = $1 and id = $2";
        let (bucket, id, callback, known) =
            (ask.bucket, ask.id, ask.callback, ask.in_flight_until.unwrap_or(0));
        let mut tx = self.db.begin().await?;
        match after {
            Resolution::Placed { call_id } => {
                mark_placed(&mut tx, &[Placed { bucket, id, call_id, test: false, now }]).await?;
            }
            Resolution::Later { at, first_absent_at } => {
                tx.execute(LATER, args![bucket, id, *at, *first_absent_at, now, known]).await?;
            }
            Resolution::NotPlaced => {
                let ended = tx
                    .fetch_one(ENDED, args![bucket, id, dispatch::State::NotPlaced.as_str(), now, known])
                    .await?;
                if let Some(dispatch) = ended {
                    quota::uncount(&mut tx, &dispatch).await?;
                    give_back(&mut tx, bucket, callback, Wait::until(now), now).await?;
                }
            }
            Resolution::Unresolved => {
                let end = End::new(bucket, callback, State::Failed, Some("unresolved"));
                if tx
                    .fetch_one(ENDED, args![bucket, id, dispatch::State::Unresolved.as_str(), now, known])
                    .await?
                    .is_some()
                    && let Some(row) = close(&mut tx, &[end], now).await?.first()
                {
                    let chain: Id<id::Chain> = Id::from_uuid(row.get("chain_id")?);
                    tx.execute(SPEND, args![bucket, chain]).await?;
                }
            }
        }
        tx.commit().await
    }

    /// Closes a placed call without a reported outcome: the attempt stays spent, and a person decides what follows.
    pub async fn close_without_outcome(
        &self,
        ask: &UnconfirmedDispatch,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const ENDED: &str =
            "update dispatches set state = 'ended', next_lookup_at = null, result = 'outcome_unknown', updated_at = $3
             where bucket = $1 and id = $2 and state = 'placed'";
        let mut tx = self.db.begin().await?;
        if tx.execute(ENDED, args![ask.bucket, ask.id, now]).await? == 0 {
            return Ok(false);
        }
        let end = End::new(ask.bucket, ask.callback, State::Failed, Some("outcome_unknown"));
        close(&mut tx, &[end], now).await?;
        notice_of_callback(&mut tx, ask.bucket, ask.callback, ActivityNotice::OutcomeUnknown, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Recovers the claims of dead processes: a claim without an intent is scheduled again, one with an intent becomes
    /// unknown. A claim has lapsed when its lease ended before `real_ms` or, among replicas, when its owner no longer
    /// renews its heartbeat; `i64::MAX` recovers every claim.
    ///
    /// An owner that is slow rather than dead loses nothing: its response still settles an unknown dispatch.
    pub async fn recover(
        &self,
        range: (i64, i64),
        real_ms: i64,
        now: Timestamp,
        speed: i64,
    ) -> Result<u64, StoreError> {
        const LAPSED: &str = "select bucket, id, fence, dispatch_id, due_at, lease_until from callbacks
             where state = 'dispatching' and bucket between $1 and $2
               and (lease_until is null or lease_until < $3 or ($4 and not exists (
                   select 1 from replicas where replicas.name = callbacks.lease_owner and replicas.until_ms >= $3)))
             order by bucket, id limit 1000";
        const UNKNOWN: &str =
            "update dispatches set state = 'unknown', next_lookup_at = $3, in_flight_until = $4, updated_at = $3
             where bucket = $1 and id = $2 and state = 'intent'";
        let mut tx = self.db.begin().await?;
        let lapsed = tx.fetch(LAPSED, args![range.0, range.1, real_ms, self.is_shared()]).await?;
        let n = lapsed.len() as u64;
        for row in lapsed {
            let (bucket, fence): (i64, i64) = (row.get("bucket")?, row.get("fence")?);
            let id: Id<id::Callback> = Id::from_uuid(row.get("id")?);
            let Some(dispatch) = row.get::<Option<uuid::Uuid>>("dispatch_id")? else {
                fail(&mut tx, bucket, id, fence, at(row.get("due_at")?), now).await?;
                continue;
            };
            // A sender that is frozen rather than dead may send until its lease ends, never after.
            let lease_until: Option<i64> = row.get("lease_until")?;
            let left_ms = lease_until.map_or(0, |until| until.saturating_sub(real_ms)).max(0);
            let in_flight_until = plus(now, jiff::SignedDuration::from_millis(left_ms.saturating_mul(speed)));
            if doubt(&mut tx, bucket, id, Some(fence), now).await? {
                let dispatch: Id<id::Dispatch> = Id::from_uuid(dispatch);
                tx.execute(UNKNOWN, args![bucket, dispatch, now, in_flight_until]).await?;
            }
        }
        tx.commit().await?;
        Ok(n)
    }

    /// Takes the dispatches that are due for a lookup. Their `next_lookup_at` moves to `next_at`, so that no other replica
    /// looks them up too.
    pub async fn due_lookups(
        &self,
        range: (i64, i64),
        now: Timestamp,
        next_at: Timestamp,
        limit: i64,
    ) -> Result<Vec<UnconfirmedDispatch>, StoreError> {
        const LIST: &str = "select d.bucket, d.id, d.tenant_id, d.workspace_id, d.callback_id, d.channel, d.call_id, d.sent_at, d.account,
                 d.in_flight_until, d.first_absent_at, d.lookups, d.sealed, c.agent_id, c.is_test, c.sealed as callback_sealed
             from dispatches d join callbacks c on c.bucket = d.bucket and c.id = d.callback_id
             where +d.bucket between $1 and $2 and d.next_lookup_at <= $3 order by d.next_lookup_at limit $4";
        const CLAIM: &str = "update dispatches set next_lookup_at = $4, lookups = lookups + 1 where bucket = $1 and id = $2 and next_lookup_at <= $3";
        let mut tx = self.db.begin().await?;
        let mut lookups = Vec::new();
        for row in tx.fetch(LIST, args![range.0, range.1, now, limit]).await? {
            let ask = UnconfirmedDispatch::from_row(&row)?;
            if tx.execute(CLAIM, args![ask.bucket, ask.id, now, next_at]).await? == 1 {
                lookups.push(ask);
            }
        }
        tx.commit().await?;
        Ok(lookups)
    }
}

impl UnconfirmedDispatch {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            bucket: row.get("bucket")?,
            id: Id::from_uuid(row.get("id")?),
            tenant: Id::from_uuid(row.get("tenant_id")?),
            workspace: Id::from_uuid(row.get("workspace_id")?),
            callback: Id::from_uuid(row.get("callback_id")?),
            agent: Id::from_uuid(row.get("agent_id")?),
            channel: Channel::from_stored(&row.get::<String>("channel")?),
            call_id: row.get("call_id")?,
            sent_at: at(row.get("sent_at")?),
            test: row.get("is_test")?,
            account: row.get("account")?,
            in_flight_until: row.get("in_flight_until")?,
            first_absent_at: row.get("first_absent_at")?,
            lookups: row.get("lookups")?,
            sealed: row.get("sealed")?,
            callback_sealed: row.get("callback_sealed")?,
        })
    }
}
