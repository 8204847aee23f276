//! Refused, lost, late or misleading responses: the phone rings at most once, and the outcome is settled (failure-model §2).

use futures_util::future::join_all;
use redialer_sim::retell::{Fault, Script};

use crate::harness::{Engine, Walk};

const MAX: &str = "+13055550166";

/// Faults after which the provider has placed the call, regardless of its reply.
const PLACED: [Fault; 6] =
    [Fault::ErrorAfter, Fault::DropReply, Fault::HtmlOk, Fault::Silence, Fault::Late, Fault::Stall];
/// Faults after which the provider has not placed the call, without a clear refusal.
const NOT_PLACED: [Fault; 3] = [Fault::ErrorBefore, Fault::DropRequest, Fault::Html];

/// Requests time out after a second; late answers arrive two seconds after their request.
async fn walk(speed: u32) -> Walk {
    let script = Script { slow_seconds: 2.0 * f64::from(speed), ..Script::default() };
    Walk::with_settings(Engine::Sqlite, speed, script, &[("REDIALER_PLACE_DEADLINE_SECS", "1")]).await
}

/// One ring, one callback, and one spent attempt.
async fn assert_settled(walk: &Walk, fault: Fault) {
    walk.until_settled(MAX, 1).await;
    walk.assert_rung_once_each();
    let rows = walk.callbacks().await;
    assert_eq!((rows.len(), rows[0]["state"].as_str()), (1, Some("completed")), "{fault:?}");
    assert_eq!(rows[0]["attempt"], 1, "{fault:?}");
}

async fn call_despite(fault: Fault) {
    let walk = walk(600).await;
    walk.sim.fail_next(fault);
    walk.request_callback(MAX, "try me in half an hour");
    assert_settled(&walk, fault).await;
    let requests = walk.sim.requests_to_place();
    assert!(requests <= 2, "{fault:?}: the same request at most once more, under its key: {requests}");
    let key = walk.rings(MAX)[0].request["idempotency_key"].clone();
    assert_eq!(walk.rings(MAX)[0].request["metadata"]["redialer_dispatch"], key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_response_is_lost_rings_once() {
    join_all(PLACED.map(call_despite)).await;
    join_all(NOT_PLACED.map(call_despite)).await;
}

async fn chat_despite(fault: Fault, requests: usize) {
    let walk = walk(1_500).await;
    walk.sim.fail_next(fault);
    walk.request_text(MAX);
    assert_settled(&walk, fault).await;
    assert_eq!(walk.rings(MAX)[0].request.get("idempotency_key"), None);
    assert_eq!(walk.sim.requests_to_place(), requests, "{fault:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_whose_response_is_lost_is_texted_once() {
    join_all(PLACED.map(|fault| chat_despite(fault, 1))).await;
}

/// The provider's lists prove that the chat was not placed; then a second request, with its own dispatch, is due.
#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_placed_again_once_the_lists_prove_that_it_was_not_placed() {
    join_all(NOT_PLACED.map(|fault| chat_despite(fault, 2))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_list_does_not_prove_that_nothing_was_placed() {
    let walk = walk(1_500).await;
    walk.sim.edit_script(|script| script.lists_fail = true);
    walk.sim.fail_next(Fault::DropRequest);
    walk.request_text(MAX);
    let state = async |w: &Walk| w.callbacks().await.first().map(|c| c["state"].clone());
    walk.until("a doubt", async |w: &Walk| state(w).await.is_some_and(|s| s == "unconfirmed")).await;
    let doubted = walk.now();
    let two_hours = redialer_core::time::minutes(120);
    walk.until("two hours", async |w: &Walk| w.now() > redialer_core::time::plus(doubted, two_hours)).await;
    assert_eq!(state(&walk).await.expect("there is one"), "unconfirmed");
    assert_eq!(walk.sim.requests_to_place(), 1);
    walk.sim.edit_script(|script| script.lists_fail = false);
    assert_settled(&walk, Fault::DropRequest).await;
    assert_eq!(walk.sim.requests_to_place(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_may_pass_spends_no_attempt_and_a_final_one_closes_the_callback() {
    for fault in [Fault::Throttled, Fault::Payment, Fault::Key] {
        let walk = Walk::at_speed(Engine::Sqlite, 2_000).await;
        walk.sim.fail_next(fault);
        walk.request_callback(MAX, "try me in half an hour");
        walk.until_settled(MAX, 1).await;
        assert_eq!(walk.callbacks().await[0]["attempt"], 1, "{fault:?} spends nothing");
    }
    for (fault, state) in [(Fault::DoNotCall, "suppressed"), (Fault::Unprocessable, "failed")] {
        let walk = Walk::at_speed(Engine::Sqlite, 2_000).await;
        walk.sim.fail_next(fault);
        walk.request_callback(MAX, "try me in half an hour");
        walk.until("the end", async |w: &Walk| {
            w.callbacks().await.first().is_some_and(|c| c["state"] == state)
        })
        .await;
        assert!(walk.rings(MAX).is_empty(), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_without_a_response_is_settled_by_its_webhooks() {
    let walk =
        Walk::with_script(Engine::Sqlite, 2_000, Script { chat_silence_seconds: 600.0, ..Script::default() })
            .await;
    walk.sim.fail_next(Fault::DropReply);
    walk.request_text(MAX);
    walk.until_settled(MAX, 1).await;
    assert_eq!(walk.callbacks().await[0]["state"], "completed");
    assert_eq!(walk.sim.requests_to_place(), 1, "without an idempotency key nothing is repeated");
}
