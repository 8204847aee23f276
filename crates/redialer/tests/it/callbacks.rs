//! Callbacks from a webhook to the outcome of the dial: the request to the provider, chains, and limits on dialing.

use expect_test::expect;
use redialer_sim::retell::{Script, ScriptedCall, script::Behavior};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::{
    Engine, OURS, VOICE, Walk, call_ended, callback_request, engines, id, snapshot, time, with_placeholders,
};

const ANA: &str = "+13125550142";
const PEOPLE: [&str; 3] = ["+14155550101", "+14155550102", "+14155550103"];

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_repeats_the_context_of_the_call_that_requested_it() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        let object = |value: Value| value.as_object().expect("an object").clone();
        walk.sim.start_call(&ScriptedCall {
            variables: object(json!({"clinic_name": "Example Clinic"})),
            metadata: object(json!({"crm_id": "crm-7"})),
            ..callback_request(ANA, "Can you call me back tomorrow at 9 am?")
        });
        walk.until_settled(ANA, 1).await;
        let ring = walk.rings(ANA).pop().expect("dialed");
        let dial = json!({
            "callback": walk.callbacks().await[0], "provider_call_id": ring.id, "request": ring.request,
        });
        expect![[r#"
            {
              "callback": {
                "agent_id": "<ag 1>",
                "attempt": 1,
                "chain_root_id": "<cb 1>",
                "created_at": "<time>",
                "dialed_at": "<time>",
                "ended_at": "<time>",
                "external_id": null,
                "from_number": "+12025550100",
                "held_for": null,
                "id": "<cb 1>",
                "is_final_attempt": false,
                "max_attempts": 3,
                "metadata": {
                  "crm_id": "crm-7"
                },
                "outcome": "user_hangup",
                "outcome_message": null,
                "parent_id": null,
                "provider_call_id": "<call 1>",
                "reason": "callback_requested",
                "requested_for": "<time>",
                "scheduled_for": "<time>",
                "source_call_id": "<call 2>",
                "state": "completed",
                "superseded_by": null,
                "test": false,
                "timezone": "America/Chicago",
                "timezone_source": "number",
                "to_number": "+13125550142",
                "updated_at": "<time>",
                "workspace_id": "<ws 1>"
              },
              "provider_call_id": "<call 1>",
              "request": {
                "from_number": "+12025550100",
                "honor_internal_dnc": true,
                "idempotency_key": "<dp 1>",
                "metadata": {
                  "crm_id": "crm-7",
                  "redialer_attempt": "1",
                  "redialer_chain": "<cb 1>",
                  "redialer_dispatch": "<dp 1>",
                  "redialer_id": "<cb 1>"
                },
                "override_agent_id": "agent_sim_front_desk",
                "override_agent_version": "prod",
                "retell_llm_dynamic_variables": {
                  "clinic_name": "Example Clinic",
                  "redialer.io_attempt": "1",
                  "redialer.io_is_final_attempt": "false",
                  "redialer.io_redial_reason": "callback_requested",
                  "redialer_attempt": "1",
                  "redialer_is_final_attempt": "false",
                  "redialer_redial_reason": "callback_requested"
                },
                "to_number": "+13125550142"
              }
            }"#]]
        .assert_eq(&snapshot(&dial));
        let workspace = walk.get(&format!("/v1/workspace?workspace_id={}", walk.workspace)).await;
        assert_eq!(workspace["usage"]["calls_this_period"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_continues_through_a_retry_and_a_request_to_its_last_attempt() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        let ask = Behavior::asking(&["User: Not now, call me in two hours."], Some("in two hours"));
        walk.sim.set_person(ANA, vec![ask, Behavior::ending("dial_no_answer")]);
        walk.outbound_call(ANA, "dial_busy");
        walk.until_settled(ANA, 3).await;
        let rings = walk.rings(ANA);
        assert!(rings.iter().all(|ring| ring.from == OURS));
        let rows = walk.callbacks().await;
        let path = format!("/v1/callbacks/{}/chain", id(&rows[2]));
        let chain = walk.get(&path).await["data"].as_array().expect("a list").clone();
        let fields =
            ["id", "chain_root_id", "parent_id", "reason", "state", "outcome", "attempt", "is_final_attempt"];
        let lines = chain.iter().rev().map(|row| fields.map(|name| row[name].to_string()).join(" "));
        expect![[r#"
            "<cb 1>" "<cb 1>" null "busy_followup" "completed" "user_hangup" 1 false
            "<cb 2>" "<cb 1>" "<cb 1>" "callback_requested" "failed" "dial_no_answer" 2 false
            "<cb 3>" "<cb 1>" "<cb 2>" "no_answer_followup" "exhausted" "dial_no_answer" 3 true"#]]
        .assert_eq(&with_placeholders(&lines.collect::<Vec<_>>().join("\n")));
        let gap = time(&rows[1]["scheduled_for"]).as_millisecond() - rings[0].at_ms;
        assert!(gap >= 7_200_000, "two hours from the end of the call");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_and_number_of_events_ends_in_the_same_callback() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let end = walk.now().as_millisecond();
    let event = |name: &str, i: usize| {
        let person = format!("+1415555{i:04}");
        let mut event = call_ended(&format!("call_{i}"), "outbound", &person, "inactivity", end);
        let call = event["call"].as_object_mut().expect("an object");
        if name == "call_started" {
            call.retain(|key, _| !["disconnection_reason", "end_timestamp"].contains(&key.as_str()));
        }
        if name == "call_analyzed" {
            let extracted =
                json!({"redialer_io_callback": "true", "redialer.io_callback_time": "in 5 hours"});
            call.insert("call_analysis".to_owned(), json!({"custom_analysis_data": extracted}));
            // The caller spoke before the line went silent.
            let spoken = json!([{"role": "user", "content": "Call me in five hours."}]);
            call.insert("transcript_object".to_owned(), spoken);
        }
        event["event"] = name.into();
        event.to_string()
    };
    let orders = [
        ["call_started", "call_ended", "call_analyzed"].as_slice(),
        &["call_analyzed", "call_ended", "call_started"],
        &["call_ended", "call_analyzed", "call_ended", "call_ended"],
        &["call_analyzed", "call_analyzed", "call_started", "call_ended", "call_analyzed"],
        &["call_ended", "call_started", "call_analyzed"],
    ];
    let mut n = 0;
    for (i, order) in orders.iter().enumerate() {
        for (k, name) in order.iter().enumerate() {
            assert_eq!(walk.deliver(&event(name, i)).await, StatusCode::NO_CONTENT);
            n += usize::from(!order[..k].contains(name));
            // One at a time, so that they are decided in this order.
            walk.until_decided(n).await;
        }
    }
    let rows = walk.callbacks().await;
    assert_eq!(rows.len(), orders.len());
    for row in rows {
        let minutes = (time(&row["scheduled_for"]).as_millisecond() - end) / 60_000;
        let found = json!([row["state"], row["reason"], minutes, row["attempt"]]);
        assert_eq!(found, json!(["scheduled", "callback_requested", 300, 1]), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_reason_schedules_nothing_and_is_noted_and_counted() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let now = walk.now().as_millisecond();
    let event = call_ended("call_1", "outbound", ANA, "a_reason_of_2028", now);
    assert_eq!(walk.deliver(&event.to_string()).await, StatusCode::NO_CONTENT);
    walk.until_decided(1).await;
    assert_eq!(walk.notes().await, ["unknown_reason"]);
    assert!(walk.callbacks().await.is_empty());
    let metrics = walk.text("/metrics").await;
    for line in [
        "redialer_unknown_reasons_total 1",
        "redialer_api_requests_total{method=\"GET\",route=\"/v1/callbacks\",status=\"200\"}",
        "redialer_callbacks_due 0",
        "redialer_events_waiting 0",
        "redialer_callbacks_held{held_for=\"quota\"} 0",
        "redialer_workspaces_paused{reason=\"key_refused\"} 0",
        "redialer_stuck{kind=\"overdue callbacks\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dials_are_limited_to_the_calls_per_second_of_the_workspace() {
    const SPEED: u32 = 600;
    let walk = Walk::at_speed(Engine::Sqlite, SPEED).await;
    walk.defaults(json!({"calls_per_second": 1})).await;
    for person in PEOPLE {
        walk.schedule(person, 30).await;
    }
    walk.until("three calls", async |w: &Walk| w.sim.placed_calls().len() == 3).await;
    let at: Vec<i64> = walk.sim.placed_calls().iter().map(|r| r.at_ms).collect();
    // In real milliseconds. One call may be late, and the next one then follows closely, so only the total counts.
    let took = (at[2] - at[0]) / i64::from(SPEED);
    assert!(took >= 1_200, "three calls within {took} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_reserved_for_inbound_calls_stay_free() {
    let script = Script { concurrency_limit: 6, reserved_inbound_concurrency: 5, ..Script::default() };
    let walk = Walk::with_script(Engine::Sqlite, 600, script).await;
    for person in PEOPLE {
        walk.schedule(person, 30).await;
    }
    walk.until("three calls, all ended", async |w: &Walk| {
        w.sim.placed_calls().len() == 3 && w.callbacks().await.iter().all(|c| c["state"] == "completed")
    })
    .await;
    // One line: each call ends, a minute after it was placed, before the next begins.
    let at: Vec<i64> = walk.sim.placed_calls().iter().map(|r| r.at_ms).collect();
    assert!(at.windows(2).all(|w| w[1] - w[0] >= 60_000), "{at:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_of_a_disabled_agent_are_held_until_it_is_enabled() {
    let walk = Walk::at_speed(Engine::Sqlite, 600).await;
    walk.schedule(ANA, 30).await;
    let path = format!("/v1/agents/{}", walk.agent_id(VOICE).await);
    let enable = async |on: bool| {
        walk.request(Method::PATCH, &path, Some(json!({"enabled": on})), StatusCode::OK).await
    };
    enable(false).await;
    assert_eq!(walk.until_callback(ANA, "held").await["held_for"], "agent_disabled");
    enable(true).await;
    walk.until_settled(ANA, 1).await;
}
