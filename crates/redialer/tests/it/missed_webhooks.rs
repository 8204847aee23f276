//! Missed webhooks: the data is fetched; if the outcome cannot be determined, a person decides (I3, I11).

use redialer_core::time::{minutes, plus};
use redialer_sim::retell::{Fault, Script, script::Behavior};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Engine, OURS, VOICE, Walk, engines, id, time};

const UMA: &str = "+13055550155";
const NOWHERE: &str = "http://127.0.0.1:9/no-listener";

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_analysis_is_fetched() {
    for engine in engines() {
        let script = Script { lose_events: vec!["call_analyzed".to_owned()], ..Script::default() };
        let walk = Walk::with_script(engine, 900, script).await;
        let call = walk.request_callback(UMA, "call me in an hour");
        walk.until_settled(UMA, 1).await;
        let rows = walk.callbacks().await;
        assert_eq!((rows.len(), rows[0]["source_call_id"].as_str()), (1, Some(call.as_str())), "{engine:?}");
        assert_eq!(rows[0]["state"], "completed", "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_webhooks_is_found_within_half_an_hour() {
    let walk = Walk::at_speed(Engine::Sqlite, 150).await;
    walk.sim.set_webhook_url(NOWHERE);
    let call = walk.outbound_call(UMA, "dial_busy");
    walk.until("the call to be found", async |w: &Walk| !w.callbacks().await.is_empty()).await;
    let found = walk.callbacks().await.pop().expect("there is one");
    assert_eq!(found["source_call_id"], call.as_str());
    let made = time(&found["created_at"]);
    let ended = walk.sim.record(&call).expect("known")["end_timestamp"].as_i64().expect("over");
    let ended = redialer_core::time::from_ms(ended).expect("a time");
    assert!(made <= plus(ended, minutes(30)), "ended at {ended}, found at {made}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_record_does_not_block_the_backfill_of_other_calls() {
    let walk = Walk::at_speed(Engine::Sqlite, 1_000).await;
    walk.sim.set_webhook_url(NOWHERE);
    let broken = walk.outbound_call(UMA, "dial_busy");
    walk.sim.edit_script(|script| script.records_fail.push(broken.clone()));
    let ended = |call: &str| walk.sim.record(call).is_some_and(|record| record["end_timestamp"].is_number());
    walk.until("the first call to end", async |_: &Walk| ended(&broken)).await;
    let later = walk.outbound_call("+13055550156", "dial_busy");
    walk.until("the other call to be found", async |w: &Walk| {
        w.callbacks().await.iter().any(|row| row["source_call_id"] == later.as_str())
    })
    .await;
    assert!(walk.callbacks().await.iter().all(|row| row["source_call_id"] != broken.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unresolved_dispatch_needs_attention_and_can_be_forced() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 10_000).await;
        walk.sim.edit_script(|script| script.lists_fail = true);
        walk.sim.fail_next(Fault::DropRequest);
        walk.request_text(UMA);
        walk.until("the dispatch to be unresolved", async |w: &Walk| {
            w.callbacks().await.first().is_some_and(|c| c["outcome"] == "unresolved")
        })
        .await;
        let given_up = walk.callbacks().await.pop().expect("there is one");
        assert_eq!(given_up["state"], "failed", "{engine:?}");
        let shown = walk.get("/v1/attention").await;
        assert_eq!(shown["data"][0]["id"], given_up["id"], "{engine:?}");
        assert_eq!((walk.rings(UMA).len(), walk.sim.requests_to_place()), (0, 1), "{engine:?}");
        walk.sim.edit_script(|script| script.lists_fail = false);
        // A forced callback rings immediately; otherwise it would wait for the one day without quiet hours.
        let forced_at = walk.now();
        let day = |n: i64| plus(forced_at, minutes(n * 24 * 60)).strftime("%a").to_string().to_lowercase();
        walk.defaults(json!({"quiet_days": (-1..5).map(day).collect::<Vec<_>>()})).await;
        let path = format!("/v1/callbacks/{}/force", id(&given_up));
        let forced = walk.request(Method::POST, &path, None, StatusCode::OK).await;
        assert_eq!(forced["chain_root_id"], given_up["chain_root_id"], "{engine:?}");
        assert_ne!(forced["id"], given_up["id"], "{engine:?}");
        walk.until_settled(UMA, 1).await;
        assert!(walk.rings(UMA)[0].at_ms < plus(forced_at, minutes(24 * 60)).as_millisecond(), "{engine:?}");
        let last = walk.callbacks().await.pop().expect("two");
        assert_eq!((last["state"].as_str(), last["attempt"].as_u64()), (Some("completed"), Some(2)));
        assert_eq!(walk.sim.requests_to_place(), 2, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_dial_without_webhooks_is_looked_up() {
    let walk = Walk::at_speed(Engine::Sqlite, 2_000).await;
    walk.sim.set_person(UMA, vec![Behavior::ending("dial_no_answer"), Behavior::ending("user_hangup")]);
    walk.sim.set_webhook_url(NOWHERE);
    let body = json!({"agent_id": walk.agent_id(VOICE).await, "to_number": UMA, "text": "in 20 minutes"});
    let made = walk.request(Method::POST, "/v1/callbacks", Some(body), StatusCode::CREATED).await;
    assert_eq!((&made["state"], &made["from_number"]), (&json!("scheduled"), &json!(null)));
    walk.until_settled(UMA, 2).await;
    let outcomes: Vec<_> = walk.callbacks().await.iter().map(|row| row["outcome"].clone()).collect();
    assert_eq!(outcomes, ["dial_no_answer", "user_hangup"]);
    assert_eq!(walk.rings(UMA)[0].from, OURS, "the agent's own number is found when dialing");
}
