//! The loop of a background job.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use redialer_store::StoreError;
use tokio::task::JoinHandle;

use crate::app::App;

/// One round of a job.
pub type Round = fn(&Arc<App>) -> BoxFuture<'_, Result<(), StoreError>>;

/// Runs rounds, with the interval between them, until the program shuts down. A failed round is logged with the message
/// `failure`; the next round retries.
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
