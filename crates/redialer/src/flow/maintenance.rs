//! Holds leases, recovers lapsed claims, resumes paused workspaces, and deletes old data.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redialer_core::{
    time::{minutes, plus},
    timing::{PROBE_EVERY_MINUTES, UNDO_MINUTES},
};
use redialer_store::{Buckets, StoreError};

use crate::{app::App, flow::rejected_webhooks, state::locked};

/// The maximum number of steps per round in which a deleted workspace is removed.
const STEPS_A_ROUND: usize = 20;
/// Outbox rows are kept for three days.
const OUTBOX_MINUTES: i64 = 3 * 24 * 60;
/// Notices in the activity feed are kept for thirty days.
const NOTICES_MINUTES: i64 = 30 * 24 * 60;
/// The interval between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(2);
/// A replica that has not renewed its leases for this long is considered gone.
const LEASE_MS: i64 = 10_000;

/// The interval between two runs of [`maintain`]. The embedded database is checkpointed often, so that its WAL stays short.
pub const fn maintenance_interval(is_shared: bool) -> Duration {
    if is_shared { Duration::from_secs(10) } else { Duration::from_millis(500) }
}

/// Runs the database's regular maintenance.
pub async fn maintain(app: &App) -> Result<(), StoreError> {
    app.store.maintain().await
}

/// Stores the virtual time periodically, and once more at shutdown.
pub async fn keep_time(app: Arc<App>) {
    const CLOCK_INTERVAL: Duration = Duration::from_secs(15);
    loop {
        tokio::select! { () = app.clock.wait(CLOCK_INTERVAL) => {}, () = app.drained() => {} }
        if let Err(error) = app.clock.keep(&app.store).await {
            tracing::warn!(%error, "the virtual time could not be stored; after a restart the clock may run back to the last stored time");
        }
        if app.is_draining() {
            return;
        }
    }
}

/// Runs one round.
pub async fn round(app: &App) -> Result<(), StoreError> {
    hold_leases(app).await?;
    for range in app.ranges() {
        let n =
            app.store.recover(range, app.clock.real_ms(), app.clock.now(), app.clock.speed().into()).await?;
        if n > 0 {
            tracing::warn!(n, "{n} claims whose leases had expired were released");
        }
    }
    rejected_webhooks::flush(app).await;
    report_stuck(app).await?;
    purge_old_data(app).await?;
    release_quota(app).await?;
    probe(app).await
}

/// Releases callbacks that are held for quota when their plan has room again: in a new month, or after a change of plan.
async fn release_quota(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    for range in app.ranges() {
        for tenant in app.store.over_quota(range, now).await? {
            let tenant_store = app.store.for_tenant(tenant);
            let limit = app.store.limits_of(app.store.tenant(tenant).await?.plan).calls_a_month;
            let used = tenant_store.calls_of_plan(now).await?;
            let room = limit.map_or(i64::MAX, |limit| i64::try_from(limit).unwrap_or(i64::MAX) - used);
            if room > 0 {
                tenant_store.release_quota(room.min(1_000), now).await?;
            }
        }
    }
    Ok(())
}

/// Deletes expired idempotency responses, notices and outbox rows, and a part of each workspace that was deleted more
/// than a day ago.
async fn purge_old_data(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    app.api_rate.tidy();
    app.store.delete_old_responses(plus(now, -minutes(24 * 60))).await?;
    app.store.delete_old_notices(plus(now, -minutes(NOTICES_MINUTES))).await?;
    app.store.prune_outbox(plus(now, -minutes(OUTBOX_MINUTES))).await?;
    for range in app.ranges() {
        for gone in app.store.removals(range, plus(now, -minutes(UNDO_MINUTES))).await? {
            let tenant_store = app.store.for_tenant(gone.tenant);
            // Small steps, so that dials can run in between.
            for _ in 0..STEPS_A_ROUND {
                if !tenant_store.purge_workspace(gone.id, now).await? {
                    tracing::info!(workspace.id = %gone.id, "the data of deleted workspace {} was removed permanently", gone.id);
                    break;
                }
            }
        }
    }
    Ok(())
}

/// Exports the number of stuck items and logs an error for those that are stuck in two consecutive rounds. One round is
/// not enough: a callback scheduled in the past is overdue only until it is dialed.
async fn report_stuck(app: &App) -> Result<(), StoreError> {
    let mut all: BTreeMap<&'static str, i64> = BTreeMap::new();
    for range in app.ranges() {
        let stuck = app.store.stuck(range, app.clock.now(), app.clock.speed()).await?;
        for (kind, n) in stuck {
            *all.entry(kind).or_default() += n;
            let mut counts = locked(&app.stuck);
            let (last, reported) = counts.get(&(range, kind)).copied().unwrap_or_default();
            let lasting = n.min(last);
            counts.insert((range, kind), (n, lasting));
            if lasting > reported {
                tracing::error!(kind, n = lasting, "{lasting} {kind} need attention");
            }
        }
    }
    for (kind, n) in all {
        metrics::gauge!("redialer_stuck", "kind" => kind).set(n as f64);
    }
    Ok(())
}

/// Leases this replica's share of the buckets. With the embedded database the single process holds all buckets.
pub async fn hold_leases(app: &App) -> Result<(), StoreError> {
    if !app.store.is_shared() {
        return Ok(());
    }
    app.clock.follow_database(&app.store).await?;
    let now = app.clock.real_ms();
    let held = match app.store.hold_leases(&app.replica, now, now + LEASE_MS).await {
        Ok(held) => held,
        Err(error) => {
            // Without the database nothing can be claimed anyway.
            app.buckets.send_replace(Buckets::default());
            return Err(error);
        }
    };
    app.buckets.send_if_modified(|known| {
        let changed = *known != held;
        *known = held;
        changed
    });
    Ok(())
}

/// Checks whether the keys and accounts of paused workspaces work again, with a read that changes nothing.
async fn probe(app: &App) -> Result<(), StoreError> {
    for range in app.ranges() {
        let now = app.clock.now();
        for paused in app.store.due_probes(range, now, plus(now, minutes(PROBE_EVERY_MINUTES))).await? {
            let key = app.store.open_key(paused.tenant).await?;
            let workspace = app.store.for_tenant(paused.tenant).workspace(paused.id).await?;
            match app.provider(&workspace, false)?.probe(&workspace.api_key(&key)?).await {
                Ok(()) => {
                    app.store.resume(paused.id, now).await?;
                    tracing::info!(workspace.id = %paused.id, "workspace {} is no longer paused; dialing resumes", paused.id);
                }
                Err(error) if error.is_of_account() => {}
                Err(error) => {
                    tracing::info!(workspace.id = %paused.id, %error, "the key of paused workspace {} could not be probed; it is probed again later", paused.id)
                }
            }
        }
    }
    Ok(())
}
