//! What was decided about a batch, written.
//!
//! Invariants: persons come first, in the order of their keys, so that deciders wait for each other at one place.
//! Persons and calls are written under the `seq` they were read with; when one of them has moved on, the whole batch
//! fails with [`StoreError::Conflict`] and nothing of it stands.

use std::collections::{BTreeMap, BTreeSet};

use redialer_core::{
    Id,
    agent::Channel,
    decide::Follow,
    delivery::Sameness,
    id,
    time::{minutes, plus},
};
use uuid::Uuid;

use crate::{
    StoreError,
    activity::notes_text,
    decision::{DECIDED_MEANWHILE, rewrite},
    engine::{Tx, row},
    intake::{Arrival, Case, Decided, Reading},
    known::{Calls, Persons},
    many::RowValues,
    persons::{INSERT, NewRow, supersede},
    suppressions::{Entry, suppress},
    sweeps::ANALYSIS_AFTER_MINUTES,
    workspaces,
};

/// Remembers the contents of events that belong to no moment of a call; which of them are new.
pub(crate) async fn remember_odd(
    tx: &mut Tx,
    batch: &[Arrival],
) -> Result<BTreeSet<(Uuid, String)>, StoreError> {
    const SQL: &str = "insert into odd_deliveries (bucket, workspace_id, dedup_key) values {rows}
         on conflict do nothing returning workspace_id, dedup_key";
    let odd = batch.iter().filter_map(|a| match &a.delivery.sameness {
        Sameness::Content(key) => Some(row![a.delivery.bucket, a.delivery.workspace, key]),
        Sameness::Moment(_) => None,
    });
    let rows = tx.fetch_rows(SQL, vec![], odd.collect()).await?;
    rows.iter().map(|row| Ok((row.get("workspace_id")?, row.get("dedup_key")?))).collect()
}

/// Takes the turn of every person that something is written about; in the order of their keys, and before anything
/// else, so that two deciders wait for each other at one place alone.
pub(crate) async fn meet(
    tx: &mut Tx,
    decided: &[(&Case<'_>, Decided<'_>)],
    persons: &Persons,
) -> Result<(), StoreError> {
    const SQL: &str =
        "insert into persons (bucket, workspace_id, person_ix, tenant_id, seq, reached_at) values {rows}
         on conflict (bucket, workspace_id, person_ix) do update set
             seq = excluded.seq, reached_at = coalesce(excluded.reached_at, persons.reached_at)
         where persons.seq = excluded.seq - 1";
    let mut met = BTreeMap::new();
    for (case, Decided { after, .. }) in decided {
        let touched = after.follow.is_some()
            || after.reached_at.is_some()
            || after.suppress
            || !after.supersede.is_empty();
        if let Some(key) = case.person().filter(|_| touched) {
            let (d, seq) = (case.delivery, persons.seq(&key) + 1);
            met.insert(key, row![d.bucket, d.workspace, key.1, d.tenant, seq, after.reached_at]);
        }
    }
    let n = met.len() as u64;
    let written = tx.execute_rows(SQL, vec![], met.into_values().collect()).await?;
    if written == n { Ok(()) } else { Err(DECIDED_MEANWHILE) }
}

/// What cases led to.
pub(crate) struct LedTo {
    /// The callback of each case.
    pub(crate) callbacks: Vec<Option<Id<id::Callback>>>,
    /// Those of them that are new, still to be written.
    new: Vec<RowValues>,
}

/// Writes what is decided about what is there already.
pub(crate) async fn change(tx: &mut Tx, decided: &[(&Case<'_>, Decided<'_>)]) -> Result<LedTo, StoreError> {
    let (mut callbacks, mut new) = (Vec::with_capacity(decided.len()), Vec::new());
    for (case, decided) in decided {
        let (delivery, decider, now) = (case.delivery, &case.fresh.decider, decided.now);
        let next = decided.after.follow.as_ref().zip(decided.following.as_ref());
        let by = next.map(|(follow, next)| next.target(follow));
        supersede(tx, delivery.bucket, &decided.after.supersede, by, now).await?;
        if let (true, Some(number)) = (decided.after.suppress, decided.number) {
            suppress(
                tx,
                delivery.bucket,
                decider.key(),
                Entry { number, note: None, source: "call" },
                now,
                decider.chance(),
            )
            .await?;
        }
        if let Some(pause) = decided.after.pause {
            workspaces::pause(tx, delivery.workspace, pause, None, now).await?;
        }
        let seal =
            |id| decided.following.as_ref().map(|f| f.secrets.seal(id, decider.key(), decider.chance()));
        callbacks.push(match (&decided.after.follow, &decided.following) {
            (Some(Follow::New(planned)), Some(following)) => {
                let sealed = decided.sealed.map(<[u8]>::to_vec).or_else(|| seal(following.id));
                let row = NewRow {
                    id: following.id,
                    bucket: delivery.bucket,
                    tenant: delivery.tenant,
                    workspace: delivery.workspace,
                    agent: following.agent,
                    channel: following.channel,
                    person_ix: case.fresh.person_ix.ok_or(StoreError::Corrupt("person"))?,
                    planned,
                    source: Some(&case.fresh.call_id),
                    kind: if planned.reason.is_retry() { "retry" } else { "request" },
                    test: delivery.test,
                    sealed: sealed.unwrap_or_default(),
                    promise_scope: following.promise_scope,
                    external_ix: None,
                    now,
                };
                new.push(row.values());
                Some(following.id)
            }
            (Some(Follow::Move(id, planned)), Some(_)) => {
                let sealed = seal(*id).unwrap_or_default();
                rewrite(tx, delivery.bucket, *id, planned, sealed, now).await?;
                Some(*id)
            }
            _ => None,
        });
    }
    Ok(LedTo { callbacks, new })
}

