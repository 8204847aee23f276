//! Explanations of callbacks: every gate with its input and verdict, as of the decision.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Engine, Walk, engines, time};

const ANA: &str = "+13125550142";

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_lists_every_gate() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let answer = walk.explain(&walk.schedule(ANA, 60).await).await;
    let gates: Vec<_> =
        answer["gates"].as_array().expect("a list").iter().filter_map(|g| g["gate"].as_str()).collect();
    let (of_callback, around) = gates.split_at(8);
    let wanted =
        ["do_not_call", "agent", "observe", "attempts", "country", "due_time", "lateness", "quiet_time"];
    assert_eq!(of_callback, wanted);
    assert_eq!(around, ["pause", "restore", "quota", "capacity", "pace", "fuse"]);
    assert_eq!(answer["gates"][5]["verdict"], "wait");
    let usage = walk.get("/v1/usage").await;
    assert_eq!((usage["plan"].as_str(), usage["workspaces"]["used"].as_i64()), (Some("unlimited"), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_of_a_dial_does_not_change_with_the_settings() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        walk.request_callback(ANA, "Can you call me back tomorrow at 9 am?");
        let dialed = walk.until_callback(ANA, "completed").await;
        let decided = walk.explain(&dialed).await;
        let (due, decided_at) = (time(&dialed["scheduled_for"]), time(&decided["as_of"]));
        assert!(due <= decided_at && decided_at.as_millisecond() <= walk.rings(ANA)[0].at_ms, "{decided}");
        assert_eq!(decided["gates"].as_array().map(Vec::len), Some(8), "{decided}");
        assert_eq!(decided["gates"][3]["input"], "0 of 3 dials used", "{decided}");

        let settings = json!({"defaults": {"max_attempts": 1, "allowed_countries": ["DE"]}});
        let workspace = format!("/v1/workspaces/{}", walk.workspace);
        walk.request(Method::PATCH, &workspace, Some(settings), StatusCode::OK).await;
        let listed = json!({"number": ANA});
        walk.request(Method::POST, "/v1/suppressions", Some(listed), StatusCode::CREATED).await;
        assert_eq!(walk.explain(&dialed).await, decided, "{engine:?}");
    }
}
