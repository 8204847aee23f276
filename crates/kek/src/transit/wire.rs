//! The HTTP client of the engine, with the session's current token.
//!
//! Invariants: no redirect, no proxy, and at most one retry: a request whose token was refused is sent once more with a
//! newer token. Answers are read into buffers that are wiped. Each connection serves one request; TLS sessions are
//! resumed.

use std::{fs, sync::Arc, time::Duration};

use redialer_outbound::{Limits, Roots};
use reqwest::header::CONTENT_TYPE;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::timeout;

use super::{
    session::Session,
    settings::{BadTransit, Settings, bad},
};
use crate::KeyError;
use redialer_core::Secret;

const CONNECT_DEADLINE: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(5);
/// How long a request waits for a new token after its own was refused.
const NEW_TOKEN: Duration = Duration::from_secs(2);
const MAX_ANSWER: usize = 4 << 20;

/// An answer.
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Secret<Vec<u8>>,
}

impl Response {
    /// Whether the token is no longer valid. A valid token that lacks a permission gets a 403 with another message.
    pub(super) fn is_dead_token(&self) -> bool {
        self.status == 403 && !self.body.windows(14).any(|w| w == b"error occurred")
    }
}

/// The client with a session.
#[derive(Clone)]
pub(super) struct Client {
    http: Http,
    session: Arc<Session>,
}

/// Only the client, for requests before there is a token.
#[derive(Clone)]
pub(super) struct Http {
    client: reqwest::Client,
    base: String,
    namespace: Option<String>,
}

impl Client {
    pub(super) fn new(settings: Settings) -> Result<Self, BadTransit> {
        // A kept connection would hold the last answer, with keys in it, in its own buffer.
        let limits = Limits { connect: CONNECT_DEADLINE, total: DEADLINE, keeps_connections: false };
        let client = redialer_outbound::client(roots(&settings)?, limits);
        let client = match client {
            Ok(client) => client,
            Err(error) => return bad("kek", error.to_string()),
        };
        let base = format!("{}/v1", settings.address);
        let http = Http { client, base, namespace: settings.namespace };
        let session = Session::begin(http.clone(), settings.login);
        Ok(Self { http, session })
    }

    /// Sends a request with the session's token.
    pub(super) async fn send(&self, path: &str, body: &[u8]) -> Result<Response, KeyError> {
        let token = self.session.token().await?;
        let response = self.http.post(path, Some(&token), body).await?;
        if !response.is_dead_token() {
            return Ok(response);
        }
        // The token is revoked or expired, so the session must log in again.
        self.session.refused(&token);
        let newer = timeout(NEW_TOKEN, self.session.newer_than(&token)).await.ok().flatten();
        match newer {
            Some(token) => self.http.post(path, Some(&token), body).await,
            None => Err(KeyError::Unavailable("it refuses us".to_owned())),
        }
    }
}

impl Http {
    /// Posts a JSON body.
    pub(super) async fn post(
        &self,
        path: &str,
        token: Option<&str>,
        body: &[u8],
    ) -> Result<Response, KeyError> {
        let mut request = self.client.post(format!("{}/{path}", self.base));
        if let Some(token) = token {
            request = request.header("x-vault-token", token);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        let request = request.header(CONTENT_TYPE, "application/json").body(body.to_vec());
        let mut response = request.send().await.map_err(|e| unavailable(&e))?;
        let status = response.status().as_u16();
        let mut body = Secret::new(Vec::with_capacity(64 << 10));
        while let Some(chunk) = response.chunk().await.map_err(|e| unavailable(&e))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(KeyError::Unavailable("its response is too large".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        if status >= 500 || status == 429 {
            let what = if status == 503 { "it is sealed or not ready" } else { "it failed" };
            return Err(KeyError::Unavailable(format!("HTTP {status}: {what}")));
        }
        Ok(Response { status, body })
    }
}

fn unavailable(error: &reqwest::Error) -> KeyError {
    let why = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "it did not respond in time",
        (_, true) => "it cannot be reached",
        _ => "the connection broke",
    };
    KeyError::Unavailable(why.to_owned())
}

/// The configured certificates, else the Mozilla roots bundled with the binary.
fn roots(settings: &Settings) -> Result<Roots, BadTransit> {
    let Some(file) = &settings.ca else { return Ok(Roots::Mozilla) };
    let pem = match fs::read(file) {
        Ok(pem) => pem,
        Err(error) => return bad("VAULT_CACERT", format!("{}: {error}", file.display())),
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
        if let Err(error) = roots.add(certificate) {
            return bad("VAULT_CACERT", format!("{}: {error}", file.display()));
        }
    }
    if roots.is_empty() {
        return bad("VAULT_CACERT", format!("{} contains no certificate", file.display()));
    }
    Ok(Roots::These(roots))
}
