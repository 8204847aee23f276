//! `redialer keys rotate` beside a server under load, killed repeatedly (I22): no read fails, and the next run
//! continues.

use std::{
    process::Stdio,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::{join, join_all};
use redialer_core::time::{minutes, plus};
use redialer_sim::retell::Script;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Engine, OURS, VOICE, Walk, engines, id, output_of};

/// With this setting, an unwrapped key is used for at most two seconds.
const SETTLE: [&str; 5] = ["keys", "rotate", "--settle", "2", "--one-file"];

/// Reads sealed data and writes more of it until `done` is set; anything but success fails the test.
async fn load(walk: &Walk, n: usize, agent: &str, done: &AtomicBool, requests: &AtomicUsize) {
    let (mut i, at) = (0, plus(walk.now(), minutes(60 * 24 * 30)).to_string());
    while !done.load(Ordering::Relaxed) {
        i += 1;
        let event =
            json!({"event": "call_started", "call": {"call_id": format!("call_{n}_{i}"), "agent_id": VOICE}});
        assert_eq!(walk.deliver(&event.to_string()).await, StatusCode::NO_CONTENT);
        let number = format!("+1312555{:04}", 100 + n * 20 + i % 20);
        let body = json!({"agent_id": agent, "to_number": number, "from_number": OURS, "at": at});
        let made = walk.request(Method::POST, "/v1/callbacks", Some(body), StatusCode::CREATED).await;
        let path = format!("/v1/callbacks/{}", id(&made));
        assert_eq!(walk.get(&path).await["to_number"], number.as_str());
        walk.get("/v1/callbacks?limit=50").await;
        walk.post(&format!("{path}/cancel")).await;
        requests.fetch_add(5, Ordering::Relaxed);
    }
}

/// Kills the rotation five times, later each time, then lets it finish.
async fn rotate(walk: &Walk) -> String {
    for after in [300, 1_000, 2_200, 3_000, 4_300] {
        let mut command = walk.command();
        command.args(SETTLE).stdout(Stdio::null());
        let mut rotation = command.spawn().expect("started");
        walk.pass(Duration::from_millis(after)).await;
        rotation.kill().expect("killed");
        rotation.wait().expect("gone");
    }
    let mut command = walk.command();
    command.args(SETTLE);
    tokio::task::spawn_blocking(move || output_of(&mut command)).await.expect("run")
}

async fn rotates(engine: Engine) {
    let settings = [("REDIALER_API_REQUESTS_PER_SECOND", "100000")];
    let walk = Walk::with_settings(engine, 1, Script::default(), &settings).await;
    let agent = walk.agent_id(VOICE).await;
    let (done, requests) = (AtomicBool::new(false), AtomicUsize::new(0));
    let loads = join_all((0..4).map(|n| load(&walk, n, &agent, &done, &requests)));
    let rotation = async {
        let output = rotate(&walk).await;
        done.store(true, Ordering::Relaxed);
        output
    };
    let (_, output) = join(loads, rotation).await;
    assert!(output.contains("Values re-encrypted: "), "{output}");
    assert!(requests.load(Ordering::Relaxed) > 100, "{engine:?}: there was load");
    // The last run finishes the first rotation and does not start a second one: the old keys are no longer needed.
    let retired = walk.run(&["keys", "retire"]);
    assert!(
        retired.contains("Old tenant keys deleted: 1.") && retired.contains("only the current key"),
        "{retired}"
    );
    assert_eq!(std::fs::read_to_string(walk.data_dir().join("kek")).expect("read").lines().count(), 1);
    for callback in walk.callbacks().await {
        assert!(callback["to_number"].as_str().expect("a number").starts_with("+1312555"));
    }
    assert!(walk.run(&["audit", "verify"]).contains("intact"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_under_load_and_a_killed_rotation_resumes() {
    join_all(engines().into_iter().map(rotates)).await;
}
