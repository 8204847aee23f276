//! A fast fake provider that records which number was called when: the target of every dial.
//!
//! It implements only as much of Retell as a dial and a roster need. The simulator is not used here: it plays whole
//! calls and would take more of the shared cores than the product.

use std::{
    collections::{HashMap, HashSet},
    future::IntoFuture as _,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::{net::TcpSocket, task::JoinHandle};

use crate::{
    payload::{AGENT, OURS},
    watch::{now_us, wait},
};

/// Response time of a request to place a call.
const ANSWERS_AFTER: Duration = Duration::from_millis(20);
/// Response time for numbers that are marked as slow.
pub(crate) const SLOW: Duration = Duration::from_secs(20);

/// Listen backlog; the kernel applies its own bound as well.
const QUEUE: u32 = 16_384;

pub(crate) struct Sink {
    address: SocketAddr,
    seen: Arc<Seen>,
    server: JoinHandle<std::io::Result<()>>,
}

#[derive(Default)]
struct Seen {
    /// The number called, and the arrival time of the request.
    arrivals: Mutex<Vec<(u64, i64)>>,
    /// Numbers whose calls are placed slowly.
    slow: Mutex<HashSet<u64>>,
    serial: AtomicU64,
}

impl Sink {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        // Thousands of connections may arrive at once; one that finds the queue full is retried only after a second.
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.1:0".parse()?)?;
        let listener = socket.listen(QUEUE)?;
        let (address, seen) = (listener.local_addr()?, Arc::new(Seen::default()));
        let server = tokio::spawn(axum::serve(listener, router(Arc::clone(&seen))).into_future());
        Ok(Self { address, seen, server })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Delays the responses to requests to call these numbers from now on.
    pub(crate) fn be_slow_for(&self, numbers: impl IntoIterator<Item = u64>) {
        self.seen.slow.lock().unwrap_or_else(PoisonError::into_inner).extend(numbers);
    }

    pub(crate) fn n_arrived(&self) -> usize {
        self.seen.arrivals.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Arrival times by the number called, in microseconds since 1970.
    pub(crate) fn arrivals(&self) -> HashMap<u64, Vec<i64>> {
        let mut by_number: HashMap<u64, Vec<i64>> = HashMap::new();
        for (number, at) in self.seen.arrivals.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            by_number.entry(*number).or_default().push(*at);
        }
        by_number
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn router(seen: Arc<Seen>) -> Router {
    let nobody = || async { Json(json!({"items": [], "has_more": false})) };
    Router::new()
        .route("/v2/create-phone-call", post(place))
        .route("/v2/list-agents", post(agents))
        .route("/get-agent/{id}", get(agent))
        .route("/get-api-key-info", get(async || Json(json!({"api_key_name": "bench", "org_id": "org_1"}))))
        .route("/v2/list-phone-numbers", get(numbers))
        .route("/v2/get-call/{id}", get(ongoing))
        .route("/v3/list-calls", post(nobody))
        .route("/v3/list-chats", post(nobody))
        // The product treats a missing endpoint, such as the number of free lines, as no limit.
        .fallback(async || StatusCode::NOT_FOUND)
        .with_state(seen)
}

async fn place(State(seen): State<Arc<Seen>>, body: Body) -> Response {
    let at = now_us();
    let Some(number) = body.collect().await.ok().and_then(|b| called(&b.to_bytes())) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    seen.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push((number, at));
    let id = seen.serial.fetch_add(1, Ordering::Relaxed);
    let slow = seen.slow.lock().unwrap_or_else(PoisonError::into_inner).contains(&number);
    wait(if slow { SLOW } else { ANSWERS_AFTER }).await;
    (StatusCode::CREATED, Json(json!({"call_id": format!("call_{id:027x}"), "call_status": "registered"})))
        .into_response()
}

/// The digits of `to_number`.
fn called(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    let rest = text.split_once("\"to_number\"")?.1.split_once('+')?.1;
    rest.split_once('"')?.0.parse().ok()
}

/// The digits of a number, which are the key of its arrivals.
pub(crate) fn digits(number: &str) -> anyhow::Result<u64> {
    number.trim_start_matches('+').parse().with_context(|| format!("{number} is no number"))
}

async fn agents(body: String) -> Json<Value> {
    let voice = json!({"agent_id": AGENT, "agent_name": "Front desk", "channel": "voice"});
    let items = if body.contains("\"chat\"") { vec![] } else { vec![voice] };
    Json(json!({"items": items, "has_more": false}))
}

async fn agent() -> Json<Value> {
    Json(json!({"agent_id": AGENT, "agent_name": "Front desk", "version": 7, "timezone": "America/New_York",
        "language": "en-US", "is_published": true}))
}

async fn numbers() -> Json<Value> {
    let agents = json!([{"agent_id": AGENT, "weight": 1}]);
    Json(json!({"items": [{"phone_number": OURS, "phone_number_type": "retell-twilio",
        "inbound_agents": agents, "outbound_agents": agents}], "has_more": false}))
}

/// Calls never end here: every benchmark finishes earlier.
async fn ongoing(Path(id): Path<String>) -> Json<Value> {
    Json(json!({"call_id": id, "call_status": "ongoing", "call_type": "phone_call"}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_called_is_read() {
        assert_eq!(called(br#"{"from_number":"+1202","to_number":"+14155550117"}"#), Some(14_155_550_117));
        assert_eq!(called(br#"{"to_number": "+14155550117"}"#), Some(14_155_550_117));
        assert_eq!(called(b"{}"), None);
        assert_eq!(digits("+14155550117").ok(), Some(14_155_550_117));
    }
}
