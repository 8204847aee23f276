//! Fresh events of one workspace decided in one transaction.
//!
//! Invariants: what comes of a batch is what would have come of its events one after the other: no two of one
//! round are about one person or one call. What fails is given back untouched, to go one by one, where its failure is
//! its own. Absent on purpose: events of dials of ours, and events that were tried before.

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use redialer_core::{Phone, policy::Policy};
use redialer_providers::retell::webhook;
use redialer_store::{AgentRow, Case, Decided, PendingRow, StoreError, TenantKey, WorkspaceRow};

use super::{Reading, after_call, following, report};
use crate::app::App;

/// Decides what it can of one workspace's events; those left over, in their order.
pub(super) async fn decided(app: &Arc<App>, rows: Vec<PendingRow>) -> Vec<PendingRow> {
    let (mut fresh, mut left): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.tries == 0 && row.received_at >= app.started_at);
    while fresh.len() > 1 {
        // A panic ends the batch, not the loop: one by one it will show whose it was.
        let round = AssertUnwindSafe(round(app, &fresh)).catch_unwind().await;
        let Ok(Ok(round)) = round else {
            if let Ok(Err(error)) = round {
                tracing::info!(%error, n = fresh.len(), "a batch could not be decided together");
            }
            break;
        };
        let is_alone = round.alone;
        let mut rest = Vec::new();
        for (i, row) in fresh.into_iter().enumerate() {
            if is_alone.contains(&i) {
                left.push(row);
            } else if !round.done.contains(&i) {
                rest.push(row);
            }
        }
        fresh = rest;
    }
    left.extend(fresh);
    left.sort_by_key(|row| (row.received_at, row.id));
    left
}

/// Which places of a batch were decided, and which must go alone.
struct Round {
    done: BTreeSet<usize>,
    alone: BTreeSet<usize>,
}

/// Decides the first event of each person and each call.
async fn round(app: &Arc<App>, rows: &[PendingRow]) -> Result<Round, StoreError> {
    let Some(first) = rows.first() else {
        return Ok(Round { done: BTreeSet::new(), alone: BTreeSet::new() });
    };
    let key = app.store.open_key(first.tenant).await?;
    let workspace = app.store.of(first.tenant).workspace(first.workspace).await?;
    let (readings, alone) = read(app, rows, &workspace, &key).await?;
    let mut taken = Vec::new();
    let (mut calls, mut persons) = (BTreeSet::new(), BTreeSet::new());
    for (i, reading) in &readings {
        let ix = reading.whom.person.as_ref().map(|p| key.index(p.e164()));
        let is_first_of_person = ix.is_none_or(|ix| persons.insert(ix));
        if calls.insert(reading.facts.call_id.as_str()) && is_first_of_person {
            taken.push((*i, ix, reading));
        }
    }
    let cases: Vec<Case<'_>> = taken
        .iter()
        .map(|&(i, person_ix, reading)| Case {
            delivery: &rows[i],
            call_id: reading.facts.call_id.as_str(),
            person_ix,
        })
        .collect();
    let decide = |n: usize, known: &redialer_store::KnownCase| {
        let reading = taken[n].2;
        Decided {
            after: after_call(app, reading, &known.seen, None, known.person.as_ref()),
            following: following(app, reading),
            number: reading.whom.person.as_ref().map(Phone::e164),
        }
    };
    let after = app.store.decide_all(&cases, decide, &key, &app.chance, app.clock.now()).await?;
    for (case, after) in cases.iter().zip(&after) {
        report(app, case.delivery, after);
    }
    Ok(Round { done: taken.iter().map(|(i, ..)| *i).collect(), alone })
}

/// Reads each event; the places of those that must go alone: dials of ours, and what is no event of a call.
async fn read(
    app: &Arc<App>,
    rows: &[PendingRow],
    workspace: &WorkspaceRow,
    key: &TenantKey,
) -> Result<(Vec<(usize, Reading)>, BTreeSet<usize>), StoreError> {
    let tenant = app.store.of(workspace.tenant);
    // What an agent's settings come to is worked out once, not for each of its events.
    let roster: Vec<(AgentRow, Policy)> = tenant
        .roster(workspace.id)
        .await?
        .into_iter()
        .map(|agent| {
            let policy = agent.settings(&workspace.defaults).policy();
            (agent, policy)
        })
        .collect();
    let default = workspace.defaults.policy();
    let (mut readings, mut alone) = (Vec::with_capacity(rows.len()), BTreeSet::new());
    for (i, row) in rows.iter().enumerate() {
        let body = key.open_body(row.id.uuid(), &row.body)?;
        let facts = webhook::read(&body, &workspace.defaults.callback_field);
        let Some(facts) = facts.filter(|facts| facts.tags.is_none()) else {
            alone.insert(i);
            continue;
        };
        let agent = match &facts.agent {
            Some(id) => roster.iter().find(|(a, _)| &a.provider_agent_id == id),
            None => roster.iter().find(|(a, _)| a.id == row.agent),
        };
        let policy = agent.map_or(&default, |(_, policy)| policy).clone();
        let agent = agent.map(|(agent, _)| agent.clone());
        readings.push((i, Reading::under(app.clock.now(), policy, facts, agent, None)));
    }
    let calls: Vec<&str> = readings.iter().map(|(_, r)| r.facts.call_id.as_str()).collect();
    let ours: BTreeSet<String> = tenant.own_calls(workspace.id, &calls).await?.into_iter().collect();
    let ixs: Vec<[u8; 16]> =
        readings.iter().filter_map(|(_, r)| r.whom.person.as_ref()).map(|p| key.index(p.e164())).collect();
    let own: BTreeSet<[u8; 16]> = tenant.own_numbers(workspace.id, &ixs).await?.into_iter().collect();
    readings.retain(|(i, reading)| {
        let foreign = !ours.contains(&reading.facts.call_id);
        if !foreign {
            alone.insert(*i);
        }
        foreign
    });
    for (_, reading) in &mut readings {
        if reading.whom.person.as_ref().is_some_and(|p| own.contains(&key.index(p.e164()))) {
            reading.is_own_number();
        }
    }
    Ok((readings, alone))
}
