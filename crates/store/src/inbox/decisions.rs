//! Decisions about recorded events: reads the current state of a batch and writes what was decided, in one transaction.
//! A batch of one takes the same path.
//!
//! Invariants: an event leaves `pending` in the same commit as everything that follows from it (C10, C13), and only
//! once. On Postgres the first statements lock the rows of the batch's persons and calls in key order, so that
//! concurrent decisions about them wait. Persons and calls without a row get one in the first statements that write; if
//! another transaction inserted it in the meantime, the batch is decided again. SQLite has one writer at a time. A batch
//! holds at most one event of each person and each call, which the caller ensures. The decisions are pure code between
//! [`Store::begin_decisions`] and [`Decisions::finish`]; no other I/O happens while the transaction is open.

use std::collections::{BTreeMap, BTreeSet};

use redialer_core::{
    Id, Timestamp,
    agent::Channel,
    callback::{HeldFor, waits_as},
    decide::{AfterCall, CallProgress, CallbackPlan, NextCallback, Person, Redial, Settle, analysis_due},
    id,
    rng::Rng,
};
use uuid::Uuid;

use crate::{
    Secrets, Store, StoreError, TenantKey,
    accounts::{
        suppressions::{Entry, suppress},
        workspace_jobs,
    },
    callbacks::{
        persons::{NewRow, PersonKey, lock_persons, read_persons},
        transitions::{self, End, Wait, give_back},
    },
    db::{Tx, bulk_sql::RowValues, failpoints::FailPoint, row},
    dispatch::intents::{Placed, mark_placed},
    inbox::snapshot::{CallKey, CallRow, DecisionKey, pending, read_calls, read_redials, read_retries},
    log::activity::notes_text,
};

/// The state that earlier events left.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The progress of this call.
    pub seen: CallProgress,
    /// The callback that the call is a dial of.
    pub redial: Option<Redial>,
    /// The person.
    pub person: Option<Person>,
}

/// The decision about an event.
pub struct Decided<'a> {
    /// The changes that follow.
    pub after: AfterCall,
    /// The fields of the next callback.
    pub next: Option<NextCallbackFields<'a>>,
    /// The person's number, E.164, for the do-not-call list.
    pub number: Option<&'a str>,
    /// How the call ended, in the provider's words.
    pub outcome: Option<&'a str>,
    /// The tenant's key.
    pub key: &'a TenantKey,
}

impl Decided<'_> {
    /// The next callback.
    fn callback(&self) -> Option<Id<id::Callback>> {
        match (self.after.follow.as_ref()?, self.next.as_ref()?) {
            (NextCallback::Create(_), next) => Some(next.id),
            (NextCallback::Replace(id, _), _) => Some(*id),
        }
    }
}

/// The fields of a next callback, besides its plan.
pub struct NextCallbackFields<'a> {
    /// Its id, if it is a new row.
    pub id: Id<id::Callback>,
    /// The agent that dials.
    pub agent: Id<id::Agent>,
    /// Voice or chat.
    pub channel: Channel,
    /// Its personal data.
    pub secrets: &'a Secrets,
    /// The agent within which the person may have one promise; `None` for the whole workspace.
    pub promise_scope: Option<Id<id::Agent>>,
}

/// An open transaction in which a batch of events is decided.
pub struct Decisions<'a> {
    store: Store,
    tx: Tx,
    keys: Vec<DecisionKey<'a>>,
    /// Persons that had no row to lock, on Postgres.
    new_persons: BTreeSet<PersonKey>,
    /// The stored state of each call of the batch that has a row.
    calls: BTreeMap<CallKey, CallRow>,
    known: Vec<Option<Known>>,
    now: Timestamp,
}

/// An event's key and the decision about it.
type Case<'c, 'a> = (&'c DecisionKey<'a>, &'c Decided<'a>);

