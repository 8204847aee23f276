//! The accept loop and the connections.
//!
//! Invariants: a head, a body, a write and an idle connection each have a deadline. Connections are counted, in total
//! and by address, and rejected at once over a limit. A request with two framings is rejected. During a shutdown,
//! requests in progress are finished.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderMap, Request, header},
    response::Response,
};
use futures_util::future::{BoxFuture, OptionFuture, join};
use hyper::{body::Incoming, service::Service};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::{
    app::App,
    config::Proxies,
    http::{
        connection::{
            limits::{Connections, Slot, refuse},
            socket::{Ambiguous, Socket},
        },
        error::{self, RequestId, enveloped},
        health::Metrics,
        peer::Peer,
        router::{of_metrics, router},
    },
};

/// How long the server waits after the system had no file handle for a connection.
const OUT_OF_HANDLES_INTERVAL: Duration = Duration::from_millis(100);

/// The sockets that the server listens on.
pub struct Listeners {
    /// For webhooks, the API and the guides.
    pub public: TcpListener,
    /// For metrics, if they have their own listener.
    pub metrics: Option<TcpListener>,
}

/// Serves until the program shuts down and the last request in progress is answered.
pub async fn serve(app: Arc<App>, listeners: Listeners, metrics: Metrics) {
    let proxies = Arc::new(app.config.trusted_proxies().unwrap_or_default());
    let of_metrics = listeners.metrics.map(|listener| {
        let router = of_metrics(Arc::clone(&app), metrics.clone());
        let server = Server { app: Arc::clone(&app), router, proxies: Arc::clone(&proxies) };
        listen(server, listener)
    });
    let router = router(Arc::clone(&app), metrics);
    let public = Server { app: Arc::clone(&app), router, proxies };
    join(listen(public, listeners.public), OptionFuture::from(of_metrics)).await;
    // The request of a client that disconnected keeps running, and holds a slot until it ends.
    let all = u32::try_from(app.config.max_api_requests).unwrap_or(u32::MAX);
    let _all_ended = app.api_requests.acquire_many(all).await;
}

/// The service for the clients of one listener.
#[derive(Clone)]
struct Server {
    app: Arc<App>,
    router: Router,
    proxies: Arc<Proxies>,
}

async fn listen(server: Server, listener: TcpListener) {
    let app = Arc::clone(&server.app);
    let connections = Connections::new(&app.config, Arc::clone(&server.proxies));
    loop {
        let accepted = tokio::select! {
            () = app.drained() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted; idle connections are closed");
                connections.signal_close();
                app.clock.wait(OUT_OF_HANDLES_INTERVAL).await;
                continue;
            }
        };
        match connections.acquire(peer.ip()).await {
            Ok(slot) => {
                let closing = connections.closing();
                tokio::spawn(connection(server.clone(), stream, peer, slot, closing));
            }
            Err(why) => {
                tracing::debug!(?why, "a connection was refused");
                refuse(stream, why);
            }
        }
    }
    drop(listener);
    connections.close().await;
}

/// Serves one connection until either side closes it.
async fn connection(
    server: Server,
    stream: TcpStream,
    peer: SocketAddr,
    slot: Slot,
    mut closing: tokio::sync::watch::Receiver<()>,
) {
    // Small responses must not wait for the next packet.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was closed before it was served");
        return;
    }
    let ambiguous = Ambiguous::default();
    let mut builder = hyper::server::conn::http1::Builder::new();
    let head_deadline = Duration::from_secs(server.app.config.head_deadline_secs);
    builder.timer(TokioTimer::new()).header_read_timeout(head_deadline).max_buf_size(64 << 10);
    let socket = Socket::new(Arc::clone(&server.app), stream, ambiguous.clone());
    let service = ConnectionService { server, peer: peer.ip(), ambiguous, requests: AtomicU64::new(0) };
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    tokio::pin!(connection);
    let ended = loop {
        tokio::select! {
            ended = connection.as_mut() => break ended,
            Ok(()) = closing.changed() => connection.as_mut().graceful_shutdown(),
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
    drop(slot);
}

/// The service of one connection.
struct ConnectionService {
    server: Server,
    peer: IpAddr,
    ambiguous: Ambiguous,
    /// The number of requests so far.
    requests: AtomicU64,
}

impl Service<Request<Incoming>> for ConnectionService {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let Server { app, router, proxies } = &self.server;
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if self.ambiguous.is(number) || !has_plain_framing(request.headers()) {
            let id = RequestId::new(&app.rng);
            return Box::pin(std::future::ready(Ok(enveloped(error::two_framings(), &id))));
        }
        let client = proxies.client(self.peer, request.headers());
        request.extensions_mut().insert(Peer(client));
        Box::pin(router.clone().oneshot(request))
    }
}

/// Whether the only transfer coding, if any, is `chunked`.
fn has_plain_framing(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    is_chunked && codings.next().is_none()
}
