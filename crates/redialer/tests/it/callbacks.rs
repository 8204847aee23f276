//! The walk: a webhook arrives, a phone rings once, the chain continues.

use jiff::tz::TimeZone;
use redialer_sim::retell::{Ring, script::Behavior};
use serde_json::{Map, Value, json};

use crate::harness::{CHAT, OURS, VOICE, Walk, engines, scripted_call, scripted_chat, time};

const ANA: &str = "+13125550142";

fn map(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn variable<'r>(ring: &'r Ring, name: &str) -> &'r str {
    ring.request["retell_llm_dynamic_variables"][name].as_str().unwrap_or("absent")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_asks_in_words_is_dialled_at_their_local_time() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        walk.sim.set_person(ANA, vec![Behavior::ending("user_hangup")]);
        let says = [
            "Agent: How can I help?",
            "User: I'm driving. Can you call me back tomorrow at 9 am?",
            "Agent: Sure, talk tomorrow.",
        ];
        let mut call = scripted_call("inbound", ANA, Behavior::asking(&says, None));
        call.variables = map(json!({"clinic_name": "Example Clinic"}));
        call.metadata = map(json!({"crm_id": "crm-7"}));
        let source = walk.sim.start_call(&call);
        walk.until_settled(ANA, 1).await;
        let ring = walk.rings(ANA).pop().expect("rang");
        let callback = walk.callbacks().await.pop().expect("there is one");
        let due = time(&callback["scheduled_for"]);
        let local = due.to_zoned(TimeZone::get("America/Chicago").expect("a zone"));
        assert_eq!(local.strftime("%H:%M").to_string(), "09:00", "Chicago's clock, by the number");
        assert!(ring.at_ms >= due.as_millisecond(), "never early");
        assert_eq!(callback["state"], "completed");
        assert_eq!(callback["outcome"], "user_hangup");
        assert_eq!(callback["reason"], "callback_requested");
        assert_eq!(callback["timezone"], "America/Chicago");
        assert_eq!(callback["timezone_source"], "number");
        assert_eq!(callback["source_call_id"], source.as_str());
        assert_eq!(callback["provider_call_id"], ring.id.as_str());
        assert_eq!(callback["chain_root_id"], callback["id"]);
        let id = callback["id"].as_str().expect("an id");
        let why = walk.get(&format!("/v1/callbacks/{id}/explain")).await;
        let verdicts = why["gates"].as_array().expect("a list").iter().map(|gate| &gate["verdict"]);
        assert!(
            verdicts.clone().all(|verdict| verdict == "pass"),
            "as of the dial, though it is long ago: {why}"
        );
        assert!(time(&why["as_of"]) >= due && time(&why["as_of"]).as_millisecond() <= ring.at_ms, "{why}");
        assert_eq!(callback["to_number"], "+13125550142", "this key has every scope");
        assert_eq!(ring.from, OURS, "from and to are swapped after an inbound call");
        let request = &ring.request;
        assert_eq!(request["override_agent_id"], VOICE);
        assert_eq!(request["override_agent_version"], "prod");
        assert_eq!(request["honor_internal_dnc"], true);
        assert_eq!(request["metadata"]["crm_id"], "crm-7");
        assert_eq!(request["metadata"]["redialer_id"], callback["id"]);
        assert_eq!(request["metadata"]["redialer_attempt"], "1");
        assert_eq!(request["metadata"]["redialer_chain"], callback["chain_root_id"]);
        assert_eq!(request["metadata"]["redialer_dispatch"], request["idempotency_key"]);
        assert_eq!(variable(&ring, "clinic_name"), "Example Clinic");
        for prefix in ["redialer.io_", "redialer_"] {
            assert_eq!(variable(&ring, &format!("{prefix}redial_reason")), "callback_requested");
            assert_eq!(variable(&ring, &format!("{prefix}attempt")), "1");
            assert_eq!(variable(&ring, &format!("{prefix}is_final_attempt")), "false");
        }
        let own = walk.get(&format!("/v1/workspace?workspace_id={}", walk.workspace)).await;
        assert_eq!(own["usage"]["calls_this_period"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_has_its_delay_and_only_outbound_calls_are_retried() {
    let walk = Walk::at_speed(crate::harness::Engine::Sqlite, 1).await;
    let end = walk.now().as_millisecond() / 1_000 * 1_000;
    let groups = [
        ("voicemail_reached", Some(("voicemail_followup", 240))),
        ("ivr_reached", Some(("voicemail_followup", 240))),
        ("dial_no_answer", Some(("no_answer_followup", 60))),
        ("dial_busy", Some(("busy_followup", 10))),
        ("user_declined", Some(("busy_followup", 10))),
        ("dial_failed", Some(("retry", 30))),
        ("error_retell", Some(("retry", 30))),
        ("inactivity", Some(("retry", 1_440))),
        ("machine_detected", Some(("voicemail_followup", 240))),
        ("user_hangup", None),
        ("agent_hangup", None),
        ("invalid_destination", None),
        ("user_requested_dnc", None),
        ("a_reason_of_2028", None),
    ];
    for (i, (reason, _)) in groups.iter().enumerate() {
        for (direction, from, to) in
            [("outbound", OURS.to_owned(), number(i)), ("inbound", number(i + 50), OURS.to_owned())]
        {
            let event = json!({"event": "call_ended", "call": {
                "call_id": format!("call_{direction}_{i}"), "call_type": "phone_call", "agent_id": VOICE, "direction": direction,
                "from_number": from, "to_number": to, "disconnection_reason": reason, "end_timestamp": end,
                "call_status": "registered"}});
            assert_eq!(walk.deliver(&event.to_string()).await, 204);
        }
    }
    walk.until_decided(groups.len() * 2).await;
    let rows = walk.callbacks().await;
    for (i, (reason, want)) in groups.iter().enumerate() {
        let row = rows.iter().find(|r| r["source_call_id"] == format!("call_outbound_{i}"));
        let got = row.map(|r| {
            (r["reason"].as_str().expect("text"), (time(&r["scheduled_for"]).as_millisecond() - end) / 60_000)
        });
        assert_eq!(got, *want, "{reason}");
        assert!(!rows.iter().any(|r| r["source_call_id"] == format!("call_inbound_{i}")), "{reason}");
    }
    assert!(walk.notes().await.contains(&"unknown_reason".to_owned()));
    let metrics = walk.text("/metrics").await;
    assert!(metrics.contains("redialer_unknown_reasons_total 2"), "{metrics}");
    for shown in [
        "redialer_api_requests_total{method=\"GET\",route=\"/v1/callbacks\",status=\"200\"}",
        "redialer_callbacks_due 0",
        "redialer_events_waiting 0",
        "redialer_callbacks_held{held_for=\"quota\"} 0",
        "redialer_workspaces_paused{reason=\"key_refused\"} 0",
        "redialer_stuck{kind=\"overdue callbacks\"} 0",
    ] {
        assert!(metrics.contains(shown), "{shown} in {metrics}");
    }
}

fn number(i: usize) -> String {
    format!("+1415555{i:04}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_called_up_to_the_ceiling_and_told_which_is_the_last() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        walk.sim.set_person(ANA, vec![Behavior::ending("voicemail_reached")]);
        walk.sim.start_call(&scripted_call("outbound", ANA, Behavior::ending("voicemail_reached")));
        walk.until_settled(ANA, 3).await;
        let rings = walk.rings(ANA);
        let told: Vec<_> = rings
            .iter()
            .map(|r| (variable(r, "redialer_attempt"), variable(r, "redialer_is_final_attempt")))
            .collect();
        assert_eq!(told, [("1", "false"), ("2", "false"), ("3", "true")]);
        let rows = walk.callbacks().await;
        let states: Vec<_> = rows.iter().map(|r| r["state"].as_str().expect("a state")).collect();
        assert_eq!(states, ["failed", "failed", "exhausted"]);
        let last = rows.last().expect("three");
        assert_eq!(last["is_final_attempt"], true);
        let chain = walk.get(&format!("/v1/callbacks/{}/chain", last["id"].as_str().expect("an id"))).await;
        assert_eq!(chain["data"].as_array().expect("a list").len(), 3);
        assert!(rows.iter().all(|r| r["chain_root_id"] == rows[0]["id"]));
        assert_eq!(rows[1]["parent_id"], rows[0]["id"]);
        assert!(rings.iter().all(|r| r.from == OURS), "from and to stay after an outbound call");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_continues_through_a_retry_and_a_request() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        let ask = Behavior::asking(&["User: Not now, call me in two hours."], Some("in two hours"));
        walk.sim.set_person(ANA, vec![ask, Behavior::ending("user_hangup")]);
        walk.sim.start_call(&scripted_call("outbound", ANA, Behavior::ending("dial_busy")));
        walk.until_settled(ANA, 2).await;
        let rows = walk.callbacks().await;
        let told: Vec<_> = rows
            .iter()
            .map(|r| (r["reason"].as_str().expect("text"), r["state"].as_str().expect("text"), &r["attempt"]))
            .collect();
        assert_eq!(
            told,
            [("busy_followup", "completed", &json!(1)), ("callback_requested", "completed", &json!(2))]
        );
        assert_eq!(rows[1]["chain_root_id"], rows[0]["id"]);
        let gap = time(&rows[1]["scheduled_for"]).as_millisecond() - walk.rings(ANA)[0].at_ms;
        assert!(gap >= 7_200_000, "two hours from the call's end, not from when we heard");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_followed_by_a_chat() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        let does = Behavior::asking(&["User: text me again in 3 hours please"], Some("in 3 hours"));
        walk.sim.start_call(&scripted_chat(ANA, does));
        walk.until_settled(ANA, 1).await;
        let ring = walk.rings(ANA).pop().expect("texted");
        assert!(ring.id.starts_with("chat_"));
        assert_eq!(ring.request.get("idempotency_key"), None, "chats take none");
        assert_eq!(ring.request["override_agent_id"], CHAT);
        assert_eq!(ring.from, OURS);
        let row = walk.callbacks().await.pop().expect("there is one");
        assert_eq!((row["state"].as_str(), row["outcome"].as_str()), (Some("completed"), Some("chat_ended")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_order_and_number_of_events_ends_in_the_same_callback() {
    let walk = Walk::at_speed(crate::harness::Engine::Sqlite, 1).await;
    let end = walk.now().as_millisecond();
    let event = |name: &str, call: &str, person: &str| {
        let mut call = json!({"call_id": call, "call_type": "phone_call", "agent_id": VOICE, "direction": "outbound",
            "from_number": OURS, "to_number": person, "start_timestamp": end - 60_000, "call_status": "ended"});
        if name != "call_started" {
            call["disconnection_reason"] = "inactivity".into();
            call["end_timestamp"] = end.into();
        }
        if name == "call_analyzed" {
            call["call_analysis"] = json!({"custom_analysis_data": {"redialer_io_callback": "true", "redialer.io_callback_time": "in 5 hours"}});
            // The caller spoke before the line went silent.
            call["transcript_object"] = json!([{"role": "user", "content": "Call me in five hours."}]);
        }
        json!({"event": name, "call": call}).to_string()
    };
    let orders = [
        vec!["call_started", "call_ended", "call_analyzed"],
        vec!["call_analyzed", "call_ended", "call_started"],
        vec!["call_ended", "call_analyzed", "call_ended", "call_ended"],
        vec!["call_analyzed", "call_analyzed", "call_started", "call_ended", "call_analyzed"],
        vec!["call_ended", "call_started", "call_analyzed"],
    ];
    let mut n = 0;
    for (i, order) in orders.iter().enumerate() {
        let mut distinct: Vec<&str> = Vec::new();
        for name in order {
            assert_eq!(walk.deliver(&event(name, &format!("call_{i}"), &number(i))).await, 204);
            if !distinct.contains(name) {
                distinct.push(name);
                n += 1;
            }
            // One at a time, so that they are decided in this order.
            walk.until_decided(n).await;
        }
    }
    let told: Vec<_> = walk
        .callbacks()
        .await
        .iter()
        .map(|r| {
            (
                r["state"].clone(),
                r["reason"].clone(),
                (time(&r["scheduled_for"]).as_millisecond() - end) / 60_000,
                r["attempt"].clone(),
            )
        })
        .collect();
    assert_eq!(told, vec![(json!("scheduled"), json!("callback_requested"), 300, json!(1)); orders.len()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn do_not_call_ends_what_waits_and_refuses_what_comes() {
    let walk = Walk::at_speed(crate::harness::Engine::Sqlite, 1).await;
    let end = walk.now().as_millisecond();
    let event = |call: &str, reason: &str| {
        json!({"event": "call_ended", "call": {"call_id": call, "call_type": "phone_call", "agent_id": VOICE, "direction": "outbound",
            "from_number": OURS, "to_number": ANA, "disconnection_reason": reason, "end_timestamp": end}})
        .to_string()
    };
    walk.deliver(&event("c1", "dial_no_answer")).await;
    walk.until_decided(1).await;
    walk.deliver(&event("c2", "user_requested_dnc")).await;
    walk.until_decided(2).await;
    assert_eq!(walk.callbacks().await[0]["state"], "suppressed");
    let agent = walk.agent(VOICE).await;
    let body = json!({"agent_id": agent["id"], "to_number": ANA, "text": "in 2 hours"});
    let refused =
        walk.request(reqwest::Method::POST, "/v1/callbacks", Some(body), reqwest::StatusCode::CONFLICT).await;
    assert_eq!(refused["error"]["code"], "do_not_call");
}

/// Schedules callbacks to these people for the same time.
async fn at_once(walk: &Walk, people: &[&str]) {
    let agent = walk.agent(VOICE).await;
    let at = redialer_core::time::plus(walk.now(), redialer_core::time::minutes(30)).to_string();
    for person in people {
        walk.sim.set_person(person, vec![Behavior::ending("user_hangup")]);
        let body = json!({"agent_id": agent["id"], "to_number": person, "from_number": OURS, "at": at});
        walk.request(reqwest::Method::POST, "/v1/callbacks", Some(body), reqwest::StatusCode::CREATED).await;
    }
}

const PEOPLE: [&str; 3] = ["+14155550101", "+14155550102", "+14155550103"];

#[tokio::test(flavor = "multi_thread")]
async fn dials_are_limited_to_the_calls_per_second_of_the_workspace() {
    let (walk, speed) = (Walk::at_speed(crate::harness::Engine::Sqlite, 600).await, 600);
    walk.defaults(json!({"calls_per_second": 1})).await;
    at_once(&walk, &PEOPLE).await;
    walk.until("three calls", async |w: &Walk| w.sim.rings().len() == 3).await;
    let at: Vec<i64> = walk.sim.rings().iter().map(|r| r.at_ms).collect();
    // In real milliseconds. One call may be late, and the next one then follows closely, so only the total counts.
    let took = (at[2] - at[0]) / speed;
    assert!(took >= 1_200, "three calls within {took} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_reserved_for_inbound_calls_stay_free() {
    let script = redialer_sim::retell::Script {
        concurrency_limit: 6,
        reserved_inbound_concurrency: 5,
        ..Default::default()
    };
    let walk = Walk::with_script(crate::harness::Engine::Sqlite, 600, script).await;
    at_once(&walk, &PEOPLE).await;
    walk.until("three calls, all ended", async |w: &Walk| {
        w.sim.rings().len() == 3 && w.callbacks().await.iter().all(|c| c["state"] == "completed")
    })
    .await;
    // One line: each call ends, a minute after it was placed, before the next begins.
    let at: Vec<i64> = walk.sim.rings().iter().map(|r| r.at_ms).collect();
    assert!(at.windows(2).all(|w| w[1] - w[0] >= 60_000), "{at:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callbacks_of_a_disabled_agent_are_held_until_it_is_enabled() {
    let walk = Walk::at_speed(crate::harness::Engine::Sqlite, 600).await;
    at_once(&walk, &PEOPLE[..1]).await;
    let path = format!("/v1/agents/{}", walk.agent(VOICE).await["id"].as_str().expect("an id"));
    let switch = async |on: bool| {
        walk.request(reqwest::Method::PATCH, &path, Some(json!({"enabled": on})), reqwest::StatusCode::OK)
            .await
    };
    switch(false).await;
    let held = walk.callbacks().await.pop().expect("there is one");
    assert_eq!((held["state"].as_str(), held["held_for"].as_str()), (Some("held"), Some("agent_disabled")));
    switch(true).await;
    walk.until_settled(PEOPLE[0], 1).await;
}