/// Writes what is new: callbacks, what was heard and acted on, and the deliveries as what they have become.
pub(crate) async fn add(
    tx: &mut Tx,
    batch: &[Arrival],
    new: &BTreeSet<usize>,
    decided: &[(&Case<'_>, Decided<'_>)],
    led_to: LedTo,
    calls: &mut Calls<'_>,
) -> Result<(), StoreError> {
    let mut done = BTreeMap::new();
    for ((case, decided), led_to) in decided.iter().zip(&led_to.callbacks) {
        let after = &decided.after;
        let is_retry = match &after.follow {
            Some(Follow::New(planned)) => planned.reason.is_retry(),
            Some(Follow::Move(..)) => true,
            None => false,
        };
        let call = calls.get_mut(case.call()).ok_or(StoreError::Corrupt("call"))?;
        call.settled |= after.settled;
        call.analyzed |= after.analyzed;
        call.retry = led_to.filter(|_| is_retry).or(call.retry);
        // What is over and not analysed is asked about; an analysis, even one that says nothing, ends the wait.
        call.check_at = match (call.analyzed, after.settled) {
            (true, _) => None,
            (false, true) => Some(plus(decided.now, minutes(ANALYSIS_AFTER_MINUTES))),
            (false, false) => call.check_at,
        };
        call.channel = Some(case.fresh.channel);
        call.changed = true;
        done.insert(case.place, (notes_text(after), *led_to));
    }
    let calls = rows_of_calls(calls);
    let n = calls.len() as u64;
    let (deliveries, bodies) = rows_of_deliveries(batch, new, done);
    let statements = vec![(INSERT, led_to.new), (CALLS, calls), (DELIVERIES, deliveries), (BODIES, bodies)];
    if tx.execute_together(statements).await?[1] == n { Ok(()) } else { Err(DECIDED_MEANWHILE) }
}

const CALLS: &str = "insert into calls
         (bucket, workspace_id, call_id, tenant_id, events, seq, settled, analyzed, retry_id, check_at, seen_at, channel)
     values {rows} on conflict (bucket, workspace_id, call_id) do update set
         events = excluded.events, seq = excluded.seq, settled = excluded.settled, analyzed = excluded.analyzed,
         retry_id = excluded.retry_id, check_at = excluded.check_at, seen_at = excluded.seen_at,
         channel = coalesce(excluded.channel, calls.channel)
     where calls.seq = excluded.seq - 1";
const DELIVERIES: &str = "insert into deliveries
         (bucket, id, tenant_id, workspace_id, agent_id, event, call_id, state, tries, try_at, notes, callback_id,
          received_at, test)
     values {rows}";
const BODIES: &str = "insert into bodies (bucket, delivery_id, body, signature) values {rows}";

fn rows_of_calls(calls: &Calls<'_>) -> Vec<RowValues> {
    let changed = calls.iter().filter(|(_, c)| c.changed);
    let rows = changed.map(|((workspace, call_id), c)| {
        row![
            c.bucket,
            Id::<id::Workspace>::from_uuid(workspace),
            call_id,
            c.tenant,
            c.events,
            c.seq + 1,
            c.settled,
            c.analyzed,
            c.retry,
            c.check_at,
            c.seen_at,
            c.channel.map(Channel::word)
        ]
    });
    rows.collect()
}

fn rows_of_deliveries(
    batch: &[Arrival],
    new: &BTreeSet<usize>,
    mut done: BTreeMap<usize, (String, Option<Id<id::Callback>>)>,
) -> (Vec<RowValues>, Vec<RowValues>) {
    let (mut rows, mut bodies) = (Vec::with_capacity(new.len()), Vec::with_capacity(new.len()));
    for &place in new {
        let Arrival { delivery: d, reading } = &batch[place];
        let done = done.remove(&place).or_else(|| matches!(reading, Reading::Nothing).then(Default::default));
        let state = if done.is_some() { "done" } else { "pending" };
        let (notes, callback) = done.unwrap_or_default();
        rows.push(row![
            d.bucket,
            d.id,
            d.tenant,
            d.workspace,
            d.agent,
            &d.event,
            d.call_id.clone(),
            state,
            0_i64,
            d.received_at,
            notes,
            callback,
            d.received_at,
            d.test
        ]);
        bodies.push(row![d.bucket, d.id, d.body.as_slice(), &d.signature]);
    }
    (rows, bodies)
}
