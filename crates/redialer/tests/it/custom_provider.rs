//! A provider that exists only in tests: it is registered, and no other code refers to it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use redialer::{actions::tenants, cli::Running, config::Config, http::Metrics};
use redialer_core::tenant::Plan;
use redialer_providers::http::{
    Answer, Clients, PLACE_DEADLINE, Request, SendFuture, SharedTransport, Transport, TransportError,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use self::provider::Example;

#[path = "../../../providers/tests/example/provider.rs"]
mod provider;

const KEY: &str = "key_example_0001";
const PERSON: &str = "+13125550142";
const LINE: &str = "+12025550100";

/// The example's API: one agent, one number, and the calls that it was requested to place.
#[derive(Default)]
struct World {
    calls: Mutex<Vec<Value>>,
}

impl Transport for World {
    fn send<'a>(&'a self, request: Request<'a>) -> SendFuture<'a> {
        let path = request.url.trim_start_matches("https://example.test").to_owned();
        let answer = match (request.body, path.as_str()) {
            (Some(body), "/calls") => {
                let mut calls = self.calls.lock().expect("free");
                let mut call: Value = serde_json::from_slice(&body).expect("JSON");
                call["id"] = format!("call_{}", calls.len()).into();
                calls.push(call.clone());
                call
            }
            (None, "/agents") => json!(["agent_1"]),
            (None, "/numbers") => json!([{"id": "number_7", "number": LINE, "agent": "agent_1"}]),
            (None, _) => json!([]),
            (Some(_), _) => {
                return Box::pin(async { Err(TransportError::Unknown("no such path".to_owned())) });
            }
        };
        let status = if request.key == KEY { 200 } else { 401 };
        Box::pin(async move { Ok(Answer { status, after_secs: None, text: Ok(answer.to_string()) }) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_provider_connects_receives_webhooks_and_dials() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = Arc::new(World::default());
    let wire: SharedTransport = Arc::clone(&world) as SharedTransport;
    let config = Config {
        data_dir: dir.path().to_owned(),
        listen: "127.0.0.1:0".to_owned(),
        clock_speed: 3_600,
        ..Config::default()
    }
    .simulated_at("http://127.0.0.1:9".to_owned());
    let providers = config.providers(Arc::clone(&wire)).with("example", Arc::new(Example(wire)));
    let running = Running::start(config, providers, Metrics::detached()).await.expect("started");
    let app = Arc::clone(running.app());
    let tenant =
        tenants::create(&app.store, &app.clock, &app.rng, "Example", "a@example.com", Plan::Unlimited)
            .await
            .expect("created");
    let base = format!("http://{}", app.config.listen);
    let http = Clients::new(PLACE_DEADLINE).expect("clients").reading;
    let ask = async |method: Method, path: &str, body: Option<Value>| {
        let request = http.request(method, format!("{base}{path}")).bearer_auth(&tenant.admin_key);
        let request = body.iter().fold(request, |request, body| request.json(body));
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("text");
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };

    let new = json!({"name": "Line", "provider": "example", "api_key": KEY, "webhook_key": "token_1"});
    let workspace = ask(Method::POST, "/v1/workspaces", Some(new)).await;
    assert_eq!(workspace["provider"], "example");
    let agents = ask(Method::GET, "/v1/agents", None).await;
    let agent = agents["data"][0]["id"].as_str().expect("an agent").to_owned();
    let hook = ask(Method::GET, &format!("/v1/agents/{agent}/webhook-url"), None).await;
    let url = hook["webhook_url"].as_str().expect("a URL").to_owned();
    assert!(url.contains("/api/webhooks/example/"), "{url}");

    let tell = async |token: &str, call: &Value| {
        http.post(&url).bearer_auth(token).json(call).send().await.expect("an answer").status()
    };
    let ended = app.clock.now().as_second();
    let call = json!({
        "id": "in_1", "agent": "agent_1", "inbound": true, "person": PERSON, "line": LINE, "reason": "talked",
        "started": ended - 60, "ended": ended, "call_again": "in two hours",
    });
    assert_eq!(tell("another", &call).await, StatusCode::UNAUTHORIZED);
    assert_eq!(tell("token_1", &call).await, StatusCode::NO_CONTENT);
    assert_eq!(tell("token_1", &call).await, StatusCode::NO_CONTENT, "a copy is nothing new");

    let calls = || world.calls.lock().expect("free").clone();
    let wait = async |what: &str, is_there: &mut dyn FnMut() -> bool| {
        for _ in 0..300 {
            if is_there() {
                return;
            }
            app.clock.wait(Duration::from_millis(50)).await;
        }
        panic!("waited in vain for {what}");
    };
    wait("the dial", &mut || !calls().is_empty()).await;
    let dialed = calls().pop().expect("dialed");
    assert_eq!((&dialed["from"], &dialed["to"]), (&json!("number_7"), &json!(PERSON)), "by the number's id");

    let now = app.clock.now().as_second();
    let outcome = json!({
        "id": dialed["id"], "agent": "agent_1", "inbound": false, "person": PERSON, "line": LINE,
        "reason": "talked", "started": now - 30, "ended": now, "dispatch": dialed["dispatch"],
    });
    assert_eq!(tell("token_1", &outcome).await, StatusCode::NO_CONTENT);
    let mut callback = Value::Null;
    for _ in 0..300 {
        callback = ask(Method::GET, "/v1/callbacks", None).await["data"][0].clone();
        if callback["state"] == "completed" {
            break;
        }
        app.clock.wait(Duration::from_millis(50)).await;
    }
    assert_eq!((&callback["state"], &callback["outcome"]), (&json!("completed"), &json!("talked")));
    assert_eq!(calls().len(), 1, "once");
    drop(app);
    running.stop().await.expect("stopped");
}
