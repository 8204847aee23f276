//! Many decisions about one workspace's events in one transaction: the same as one after the other, but for less.
//!
//! Invariants: no two of a batch are about one person or one call, so none needs to see what another wrote; the
//! first statements lock persons and calls in their order, so two deciders take turns; the deliveries leave
//! `pending` in the same commit, and if one of them was decided meanwhile nothing of the batch is written.
//! Absent on purpose: events of our own dials. They are few, settle dispatches, and go one by one.

use std::collections::{BTreeMap, BTreeSet};

use redialer_core::{
    Id, Timestamp,
    callback::Live,
    chance::Chance,
    decide::{AfterCall, Follow, Note, Person, Seen},
    id,
    time::{minutes, plus},
};
use uuid::Uuid;

use crate::{
    Following, PendingRow, Store, StoreError, TenantKey, at,
    callbacks::{NewRow, insert, live_of, supersede},
    engine::{Tx, Value, row},
    fail::Point,
    suppressions::suppress,
    sweeps::ANALYSIS_AFTER_MINUTES,
    workspaces,
};

/// One event to decide: not of a dial of ours.
pub struct Case<'a> {
    /// The delivery.
    pub delivery: &'a PendingRow,
    /// The provider's id of the call.
    pub call_id: &'a str,
    /// The keyed index of the person's number.
    pub person_ix: Option<[u8; 16]>,
}

/// What was decided about a case.
pub struct Decided<'a> {
    /// What follows.
    pub after: AfterCall,
    /// What a next callback is written with.
    pub following: Option<Following<'a>>,
    /// The person's number, E.164.
    pub number: Option<&'a str>,
}

/// What is known of a case: of its call, and of its person.
#[derive(Default)]
pub struct KnownCase {
    /// Of this call.
    pub seen: Seen,
    /// Of the person.
    pub person: Option<Person>,
}

/// Whose events they are.
#[derive(Debug, Clone, Copy)]
struct Home {
    bucket: i64,
    tenant: Id<id::Tenant>,
    workspace: Id<id::Workspace>,
}

impl Store {
    /// Decides a batch of one workspace's events; `decide` is asked for each, by its place. [`StoreError::Conflict`]
    /// when one of them was decided meanwhile: then nothing has changed.
    pub async fn decide_all<'a>(
        &self,
        cases: &[Case<'a>],
        decide: impl Fn(usize, &KnownCase) -> Decided<'a> + Send,
        key: &TenantKey,
        chance: &Chance,
        now: Timestamp,
    ) -> Result<Vec<AfterCall>, StoreError> {
        let Some(first) = cases.first() else { return Ok(Vec::new()) };
        let home = Home {
            bucket: first.delivery.bucket,
            tenant: first.delivery.tenant,
            workspace: first.delivery.workspace,
        };
        let mut tx = self.db.begin().await?;
        let known = read(&mut tx, home, cases, now).await?;
        let decided: Vec<_> = known.iter().enumerate().map(|(i, known)| decide(i, known)).collect();
        write(&mut tx, home, cases, &decided, key, chance, now).await?;
        if decided.iter().any(|d| d.after.follow.is_some()) {
            self.pass(Point::C13).await?;
        }
        tx.commit().await?;
        Ok(decided.into_iter().map(|d| d.after).collect())
    }
}

