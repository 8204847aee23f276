//! A process killed at a bad moment, a lost answer, a nonsensical answer: the phone rings once.

use redialer_sim::retell::{Fault, Script, script::Behavior};

use crate::harness::{Engine, Walk, engines, scripted_call, scripted_chat, time};

const EVE: &str = "+13055550188";

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_waits_it_keeps_the_promise_after_a_restart() {
    for engine in engines() {
        let mut walk = Walk::at_speed(engine, 600).await;
        walk.sim.set_person(EVE, vec![Behavior::ending("user_hangup")]);
        walk.sim.start_call(&scripted_call(
            "inbound",
            EVE,
            Behavior::asking(&["User: try me in an hour"], None),
        ));
        walk.until("the callback", async |w: &Walk| !w.callbacks().await.is_empty()).await;
        walk.kill();
        walk.serve().await;
        walk.until_settled(EVE, 1).await;
        assert!(walk.terminate().success(), "SIGTERM drains and ends with 0 ({engine:?})");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_may_pass_spends_no_attempt_and_a_final_one_closes_the_callback() {
    // Replies that leave the outcome open are tested in `lost`.
    for fault in [Fault::Throttled, Fault::Payment, Fault::Key] {
        let walk = Walk::at_speed(Engine::Sqlite, 2_000).await;
        walk.sim.set_person(EVE, vec![Behavior::ending("user_hangup")]);
        walk.sim.fail_next(fault);
        walk.sim.start_call(&scripted_call(
            "inbound",
            EVE,
            Behavior::asking(&["User: try me in half an hour"], None),
        ));
        walk.until_settled(EVE, 1).await;
        assert_eq!(walk.callbacks().await[0]["attempt"], 1, "{fault:?} spends nothing");
    }
    for (fault, state) in [(Fault::DoNotCall, "suppressed"), (Fault::Unprocessable, "failed")] {
        let walk = Walk::at_speed(Engine::Sqlite, 2_000).await;
        walk.sim.fail_next(fault);
        walk.sim.start_call(&scripted_call(
            "inbound",
            EVE,
            Behavior::asking(&["User: try me in half an hour"], None),
        ));
        walk.until("the end", async |w: &Walk| {
            w.callbacks().await.first().is_some_and(|c| c["state"] == state)
        })
        .await;
        assert!(walk.rings(EVE).is_empty(), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_without_a_response_is_settled_by_its_webhooks() {
    let walk =
        Walk::with_script(Engine::Sqlite, 2_000, Script { chat_silence_seconds: 600.0, ..Script::default() })
            .await;
    walk.sim.fail_next(Fault::DropReply);
    walk.sim
        .start_call(&scripted_chat(EVE, Behavior::asking(&["User: text me in an hour"], Some("in an hour"))));
    walk.until_settled(EVE, 1).await;
    assert_eq!(walk.callbacks().await[0]["state"], "completed");
    assert_eq!(walk.sim.requests_to_place(), 1, "without an idempotency key nothing is repeated");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_dial_without_webhooks_is_looked_up() {
    let walk = Walk::at_speed(Engine::Sqlite, 2_000).await;
    walk.sim.set_person(EVE, vec![Behavior::ending("dial_no_answer"), Behavior::ending("user_hangup")]);
    let agent = walk.agent(crate::harness::VOICE).await;
    walk.sim.set_webhook_url("http://127.0.0.1:9/no-listener");
    let body = serde_json::json!({"agent_id": agent["id"], "to_number": EVE, "text": "in 20 minutes"});
    let made =
        walk.request(reqwest::Method::POST, "/v1/callbacks", Some(body), reqwest::StatusCode::CREATED).await;
    assert_eq!(
        (made["state"].as_str(), made["from_number"].as_str()),
        (Some("scheduled"), None),
        "the agent's own is found when dialing"
    );
    walk.until_settled(EVE, 2).await;
    let rows = walk.callbacks().await;
    assert_eq!(
        (rows[0]["outcome"].as_str(), rows[1]["outcome"].as_str()),
        (Some("dial_no_answer"), Some("user_hangup"))
    );
    assert_eq!(walk.rings(EVE)[0].from, crate::harness::OURS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_database_file_refuses_to_start() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let second = walk.serve_second();
    assert_eq!(second.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(stderr.contains("another `redialer serve` is using") && stderr.lines().count() == 1, "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn virtual_time_never_runs_backward_across_a_restart() {
    let mut walk = Walk::at_speed(Engine::Sqlite, 5_000).await;
    let now = async |w: &Walk| time(&w.get("/healthz").await["now"]);
    let before = now(&walk).await;
    walk.kill();
    walk.serve().await;
    assert!(now(&walk).await >= before);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_dial_each_callback_once_and_survive_each_other() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let mut walk = Walk::at_speed(Engine::Postgres, 120).await;
    walk.add_replica();
    walk.add_replica();
    let agent = walk.agent(crate::harness::VOICE).await;
    let people: Vec<String> = (0..30).map(|i| format!("+141555501{i:02}")).collect();
    for (i, person) in people.iter().enumerate() {
        walk.sim.set_person(person, vec![Behavior::ending("user_hangup")]);
        let body = serde_json::json!({"agent_id": agent["id"], "to_number": person, "from_number": crate::harness::OURS,
            "text": format!("in {} minutes", 2 + i / 3)});
        walk.request(reqwest::Method::POST, "/v1/callbacks", Some(body), reqwest::StatusCode::CREATED).await;
    }
    walk.until("some calls", async |w: &Walk| w.sim.rings().len() > 3).await;
    walk.kill();
    walk.serve().await;
    walk.until("all calls, all ended", async |w: &Walk| {
        w.sim.rings().len() >= people.len() && w.callbacks().await.iter().all(|c| c["state"] == "completed")
    })
    .await;
    for person in &people {
        assert_eq!(walk.rings(person).len(), 1, "{person}");
    }
}