impl Store {
    /// Opens the transaction in which a batch of events is decided.
    pub async fn begin_decisions<'a>(
        &self,
        keys: Vec<DecisionKey<'a>>,
        now: Timestamp,
    ) -> Result<Decisions<'a>, StoreError> {
        // An event whose decision is lost in a power failure is still in the inbox and is decided again.
        let mut tx = self.db.begin_deferred().await?;
        let new_persons = lock_persons(&mut tx, keys.iter().filter_map(DecisionKey::person)).await?;
        let calls = read_calls(&mut tx, &keys).await?;
        let pending = pending(&mut tx, &keys).await?;
        let open: Vec<&DecisionKey<'a>> =
            keys.iter().filter(|key| pending.contains(&key.event.id.uuid())).collect();
        // A webhook may arrive before the response to the request that placed the call. It then proves that the call
        // was placed.
        let placed = open.iter().filter_map(|key| Some((key, key.redial?))).map(|(key, redial)| Placed {
            bucket: key.event.bucket,
            id: redial.dispatch,
            call_id: key.call_id,
            test: key.event.test,
            now,
        });
        mark_placed(&mut tx, &placed.collect::<Vec<_>>()).await?;
        let retries = read_retries(&mut tx, &open, &calls).await?;
        let persons = read_persons(&mut tx, open.iter().filter_map(|key| key.person())).await?;
        let redials = read_redials(&mut tx, &open).await?;
        let known = |key: &DecisionKey<'_>| {
            let call = calls.get(&key.call());
            let retry = call.and_then(|call| retries.get(&call.retry?.uuid())).cloned();
            Known {
                seen: CallProgress {
                    settled: call.is_some_and(|call| call.settled),
                    analyzed: call.is_some_and(|call| call.analyzed),
                    retry,
                },
                redial: key.redial.and_then(|redial| redials.get(&redial.dispatch.uuid())).cloned(),
                person: key.person().map(|person| persons.get(&person.key()).cloned().unwrap_or_default()),
            }
        };
        let known =
            keys.iter().map(|key| pending.contains(&key.event.id.uuid()).then(|| known(key))).collect();
        Ok(Decisions { store: self.clone(), tx, keys, new_persons, calls, known, now })
    }
}

impl<'a> Decisions<'a> {
    /// The state for each event, in the order of the batch; `None` for one that is already decided.
    pub fn known(&self) -> &[Option<Known>] {
        &self.known
    }

    /// Writes the decision about each event, in the order of the batch, and commits. An event without a decision stays
    /// as it is.
    pub async fn finish(mut self, decided: &[Option<Decided<'_>>], rng: &Rng) -> Result<(), StoreError> {
        let keys = std::mem::take(&mut self.keys);
        let cases: Vec<Case<'_, '_>> =
            keys.iter().zip(decided).filter_map(|(key, decided)| Some((key, decided.as_ref()?))).collect();
        let next: Vec<_> = cases.iter().map(|(_, decided)| decided.callback()).collect();
        self.mark_persons(&cases).await?;
        self.mark_calls(&cases, &next).await?;
        self.supersede(&cases).await?;
        self.settle(&cases).await?;
        self.write_next(&cases, rng).await?;
        for (key, decided) in &cases {
            self.opt_out(key, decided, rng).await?;
        }
        self.mark_events(&cases, &next).await?;
        if next.iter().any(Option::is_some) {
            self.store.pass(FailPoint::C13).await?;
        }
        self.tx.commit().await
    }

    async fn supersede(&mut self, cases: &[Case<'_, '_>]) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        for (key, decided) in cases {
            let by = decided.callback();
            rows.extend(decided.after.supersede.iter().map(|id| (key.event.bucket, *id, by)));
        }
        transitions::supersede(&mut self.tx, &rows, self.now).await
    }

