//! The promises of `README.md`, one test each. The files of their subjects test the details.

use expect_test::expect;
use redialer_core::time::{minutes, plus};
use redialer_sim::retell::{Fault, ScriptedCall, script::Behavior};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::harness::{
    CHAT, Engine, KEY, Walk, call_ended, callback_request, clock_time, engines, sign, time,
};

/// A number in Chicago.
const ANA: &str = "+13125550142";
const BEN: &str = "+13125550143";
const CHICAGO: &str = "America/Chicago";

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_is_dialed_at_the_requested_time_in_the_time_zone_of_the_callee() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        walk.request_callback(ANA, "I'm driving. Can you call me back tomorrow at 9 am?");
        walk.until_settled(ANA, 1).await;
        let due = time(&walk.callbacks().await[0]["scheduled_for"]);
        assert_eq!(clock_time(due, CHICAGO), "09:00");
        assert!(walk.rings(ANA)[0].at_ms >= due.as_millisecond());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_without_a_usable_time_is_dialed_after_24_hours() {
    let walk = Walk::at_speed(Engine::Sqlite, 600).await;
    let call = walk.request_callback(ANA, "Please call me back.");
    let due = time(&walk.until_callback(ANA, "scheduled").await["scheduled_for"]).as_millisecond();
    let ended = walk.sim.record(&call).expect("ended")["end_timestamp"].as_i64().expect("a time");
    assert_eq!((due - ended) / 60_000, 24 * 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_rings_once_despite_duplicate_webhooks_and_a_lost_response() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 600).await;
        walk.sim.fail_next(Fault::DropReply);
        walk.sim
            .start_call(&ScriptedCall { duplicates: 4, ..callback_request(ANA, "Try me in half an hour.") });
        walk.until_settled(ANA, 1).await;
        assert_eq!(walk.callbacks().await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_survives_a_killed_server() {
    for engine in engines() {
        let mut walk = Walk::at_speed(engine, 600).await;
        walk.request_callback(ANA, "Try me in an hour.");
        walk.until_callback(ANA, "scheduled").await;
        walk.kill();
        walk.serve().await;
        walk.until_settled(ANA, 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outbound_calls_are_retried_after_the_documented_delays_and_inbound_calls_are_not() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let end = walk.now().as_millisecond() / 1_000 * 1_000;
    let table = [
        ("voicemail_reached", Some(("voicemail_followup", 240))),
        ("machine_detected", Some(("voicemail_followup", 240))),
        ("ivr_reached", Some(("voicemail_followup", 240))),
        ("dial_no_answer", Some(("no_answer_followup", 60))),
        ("dial_busy", Some(("busy_followup", 10))),
        ("user_declined", Some(("busy_followup", 10))),
        ("dial_failed", Some(("retry", 30))),
        ("error_retell", Some(("retry", 30))),
        ("inactivity", Some(("retry", 1_440))),
        ("user_hangup", None),
        ("agent_hangup", None),
        ("invalid_destination", None),
        ("user_requested_dnc", None),
    ];
    for (i, (reason, _)) in table.iter().enumerate() {
        for (direction, line) in [("outbound", i), ("inbound", 50 + i)] {
            let event = call_ended(&format!("call_{line}"), direction, &number(line), reason, end);
            assert_eq!(walk.deliver(&event.to_string()).await, StatusCode::NO_CONTENT);
        }
    }
    walk.until_decided(2 * table.len()).await;
    let rows = walk.callbacks().await;
    for (i, (reason, want)) in table.iter().enumerate() {
        let row = rows.iter().find(|row| row["to_number"] == number(i));
        let minutes = row.map(|row| (time(&row["scheduled_for"]).as_millisecond() - end) / 60_000);
        let retry = row.map(|row| row["reason"].as_str().expect("text")).zip(minutes);
        assert_eq!(retry, *want, "{reason}");
    }
    assert_eq!(rows.len(), table.iter().filter(|(_, retry)| retry.is_some()).count(), "{rows:#?}");
}

fn number(line: usize) -> String {
    format!("+1415555{line:04}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_has_at_most_three_dials_and_the_last_is_marked_as_final() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        walk.sim.set_person(ANA, vec![Behavior::ending("voicemail_reached")]);
        walk.outbound_call(ANA, "voicemail_reached");
        walk.until_settled(ANA, 3).await;
        let rings = walk.rings(ANA);
        let is_final = rings.iter().map(|ring| ring.variable("redialer_is_final_attempt").expect("set"));
        assert_eq!(is_final.collect::<Vec<_>>(), ["false", "false", "true"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_wait_for_the_end_of_quiet_hours_and_requested_callbacks_do_not() {
    let walk = Walk::at_speed(Engine::Sqlite, 600).await;
    let [start, end] = [-1, 3].map(|n| clock_time(plus(walk.now(), minutes(60 * n)), CHICAGO));
    walk.defaults(json!({"quiet_hours": {"start": start, "end": end}})).await;
    walk.outbound_call(ANA, "dial_busy");
    walk.request_callback(BEN, "Call me in 20 minutes.");
    let retry = walk.until_callback(ANA, "scheduled").await;
    assert_eq!(clock_time(time(&retry["scheduled_for"]), CHICAGO), end);
    walk.until_callback(BEN, "completed").await;
    assert!(walk.rings(BEN)[0].at_ms < time(&retry["scheduled_for"]).as_millisecond());
}

#[tokio::test(flavor = "multi_thread")]
async fn after_do_not_call_nothing_is_dialed_or_scheduled() {
    let walk = Walk::at_speed(Engine::Sqlite, 600).await;
    walk.request_callback(ANA, "Call me in five hours.");
    walk.until_callback(ANA, "scheduled").await;
    walk.outbound_call(ANA, "user_requested_dnc");
    walk.until_callback(ANA, "suppressed").await;
    let body = walk.new_callback(ANA, 60).await;
    let refusal = walk.request(Method::POST, "/v1/callbacks", Some(body), StatusCode::CONFLICT).await;
    assert_eq!(refusal["error"]["code"], "do_not_call");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_gets_the_reason_and_the_attempt_as_variables() {
    let walk = Walk::at_speed(Engine::Sqlite, 20_000).await;
    walk.outbound_call(ANA, "dial_busy");
    walk.until_settled(ANA, 1).await;
    let ring = walk.rings(ANA).pop().expect("dialed");
    let variables = ["redialer_redial_reason", "redialer_attempt", "redialer_is_final_attempt"];
    assert_eq!(variables.map(|name| ring.variable(name)), ["busy_followup", "1", "false"].map(Some));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_followed_by_a_text_from_the_same_agent() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        walk.request_text(ANA);
        walk.until_settled(ANA, 1).await;
        let text = walk.rings(ANA).pop().expect("texted");
        assert!(text.id.starts_with("chat_") && text.request["override_agent_id"] == CHAT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_with_a_wrong_signature_is_refused_and_not_recorded() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let now = walk.now().as_millisecond();
    let body = call_ended("call_1", "outbound", ANA, "dial_busy", now).to_string();
    for (key, status) in [("another key", 401), (KEY, 204)] {
        let signature = sign(key, body.as_bytes(), now);
        assert_eq!(walk.deliver_to(&walk.webhook_url, &body, &signature).await.0, status);
    }
    walk.until_decided(1).await;
    assert_eq!(walk.notes().await.len(), 0);
    assert_eq!(walk.callbacks().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_check_before_a_dial_is_explained() {
    for engine in engines() {
        let walk = Walk::at_speed(engine, 20_000).await;
        walk.request_callback(ANA, "Can you call me back tomorrow at 9 am?");
        let callback = walk.until_callback(ANA, "completed").await;
        let explanation = walk.explain(&callback).await;
        let gates = explanation["gates"].as_array().expect("a list").iter();
        let verdicts: Vec<_> = gates.map(|gate| format!("{} {}", gate["gate"], gate["verdict"])).collect();
        expect![[r#"
            "do_not_call" "pass"
            "agent" "pass"
            "observe" "pass"
            "attempts" "pass"
            "country" "pass"
            "due_time" "pass"
            "lateness" "pass"
            "quiet_time" "pass""#]]
        .assert_eq(&verdicts.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_masked_for_keys_without_the_scope_pii_read() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    walk.schedule(ANA, 60).await;
    let (_, key) = walk.create_key(json!({"name": "Desk", "workspace_id": walk.workspace})).await;
    assert_eq!(walk.list(&key, "/v1/callbacks?limit=200").await[0]["to_number"], "+1312•••••42");
    assert_eq!(walk.callbacks().await[0]["to_number"], ANA);
}