async fn read(
    tx: &mut Tx,
    home: Home,
    cases: &[Case<'_>],
    now: Timestamp,
) -> Result<Vec<KnownCase>, StoreError> {
    const PERSONS: &str =
        "insert into persons (bucket, workspace_id, person_ix, tenant_id, seq) values {rows}
         on conflict (bucket, workspace_id, person_ix) do update set seq = persons.seq + 1
         returning person_ix, seq, reached_at";
    const CALLS: &str = "insert into calls (bucket, workspace_id, call_id, tenant_id, settled, analyzed, seen_at) values {rows}
         on conflict (bucket, workspace_id, call_id) do update set seen_at = excluded.seen_at
         returning call_id, settled, analyzed, retry_id";
    let ixs: BTreeSet<[u8; 16]> = cases.iter().filter_map(|c| c.person_ix).collect();
    let rows: Vec<_> =
        ixs.iter().map(|ix| row![home.bucket, home.workspace, *ix, home.tenant, 1_i64]).collect();
    let (mut persons, mut met_before) = (BTreeMap::new(), Vec::new());
    for row in tx.fetch_rows(PERSONS, vec![], rows).await? {
        let ix: Vec<u8> = row.get("person_ix")?;
        if row.get::<i64>("seq")? > 1 {
            met_before.push(Value::from(ix.as_slice()));
        }
        let reached_at = row.get::<Option<i64>>("reached_at")?.map(at);
        persons.insert(ix, Person { reached_at, ..Person::default() });
    }
    around(tx, home, &mut persons, &met_before).await?;
    let ids: BTreeSet<&str> = cases.iter().map(|c| c.call_id).collect();
    let rows: Vec<_> =
        ids.iter().map(|id| row![home.bucket, home.workspace, *id, home.tenant, false, false, now]).collect();
    let (mut calls, mut retries) = (BTreeMap::new(), BTreeMap::new());
    for row in tx.fetch_rows(CALLS, vec![], rows).await? {
        let id: String = row.get("call_id")?;
        if let Some(retry) = row.get::<Option<Uuid>>("retry_id")? {
            retries.insert(retry, id.clone());
        }
        calls.insert(id, Seen { settled: row.get("settled")?, analyzed: row.get("analyzed")?, retry: None });
    }
    for retry in retries_of(tx, home, &retries).await? {
        let call = retries.get(&retry.id.uuid()).and_then(|id| calls.get_mut(id));
        call.ok_or(StoreError::Corrupt("call"))?.retry = Some(retry);
    }
    let known = |case: &Case<'_>| KnownCase {
        seen: calls.get(case.call_id).cloned().unwrap_or_default(),
        person: case.person_ix.and_then(|ix| persons.get(ix.as_slice()).cloned()),
    };
    Ok(cases.iter().map(known).collect())
}

/// What waits for the persons we have met before, and who of all must not be called.
async fn around(
    tx: &mut Tx,
    home: Home,
    persons: &mut BTreeMap<Vec<u8>, Person>,
    met_before: &[Value],
) -> Result<(), StoreError> {
    const LIVE: &str = "select b.person_ix, b.id, b.chain_id, b.state, b.reason, b.born_of, c.spent
         from callbacks b join chains c on c.bucket = b.bucket and c.id = b.chain_id
         where b.bucket = $1 and b.workspace_id = $2 and b.person_ix in ({list})
           and b.state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')";
    const SUPPRESSED: &str = "select number_ix from suppressions
         where bucket = $1 and tenant_id = $2 and number_ix in ({list})";
    for row in tx.fetch_list(LIVE, row![home.bucket, home.workspace], met_before).await? {
        let person = persons.get_mut(&row.get::<Vec<u8>>("person_ix")?);
        person.ok_or(StoreError::Corrupt("person"))?.live.push(live_of(&row)?);
    }
    let everybody: Vec<Value> = persons.keys().map(|ix| Value::from(ix.as_slice())).collect();
    for row in tx.fetch_list(SUPPRESSED, row![home.bucket, home.tenant], &everybody).await? {
        let person = persons.get_mut(&row.get::<Vec<u8>>("number_ix")?);
        person.ok_or(StoreError::Corrupt("person"))?.suppressed = true;
    }
    Ok(())
}

async fn retries_of(
    tx: &mut Tx,
    home: Home,
    retries: &BTreeMap<Uuid, String>,
) -> Result<Vec<Live>, StoreError> {
    const SQL: &str = "select b.id, b.chain_id, b.state, b.reason, b.born_of, c.spent
         from callbacks b join chains c on c.bucket = b.bucket and c.id = b.chain_id
         where b.bucket = $1 and b.id in ({list}) and b.state in ('scheduled', 'held')";
    let ids: Vec<Value> = retries.keys().map(|id| Id::<id::Callback>::from_uuid(*id).into()).collect();
    tx.fetch_list(SQL, row![home.bucket], &ids).await?.iter().map(live_of).collect()
}