    /// Ends the dials whose outcome is now known.
    async fn settle(&mut self, cases: &[Case<'_, '_>]) -> Result<(), StoreError> {
        const ENDED: &str = "with v (bucket, id, outcome, now) as (values {rows})
             update dispatches set state = 'ended', next_lookup_at = null, result = v.outcome, updated_at = v.now
             from v where dispatches.bucket = v.bucket and dispatches.id = v.id and dispatches.state = 'placed'
             returning dispatches.id";
        const UNSPEND: &str = "with v (bucket, id) as (values {rows})
             update chains set attempts_used = attempts_used - 1
             from v where chains.bucket = v.bucket and chains.id = v.id and attempts_used > 0";
        let settled: Vec<_> = cases
            .iter()
            .filter_map(|(key, decided)| Some((key, key.redial?, decided, decided.after.settle?)))
            .collect();
        let ended = settled
            .iter()
            .map(|(key, redial, decided, _)| {
                row![key.event.bucket, redial.dispatch, decided.outcome, self.now]
            })
            .collect();
        let ended = self.tx.fetch_rows(ENDED, vec![], ended).await?;
        let ended: BTreeSet<Uuid> = ended.iter().map(|row| row.get("id")).collect::<Result<_, _>>()?;
        let (mut close, mut unspend, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for (key, redial, decided, settle) in settled {
            if !ended.contains(&redial.dispatch.uuid()) {
                continue;
            }
            let bucket = key.event.bucket;
            match settle {
                Settle::Close(state) => {
                    close.push(End::new(bucket, redial.callback, state, decided.outcome));
                }
                Settle::Reschedule { at } => {
                    unspend.push(row![bucket, redial.chain]);
                    again.push((bucket, redial.callback, at));
                }
            }
        }
        transitions::close(&mut self.tx, &close, self.now).await?;
        self.tx.execute_rows(UNSPEND, vec![], unspend).await?;
        for (bucket, callback, at) in again {
            give_back(&mut self.tx, bucket, callback, Wait::until(at), self.now).await?;
        }
        Ok(())
    }

    /// Writes the next callbacks.
    async fn write_next(&mut self, cases: &[Case<'_, '_>], rng: &Rng) -> Result<(), StoreError> {
        let (mut new, mut moved) = (Vec::new(), Vec::new());
        for (key, decided) in cases {
            match (&decided.after.follow, &decided.next) {
                (Some(NextCallback::Create(planned)), Some(with)) => new.push(NewRow {
                    id: with.id,
                    bucket: key.event.bucket,
                    tenant: key.event.tenant,
                    workspace: key.event.workspace,
                    agent: with.agent,
                    channel: with.channel,
                    phone_hash: key.phone_hash.ok_or(StoreError::Corrupt("person"))?,
                    planned,
                    source: Some(key.call_id),
                    kind: if planned.reason.is_retry() { "retry" } else { "request" },
                    test: key.event.test,
                    sealed: with.secrets.seal(with.id, decided.key, rng),
                    promise_scope: with.promise_scope,
                    forced: false,
                    external_id_hash: None,
                    now: self.now,
                }),
                (Some(NextCallback::Replace(id, planned)), Some(with)) => {
                    let sealed = with.secrets.seal(*id, decided.key, rng);
                    moved.push(rewritten(key.event.bucket, *id, planned, sealed, self.now));
                }
                _ => {}
            }
        }
        let n = moved.len();
        // They were read as waiting. If one was claimed since, the batch must be decided again.
        if transitions::rewrite(&mut self.tx, moved, self.now).await? != n {
            return Err(StoreError::DecidedMeanwhile);
        }
        transitions::insert_all(&mut self.tx, &new, self.now).await
    }

    /// Suppresses the number of a person who opted out, and pauses the workspace if that was decided.
    async fn opt_out(
        &mut self,
        key: &DecisionKey<'_>,
        decided: &Decided<'_>,
        rng: &Rng,
    ) -> Result<(), StoreError> {
        // Opt-outs in test mode must not touch the real do-not-call list.
        if let (true, false, Some(number)) = (decided.after.suppress, key.event.test, decided.number) {
            let entry = Entry { number, note: None, source: "call" };
            suppress(&mut self.tx, key.event.bucket, decided.key, entry, self.now, rng).await?;
        }
        if let Some(pause) = decided.after.pause {
            workspace_jobs::pause(&mut self.tx, key.event.workspace, pause, None, self.now).await?;
        }
        Ok(())
    }

    /// Records what was acted on, so that a duplicate or later event of the call does not act again.
    async fn mark_calls(
        &mut self,
        cases: &[Case<'_, '_>],
        next: &[Option<Id<id::Callback>>],
    ) -> Result<(), StoreError> {
        // A row that another transaction inserted in the meantime is a conflict.
        const NEW: &str = "insert into calls
                 (bucket, workspace_id, call_id, settled, analyzed, retry_id, check_at, seen_at, channel, tenant_id)
             values {rows}";
        const KNOWN: &str = "with v (bucket, workspace_id, call_id, settled, analyzed, retry_id, check_at, seen_at, channel) as
                 (values {rows})
             update calls set settled = v.settled, analyzed = v.analyzed, retry_id = v.retry_id, check_at = v.check_at,
                 seen_at = v.seen_at, channel = v.channel
             from v where calls.bucket = v.bucket and calls.workspace_id = v.workspace_id and calls.call_id = v.call_id";
        let (mut new, mut known) = (BTreeMap::new(), Vec::new());
        for ((key, decided), next) in cases.iter().zip(next) {
            let (event, after) = (key.event, &decided.after);
            let before = self.calls.get(&key.call());
            let is_retry = after.follow.as_ref().is_some_and(NextCallback::is_retry);
            let (settled, analyzed) = (
                after.settled || before.is_some_and(|call| call.settled),
                after.analyzed || before.is_some_and(|call| call.analyzed),
            );
            let row = row![
                event.bucket,
                event.workspace,
                key.call_id,
                settled,
                analyzed,
                next.filter(|_| is_retry).or(before.and_then(|call| call.retry)),
                analysis_due(after.settled, analyzed, before.and_then(|call| call.check_at), self.now),
                self.now,
                key.channel.as_str()
            ];
            match before {
                Some(_) => known.push(row),
                None => drop(new.insert(key.call(), [row, row![event.tenant]].concat())),
            }
        }
        self.tx.execute_rows(NEW, vec![], new.into_values().collect()).await?;
        self.tx.execute_rows(KNOWN, vec![], known).await.map(|_| ())
    }

    /// Records which persons were reached, and inserts the rows of new ones.
    async fn mark_persons(&mut self, cases: &[Case<'_, '_>]) -> Result<(), StoreError> {
        // A row that another transaction inserted in the meantime is a conflict.
        const NEW: &str = "insert into persons (bucket, workspace_id, phone_hash, tenant_id, version, reached_at) values {rows}";
        const KNOWN: &str =
            "insert into persons (bucket, workspace_id, phone_hash, tenant_id, version, reached_at) values {rows}
             on conflict (bucket, workspace_id, phone_hash) do update set reached_at = excluded.reached_at";
        let (mut new, mut known) = (BTreeMap::new(), Vec::new());
        for (key, decided) in cases {
            let Some(person) = key.person() else { continue };
            let reached_at = decided.after.reached_at;
            let row = [person.values(), row![1_i64, reached_at]].concat();
            if self.new_persons.contains(&person.key()) {
                new.insert(person.key(), row);
            } else if reached_at.is_some() {
                known.push(row);
            }
        }
        self.tx.execute_rows(NEW, vec![], new.into_values().collect()).await?;
        self.tx.execute_rows(KNOWN, vec![], known).await.map(|_| ())
    }

    async fn mark_events(
        &mut self,
        cases: &[Case<'_, '_>],
        next: &[Option<Id<id::Callback>>],
    ) -> Result<(), StoreError> {
        const SQL: &str = "with v (bucket, id, notes, callback_id) as (values {rows})
             update inbound_events set state = 'done', notes = v.notes, callback_id = v.callback_id
             from v where inbound_events.bucket = v.bucket and inbound_events.id = v.id
               and (inbound_events.state = 'pending') is true";
        let row = |((key, decided), next): (&Case<'_, '_>, &Option<Id<id::Callback>>)| {
            let callback = next.or(key.redial.map(|redial| redial.callback));
            row![key.event.bucket, key.event.id, notes_text(&decided.after), callback]
        };
        let rows = cases.iter().zip(next).map(row).collect();
        let done = self.tx.execute_rows(SQL, vec![], rows).await?;
        if done == cases.len() as u64 { Ok(()) } else { Err(StoreError::DecidedMeanwhile) }
    }
}

/// The values that rewrite a waiting callback.
fn rewritten(
    bucket: i64,
    id: Id<id::Callback>,
    planned: &CallbackPlan,
    sealed: Vec<u8>,
    now: Timestamp,
) -> RowValues {
    let (state, _) = waits_as(planned.held, false);
    row![
        bucket,
        id,
        state.as_str(),
        planned.held.map(HeldFor::as_str),
        planned.reason.as_str(),
        planned.source_outcome.clone(),
        planned.requested_for,
        planned.scheduled_for,
        &planned.zone.name,
        planned.zone.source.as_str(),
        planned.source_ended_at,
        sealed,
        now
    ]
}
