//! The doors: HTTP in. No decisions, no SQL.
//!
//! Invariants: a head, a body and an idle connection each have a deadline; connections are counted; when the
//! program drains, requests in hand are finished.

mod admit;
mod api;
mod auth;
mod error;
mod guides;
mod health;
mod openapi;
mod reference;
mod replay;
mod routes;
mod webhooks;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router, http::Request, response::Response};
use futures_util::{FutureExt as _, future::BoxFuture};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{net::TcpListener, sync::Semaphore};
use tower::ServiceExt as _;

use self::admit::Peer;
use crate::app::App;

pub use admit::Pace;
pub use health::Metrics;
pub use openapi::document;
pub use routes::{Route, TABLE};

/// Every door as one service, for whoever serves it another way.
pub fn router(app: Arc<App>, metrics: Metrics) -> axum::Router {
    routes::all(app, metrics)
}

/// Serves until the program drains and the last request in hand is answered.
pub async fn serve(app: Arc<App>, listener: TcpListener, metrics: Metrics) {
    let router = router(Arc::clone(&app), metrics);
    let slots = Arc::new(Semaphore::new(app.config.max_connections));
    let graceful = GracefulShutdown::new();
    let head_deadline = Duration::from_secs(app.config.head_deadline_secs);
    loop {
        let accepted = tokio::select! {
            () = app.drained() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else { continue };
        // Small answers should not wait for the next packet.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone at once");
            continue;
        }
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(head_deadline).max_buf_size(64 << 10);
        let service = Doors { app: Arc::clone(&app), router: router.clone().layer(Extension(Peer(peer))) };
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The doors of one connection: webhooks go straight to theirs, everything else through the router.
struct Doors {
    app: Arc<App>,
    router: Router,
}

impl Service<Request<Incoming>> for Doors {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        match webhooks::addressed(request.method(), request.uri().path()) {
            Some(to) => Box::pin(webhooks::received(Arc::clone(&self.app), to, request).map(Ok)),
            None => Box::pin(self.router.clone().oneshot(request)),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            // Out of file handles, most likely: others will close theirs.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::task::yield_now().await;
            None
        }
    }
}
