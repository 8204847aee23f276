//! Keeps the due queue filled from the database.
//!
//! Invariant: what is due within the horizon is in the queue before its moment: the database is read every few seconds,
//! and as soon as the store says that something may be due sooner.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use redialer_core::time::plus;
use redialer_store::StoreError;

use crate::app::App;

/// How far ahead the queue reaches, in real time: each row is read some four times before it is due.
const HORIZON: SignedDuration = SignedDuration::from_secs(12);
/// The interval between two readings of the database.
const READ_INTERVAL: Duration = Duration::from_secs(3);
/// The interval while more is due than one reading returns.
const BACKLOG_INTERVAL: Duration = Duration::from_millis(500);
/// The least time between two readings, however many changes there are.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// The most rows of one reading: of one workspace, and of all workspaces in a range of buckets.
const MAX_OF_WORKSPACE: i64 = 5_000;
const MAX_ROWS: i64 = 40_000;

/// Reads what is due again and again until the program shuts down.
pub async fn run(app: Arc<App>) {
    let mut buckets = app.buckets.subscribe();
    while !app.is_draining() {
        buckets.mark_unchanged();
        let changed = app.store.due_signal().changed();
        let interval = match read(&app).await {
            Ok(is_all) => {
                app.due_bell.notify_one();
                if is_all { READ_INTERVAL } else { BACKLOG_INTERVAL }
            }
            Err(error) => {
                tracing::warn!(%error, "due callbacks could not be read");
                READ_INTERVAL
            }
        };
        app.clock.wait(MIN_INTERVAL).await;
        tokio::select! {
            () = changed => {}
            Ok(()) = buckets.changed() => {}
            () = app.clock.wait(interval) => {}
            () = app.drained() => {}
        }
    }
}

/// Reads the callbacks that are due within the horizon. Returns whether those are all.
pub async fn read(app: &App) -> Result<bool, StoreError> {
    let until = plus(app.clock.now(), HORIZON * i32::try_from(app.clock.speed()).unwrap_or(i32::MAX));
    // From now on whatever becomes due by then is noted, also while this reads.
    app.store.due_signal().set_horizon(until);
    let (mut rows, mut is_all) = (Vec::new(), true);
    for range in app.ranges() {
        let due = app.store.due(range, until, MAX_OF_WORKSPACE, MAX_ROWS).await?;
        is_all &= due.is_all;
        rows.extend(due.rows);
    }
    app.due.fill(rows);
    Ok(is_all)
}
