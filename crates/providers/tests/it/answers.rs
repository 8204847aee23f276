//! Recorded answers of Retell, read by its client.

use std::{
    collections::VecDeque,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::Response,
};
use redialer_core::{
    Timestamp,
    agent::Channel,
    decide::Finding,
    order::{Refusal, Reply},
    permission::Permission,
};
use redialer_providers::{
    CallQuery, DispatchQuery, Placement, Provider, ReadError, ReadFailure,
    http::{Clients, PLACE_DEADLINE},
    retell::api::Api,
};
use serde_json::Value;

/// A server that returns these answers, one per request, and records the requests.
struct Recorded {
    answers: Mutex<VecDeque<(StatusCode, HeaderMap, String)>>,
    requests: Mutex<Vec<String>>,
}

async fn serve(answers: Vec<(StatusCode, HeaderMap, String)>) -> (Arc<dyn Provider>, Arc<Recorded>) {
    let recorded = Arc::new(Recorded { answers: Mutex::new(answers.into()), requests: Mutex::default() });
    let shared = Arc::clone(&recorded);
    let router = Router::new().fallback(move |request: Request| {
        let shared = Arc::clone(&shared);
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
            shared.requests.lock().expect("free").push(format!("{line} {}", String::from_utf8_lossy(&body)));
            let (status, headers, text) =
                shared.answers.lock().expect("free").pop_front().unwrap_or_else(not_found);
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (retell_at(&base), recorded)
}

fn retell_at(base: &str) -> Arc<dyn Provider> {
    Arc::new(Api::new(Arc::new(Clients::new(PLACE_DEADLINE).expect("clients")), base))
}

fn not_found() -> (StatusCode, HeaderMap, String) {
    (StatusCode::NOT_FOUND, HeaderMap::new(), "{}".to_owned())
}

/// The reply to a request to place a call on that channel.
pub(crate) async fn place(api: &dyn Provider, channel: Channel) -> Reply {
    api.place("key", Placement { channel, dispatch: "dp_1", body: b"{}".to_vec(), ready: None }).await
}

/// The finding for a dispatch to Ana.
async fn find(
    api: &dyn Provider,
    channel: Channel,
    dispatch: &str,
    sent_at: Timestamp,
) -> Result<Finding, ReadError> {
    api.find("key", DispatchQuery { channel, dispatch, to: "+13125550142", sent_at }).await
}

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/retell").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn ok(text: String) -> (StatusCode, HeaderMap, String) {
    (StatusCode::OK, HeaderMap::new(), text)
}

#[tokio::test]
async fn the_roster_is_read_in_pages_and_in_its_old_shape() {
    let empty = || ok(r#"{"items":[],"has_more":false}"#.to_owned());
    let (api, recorded) = serve(vec![
        ok(fixture("rest_list_agents_page1.json")),
        ok(fixture("rest_list_agents_page2.json")),
        empty(),
    ])
    .await;
    let agents = api.agents("key").await.expect("a roster");
    let lines: Vec<_> = agents.iter().map(|a| format!("{} {} {:?}", a.id, a.name, a.channel)).collect();
    insta::assert_snapshot!("roster", lines.join("\n"));
    insta::assert_snapshot!("roster_requests", recorded.requests.lock().expect("free")[..3].join("\n"));
    let (api, _) = serve(vec![ok(fixture("rest_list_agents_legacy_array.json")), empty()]).await;
    assert_eq!(api.agents("key").await.expect("a roster").len(), 1);
}

#[tokio::test]
async fn agents_lines_and_numbers_are_read() {
    let (api, recorded) = serve(vec![
        ok(r#"{"items":[{"agent_id":"agent_1"}],"has_more":false}"#.to_owned()),
        ok(r#"{"items":[{"agent_id":"agent_2"}],"has_more":false}"#.to_owned()),
        ok(fixture("rest_get_agent.json")),
        ok(fixture("rest_get_chat_agent.json")),
        ok(fixture("rest_get_concurrency.json")),
        ok(fixture("rest_list_phone_numbers_v2.json")),
        ok(fixture("rest_get_api_key_info.json")),
    ])
    .await;
    let agents = api.agents("key").await.expect("read");
    let zones: Vec<_> = agents.iter().map(|a| (a.id.as_str(), a.timezone.as_deref())).collect();
    let want = [("agent_1", Some("America/New_York")), ("agent_2", None)];
    assert_eq!(zones, want, "a chat agent has no zone");
    assert!(recorded.requests.lock().expect("free")[2].starts_with("GET /get-agent/agent_1 "));
    let lines = api.free_lines("key").await.expect("read");
    assert_eq!(lines, Some(11), "four of fifteen are taken; the inbound reserve is not ours");
    let numbers = api.numbers("key").await.expect("read");
    assert_eq!(numbers[0].number, "+12025550100");
    assert_eq!(
        numbers[0].outbound_agents,
        ["agent_1ffdb9717444d0e77346838911", "agent_7c2e90b14d5f4a6c8be0135a77"]
    );
    api.probe("key").await.expect("a good key");
}

#[tokio::test]
async fn every_recorded_refusal_is_read_as_the_model_says() {
    let all: Value = serde_json::from_str(&fixture("rest_error_responses.json")).expect("JSON");
    let mut lines = Vec::new();
    for (name, case) in all.as_object().expect("an object") {
        let status =
            StatusCode::from_u16(case["http_status"].as_u64().expect("a status") as u16).expect("a status");
        let mut headers = HeaderMap::new();
        for (key, value) in case["headers"].as_object().into_iter().flatten() {
            let name: axum::http::HeaderName = key.parse().expect("a header");
            headers.insert(name, HeaderValue::from_str(value.as_str().expect("text")).expect("a value"));
        }
        let text = case["body_text"].as_str().map_or_else(|| case["body"].to_string(), str::to_owned);
        let (api, _) = serve(vec![(status, headers, text)]).await;
        lines.push(format!("{name}: {:?}", place(&*api, Channel::Voice).await));
    }
    for (name, status, text) in [
        ("dnc", 400, r#"{"status":"error","message":"Contact has do_not_call set."}"#),
        ("created", 201, &fixture("rest_create_phone_call_response_201.json")),
        ("created_as_200", 200, &fixture("rest_create_phone_call_response_201.json")),
        ("html_ok", 200, "<html>OK</html>"),
        ("conflict", 409, "{}"),
        ("slow", 408, "{}"),
        ("moved", 302, ""),
    ] {
        let (api, _) =
            serve(vec![(StatusCode::from_u16(status).expect("a status"), HeaderMap::new(), text.to_owned())])
                .await;
        lines.push(format!("{name}: {:?}", place(&*api, Channel::Voice).await));
    }
    let (api, _) = serve(vec![ok(fixture("rest_create_sms_chat_response_200.json"))]).await;
    lines.push(format!("chat: {:?}", place(&*api, Channel::Chat).await));
    insta::assert_snapshot!("refusals", lines.join("\n"));
}

#[tokio::test]
async fn a_dispatch_is_found_only_in_a_complete_list() {
    let found =
        fixture("rest_list_calls_v3_response.json").replace("\"redialer_id\"", "\"redialer_dispatch\"");
    let (api, recorded) = serve(vec![ok(found), ok(fixture("rest_list_calls_v3_response_empty.json"))]).await;
    let id = "01K4TESTREDIAL0000000000A1";
    let find = async |api: &Arc<dyn Provider>| find(&**api, Channel::Voice, id, sent_at()).await;
    let call = Finding::Call("call_4000000000000000000000001cc".to_owned());
    assert_eq!(find(&api).await, Ok(call));
    assert_eq!(find(&api).await, Ok(Finding::Absent));
    insta::assert_snapshot!(
        "find_call_requests",
        recorded.requests.lock().expect("free").first().expect("a request")
    );
    // A page that announces more without a key for it proves nothing.
    let (api, _) = serve(vec![ok(r#"{"items":[],"has_more":true}"#.to_owned())]).await;
    assert!(find(&api).await.is_err());
    let (api, _) = serve(vec![(StatusCode::BAD_GATEWAY, HeaderMap::new(), String::new())]).await;
    assert!(find(&api).await.is_err());
}

/// Shortly before the recorded calls and chats began.
fn sent_at() -> Timestamp {
    Timestamp::from_millisecond(1_757_499_990_000).expect("a time")
}

/// With reduced storage, a list may contain our call without its metadata. The phone rang: a finding of absence would
/// ring it again.
#[tokio::test]
async fn a_listed_call_without_its_metadata_is_never_absent() {
    let without = |name: &str| {
        let mut page: Value = serde_json::from_str(&fixture(name)).expect("JSON");
        page["items"][0].as_object_mut().expect("an item").remove("metadata");
        ok(page.to_string())
    };
    let call = Finding::Call("call_4000000000000000000000001cc".to_owned());
    for (channel, name, want) in [
        (Channel::Voice, "rest_list_calls_v3_response.json", call),
        (Channel::Chat, "rest_list_chats_v3_response.json", Finding::NoAnswer),
    ] {
        let (api, _) = serve(vec![without(name)]).await;
        assert_eq!(find(&*api, channel, "dp_1", sent_at()).await, Ok(want));
    }
    let later = Timestamp::from_millisecond(1_757_500_000_000 + 1_200_000).expect("a time");
    let (api, _) = serve(vec![without("rest_list_chats_v3_response.json")]).await;
    let found = find(&*api, Channel::Chat, "dp_1", later).await;
    assert_eq!(found, Ok(Finding::Absent), "a chat that began before is another");
}

/// The errors of every read for the same answer.
async fn every_read(status: u16, text: &str) -> Vec<ReadError> {
    let status = StatusCode::from_u16(status).expect("a status");
    let (api, _) = serve(vec![(status, HeaderMap::new(), text.to_owned()); 8]).await;
    let key = "key_0123456789abcdef";
    let record = |channel| api.record(key, CallQuery { channel, id: "call_1", placed_by: None });
    let dispatch =
        DispatchQuery { channel: Channel::Voice, dispatch: "dp_1", to: "+13125550142", sent_at: sent_at() };
    vec![
        api.agents(key).await.expect_err("refused"),
        record(Channel::Voice).await.map(|_| ()).expect_err("refused"),
        record(Channel::Chat).await.map(|_| ()).expect_err("refused"),
        api.find(key, dispatch).await.expect_err("refused"),
        api.calls(key, Channel::Chat, None).await.map(|_| ()).expect_err("refused"),
        api.numbers(key).await.map(|_| ()).expect_err("refused"),
        api.free_lines(key).await.expect_err("refused"),
        api.account(key).await.expect_err("refused"),
    ]
}

#[tokio::test]
async fn a_read_that_is_refused_says_which_permission_is_missing() {
    let message = || "Forbidden".to_owned();
    let forbidden = every_read(403, r#"{"status":"error","message":"Forbidden"}"#).await;
    let whats = [
        Permission::Agents,
        Permission::History,
        Permission::History,
        Permission::History,
        Permission::History,
        Permission::Numbers,
        Permission::Concurrency,
        Permission::KeyInfo,
    ];
    let failures: Vec<_> = forbidden.iter().map(|error| error.failure.clone()).collect();
    assert_eq!(failures, whats.map(|what| ReadFailure::Forbidden { what, message: message() }));
    assert_eq!(
        forbidden[5].to_string(),
        "The Retell API key lacks the permission \"Phone: Read\" (HTTP 403); it said: Forbidden."
    );
    let secret = r#"{"message":"The key key_0123456789abcdef of +14155550117 was revoked."}"#;
    for error in every_read(401, secret).await {
        assert_eq!(
            error.to_string(),
            "Retell refused the API key (HTTP 401); it said: The key key_… of +xxxxxxxxxxx was revoked. Set a key that has the permissions \"Agent: Read\" and \"Call: Edit\"."
        );
        assert!(matches!(error.failure, ReadFailure::KeyRefused { .. }));
    }
    for error in every_read(402, "<html>").await {
        assert_eq!(error.failure, ReadFailure::Payment { message: String::new() });
        assert_eq!(error.to_string(), "Retell requires payment (HTTP 402).");
    }
}

#[tokio::test]
async fn a_key_that_may_not_place_calls_is_refused_with_the_provider_s_sentence() {
    for status in [401, 403] {
        let text = r#"{"error_message":"This key may not call +1 415 555 0117."}"#.to_owned();
        let code = StatusCode::from_u16(status).expect("a status");
        let (api, _) = serve(vec![(code, HeaderMap::new(), text)]).await;
        let message = "This key may not call +x xxx xxx xxxx.".to_owned();
        let reply = place(&*api, Channel::Voice).await;
        assert_eq!(reply, Reply::Refused(Refusal::Key { status, message }));
    }
}

#[tokio::test]
async fn the_account_of_a_key_is_told() {
    let (api, _) = serve(vec![
        ok(fixture("rest_get_api_key_info.json")),
        ok(r#"{"api_key_name":null,"org_name":"Example Clinic"}"#.to_owned()),
        (StatusCode::NOT_FOUND, HeaderMap::new(), "{}".to_owned()),
        (StatusCode::FORBIDDEN, HeaderMap::new(), "{}".to_owned()),
        (StatusCode::UNAUTHORIZED, HeaderMap::new(), "{}".to_owned()),
    ])
    .await;
    assert_eq!(api.account("key").await, Ok(Some("org_test0001".to_owned())));
    assert_eq!(api.account("key").await, Ok(None), "older versions have no id");
    assert_eq!(api.account("key").await, Ok(None), "nor this request");
    assert_eq!(api.probe("key").await, Ok(()), "a key that may not read what it is is a good key");
    let refused = api.probe("key").await.expect_err("refused");
    assert!(matches!(refused.failure, ReadFailure::KeyRefused { .. }));
}

#[tokio::test]
async fn names_with_nul_are_absent() {
    let roster = r#"{"items":[{"agent_id":"agent_1","agent_name":"a\u0000b","channel":"voice"},{"agent_id":"\u0000"}],"has_more":false}"#;
    let (api, _) = serve(vec![ok(roster.to_owned()), ok(roster.to_owned())]).await;
    let agents = api.agents("key").await.expect("a roster");
    assert_eq!(agents.iter().map(|a| (&*a.id, &*a.name)).collect::<Vec<_>>(), [("agent_1", "agent_1")]);
}

#[tokio::test]
async fn a_chat_is_found_by_number_and_compared_here() {
    let found =
        fixture("rest_list_chats_v3_response.json").replace("\"redialer_id\"", "\"redialer_dispatch\"");
    let (api, recorded) = serve(vec![ok(found.clone()), ok(found)]).await;
    let find = |dispatch| find(&*api, Channel::Chat, dispatch, sent_at());
    let chat = Finding::Call("chat_4000000000000000000000001cc".to_owned());
    assert_eq!(find("01K4TESTREDIAL0000000000A1").await, Ok(chat));
    assert_eq!(find("another").await, Ok(Finding::Absent), "the same number, another dispatch");
    insta::assert_snapshot!(
        "find_chat_requests",
        recorded.requests.lock().expect("free").first().expect("a request")
    );
}

/// Our requests use nothing that the recorded ones do not show.
#[tokio::test]
async fn our_requests_are_shaped_like_the_recorded_ones() {
    let empty = || ok(r#"{"items":[],"has_more":false}"#.to_owned());
    let (api, recorded) = serve(vec![empty(), empty(), empty(), empty()]).await;
    api.agents("key").await.expect("a roster");
    for channel in [Channel::Voice, Channel::Chat] {
        find(&*api, channel, "dp_1", sent_at()).await.expect("a list");
    }
    let requests: Vec<Value> = recorded
        .requests
        .lock()
        .expect("free")
        .iter()
        .map(|line| serde_json::from_str(line.splitn(3, ' ').nth(2).expect("a body")).expect("JSON"))
        .collect();
    let record = |name: &str| serde_json::from_str::<Value>(&fixture(name)).expect("JSON");
    assert_eq!(requests[0], record("rest_list_agents_request_voice.json"));
    for (ours, theirs) in [
        (&requests[2], "rest_list_calls_v3_request_reconcile.json"),
        (&requests[3], "rest_list_chats_v3_request_reconcile.json"),
    ] {
        let theirs = record(theirs);
        for (key, criterion) in ours["filter_criteria"].as_object().expect("criteria") {
            let shape = |c: &Value| {
                let c = c.as_array().map_or(c, |list| &list[0]);
                let mut keys: Vec<_> = c.as_object().expect("a criterion").keys().cloned().collect();
                keys.sort();
                (keys, c["type"].clone(), c["op"].clone())
            };
            assert_eq!(shape(criterion), shape(&theirs["filter_criteria"][key]), "{key}");
        }
    }
    // The format of 2025, with lists as values, is never sent.
    let legacy = record("rest_list_calls_v2_legacy_request.json");
    assert!(
        legacy["filter_criteria"]["to_number"].is_array()
            && requests[2]["filter_criteria"]["to_number"].is_object()
    );
}
