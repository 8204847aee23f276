//! Requests to providers, and their answers.
//!
//! Invariants: a request that places a call gets its own HTTP/1 connection (`placing`), so neither a dead pooled
//! connection nor a refused stream can send it twice. An error states whether a byte of the request may have been sent.

use std::{pin::Pin, sync::Arc, time::Duration};

use reqwest::{
    Method,
    header::{self, HeaderMap},
};

use crate::{
    client::{Limits, Roots, client},
    placing::Placing,
};

/// One request to a provider.
pub struct Request<'a> {
    /// Its method.
    pub method: Method,
    /// Its URL.
    pub url: String,
    /// The API key.
    pub key: String,
    /// Its JSON body.
    pub body: Option<Vec<u8>>,
    /// Whether it places a call. If so, it is never sent on a reused connection.
    pub places: bool,
    /// For a request that places a call: called once the connection is up, right before the first byte is sent. If it
    /// returns `false`, the request is not sent.
    pub ready: Option<ReadyCheck<'a>>,
}

/// Returns whether a request may still be sent.
pub type ReadyCheck<'a> = &'a (dyn Fn() -> bool + Send + Sync);

/// An answer to a request.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `RateLimit-Reset` or `Retry-After`, in seconds.
    pub after_secs: Option<u64>,
    /// The body, or the error that ended reading it.
    pub text: Result<String, String>,
}

/// Why there is no answer, for people. Contains no URLs, because they may contain private ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// No byte of the request was sent.
    NotSent(String),
    /// The request may have arrived.
    Unknown(String),
}

/// A request in progress.
pub type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<Answer, TransportError>> + Send + 'a>>;

/// Sends requests: over the network, or to a simulator.
pub trait Transport: Send + Sync {
    /// Sends one request, once.
    fn send<'a>(&'a self, request: Request<'a>) -> SendFuture<'a>;
}

/// A transport that many APIs share.
pub type SharedTransport = Arc<dyn Transport>;

/// The two HTTP clients, shared by all workspaces.
#[derive(Clone)]
pub struct Clients {
    /// For requests that place a call: a new connection each, a long deadline.
    pub placing: Placing,
    /// For reads, which may be repeated.
    pub reading: reqwest::Client,
}

/// The vendor's own clients wait two minutes for a call to be placed.
pub const PLACE_DEADLINE: Duration = Duration::from_secs(120);
const READ_DEADLINE: Duration = Duration::from_secs(20);
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
pub(crate) const MAX_ANSWER_BYTES: usize = 16 << 20;

impl Clients {
    /// Creates both clients, which trust the Mozilla roots bundled with the binary.
    pub fn new(place_deadline: Duration) -> Result<Self, reqwest::Error> {
        let limits = Limits { connect: CONNECT_DEADLINE, total: READ_DEADLINE, keeps_connections: true };
        let reading = client(Roots::Mozilla, limits)?;
        Ok(Self { placing: Placing::new(place_deadline), reading })
    }
}

impl Transport for Clients {
    fn send<'a>(&'a self, request: Request<'a>) -> SendFuture<'a> {
        Box::pin(async move {
            if request.places {
                return self.placing.send(request).await;
            }
            let mut sending = self.reading.request(request.method, request.url).bearer_auth(request.key);
            if let Some(body) = request.body {
                sending = sending.header(header::CONTENT_TYPE, "application/json").body(body);
            }
            match sending.send().await {
                Ok(response) => Ok(answer_of(response).await),
                Err(e) if e.is_connect() || e.is_builder() => Err(TransportError::NotSent(plain(&e))),
                Err(e) => Err(TransportError::Unknown(plain(&e))),
            }
        })
    }
}

async fn answer_of(response: reqwest::Response) -> Answer {
    Answer {
        status: response.status().as_u16(),
        after_secs: after_secs(response.headers()),
        text: text_of(response).await,
    }
}

/// The retry delay in seconds, from the answer's headers.
pub(crate) fn after_secs(headers: &HeaderMap) -> Option<u64> {
    let header = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok();
    header("ratelimit-reset").or_else(|| header("retry-after"))
}

async fn text_of(mut response: reqwest::Response) -> Result<String, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| plain(&e))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err("the answer is too large".to_owned());
        }
    }
    String::from_utf8(bytes).map_err(|_| "the answer is not UTF-8".to_owned())
}

fn plain(error: &reqwest::Error) -> String {
    let kind = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "could not connect"
    } else {
        "the connection broke"
    };
    kind.to_owned()
}
