//! The only module that changes callbacks: every state that a callback leaves and enters.
//!
//! Invariants: a statement guards on the states it may start from, and core's table allows each of its changes
//! ([`State::may_become`]; a test compares the texts). The change, its outbox row (`callback_events`) and its note that
//! something may be due sooner belong to one transaction; callers need not remember them. A final state is never left
//! (I12).

mod statements;

use redialer_core::{
    Id, Timestamp,
    callback::{HeldFor, State, waits_as},
    id,
};

use crate::{
    StoreError,
    callbacks::{columns::state_of, persons::NewRow},
    db::{Args, Row, Tx, args, bulk_sql::RowValues, row},
    log::outbox::{self, CallbackEvent, event_of},
};

pub(crate) use self::statements::RESEAL;
use self::statements::{
    ADOPT, CANCEL, CLAIM, CLOSE, CLOSE_CLAIM, DOUBT, FORCE, HOLD, HOLD_AGENT, INTEND, PLACE, RELEASE_AGENT,
    RELEASE_QUOTA, RESCHEDULE, REWRITE, SUPERSEDE, SUPPRESS, Transition, WAIT, YIELD,
};

/// Runs a transition over rows of values; returns the changed callbacks.
async fn apply_rows(
    tx: &mut Tx,
    transition: &Transition,
    rows: Vec<RowValues>,
    now: Timestamp,
) -> Result<Vec<Row>, StoreError> {
    let changed = tx.fetch_rows(transition.sql, vec![], rows).await?;
    record(tx, transition, &changed, now).await?;
    Ok(changed)
}

/// Runs a transition on the callbacks that its values select; returns the changed callbacks.
async fn apply(
    tx: &mut Tx,
    transition: &Transition,
    args: Args,
    now: Timestamp,
) -> Result<Vec<Row>, StoreError> {
    let changed = tx.fetch(transition.sql, args).await?;
    record(tx, transition, &changed, now).await?;
    Ok(changed)
}

async fn record(
    tx: &mut Tx,
    transition: &Transition,
    changed: &[Row],
    now: Timestamp,
) -> Result<(), StoreError> {
    debug_assert!(transition.is_allowed(), "core does not allow: {}", transition.sql);
    let mut events = Vec::new();
    for row in changed {
        let state = state_of(row)?;
        if !transition.to.contains(&state) {
            return Err(StoreError::Corrupt("state of a callback"));
        }
        if state == State::Scheduled {
            tx.note_due(row.get("due_at")?);
        }
        let name = match state {
            State::Scheduled => transition.scheduled,
            other => event_of(other),
        };
        // Not every state has an event.
        if let Some(name) = name {
            events.push(CallbackEvent {
                bucket: row.get("bucket")?,
                tenant: Id::from_uuid(row.get("tenant_id")?),
                workspace: Id::from_uuid(row.get("workspace_id")?),
                callback: Id::from_uuid(row.get("id")?),
                name,
                is_test: row.get("is_test")?,
            });
        }
    }
    outbox::write(tx, &events, now).await
}

/// Inserts new callbacks.
pub(crate) async fn insert_all(tx: &mut Tx, new: &[NewRow<'_>], now: Timestamp) -> Result<(), StoreError> {
    const SQL: &str = "insert into callbacks
             (bucket, id, tenant_id, workspace_id, agent_id, channel, chain_id, parent_id, phone_hash, state, held_for,
              reason, source_outcome, attempt, max_attempts, is_final, forced, requested_for, scheduled_for, due_at, timezone,
              timezone_source, source_ended_at, source_call_id, source_kind, fence, unplaced_tries, sealed, created_at, updated_at, is_test,
              promise_scope, external_id_hash)
         values {rows}";
    tx.execute_rows(SQL, vec![], new.iter().map(NewRow::values).collect()).await?;
    let mut events = Vec::new();
    for row in new {
        if row.state() == State::Scheduled {
            tx.note_due(row.planned.scheduled_for.as_millisecond());
        }
        events.extend(event_of(row.state()).map(|name| CallbackEvent {
            bucket: row.bucket,
            tenant: row.tenant,
            workspace: row.workspace,
            callback: row.id,
            name,
            is_test: row.test,
        }));
    }
    outbox::write(tx, &events, now).await
}

/// Claims due callbacks. Each row: bucket, id, now, the end of the lease, its owner. Returns the columns of a claim.
pub(crate) async fn claim(tx: &mut Tx, rows: Vec<RowValues>) -> Result<Vec<Row>, StoreError> {
    // A claim has no event.
    tx.fetch_rows(CLAIM.sql, vec![], rows).await
}

/// Writes the intents of claims; returns the callbacks whose claims held.
pub(crate) async fn intend(tx: &mut Tx, rows: Vec<RowValues>) -> Result<Vec<Row>, StoreError> {
    // An intent has no event.
    tx.fetch_rows(INTEND.sql, vec![], rows).await
}

/// Marks the calls of these callbacks as placed. Each row: bucket, id, call id, now.
pub(crate) async fn place(tx: &mut Tx, rows: Vec<RowValues>, now: Timestamp) -> Result<Vec<Row>, StoreError> {
    apply_rows(tx, &PLACE, rows, now).await
}

/// Marks a callback as unconfirmed, because it is unknown whether its call was placed. Returns whether it was being
/// dispatched, by the claim with that fence if one is given.
pub(crate) async fn doubt(
    tx: &mut Tx,
    bucket: i64,
    id: Id<id::Callback>,
    fence: Option<i64>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = apply_rows(tx, &DOUBT, vec![row![bucket, id, fence, now]], now).await?;
    Ok(!changed.is_empty())
}

/// How a callback returns to waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait<'a> {
    /// The reason it is held; `None` if it is scheduled.
    pub(crate) held_for: Option<HeldFor>,
    pub(crate) due_at: Timestamp,
    /// The new scheduled time, if it was planned again.
    pub(crate) moved_to: Option<Timestamp>,
    /// The outcome to record, if any. It also clears `forced`.
    pub(crate) outcome: Option<&'a str>,
    /// Whether a request of it was certainly not placed.
    pub(crate) was_unplaced: bool,
}

