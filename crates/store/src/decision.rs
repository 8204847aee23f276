//! One decision about one event: what is known is read, what was decided is written, in one transaction.
//!
//! Invariants: the delivery leaves `pending` in the same commit as everything that follows from it (C10, C13);
//! its first statements lock the person and the call, so that two deciders take turns; a callback that is
//! final is not touched (I12). The transaction is open only while pure code runs.

use redialer_core::{
    Id, Timestamp,
    callback::{HeldFor, State},
    chance::Chance,
    decide::{AfterCall, Follow, Person, Planned, Redial, Seen, Settle},
    id,
    time::{minutes, plus},
};

use crate::{
    PendingRow, Secrets, Store, StoreError, TenantKey,
    activity::notes_text,
    claims::back_to_waiting,
    dispatch::mark_placed,
    engine::{Row, Tx, args},
    fail::Point,
    persons::{NewRow, insert, live_of, lock_person, read_person, supersede},
    suppressions::{Entry, suppress},
    sweeps::ANALYSIS_AFTER_MINUTES,
    workspaces,
};

/// The callback that a call is a dial of; nothing here changes while it lives.
#[derive(Clone)]
pub struct RedialRow {
    /// The dispatch.
    pub dispatch: Id<id::Dispatch>,
    /// The callback.
    pub callback: Id<id::Callback>,
    /// Its chain.
    pub chain: Id<id::Chain>,
    /// The agent that dialled.
    pub agent: Id<id::Agent>,
    /// The keyed index of the number.
    pub person_ix: [u8; 16],
    cause: Option<String>,
    sealed: Vec<u8>,
}

impl RedialRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let person_ix: Vec<u8> = row.get("person_ix")?;
        Ok(Self {
            dispatch: Id::from_uuid(row.get("dispatch_id")?),
            callback: Id::from_uuid(row.get("id")?),
            chain: Id::from_uuid(row.get("chain_id")?),
            agent: Id::from_uuid(row.get("agent_id")?),
            person_ix: person_ix.try_into().map_err(|_| StoreError::Corrupt("number index"))?,
            cause: row.get("cause")?,
            sealed: row.get("sealed")?,
        })
    }

    /// What is personal about the callback.
    pub fn secrets(&self, key: &TenantKey) -> Result<Secrets, StoreError> {
        Secrets::open(self.callback, &self.sealed, key)
    }
}

/// Whom and what a decision is about.
pub struct Subject<'a> {
    /// The delivery.
    pub delivery: &'a PendingRow,
    /// The provider's id of the call.
    pub call_id: &'a str,
    /// The keyed index of the person's number.
    pub person_ix: Option<[u8; 16]>,
    /// The callback the call is a dial of.
    pub redial: Option<&'a RedialRow>,
    /// Voice or chat.
    pub channel: redialer_core::agent::Channel,
}

/// What earlier events left behind.
#[derive(Debug)]
pub struct KnownCall {
    /// Of this call.
    pub seen: Seen,
    /// Of the callback that it is a dial of.
    pub redial: Option<Redial>,
    /// Of the person.
    pub person: Option<Person>,
}

/// What a next callback is written with, beside its plan.
pub struct Following<'a> {
    /// Its id, should it be a new row.
    pub id: Id<id::Callback>,
    /// The agent that dials.
    pub agent: Id<id::Agent>,
    /// Voice or chat.
    pub channel: redialer_core::agent::Channel,
    /// What is personal about it.
    pub secrets: &'a Secrets,
    /// The agent with which it is the one promise; `None` in the whole workspace.
    pub promise_scope: Option<Id<id::Agent>>,
}

impl Following<'_> {
    /// The callback that `follow` writes or rewrites.
    pub(crate) const fn target(&self, follow: &Follow) -> Id<id::Callback> {
        match follow {
            Follow::New(_) => self.id,
            Follow::Move(id, _) => *id,
        }
    }
}

/// The end of the call, for the record.
pub struct SpokenWith<'a> {
    /// The person's number, E.164; goes on the do-not-call list if they asked for it.
    pub number: Option<&'a str>,
    /// How it ended, in the provider's words.
    pub outcome: Option<&'a str>,
}

/// An open decision.
pub struct Decision<'a> {
    store: Store,
    tx: Tx,
    subject: Subject<'a>,
    now: Timestamp,
}

