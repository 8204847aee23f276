//! The provider's rosters, pulled again and again: new agents are found, gone ones marked.
//!
//! Invariant: each is pulled by one replica at a time, and no oftener than once an hour; what cannot be pulled is left as it
//! was known.

use std::{sync::Arc, time::Duration};

use redialer_core::{
    time::{minutes, plus},
    workspace::SYNC_EVERY_MINUTES,
};
use redialer_store::StoreError;

use super::manage;
use crate::app::App;

const POLL: Duration = Duration::from_secs(10);

/// Pulls until the program shuts down.
pub async fn run(app: Arc<App>) {
    while !app.is_draining() {
        tokio::select! { () = app.clock.wait(POLL) => {}, () = app.drained() => return }
        if let Err(error) = round(&app).await {
            tracing::warn!(%error, "rosters could not be pulled");
        }
    }
}

/// Pulls the rosters whose turn it is.
pub async fn round(app: &App) -> Result<(), StoreError> {
    for range in app.ranges() {
        let now = app.clock.now();
        for due in app.store.due_syncs(range, now, plus(now, minutes(SYNC_EVERY_MINUTES))).await? {
            let tenant = app.store.tenant(due.tenant).await?;
            let workspace = app.store.of(due.tenant).workspace(due.id).await?;
            if let Err(error) = manage::sync(app, &app.store.of(due.tenant), &tenant, &workspace).await {
                tracing::warn!(workspace.id = %due.id, %error, "the roster of workspace {} could not be pulled", due.id);
            }
        }
    }
    Ok(())
}
