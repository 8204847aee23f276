//! Writes the counts of rejected webhooks to the activity feed.

use crate::app::App;

/// Flushes the counters. Best effort: counts are lost if the write fails.
pub async fn flush(app: &App) {
    let due = app.rejected_webhooks.due(&app.clock, &app.rng);
    if due.is_empty() {
        return;
    }
    if let Err(error) = app.store.write_rejections(&due, app.clock.now()).await {
        tracing::warn!(%error, n = due.len(), "the counts of rejected webhooks could not be written and are lost");
    }
}