impl Store {
    /// The callback that a call of this workspace is a dial of, by our dispatch id in its metadata or by the
    /// call's own id.
    pub async fn redial_of(
        &self,
        row: &PendingRow,
        dispatch: Option<Id<id::Dispatch>>,
        call_id: &str,
    ) -> Result<Option<RedialRow>, StoreError> {
        // A dispatch that became another call is not this one.
        const SQL: &str =
            "select d.id as dispatch_id, c.id, c.chain_id, c.agent_id, c.person_ix, c.cause, c.sealed
             from (select bucket, id, callback_id from dispatches
                     where bucket = $1 and workspace_id = $2 and id = $3 and (call_id is null or call_id = $4)
                 union select bucket, id, callback_id from dispatches
                     where bucket = $1 and workspace_id = $2 and call_id = $4) as d
                 cross join callbacks c where c.bucket = d.bucket and c.id = d.callback_id and c.test = $5";
        let args = args![row.bucket, row.workspace, dispatch, call_id, row.test];
        let found = self.db.read_one(SQL, args).await?;
        found.as_ref().map(RedialRow::from_row).transpose()
    }

    /// Opens a decision; `None` when the delivery was decided meanwhile.
    pub async fn begin_decision<'a>(
        &self,
        subject: Subject<'a>,
        now: Timestamp,
    ) -> Result<Option<(Decision<'a>, KnownCall)>, StoreError> {
        const TAKE: &str =
            "update deliveries set state = 'done' where bucket = $1 and id = $2 and state = 'pending'";
        const CALL: &str =
            "insert into calls (bucket, workspace_id, call_id, tenant_id, events, seq, settled, analyzed, seen_at, channel)
             values ($1, $2, $3, $4, 0, 1, false, false, $5, $6)
             on conflict (bucket, workspace_id, call_id) do update set seen_at = $5, seq = calls.seq + 1, channel = $6";
        let row = subject.delivery;
        let mut tx = self.db.begin().await?;
        if let Some(person_ix) = &subject.person_ix {
            lock_person(&mut tx, row.bucket, row.tenant, row.workspace, person_ix).await?;
        }
        if tx.execute(TAKE, args![row.bucket, row.id]).await? == 0 {
            return Ok(None);
        }
        let channel = subject.channel.word();
        tx.execute(CALL, args![row.bucket, row.workspace, subject.call_id, row.tenant, now, channel]).await?;
        let mut decision = Decision { store: self.clone(), tx, subject, now };
        let known = decision.known().await?;
        Ok(Some((decision, known)))
    }
}

