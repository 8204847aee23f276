//! Writes the counts of rejected webhooks into the activity feed.

use crate::app::App;

/// Tells what was counted; what cannot be told is told of never: it is no promise.
pub async fn tell(app: &App) {
    let due = app.rejected_webhooks.due(&app.clock, &app.rng);
    if due.is_empty() {
        return;
    }
    if let Err(error) = app.store.tell_refused(&due, app.clock.now()).await {
        tracing::warn!(%error, n = due.len(), "the counts of rejected webhooks could not be written");
    }
}
