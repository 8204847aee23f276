//! Sends the requests that place calls, each on its own connection.
//!
//! Invariants: each request gets a new HTTP/1 connection, which is closed after the answer. The request is written
//! once, and nothing is retried, redirected or sent through a proxy. Whether it may still be sent is checked once the
//! connection is up, right before its first byte. Nothing outlives the future: dropping it closes the connection.

use std::{sync::OnceLock, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use tokio::{net::TcpStream, time::timeout};
use tower::ServiceExt as _;

use crate::{
    client::{Roots, USER_AGENT_NAME, tls},
    transport::{Answer, CONNECT_DEADLINE, MAX_ANSWER_BYTES, Request, TransportError, after_secs},
};

type Connection = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Sends requests that place a call.
#[derive(Clone)]
pub struct Placing {
    connector: HttpsConnector<HttpConnector>,
    deadline: Duration,
}

/// How far a request got.
#[derive(Default)]
struct Progress {
    /// A byte of the request may have been sent.
    begun: OnceLock<()>,
    /// The status of the answer, and its retry delay in seconds.
    head: OnceLock<(u16, Option<u64>)>,
}

impl Placing {
    /// A client whose requests take at most `deadline`, from connecting to the end of the answer.
    pub(crate) fn new(deadline: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Loopback simulators have no TLS; `config` checks every other base URL.
        let tls =
            HttpsConnectorBuilder::new().with_tls_config(tls(Roots::Mozilla)).https_or_http().enable_http1();
        Self { connector: tls.wrap_connector(tcp), deadline }
    }

    /// Sends one request, once.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, TransportError> {
        let progress = Progress::default();
        if let Ok(answer) = timeout(self.deadline, self.exchange(request, &progress)).await {
            return answer;
        }
        let why = "timed out".to_owned();
        match (progress.head.get(), progress.begun.get()) {
            (Some(&(status, after_secs)), _) => Ok(Answer { status, after_secs, text: Err(why) }),
            (None, Some(())) => Err(TransportError::Unknown(why)),
            (None, None) => Err(TransportError::NotSent(why)),
        }
    }

    async fn exchange(&self, request: Request<'_>, progress: &Progress) -> Result<Answer, TransportError> {
        let Request { method, url, key, body, ready, .. } = request;
        let unsent = |why: &str| TransportError::NotSent(why.to_owned());
        let url: Uri = url.parse().map_err(|_| unsent("the URL is not valid"))?;
        let request = written(method, &url, &key, body).ok_or_else(|| unsent("the request is not valid"))?;
        let connection = self.connected(url).await?;
        let handshake = http1::handshake(connection).await;
        let (mut sender, driver) = handshake.map_err(|_| unsent("could not connect"))?;
        if ready.is_some_and(|is_ready| !is_ready()) {
            return Err(unsent("the right to send it was lost while connecting"));
        }
        let _ = progress.begun.set(());
        let answer = async {
            let response = sender.send_request(request).await.map_err(|_| lost())?;
            let status = response.status().as_u16();
            let after_secs = after_secs(response.headers());
            let _ = progress.head.set((status, after_secs));
            Ok(Answer { status, after_secs, text: text_of(response.into_body()).await })
        };
        // The connection makes progress only while it is polled with the answer. It may finish first; the answer still
        // arrives.
        let driving = async {
            let _ = driver.await;
            std::future::pending().await
        };
        tokio::select! { answer = answer => answer, answer = driving => answer }
    }

    /// Resolves the name, connects and completes the TLS handshake.
    async fn connected(&self, url: Uri) -> Result<Connection, TransportError> {
        match timeout(CONNECT_DEADLINE, self.connector.clone().oneshot(url)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(_)) => Err(TransportError::NotSent("could not connect".to_owned())),
            Err(_) => Err(TransportError::NotSent("timed out while connecting".to_owned())),
        }
    }
}

/// The HTTP request; `None` if the URL or the key is not valid in one.
fn written(
    method: http::Method,
    url: &Uri,
    key: &str,
    body: Option<Vec<u8>>,
) -> Option<http::Request<Full<Bytes>>> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
    bearer.set_sensitive(true);
    let request = http::Request::builder()
        .method(method)
        .uri(url.path_and_query()?.as_str())
        .header(HOST, url.authority()?.as_str())
        .header(USER_AGENT, USER_AGENT_NAME)
        .header(AUTHORIZATION, bearer)
        .header(CONTENT_TYPE, "application/json");
    request.body(Full::from(body.unwrap_or_default())).ok()
}

async fn text_of(body: hyper::body::Incoming) -> Result<String, String> {
    let collected = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    let bytes = collected.map_err(|_| "the answer broke off or is too large".to_owned())?.to_bytes();
    String::from_utf8(bytes.to_vec()).map_err(|_| "the answer is not UTF-8".to_owned())
}

fn lost() -> TransportError {
    TransportError::Unknown("the connection broke".to_owned())
}
