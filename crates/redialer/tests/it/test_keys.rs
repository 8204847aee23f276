//! Test keys: callbacks created with one never reach a provider, and live data is neither visible nor changed.

use redialer_sim::retell::Script;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{Engine, VOICE, Walk, engines, id, is_final};

const ANA: &str = "+13125550142";
/// The last two digits make the simulator not answer.
const NOBODY: &str = "+13125550101";
/// The last two digits make the simulator request another call in an hour.
const CALLBACK_REQUESTER: &str = "+13125550105";

const CALLBACKS: &str = "/v1/callbacks?limit=200";

async fn test_key(walk: &Walk) -> String {
    let body = json!({"name": "Trying", "workspace_id": walk.workspace, "test": true});
    let made = walk.request(Method::POST, "/v1/api-keys", Some(body), StatusCode::CREATED).await;
    assert_eq!(made["test"], true);
    let secret = made["secret"].as_str().expect("shown once").to_owned();
    assert!(secret.starts_with("rdl_test_"), "{secret}");
    secret
}

async fn settled(walk: &Walk, key: &str, n: usize) -> Vec<Value> {
    walk.until(&format!("{n} test callbacks, all ended"), async |w: &Walk| {
        let rows = w.list(key, CALLBACKS).await;
        rows.len() == n && rows.iter().all(|c| is_final(c["state"].as_str().expect("a state")))
    })
    .await;
    walk.list(key, CALLBACKS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_callback_is_placed_at_the_simulator_and_at_no_provider() {
    for engine in engines() {
        let mut walk = Walk::at_speed(engine, 20_000).await;
        let key = test_key(&walk).await;
        for number in [NOBODY, CALLBACK_REQUESTER, ANA] {
            let body = walk.new_callback(number, 30).await;
            let made = walk.request_as(Some(&key), Method::POST, "/v1/callbacks", Some(body)).await;
            assert_eq!(made.0, StatusCode::CREATED, "{}", made.1);
        }
        // Calls that were placed at the simulator survive a restart of the process.
        walk.kill();
        walk.serve().await;
        // Three attempts for the number that never answers, two for the one that requests another call, one for Ana.
        let rows = settled(&walk, &key, 6).await;
        let of = |outcome: &str| rows.iter().filter(|c| c["outcome"] == outcome).count();
        assert_eq!((of("dial_no_answer"), of("user_hangup")), (3, 3), "{rows:#?}");
        assert!(rows.iter().any(|c| c["reason"] == "callback_requested" && c["parent_id"] != Value::Null));
        assert!(
            walk.sim.placed_calls().is_empty() && walk.sim.requests_to_place() == 0,
            "no provider was asked"
        );
        let usage = walk.get("/v1/usage").await;
        assert_eq!(usage["calls"]["used"], 0, "no person was called: {usage}");
        assert!(walk.callbacks().await.is_empty(), "a live key sees none of it");
        assert!(walk.get("/v1/activity").await["data"].as_array().expect("a list").is_empty());
        assert!(!walk.list(&key, "/v1/activity?limit=200").await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn live_and_test_callbacks_of_one_number_are_separate() {
    let walk = Walk::with_script(Engine::Sqlite, 1, Script::default()).await;
    let key = test_key(&walk).await;
    let live = walk.schedule(ANA, 600).await;
    let body = walk.new_callback(ANA, 600).await;
    let (_, tried) = walk.request_as(Some(&key), Method::POST, "/v1/callbacks", Some(body)).await;
    let path = |c: &Value| format!("/v1/callbacks/{}", id(c));
    assert_eq!(walk.get(&path(&live)).await["state"], "scheduled", "a test supersedes nothing live");
    assert_eq!(tried["attempt"], 1, "and is no part of its chain");
    for (method, tail) in
        [(Method::GET, ""), (Method::GET, "/explain"), (Method::POST, "/cancel"), (Method::POST, "/force")]
    {
        let of_live = format!("{}{tail}", path(&live));
        let (status, _) = walk.request_as(Some(&key), method.clone(), &of_live, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{method} {tail} of a live one with a test key");
        walk.request(method, &format!("{}{tail}", path(&tried)), None, StatusCode::NOT_FOUND).await;
    }
    assert_eq!(walk.list(&key, CALLBACKS).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_key_cannot_change_live_data() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let key = test_key(&walk).await;
    let agent = format!("/v1/agents/{}", walk.agent_id(VOICE).await);
    let workspace = format!("/v1/workspaces/{}", walk.workspace);
    for (method, path, body) in [
        (Method::PATCH, workspace.as_str(), json!({"name": "Mine"})),
        (Method::DELETE, &workspace, Value::Null),
        (Method::PATCH, &agent, json!({"enabled": false})),
        (Method::POST, "/v1/suppressions", json!({"number": ANA})),
        (Method::GET, "/v1/suppressions", Value::Null),
        (Method::GET, "/v1/audit", Value::Null),
        (Method::POST, "/v1/api-keys", json!({"name": "More", "workspace_id": walk.workspace})),
    ] {
        let (status, refusal) = walk.request_as(Some(&key), method.clone(), path, Some(body)).await;
        assert_eq!(
            (status, &refusal["error"]["code"]),
            (StatusCode::FORBIDDEN, &json!("missing_scope")),
            "{method} {path}"
        );
    }
    let (status, _) = walk.request_as(Some(&key), Method::GET, &agent, None).await;
    assert_eq!(status, StatusCode::OK, "it may look");
    let body = json!({"name": "x", "workspace_id": walk.workspace, "test": true, "scopes": ["agents:write"]});
    let refused =
        walk.request(Method::POST, "/v1/api-keys", Some(body), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(refused["error"]["param"], "scopes[0]");
}