impl Wait<'_> {
    /// Due at `due_at`, otherwise unchanged.
    pub(crate) const fn until(due_at: Timestamp) -> Self {
        Self { held_for: None, due_at, moved_to: None, outcome: None, was_unplaced: false }
    }
}

/// Returns a callback to waiting, or supersedes it if a newer one already waits for that person.
pub(crate) async fn give_back(
    tx: &mut Tx,
    bucket: i64,
    id: Id<id::Callback>,
    wait: Wait<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const NEWER: &str = "select other.id from callbacks own join callbacks other
             on other.bucket = own.bucket and other.workspace_id = own.workspace_id and other.phone_hash = own.phone_hash
         where own.bucket = $1 and own.id = $2 and other.id <> own.id and other.promise_scope = own.promise_scope
           and other.state in ('scheduled', 'held', 'dispatching', 'dialing', 'unconfirmed')
           and other.state in ('scheduled', 'held')";
    let newer = tx.fetch_one(NEWER, args![bucket, id]).await?;
    let newer: Option<Id<id::Callback>> = newer.map(|row| row.get("id").map(Id::from_uuid)).transpose()?;
    let (state, held_for) = waits_as(wait.held_for, newer.is_some());
    let values = row![
        bucket,
        id,
        state.as_str(),
        held_for.map(HeldFor::as_str),
        wait.due_at,
        wait.moved_to,
        wait.outcome,
        i64::from(wait.was_unplaced),
        newer,
        now
    ];
    let transition = if wait.held_for.is_some() { &HOLD } else { &WAIT };
    apply_rows(tx, transition, vec![values], now).await.map(|_| ())
}

/// The end of a dial.
pub(crate) struct End<'a> {
    pub(crate) bucket: i64,
    pub(crate) id: Id<id::Callback>,
    pub(crate) state: State,
    pub(crate) outcome: Option<&'a str>,
    /// The provider's message.
    pub(crate) message: Option<&'a str>,
}

impl<'a> End<'a> {
    /// Without a message from the provider.
    pub(crate) const fn new(
        bucket: i64,
        id: Id<id::Callback>,
        state: State,
        outcome: Option<&'a str>,
    ) -> Self {
        Self { bucket, id, state, outcome, message: None }
    }
}

/// Ends dials; returns the callbacks that ended.
pub(crate) async fn close(tx: &mut Tx, ends: &[End<'_>], now: Timestamp) -> Result<Vec<Row>, StoreError> {
    let values = |end: &End<'_>| row![end.bucket, end.id, end.state.as_str(), end.outcome, end.message, now];
    apply_rows(tx, &CLOSE, ends.iter().map(values).collect(), now).await
}

/// Ends a claim without a dial; returns whether it was still held.
pub(crate) async fn close_claim(
    tx: &mut Tx,
    (bucket, id, fence): (i64, Id<id::Callback>, i64),
    state: State,
    outcome: &str,
    gates: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let values = row![bucket, id, fence, state.as_str(), outcome, gates, now];
    Ok(!apply_rows(tx, &CLOSE_CLAIM, vec![values], now).await?.is_empty())
}

/// A waiting callback to end: its bucket, its id, and the newer callback that replaces it.
pub(crate) type Ended = (i64, Id<id::Callback>, Option<Id<id::Callback>>);

/// Ends waiting callbacks. One without a replacement ends because the person reached us.
pub(crate) async fn supersede(tx: &mut Tx, ended: &[Ended], now: Timestamp) -> Result<(), StoreError> {
    /// The outcome of a retry that ended because the person reached us.
    const REACHED: &str = "reached_us";
    let values = |(bucket, id, by): &Ended| row![*bucket, *id, *by, by.is_none().then_some(REACHED), now];
    apply_rows(tx, &SUPERSEDE, ended.iter().map(values).collect(), now).await.map(|_| ())
}

/// Turns retries that calls led to into requests; returns how many still waited.
pub(crate) async fn rewrite(tx: &mut Tx, rows: Vec<RowValues>, now: Timestamp) -> Result<usize, StoreError> {
    Ok(apply_rows(tx, &REWRITE, rows, now).await?.len())
}

/// A manual change to a callback.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ManualChange {
    Cancel,
    Force,
    /// Moves it to the first time; fails if the second is given and differs from `updated_at`.
    Reschedule(Timestamp, Option<Timestamp>),
}

