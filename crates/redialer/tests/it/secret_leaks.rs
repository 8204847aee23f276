//! Searches all written data (I19) and the process's memory (I20) for secrets that must not be there.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use futures_util::stream::{self, StreamExt as _};
use memchr::memmem;
use redialer_core::{Id, id};
use redialer_kek::{Kek, KeyFile};
use redialer_sim::retell::{Script, script::Behavior};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Engine, KEY, OURS, OpenBao, VOICE, Walk, engines, id, scripted_call};

const ANA: &str = "+13125550142";
const BEN: &str = "+14155550199";
const NAME: &str = "Marmaduke Canary-Bird";
const SAID: &str = "my canary phrase is marmalade";
const VARIABLE: &str = "variable-canary-7781";

/// A secret in plain text and in the encodings in which it may have been written.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|b| format!("{b:02x}")).collect();
    let mut all = vec![secret.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
    // Base64 encodes three bytes at a time, so there are three forms, depending on the secret's offset.
    for before in 0..3 {
        let padded = BASE64.encode([&vec![0; before][..], secret].concat());
        let inner = padded.trim_end_matches('=').as_bytes();
        all.push(inner[if before == 0 { 0 } else { 4 }..inner.len() - 1].to_vec());
    }
    all
}

fn holds(text: &[u8], secret: &[u8]) -> bool {
    spellings(secret).iter().any(|form| memmem::find(text, form).is_some())
}

async fn refused(walk: &Walk, method: Method, path: &str, body: Value) -> String {
    let request =
        walk.http.request(method, format!("{}{path}", walk.base)).bearer_auth(&walk.admin_key).json(&body);
    let response = request.send().await.expect("answered");
    assert!(response.status().is_client_error(), "{path}: {}", response.status());
    response.text().await.expect("read")
}

