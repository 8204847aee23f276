//! The provider's rosters, pulled again and again: new agents are found, gone ones marked.
//!
//! Invariant: each is pulled by one replica at a time, and no oftener than once an hour; what cannot be pulled is left as it
//! was known.

use std::time::Duration;

use redialer_core::{
    time::{minutes, plus},
    timing::SYNC_EVERY_MINUTES,
};
use redialer_store::{DueWorkspace, StoreError};

use super::{
    account,
    manage::{self, SyncError},
};
use crate::app::App;

/// The interval between two rounds.
pub const INTERVAL: Duration = Duration::from_secs(10);

async fn one(app: &App, due: &DueWorkspace) -> Result<(), SyncError> {
    let store = app.store.of(due.tenant);
    let tenant = app.store.tenant(due.tenant).await?;
    let workspace = store.workspace(due.id).await?;
    manage::sync(app, &store, &tenant, &workspace).await.map(|_| ())
}

/// Pulls the rosters whose turn it is.
pub async fn round(app: &App) -> Result<(), StoreError> {
    for range in app.ranges() {
        let now = app.clock.now();
        for due in app.store.due_syncs(range, now, plus(now, minutes(SYNC_EVERY_MINUTES))).await? {
            // One that fails, or was deleted meanwhile, is no reason to skip the others.
            if let Err(error) = one(app, &due).await {
                if let SyncError::Provider(error) = &error {
                    account::read_failed(app, due.id, error).await;
                }
                tracing::warn!(workspace.id = %due.id, %error, "the roster of workspace {} could not be pulled", due.id);
            }
        }
    }
    Ok(())
}
