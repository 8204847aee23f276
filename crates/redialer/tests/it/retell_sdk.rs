//! The vendor's own clients against the Retell simulator: a test that it is compatible with Retell.
//!
//! Python `retell-sdk` 6.2.13 and npm `retell-sdk` 5.66.1, named by `REDIALER_TEST_PYTHON` and
//! `REDIALER_TEST_NODE_MODULES` (`cargo xtask test` installs both). Without them, the test only prints a line.

use std::{path::Path, process::Command};

use expect_test::expect;
use redialer_providers::retell::signature::{TOLERANCE_MS, verify};
use redialer_sim::retell::{Script, script::Behavior};
use serde_json::Value;

use crate::harness::{Engine, KEY, OURS, Walk, output_of, scripted_call, snapshot};

const STAMP: i64 = 1_757_500_000_000;
const BODY: &str = r#"{"event":"call_ended","call":{"call_id":"c1","transcript":"User: ¿mañana? 😀"}}"#;

/// Runs a script of the vendor's client, and parses the last line as JSON.
async fn run(mut command: Command) -> Value {
    let out = tokio::task::spawn_blocking(move || output_of(&mut command)).await.expect("run");
    serde_json::from_str(out.lines().last().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {out}"))
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk").join(name)
}

/// Checks the results of a client, and that our verifier accepts its signature.
fn check(walk: &Walk, mut results: Value) {
    let signature = results["signature"].take();
    let signature = signature.as_str().expect("a signature").as_bytes();
    assert_eq!(verify(Some(signature), BODY.as_bytes(), [KEY.as_bytes()], STAMP, TOLERANCE_MS), Ok(()));
    // With an idempotency key, the second request returns the first call; metadata alone finds it.
    expect![[r#"
        {
          "agent_timezone": "America/Los_Angeles",
          "agents": [
            "agent_sim_front_desk"
          ],
          "bad_key_status": 401,
          "captured_verified": true,
          "chat": "<chat 1>",
          "chats": [
            "<chat 1>"
          ],
          "concurrency_limit": 20,
          "first": "<call 1>",
          "got_metadata": {
            "redialer_dispatch": "dp_sdk"
          },
          "keyed": "<call 2>",
          "keyed_again": "<call 2>",
          "listed": [
            "<call 2>"
          ],
          "numbers": [
            "+12025550100"
          ],
          "second": "<call 3>",
          "signature": null,
          "tampered_verified": false,
          "unknown_status": 422
        }"#]]
    .assert_eq(&snapshot(&results));
    assert_eq!(walk.rings("+13125550142").len(), 4, "two calls without a key, one with a key, one chat");
}

/// One webhook as the simulator sent it: its body and its signature.
async fn captured() -> (String, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let router = axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: String| {
        let sender = sender.clone();
        async move {
            let signature = headers["x-retell-signature"].to_str().expect("text").to_owned();
            sender.send((body, signature)).await.expect("awaited");
        }
    });
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let walk = Walk::with_script(Engine::Sqlite, 1_000, Script::default()).await;
    walk.sim.set_webhook_url(&url);
    walk.sim.start_call(&scripted_call("inbound", "+14155550117", Behavior::ending("user_hangup")));
    let captured = receiver.recv().await.expect("one came");
    server.abort();
    captured
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_sdk_works_with_the_simulator() {
    let Ok(python) = std::env::var("REDIALER_TEST_PYTHON") else {
        eprintln!("skipped: REDIALER_TEST_PYTHON is not set");
        return;
    };
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let mut command = Command::new(python);
    command.arg(script("python_client.py"));
    check(&walk, run(with_arguments(command, &walk).await).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_sdk_works_with_the_simulator() {
    let Ok(modules) = std::env::var("REDIALER_TEST_NODE_MODULES") else {
        eprintln!("skipped: REDIALER_TEST_NODE_MODULES is not set");
        return;
    };
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let mut command = Command::new(std::env::var("REDIALER_TEST_NODE").unwrap_or_else(|_| "node".to_owned()));
    command.arg(script("node_client.cjs")).env("NODE_PATH", modules);
    check(&walk, run(with_arguments(command, &walk).await).await);
}

async fn with_arguments(mut command: Command, walk: &Walk) -> Command {
    let (body, signature) = captured().await;
    command
        .env("SIM_URL", &walk.sim_url)
        .env("SIM_KEY", KEY)
        .env("FROM", OURS)
        .env("TO", "+13125550142")
        .env("SIGN_BODY", BODY)
        .env("SIGN_STAMP", STAMP.to_string())
        .env("CAPTURED_BODY", body)
        .env("CAPTURED_SIGNATURE", signature);
    command
}
