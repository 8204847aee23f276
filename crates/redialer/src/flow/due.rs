//! Keeps the due queue filled from the database.
//!
//! Invariant: a callback that is due within the horizon is in the queue before it is due: the database is read every
//! few seconds, and immediately when the store signals that a callback may be due sooner.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;
use redialer_core::time::plus;
use redialer_store::StoreError;

use crate::app::App;

/// How far ahead the queue reaches, in real time: each row is read about four times before it is due.
const HORIZON: SignedDuration = SignedDuration::from_secs(12);
/// The interval between two reads of the database.
const READ_INTERVAL: Duration = Duration::from_secs(3);
/// The interval while more rows are due than one read returns.
const BACKLOG_INTERVAL: Duration = Duration::from_millis(500);
/// The minimum interval between two reads, regardless of how many changes are signaled.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// The maximum number of rows per read: for one workspace, and for all workspaces in a range of buckets.
const MAX_OF_WORKSPACE: i64 = 5_000;
const MAX_ROWS: i64 = 40_000;

/// Reads due callbacks until the program shuts down.
pub async fn run(app: Arc<App>) {
    let mut buckets = app.buckets.subscribe();
    while !app.is_draining() {
        buckets.mark_unchanged();
        let changed = app.store.due_signal().changed();
        let interval = match read(&app).await {
            Ok(is_complete) => {
                app.due_bell.notify_one();
                if is_complete { READ_INTERVAL } else { BACKLOG_INTERVAL }
            }
            Err(error) => {
                tracing::warn!(%error, "due callbacks could not be read from the database");
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

/// Reads the callbacks that are due within the horizon. Returns whether the read was complete.
pub async fn read(app: &App) -> Result<bool, StoreError> {
    let until = plus(app.clock.now(), HORIZON * i32::try_from(app.clock.speed()).unwrap_or(i32::MAX));
    // From now on the store signals every callback that becomes due by then, including changes made during this read.
    app.store.due_signal().set_horizon(until);
    let (mut rows, mut is_complete) = (Vec::new(), true);
    for range in app.ranges() {
        let due = app.store.due(range, until, MAX_OF_WORKSPACE, MAX_ROWS).await?;
        is_complete &= due.is_all;
        rows.extend(due.rows);
    }
    app.due.fill(rows);
    Ok(is_complete)
}