impl Decision<'_> {
    async fn known(&mut self) -> Result<KnownCall, StoreError> {
        let row = self.subject.delivery;
        let redial = match self.subject.redial {
            Some(redial) => Some(self.redial(redial).await?),
            None => None,
        };
        let person = match self.subject.person_ix {
            Some(ix) => Some(read_person(&mut self.tx, row.bucket, row.tenant, row.workspace, &ix).await?),
            None => None,
        };
        Ok(KnownCall { seen: self.seen().await?, redial, person })
    }

    /// A webhook may come before the answer to the request that placed the call: then it is that answer.
    async fn redial(&mut self, redial: &RedialRow) -> Result<Redial, StoreError> {
        const SPENT: &str = "select spent from chains where bucket = $1 and id = $2";
        const STATE: &str = "select state from dispatches where bucket = $1 and id = $2";
        let bucket = self.subject.delivery.bucket;
        mark_placed(&mut self.tx, bucket, redial.dispatch, self.subject.call_id, self.now).await?;
        let spent = self.tx.fetch_one(SPENT, args![bucket, redial.chain]).await?;
        let spent: i64 = spent.ok_or(StoreError::Corrupt("chain"))?.get("spent")?;
        let state = self.tx.fetch_one(STATE, args![bucket, redial.dispatch]).await?;
        let state = state.ok_or(StoreError::Corrupt("dispatch"))?;
        Ok(Redial {
            id: redial.callback,
            chain: redial.chain,
            spent: u32::try_from(spent).unwrap_or(0),
            cause: redial.cause.clone(),
            unresolved: state.get::<String>("state")? == "unresolved",
        })
    }

    async fn seen(&mut self) -> Result<Seen, StoreError> {
        const SQL: &str = "select settled, analyzed, retry_id from calls where bucket = $1 and workspace_id = $2 and call_id = $3";
        const RETRY: &str =
            "select b.id, b.chain_id, b.state, b.reason, b.born_of, b.agent_id, coalesce(c.spent, 0) as spent
             from callbacks b left join chains c on c.bucket = b.bucket and c.id = b.chain_id
             where b.bucket = $1 and b.id = $2 and b.state in ('scheduled', 'held')";
        let row = self.subject.delivery;
        let call = self.tx.fetch_one(SQL, args![row.bucket, row.workspace, self.subject.call_id]).await?;
        let call = call.ok_or(StoreError::Corrupt("call"))?;
        let retry = match call.get::<Option<uuid::Uuid>>("retry_id")? {
            Some(id) => {
                self.tx.fetch_one(RETRY, args![row.bucket, Id::<id::Callback>::from_uuid(id)]).await?
            }
            None => None,
        };
        let retry = retry.as_ref().map(live_of);
        Ok(Seen { settled: call.get("settled")?, analyzed: call.get("analyzed")?, retry: retry.transpose()? })
    }

    /// Writes what was decided and commits.
    pub async fn finish(
        mut self,
        after: &AfterCall,
        following: Option<Following<'_>>,
        spoken_with: &SpokenWith<'_>,
        key: &TenantKey,
        chance: &Chance,
    ) -> Result<(), StoreError> {
        let bucket = self.subject.delivery.bucket;
        let by = after.follow.as_ref().zip(following.as_ref()).map(|(follow, next)| next.target(follow));
        supersede(&mut self.tx, bucket, &after.supersede, by, self.now).await?;
        if let (Some(settle), Some(redial)) = (after.settle, self.subject.redial) {
            self.settle(settle, redial, spoken_with.outcome).await?;
        }
        let next = match (&after.follow, &following) {
            (Some(follow), Some(following)) => Some(self.follow(follow, following, key, chance).await?),
            _ => None,
        };
        // Whoever opts out in a test is nobody.
        let opts_out = after.suppress && !self.subject.delivery.test;
        if let (true, Some(number)) = (opts_out, spoken_with.number) {
            suppress(
                &mut self.tx,
                bucket,
                key,
                Entry { number, note: None, source: "call" },
                self.now,
                chance,
            )
            .await?;
        }
        self.mark(after, next).await?;
        if next.is_some() {
            self.store.pass(Point::C13).await?;
        }
        self.tx.commit().await
    }

    async fn settle(
        &mut self,
        settle: Settle,
        redial: &RedialRow,
        outcome: Option<&str>,
    ) -> Result<(), StoreError> {
        const ENDED: &str =
            "update dispatches set state = 'ended', ask_at = null, answer = $3, updated_at = $4
             where bucket = $1 and id = $2 and state = 'placed'";
        const CLOSE: &str =
            "update callbacks set state = $3, outcome = $4, lease_until = null, updated_at = $5
             where bucket = $1 and id = $2 and state in ('dispatching', 'dialing', 'unconfirmed')";
        const UNSPEND: &str =
            "update chains set spent = spent - 1 where bucket = $1 and id = $2 and spent > 0";
        let bucket = self.subject.delivery.bucket;
        if self.tx.execute(ENDED, args![bucket, redial.dispatch, outcome, self.now]).await? == 0 {
            return Ok(());
        }
        match settle {
            Settle::Close(state) => {
                self.tx
                    .execute(CLOSE, args![bucket, redial.callback, state.word(), outcome, self.now])
                    .await?;
            }
            Settle::Again { at } => {
                self.tx.execute(UNSPEND, args![bucket, redial.chain]).await?;
                back_to_waiting(&mut self.tx, bucket, redial.callback, State::Scheduled, None, at, self.now)
                    .await?;
            }
        }
        Ok(())
    }

    async fn follow(
        &mut self,
        follow: &Follow,
        following: &Following<'_>,
        key: &TenantKey,
        chance: &Chance,
    ) -> Result<(Id<id::Callback>, bool), StoreError> {
        let row = self.subject.delivery;
        match follow {
            Follow::New(planned) => {
                let new = NewRow {
                    id: following.id,
                    bucket: row.bucket,
                    tenant: row.tenant,
                    workspace: row.workspace,
                    agent: following.agent,
                    channel: following.channel,
                    person_ix: self.subject.person_ix.ok_or(StoreError::Corrupt("person"))?,
                    planned,
                    source: Some(self.subject.call_id),
                    kind: if planned.reason.is_retry() { "retry" } else { "request" },
                    test: row.test,
                    sealed: following.secrets.seal(following.id, key, chance),
                    promise_scope: following.promise_scope,
                    external_ix: None,
                    now: self.now,
                };
                insert(&mut self.tx, &new).await?;
                Ok((following.id, planned.reason.is_retry()))
            }
            Follow::Move(id, planned) => {
                let sealed = following.secrets.seal(*id, key, chance);
                rewrite(&mut self.tx, row.bucket, *id, planned, sealed, self.now).await?;
                Ok((*id, true))
            }
        }
    }

    /// Remembers what was acted on, so that another copy or a later event of the call does not act again.
    async fn mark(
        &mut self,
        after: &AfterCall,
        next: Option<(Id<id::Callback>, bool)>,
    ) -> Result<(), StoreError> {
        // What is over and not analysed is asked about; an analysis, even one that says nothing, ends the wait.
        const CALL: &str = "update calls set settled = settled or $4, analyzed = analyzed or $5, retry_id = coalesce($6, retry_id),
                 check_at = case when analyzed or $5 then null when $4 then $7 else check_at end
             where bucket = $1 and workspace_id = $2 and call_id = $3";
        const REACHED: &str =
            "update persons set reached_at = $4 where bucket = $1 and workspace_id = $2 and person_ix = $3";
        const NOTES: &str =
            "update deliveries set notes = $3, callback_id = $4 where bucket = $1 and id = $2";
        let row = self.subject.delivery;
        let retry = next.filter(|(_, is_retry)| *is_retry).map(|(id, _)| id);
        let check_at = plus(self.now, minutes(ANALYSIS_AFTER_MINUTES));
        let values = args![
            row.bucket,
            row.workspace,
            self.subject.call_id,
            after.settled,
            after.analyzed,
            retry,
            check_at
        ];
        self.tx.execute(CALL, values).await?;
        if let (Some(reached_at), Some(ix)) = (after.reached_at, self.subject.person_ix) {
            self.tx.execute(REACHED, args![row.bucket, row.workspace, ix, reached_at]).await?;
        }
        if let Some(pause) = after.pause {
            workspaces::pause(&mut self.tx, row.workspace, pause, None, self.now).await?;
        }
        let notes = notes_text(after);
        let callback = next.map(|(id, _)| id).or(self.subject.redial.map(|r| r.callback));
        self.tx.execute(NOTES, args![row.bucket, row.id, notes, callback]).await?;
        Ok(())
    }
}

