//! The HTTP side of the limits: reads a body, verifies and seals it, and passes it to the writer.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce, aead::Aead as _};
use anyhow::Context as _;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use crate::payload::KEY;

/// A webhook to store, and the channel that confirms it.
pub(super) struct Item {
    pub(super) id: [u8; 16],
    pub(super) dedup: String,
    pub(super) sealed: Vec<u8>,
    pub(super) kept: oneshot::Sender<()>,
}

/// Capacity of the writer's queue; further requests wait in their connections.
pub(super) const WAITING: usize = 1_024;
/// Maximum number of items stored together.
pub(super) const GROUP: usize = 256;

pub(super) enum Keep {
    Verified,
    Sealed(mpsc::Sender<Item>),
}

struct Limit {
    keep: Keep,
    mac: Hmac<Sha256>,
    cipher: Aes256Gcm,
    serial: AtomicU64,
}

pub(super) async fn serve(listen: SocketAddr, keep: Keep) -> anyhow::Result<()> {
    let limit = Limit {
        keep,
        mac: Hmac::new_from_slice(KEY.as_bytes()).context("HMAC takes any key")?,
        cipher: Aes256Gcm::new(&[7; 32].into()),
        serial: AtomicU64::new(1),
    };
    let router = Router::new().route("/", post(take)).with_state(Arc::new(limit));
    Ok(axum::serve(TcpListener::bind(listen).await?, router).await?)
}

/// The limit of the footprint unit: ready once its file is open.
pub(super) async fn serve_empty(listen: SocketAddr, file: &rusqlite::Connection) -> anyhow::Result<()> {
    file.query_row("select count(*) from inbox", [], |row| row.get::<_, i64>(0))?;
    let router = Router::new().route("/readyz", get(async || StatusCode::OK));
    Ok(axum::serve(TcpListener::bind(listen).await?, router).await?)
}

async fn take(State(limit): State<Arc<Limit>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if verified(&limit.mac, &headers, &body).is_none() {
        return StatusCode::UNAUTHORIZED;
    }
    let Keep::Sealed(batches) = &limit.keep else { return StatusCode::NO_CONTENT };
    // A counter never repeats a nonce within the process, and the key is not used outside of it.
    let serial = limit.serial.fetch_add(1, Ordering::Relaxed);
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&serial.to_be_bytes());
    let Ok(sealed) = limit.cipher.encrypt(&Nonce::from(nonce), &body[..]) else {
        return StatusCode::INTERNAL_SERVER_ERROR;
    };
    let mut id = [0; 16];
    id[8..].copy_from_slice(&serial.to_be_bytes());
    let (kept, done) = oneshot::channel();
    let item = Item { id, dedup: call_of(&body), sealed, kept };
    match batches.send(item).await.is_ok() && done.await.is_ok() {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn verified(mac: &Hmac<Sha256>, headers: &HeaderMap, body: &[u8]) -> Option<()> {
    let header = headers.get("x-retell-signature")?.to_str().ok()?;
    let (stamp, digest) = header.strip_prefix("v=")?.split_once(",d=")?;
    let byte = |i: usize| u8::from_str_radix(digest.get(2 * i..2 * i + 2)?, 16).ok();
    let digest: Vec<u8> = (0..32).map(byte).collect::<Option<_>>()?;
    let mut mac = mac.clone();
    mac.update(body);
    mac.update(stamp.as_bytes());
    mac.verify_slice(&digest).ok()
}

/// The deduplication key of a webhook: its call id.
fn call_of(body: &[u8]) -> String {
    const BEFORE: &[u8] = b"\"call_id\":\"";
    let at = body.windows(BEFORE.len()).position(|w| w == BEFORE).map_or(0, |at| at + BEFORE.len());
    String::from_utf8_lossy(body.get(at..at + 32).unwrap_or_default()).into_owned()
}
