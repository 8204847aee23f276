//! Processes a batch of events: reads their state from the database, decides with pure code, and writes all results in
//! one transaction.

use std::{collections::HashSet, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;
use redialer_core::{
    Id,
    decide::{AfterCall, EventNote, NextCallback, Settle},
    id,
};
use redialer_store::{Decided, StoreError};

use crate::{
    app::App,
    flow::ingest::{
        postpone_or_set_aside,
        prepared::{Prepared, prepare},
    },
    state::event_queue::QueuedEvent,
};

/// The maximum number of immediate tries for a batch that conflicts with other transactions.
const MAX_CONFLICTS: usize = 8;

/// Processes a batch of events. An event that fails is postponed; after an outage the remaining events stay pending on
/// disk.
pub(crate) async fn process(app: &App, events: Vec<QueuedEvent>) -> Result<(), StoreError> {
    let (mut waiting, key_unavailable) = prepare(app, events).await?;
    while !waiting.is_empty() {
        let (batch, later) = first_of_each(waiting);
        process_in_halves(app, &batch).await?;
        waiting = later;
    }
    key_unavailable.map_or(Ok(()), |error| Err(error.into()))
}

/// Splits events into the first of each call, person and chain, and the others, in order. An event that shares a
/// conflict key with a waiting event also waits.
fn first_of_each(events: Vec<Prepared>) -> (Vec<Prepared>, Vec<Prepared>) {
    let mut seen = HashSet::new();
    events.into_iter().partition(|event| {
        let conflict_keys = event.conflict_keys();
        let is_first = conflict_keys.iter().all(|key| !seen.contains(key));
        seen.extend(conflict_keys);
        is_first
    })
}

async fn process_in_halves(app: &App, batch: &[Prepared]) -> Result<(), StoreError> {
    // The remaining parts, the next one last.
    let mut parts = vec![batch];
    while let Some(part) = parts.pop() {
        let Err(failure) = decide_with_retries(app, part).await else { continue };
        match (part, failure) {
            // An outage is not caused by an event (I30): the remaining events stay pending on disk.
            (_, Undecided::Store(error)) if error.is_outage() && !error.is_contention() => return Err(error),
            ([one], failure) => postpone_or_set_aside(app, &one.event, &failure.to_string()).await?,
            (more, failure) => {
                tracing::info!(%failure, n = more.len(), "a batch of events failed; it is retried in halves");
                let (first, second) = more.split_at(more.len() / 2);
                parts.extend([second, first]);
            }
        }
    }
    Ok(())
}

/// Decides a part of a batch; after a conflict with another transaction, retries from the read.
async fn decide_with_retries(app: &App, part: &[Prepared]) -> Result<(), Undecided> {
    for _ in 1..MAX_CONFLICTS {
        match try_once(app, part).await {
            Err(Undecided::Store(error)) if error.is_contention() => {}
            done => return done,
        }
    }
    try_once(app, part).await
}

async fn try_once(app: &App, part: &[Prepared]) -> Result<(), Undecided> {
    match AssertUnwindSafe(decide_once(app, part)).catch_unwind().await {
        Ok(decided) => Ok(decided?),
        Err(_) => Err(Undecided::Panic),
    }
}

/// Why a part of a batch was not decided.
#[derive(Debug, thiserror::Error)]
enum Undecided {
    #[error("a panic")]
    Panic,
    #[error(transparent)]
    Store(#[from] StoreError),
}

async fn decide_once(app: &App, part: &[Prepared]) -> Result<(), StoreError> {
    let now = app.clock.now();
    let decisions = app.store.begin_decisions(part.iter().map(Prepared::key).collect(), now).await?;
    let decided: Vec<Option<Decided<'_>>> = part
        .iter()
        .zip(decisions.known())
        .map(|(event, known)| known.as_ref().map(|known| event.decide(known, now)))
        .collect();
    decisions.finish(&decided, &app.rng).await?;
    for (event, decided) in part.iter().zip(&decided) {
        if let Some(decided) = decided {
            report(event.event.workspace, &event.facts.call_id, &decided.after);
        }
    }
    Ok(())
}

/// Logs and counts a decision.
fn report(workspace: Id<id::Workspace>, call_id: &str, after: &AfterCall) {
    if after.notes.contains(&EventNote::UnknownReason) {
        metrics::counter!("redialer_unknown_reasons_total").increment(1);
    }
    if let Some(pause) = after.pause {
        tracing::warn!(workspace.id = %workspace, "workspace {workspace} is paused: {}", pause.description());
    }
    if let Some(settle) = after.settle {
        let outcome = match settle {
            Settle::Close(state) => state.as_str(),
            Settle::Reschedule { .. } => "rescheduled",
        };
        metrics::counter!("redialer_outcomes_total", "state" => outcome).increment(1);
        tracing::info!(workspace.id = %workspace, call.id = call_id, outcome, "call {call_id}, placed by redialer, ended: {outcome}");
    }
    if let Some(NextCallback::Create(planned) | NextCallback::Replace(_, planned)) = &after.follow {
        let reason = planned.reason.as_str();
        metrics::counter!("redialer_callbacks_scheduled_total", "reason" => reason).increment(1);
        tracing::info!(
            workspace.id = %workspace, call.id = call_id, reason, scheduled_for = %planned.scheduled_for,
            "a callback was scheduled for {} after call {call_id}: {reason}", planned.scheduled_for
        );
    } else if !after.notes.is_empty() {
        let notes = after.notes.iter().map(|note| note.as_str()).collect::<Vec<_>>().join(" ");
        tracing::info!(workspace.id = %workspace, call.id = call_id, notes, "no callback followed call {call_id}: {notes}");
    }
    metrics::counter!("redialer_events_processed_total").increment(1);
}