/// The retry that a call's reason made becomes the request that its analysis brings.
pub(crate) async fn rewrite(
    tx: &mut Tx,
    bucket: i64,
    id: Id<id::Callback>,
    p: &Planned,
    sealed: Vec<u8>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str =
        "update callbacks set state = $3, held_for = $4, reason = $5, cause = $6, requested_for = $7,
             scheduled_for = $8, due_at = $8, timezone = $9, timezone_source = $10, born_of = $11,
             source_kind = 'request', sealed = $12, updated_at = $13
         where bucket = $1 and id = $2 and state in ('scheduled', 'held')";
    let state = if p.held.is_some() { State::Held } else { State::Scheduled };
    let values = args![
        bucket,
        id,
        state.word(),
        p.held.map(HeldFor::word),
        p.reason.word(),
        p.cause.clone(),
        p.requested_for,
        p.scheduled_for,
        &p.zone.name,
        p.zone.source.word(),
        p.born_of,
        sealed,
        now
    ];
    // It was read as waiting: claimed since, the request needs another row.
    match tx.execute(SQL, values).await? {
        1 => Ok(()),
        _ => Err(DECIDED_MEANWHILE),
    }
}

/// The rows changed since they were read.
pub(crate) const DECIDED_MEANWHILE: StoreError = StoreError::Conflict("decided meanwhile");