/// A day with personal data in every field that accepts some.
async fn live(walk: &Walk) -> Vec<String> {
    walk.sim.set_person(BEN, vec![Behavior::ending("dial_no_answer"), Behavior::ending("user_hangup")]);
    let mut call = scripted_call(
        "inbound",
        ANA,
        Behavior::asking(&[&format!("User: {SAID}, call me in an hour")], None),
    );
    call.variables.insert("name".to_owned(), NAME.into());
    call.metadata.insert("customer".to_owned(), NAME.into());
    walk.sim.start_call(&call);
    let agent = walk.agent_id(VOICE).await;
    let body = json!({"agent_id": agent, "to_number": BEN, "from_number": OURS, "text": "in two hours",
        "timezone": "America/Chicago", "dynamic_variables": {"code": VARIABLE}});
    let request = walk.http.post(format!("{}/v1/callbacks", walk.base)).header("Idempotency-Key", "once");
    let made = request.bearer_auth(&walk.admin_key).json(&body).send().await.expect("answered");
    assert_eq!(made.status(), StatusCode::CREATED);
    walk.request(
        Method::POST,
        "/v1/suppressions",
        Some(json!({"number": "+13125550188"})),
        StatusCode::CREATED,
    )
    .await;
    walk.until_settled(ANA, 1).await;
    walk.until_settled(BEN, 2).await;
    let workspace = format!("/v1/workspaces/{}", walk.workspace);
    vec![
        refused(
            walk,
            Method::POST,
            "/v1/callbacks",
            json!({"agent_id": agent, "to_number": format!("{BEN}9999999999"), "at": "x"}),
        )
        .await,
        refused(walk, Method::POST, "/v1/callbacks", json!({"agent_id": ANA, "to_number": BEN})).await,
        refused(
            walk,
            Method::POST,
            "/v1/callbacks",
            json!({"agent_id": agent, "to_number": BEN, "text": format!("{SAID} {NAME}"), "timezone": "UTC"}),
        )
        .await,
        refused(walk, Method::PATCH, &workspace, json!({"api_key": 17, "webhook_key": KEY})).await,
        refused(walk, Method::PATCH, &workspace, json!({"defaults": {"timezone": NAME}})).await,
        refused(walk, Method::POST, "/v1/suppressions", json!({"number": SAID})).await,
        walk.deliver_to(&walk.webhook_url, &format!("{SAID} {NAME} {BEN}"), "v=1,d=00").await.1.to_string(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_personal_data_and_no_key_is_written_in_plain_text() {
    for engine in engines() {
        let settings = [("REDIALER_LOG", "trace")];
        let mut walk = Walk::with_settings(engine, 2_000, Script::default(), &settings).await;
        let errors = live(&walk).await;
        let metrics = walk.text("/metrics").await;
        let backup = std::fs::read(walk.backup()).expect("read");
        let running = walk.data();
        walk.terminate();
        let written = [
            ("the data directory", running),
            ("the data directory, closed", walk.data()),
            ("the backup", backup),
            ("the log", walk.log()),
            ("the metrics", metrics.into_bytes()),
            ("an error", errors.concat().into_bytes()),
        ];
        let tokens = [walk.admin_key.as_str(), KEY];
        for (place, text) in &written {
            assert!(!text.is_empty(), "{place} holds something");
            for secret in [ANA, BEN, OURS, &ANA[1..], &BEN[2..], "3125550188", NAME, "marmalade", VARIABLE]
                .iter()
                .chain(&tokens)
            {
                assert!(!holds(text, secret.as_bytes()), "{secret} stands in {place} ({engine:?})");
            }
        }
    }
}

/// The two halves of the tenant's key, unwrapped from the database.
async fn halves(walk: &Walk, kek: &Kek) -> [Vec<u8>; 2] {
    let file = walk.data_dir().join("redialer.db");
    let (tenant, version, wrapped): (uuid::Uuid, i64, Vec<u8>) = rusqlite::Connection::open(file)
        .expect("opened")
        .query_row("select id, key_version, wrapped_key from tenants", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .expect("one");
    let tenant: Id<id::Tenant> = Id::from_uuid(tenant);
    let version = u32::try_from(version).expect("a version").to_be_bytes();
    let context = [b"tenant".as_slice(), tenant.uuid().as_bytes(), &version].concat();
    let both = kek.unwrap(&wrapped, &context).await.expect("opens");
    [both[..32].to_vec(), both[32..].to_vec()]
}

/// All memory that the process can write to, where a key could be left.
fn memory(pid: u32) -> Vec<u8> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("read");
    let mut memory = File::open(format!("/proc/{pid}/mem")).expect("opened");
    let mut all = Vec::new();
    for line in maps.lines().filter(|l| l.split(' ').nth(1).is_some_and(|rights| rights.starts_with("rw"))) {
        let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).expect("a range");
        let [from, to] = [from, to].map(|n| u64::from_str_radix(n, 16).expect("hex"));
        let mut part = vec![0; usize::try_from(to - from).expect("a size")];
        memory.seek(SeekFrom::Start(from)).expect("there");
        // Pages that only the kernel may read contain no data of ours.
        if memory.read_exact(&mut part).is_ok() {
            all.extend(part);
        }
    }
    all
}

/// Uses the key ten thousand times: for webhooks and for API requests.
async fn decrypt(walk: &Walk) {
    let path = format!("/v1/callbacks/{}", id(&walk.callbacks().await[0]));
    let path = path.as_str();
    let tasks = (0..10_000).map(|n| async move {
        if n % 2 == 0 {
            walk.get(path).await;
        } else {
            let body =
                json!({"event": "call_started", "call": {"call_id": format!("call_{n}"), "agent_id": VOICE}});
            assert_eq!(walk.deliver(&body.to_string()).await, StatusCode::NO_CONTENT);
        }
    });
    stream::iter(tasks).buffer_unordered(32).collect::<Vec<()>>().await;
}

async fn keeps_no_key(walk: &Walk, kek: &Kek) {
    walk.request_callback(ANA, "call me in an hour");
    walk.until_settled(ANA, 1).await;
    decrypt(walk).await;
    // A decision in progress holds the unwrapped key.
    walk.until_decided(200).await;
    let halves = halves(walk, kek).await;
    let memory = memory(walk.pid());
    assert!(holds(&memory, VOICE.as_bytes()), "memory was read");
    for (half, what) in halves.iter().zip(["seals", "indexes"]) {
        assert!(!holds(&memory, half), "what {what} is in memory");
    }
}

const MANY: [(&str, &str); 1] = [("REDIALER_API_REQUESTS_PER_SECOND", "100000")];

#[tokio::test(flavor = "multi_thread")]
async fn memory_contains_no_tenant_key_after_ten_thousand_uses() {
    let walk = Walk::with_settings(Engine::Sqlite, 2_000, Script::default(), &MANY).await;
    let kek = KeyFile::open(Path::new(&walk.data_dir().join("kek"))).expect("read");
    keeps_no_key(&walk, &Kek::File(kek)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_contains_no_tenant_key_with_a_key_service() {
    let Some(bao) = OpenBao::start("60s", "0") else { return };
    let settings = [MANY.to_vec(), bao.settings("token")].concat();
    let walk = Walk::with_settings(Engine::Sqlite, 2_000, Script::default(), &settings).await;
    keeps_no_key(&walk, &Kek::Transit(bao.transit())).await;
}
