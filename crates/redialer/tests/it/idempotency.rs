//! `Idempotency-Key`: repeated requests, slow bodies, clients that hang up, and a slow key service.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    routing::{any, post},
};
use redialer_sim::retell::Script;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
};

use crate::harness::{Engine, VOICE, Walk, days_ahead, engines, id};

const ANA: &str = "+13125550142";

/// The head of a POST, and the part of its body that is sent.
fn request(walk: &Walk, headers: &str, body: &str) -> String {
    let key = &walk.admin_key;
    format!(
        "POST /v1/suppressions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n{headers}\r\n\r\n{body}"
    )
}

async fn send(walk: &Walk, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(walk.base.trim_start_matches("http://")).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("written");
    stream
}

async fn status(mut stream: TcpStream) -> String {
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("answered");
    String::from_utf8_lossy(&answer[9..]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_body_gets_the_same_response_with_and_without_a_key() {
    let settings = [("REDIALER_BODY_DEADLINE_SECS", "2")];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let large = "x".repeat((1 << 20) + 1);
    for name in ["x-no: name", "idempotency-key: one"] {
        for (framing, body, want) in [
            ("content-length: 100", "{", "408"),
            ("transfer-encoding: chunked", "1\r\n{\r\n", "408"),
            ("transfer-encoding: chunked", "no size\r\n", "400"),
            ("content-length: 1", "{", "400"),
            ("content-length: 1048577", &large, "413"),
            ("content-length: 2", "{}", "422"),
        ] {
            let stream = send(&walk, &request(&walk, &format!("{framing}\r\n{name}"), body)).await;
            assert_eq!(status(stream).await, want, "{name}, {framing}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_body_occupies_no_request_slot() {
    let settings = [("REDIALER_MAX_API_REQUESTS", "1"), ("REDIALER_BODY_DEADLINE_SECS", "600")];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let mut slow = Vec::new();
    for headers in ["content-length: 100\r\nidempotency-key: one", "content-length: 100"] {
        let mut stream =
            send(&walk, &request(&walk, &format!("{headers}\r\nexpect: 100-continue"), "")).await;
        // `100 Continue` shows that the server waits for the body.
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).await.expect("answered");
        assert!(interim.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&interim));
        slow.push(stream);
    }
    walk.get("/v1/callbacks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_whose_client_disconnects_is_executed_once() {
    for engine in engines() {
        let settings = [("REDIALER_API_REQUESTS_PER_SECOND", "100000")];
        let walk = Walk::with_settings(engine, 1, Script::default(), &settings).await;
        let agent = walk.agent_id(VOICE).await;
        let at = days_ahead(30);
        let body = |n: u32| {
            let person = format!("+1312555{:04}", 100 + n % 100);
            json!({"agent_id": agent, "to_number": person, "at": at}).to_string()
        };
        for n in 0..100 {
            let body = body(n);
            let head = format!(
                "POST /v1/callbacks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: n{n}\r\ncontent-length: {}\r\n\r\n",
                walk.admin_key,
                body.len()
            );
            let stream = send(&walk, &format!("{head}{body}")).await;
            // Hang up at different steps of the request.
            for _ in 0..n {
                tokio::task::yield_now().await;
            }
            drop(stream);
        }
        for n in 0..100 {
            let again = async |walk: &Walk| {
                let request =
                    walk.http.post(format!("{}/v1/callbacks", walk.base)).bearer_auth(&walk.admin_key);
                let request = request.header("idempotency-key", format!("n{n}")).body(body(n));
                request.send().await.expect("answered").status()
            };
            // The first request may still be in progress, but it is never lost.
            walk.until_cut_off(&format!("the answer to n{n} on {engine:?}"), async |walk: &Walk| {
                again(walk).await == StatusCode::CREATED
            })
            .await;
        }
        assert_eq!(walk.all_callbacks().await.len(), 100, "{engine:?}: each done once");
    }
}

/// A key service that answers immediately until it is held. Then it answers as often as `answers` allows or, without
/// `answers`, refuses to unwrap after the first `opens` requests.
#[derive(Default)]
struct KeyService {
    is_held: AtomicBool,
    requests: AtomicUsize,
    answers: Option<Semaphore>,
    opens: AtomicUsize,
}

impl KeyService {
    /// Starts the service and returns its URL.
    async fn serve(self: Arc<Self>) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let token = json!({
            "data": {"ttl": 3600, "renewable": false, "creation_ttl": 3600},
            "auth": {"client_token": "t", "lease_duration": 3600, "renewable": true},
        });
        let router = Router::new()
            .route("/v1/transit/encrypt/{key}", post(encrypt))
            .route("/v1/transit/decrypt/{key}", post(decrypt))
            .fallback(any(move || std::future::ready(Json(token.clone()))))
            .with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
}

fn items(batch: &Value) -> impl Iterator<Item = &Value> {
    batch["batch_input"].as_array().expect("a batch").iter()
}

/// "Encrypts" by encoding the plaintext in the ciphertext.
async fn encrypt(Json(batch): Json<Value>) -> Json<Value> {
    let wrapped = |item: &Value| {
        let text = format!("{} {}", item["plaintext"].as_str()?, item["associated_data"].as_str()?);
        let hex: String = text.bytes().map(|b| format!("{b:02x}")).collect();
        Some(json!({"ciphertext": format!("vault:v1:{hex}")}))
    };
    Json(json!({"data": {"batch_results": items(&batch).map(wrapped).collect::<Vec<_>>()}}))
}

async fn decrypt(
    State(service): State<Arc<KeyService>>,
    Json(batch): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    if service.is_held.load(Ordering::SeqCst) {
        let earlier = service.requests.fetch_add(1, Ordering::SeqCst);
        match &service.answers {
            Some(answers) => answers.acquire().await.expect("open").forget(),
            None if earlier >= service.opens.load(Ordering::SeqCst) => {
                return Err(StatusCode::SERVICE_UNAVAILABLE);
            }
            None => {}
        }
    }
    let unwrapped = |item: &Value| {
        let hex = item["ciphertext"].as_str()?.strip_prefix("vault:v1:")?;
        let bytes = (0..hex.len()).step_by(2).filter_map(|i| u8::from_str_radix(hex.get(i..i + 2)?, 16).ok());
        let text = String::from_utf8(bytes.collect()).ok()?;
        Some(json!({"plaintext": text.split(' ').next()?}))
    };
    Ok(Json(json!({"data": {"batch_results": items(&batch).map(unwrapped).collect::<Vec<_>>()}})))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_succeeds_even_if_its_response_cannot_be_stored() {
    let service = Arc::new(KeyService::default());
    let url = Arc::clone(&service).serve().await;
    let kek: &'static str = Box::leak(format!("vault:{url}#redialer").into_boxed_str());
    let settings = [("REDIALER_KEK", kek), ("VAULT_TOKEN", "t")];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let suppress = async |name: &'static str, number: &str| {
        let request = walk.http.post(format!("{}/v1/suppressions", walk.base)).bearer_auth(&walk.admin_key);
        let request = request.header("idempotency-key", name).json(&json!({"number": number}));
        request.send().await.expect("answered").status()
    };
    // Counts the unwraps of one request; the last one is for storing its response.
    service.opens.store(usize::MAX, Ordering::SeqCst);
    service.is_held.store(true, Ordering::SeqCst);
    assert_eq!(suppress("one", "+13125550143").await, StatusCode::CREATED);
    let opened = service.requests.swap(0, Ordering::SeqCst);
    service.opens.store(opened - 1, Ordering::SeqCst);
    assert_eq!(suppress("two", "+13125550144").await, StatusCode::CREATED);
    assert_eq!(service.requests.load(Ordering::SeqCst), opened, "the last key was requested");
    // The response is not stored, and the request is not executed twice.
    assert_eq!(suppress("two", "+13125550144").await, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_service_that_is_slow_during_a_replay_blocks_no_writer() {
    let service = Arc::new(KeyService { answers: Some(Semaphore::new(0)), ..KeyService::default() });
    let url = Arc::clone(&service).serve().await;
    let kek: &'static str = Box::leak(format!("vault:{url}#redialer").into_boxed_str());
    let settings = [("REDIALER_KEK", kek), ("VAULT_TOKEN", "t")];
    let walk = Walk::with_settings(Engine::Sqlite, 1, Script::default(), &settings).await;
    let again = async || {
        let request = walk.http.post(format!("{}/v1/suppressions", walk.base)).bearer_auth(&walk.admin_key);
        let request = request.header("idempotency-key", "one").json(&json!({"number": "+13125550143"}));
        let answer = request.send().await.expect("answered");
        (answer.status(), answer.headers().contains_key("idempotent-replayed"))
    };
    assert_eq!(again().await, (StatusCode::CREATED, false));
    service.is_held.store(true, Ordering::SeqCst);
    let write = async {
        walk.until_cut_off("the key service to be asked", async |_: &Walk| {
            service.requests.load(Ordering::SeqCst) > 0
        })
        .await;
        // A refused request reserves its idempotency key and releases it: two writes that need no encryption key.
        let refused = walk.http.post(format!("{}/v1/suppressions", walk.base)).bearer_auth(&walk.admin_key);
        let refused = refused.header("idempotency-key", "two").json(&json!({})).send();
        let wrote = tokio::time::timeout(Duration::from_secs(4), refused).await;
        service.is_held.store(false, Ordering::SeqCst);
        service.answers.as_ref().expect("held").add_permits(1_000);
        let wrote = wrote.expect("it waited for the key service").expect("answered");
        assert_eq!(wrote.status(), StatusCode::UNPROCESSABLE_ENTITY);
    };
    let (answer, ()) = futures_util::future::join(again(), write).await;
    assert_eq!(answer, (StatusCode::CREATED, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_post_is_executed_once() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let agent = walk.agent_id(VOICE).await;
    let send = async |name: &str, at: &str| {
        let body = json!({"agent_id": agent, "to_number": ANA, "at": at});
        let request = walk.http.post(format!("{}/v1/callbacks", walk.base)).bearer_auth(&walk.admin_key);
        let response = request.header("idempotency-key", name).json(&body).send().await.expect("answered");
        let again = response.headers().contains_key("idempotent-replayed");
        (response.status().as_u16(), again, response.json::<Value>().await.expect("JSON"))
    };
    let at = &days_ahead(30);
    let (status, again, first) = send("one", at).await;
    assert_eq!((status, again), (201, false), "{first}");
    let (status, again, second) = send("one", at).await;
    assert_eq!((status, again, &second), (201, true, &first));
    let (status, _, other) = send("one", &days_ahead(31)).await;
    assert_eq!((status, other["error"]["param"].as_str()), (422, Some("Idempotency-Key")));
    // A refused request had no effect and released its idempotency key.
    assert_eq!(send("two", "soon").await.0, 422);
    let ahead = days_ahead(60);
    let many = futures_util::future::join_all((0..16).map(|_| send("two", &ahead))).await;
    let made: std::collections::BTreeSet<_> = many.iter().filter(|m| m.0 == 201).map(|m| id(&m.2)).collect();
    assert_eq!(made.len(), 1, "{many:?}");
    assert!(many.iter().all(|m| m.0 == 201 || m.0 == 409), "{many:?}");
    assert_eq!(walk.callbacks().await.len(), 2);
}
