//! The loop of a background job.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use redialer_store::StoreError;
use tokio::task::JoinHandle;

use crate::app::App;

/// One round of a job.
pub type Round = fn(&Arc<App>) -> BoxFuture<'_, Result<(), StoreError>>;

/// Runs a round, waits, and so on until the program shuts down. A round that fails is logged: `failure` says what could
/// not be done; the next one tries again.
pub fn every(app: &Arc<App>, interval: Duration, failure: &'static str, round: Round) -> JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        while !app.is_draining() {
            if let Err(error) = round(&app).await {
                tracing::warn!(%error, "{failure}");
            }
            tokio::select! { () = app.clock.wait(interval) => {}, () = app.drained() => {} }
        }
    })
}