/// Applies a manual change to a callback of that tenant; returns whether its state allowed it.
pub(crate) async fn apply_manual(
    tx: &mut Tx,
    (bucket, tenant): (i64, Id<id::Tenant>),
    id: Id<id::Callback>,
    what: ManualChange,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (transition, args) = match what {
        ManualChange::Cancel => (&CANCEL, args![bucket, tenant, id, now]),
        ManualChange::Force => (&FORCE, args![bucket, tenant, id, now]),
        ManualChange::Reschedule(to, if_unchanged) => {
            (&RESCHEDULE, args![bucket, tenant, id, to, now, if_unchanged])
        }
    };
    Ok(!apply(tx, transition, args, now).await?.is_empty())
}

/// Records the one callback that a person forced in place of an unresolved one; returns whether it is the first.
pub(crate) async fn name_successor(
    tx: &mut Tx,
    bucket: i64,
    unresolved: Id<id::Callback>,
    by: Id<id::Callback>,
) -> Result<bool, StoreError> {
    const SQL: &str = "update callbacks set superseded_by = $3
         where bucket = $1 and id = $2 and state = 'failed' and superseded_by is null";
    Ok(tx.execute(SQL, args![bucket, unresolved, by]).await? == 1)
}

/// Holds the waiting callbacks of an agent that is disabled, or releases those that were held for it.
pub(crate) async fn switch_agent(
    tx: &mut Tx,
    bucket: i64,
    (workspace, agent): (Id<id::Workspace>, Id<id::Agent>),
    enabled: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let transitions: &[&Transition] = if enabled { &[&RELEASE_AGENT] } else { &[&YIELD, &HOLD_AGENT] };
    for transition in transitions {
        apply(tx, transition, args![bucket, agent, now, workspace], now).await?;
    }
    Ok(())
}

/// Releases up to `room` callbacks that are held for the plan's quota; returns how many.
pub(crate) async fn release_quota(
    tx: &mut Tx,
    (bucket, tenant): (i64, Id<id::Tenant>),
    room: i64,
    now: Timestamp,
) -> Result<usize, StoreError> {
    Ok(apply(tx, &RELEASE_QUOTA, args![bucket, tenant, room, now], now).await?.len())
}

/// Ends the waiting callbacks of a person who must not be called.
pub(crate) async fn suppress(
    tx: &mut Tx,
    (bucket, tenant): (i64, Id<id::Tenant>),
    phone_hash: [u8; 16],
    now: Timestamp,
) -> Result<(), StoreError> {
    apply(tx, &SUPPRESS, args![bucket, tenant, phone_hash, now], now).await.map(|_| ())
}

/// Attaches a dial that a restored database has lost to its callback.
pub(crate) async fn reattach(
    tx: &mut Tx,
    (bucket, id): (i64, Id<id::Callback>),
    (dispatch, call_id): (Id<id::Dispatch>, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    apply(tx, &ADOPT, args![bucket, id, dispatch, call_id, now], now).await.map(|_| ())
}

/// Whether a claim is still held; locks its row until the transaction ends.
pub(crate) async fn holds(
    tx: &mut Tx,
    bucket: i64,
    id: Id<id::Callback>,
    fence: i64,
) -> Result<bool, StoreError> {
    const SQL: &str = "update callbacks set lease_until = null
         where bucket = $1 and id = $2 and fence = $3 and state = 'dispatching' and dispatch_id is null";
    Ok(tx.execute(SQL, args![bucket, id, fence]).await? == 1)
}

/// Counts a failed claim and takes it from its holder by moving the fence. Returns the callback's number of failures;
/// `None` if the claim is no longer held.
pub(crate) async fn count_failure(
    tx: &mut Tx,
    bucket: i64,
    id: Id<id::Callback>,
    fence: i64,
) -> Result<Option<i64>, StoreError> {
    const SQL: &str = "update callbacks set fence = fence + 1, failures = failures + 1
         where bucket = $1 and id = $2 and state = 'dispatching' and fence = $3 and dispatch_id is null
         returning failures";
    tx.fetch_one(SQL, args![bucket, id, fence]).await?.map(|row| row.get("failures")).transpose()
}

#[cfg(test)]
mod tests;