async fn write(
    tx: &mut Tx,
    home: Home,
    cases: &[Case<'_>],
    decided: &[Decided<'_>],
    key: &TenantKey,
    chance: &Chance,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut new = Vec::new();
    let mut led_to: Vec<Option<Id<id::Callback>>> = vec![None; cases.len()];
    for (i, (case, decided)) in cases.iter().zip(decided).enumerate() {
        supersede(tx, home.bucket, &decided.after.supersede, now).await?;
        if let (true, Some(number)) = (decided.after.suppress, decided.number) {
            suppress(tx, home.bucket, key, number, "call", now, chance).await?;
        }
        if let Some(pause) = decided.after.pause {
            workspaces::pause(tx, home.workspace, pause, now).await?;
        }
        let (Some(follow), Some(following)) = (&decided.after.follow, &decided.following) else { continue };
        match follow {
            Follow::New(planned) => {
                led_to[i] = Some(following.id);
                new.push(NewRow {
                    id: following.id,
                    bucket: home.bucket,
                    tenant: home.tenant,
                    workspace: home.workspace,
                    agent: following.agent,
                    channel: following.channel,
                    person_ix: case.person_ix.ok_or(StoreError::Corrupt("person"))?,
                    planned,
                    source: Some(case.call_id),
                    kind: if planned.reason.is_retry() { "retry" } else { "request" },
                    sealed: following.secrets.seal(following.id, key, chance),
                });
            }
            Follow::Move(id, planned) => {
                led_to[i] = Some(*id);
                let sealed = following.secrets.seal(*id, key, chance);
                crate::decision::rewrite(tx, home.bucket, *id, planned, sealed, now).await?;
            }
        }
    }
    insert(tx, &new, now).await?;
    mark(tx, home, cases, decided, &led_to, now).await
}

/// Remembers what was acted on, and takes the deliveries out of the inbox.
async fn mark(
    tx: &mut Tx,
    home: Home,
    cases: &[Case<'_>],
    decided: &[Decided<'_>],
    led_to: &[Option<Id<id::Callback>>],
    now: Timestamp,
) -> Result<(), StoreError> {
    const CALLS: &str = "update calls set settled = calls.settled or v.column2, analyzed = calls.analyzed or v.column3,
             retry_id = coalesce(v.column4, calls.retry_id),
             check_at = case when calls.analyzed or v.column3 then null when v.column2 then $1 else calls.check_at end
         from (values {rows}) as v
         where calls.bucket = v.column5 and calls.workspace_id = v.column6 and calls.call_id = v.column1";
    const REACHED: &str = "update persons set reached_at = v.column2 from (values {rows}) as v
         where persons.bucket = v.column3 and persons.workspace_id = v.column4 and persons.person_ix = v.column1";
    const DONE: &str = "update deliveries set state = 'done', notes = v.column2, callback_id = v.column3
         from (values {rows}) as v
         where deliveries.bucket = v.column4 and deliveries.id = v.column1
           and (deliveries.state = 'pending') is true";
    let (mut calls, mut reached, mut done) = (Vec::new(), Vec::new(), Vec::new());
    for ((case, decided), led_to) in cases.iter().zip(decided).zip(led_to) {
        let after = &decided.after;
        let is_retry = matches!(&after.follow, Some(Follow::New(p) | Follow::Move(_, p)) if p.reason.is_retry())
            || matches!(&after.follow, Some(Follow::Move(..)));
        calls.push(row![
            case.call_id,
            after.settled,
            after.analyzed,
            led_to.filter(|_| is_retry),
            home.bucket,
            home.workspace
        ]);
        if let (Some(at), Some(ix)) = (after.reached_at, case.person_ix) {
            reached.push(row![ix, at, home.bucket, home.workspace]);
        }
        let notes = after.notes.iter().map(|n| Note::word(*n)).collect::<Vec<_>>().join(" ");
        done.push(row![case.delivery.id, notes, *led_to, home.bucket]);
    }
    let check_at = plus(now, minutes(ANALYSIS_AFTER_MINUTES));
    tx.execute_rows(CALLS, row![check_at], calls).await?;
    tx.execute_rows(REACHED, vec![], reached).await?;
    let taken = tx.execute_rows(DONE, vec![], done).await?;
    if taken == cases.len() as u64 { Ok(()) } else { Err(StoreError::Conflict("decided meanwhile")) }
}
