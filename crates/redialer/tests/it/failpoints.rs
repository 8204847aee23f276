//! Every crash point on the real binary (failure-model §2): the process dies there, restarts, and the phone rings once.
//!
//! C11 and C12 are in forwarding, which does not exist yet; C14 is in purge and key rotation, likewise.

use futures_util::future::join_all;
use redialer_sim::retell::{Fault, Script, script::Behavior};

use crate::harness::{Engine, Walk, engines};

const LEO: &str = "+13055550177";

/// Where the process dies and, for a request in flight, what the provider does meanwhile.
const POINTS: [(&str, Fault); 11] = [
    ("C1", Fault::None),
    ("C2", Fault::None),
    ("C3", Fault::None),
    ("C4", Fault::None),
    ("C5", Fault::None),
    ("C6", Fault::Stall),
    ("C7", Fault::Silence),
    ("C8", Fault::None),
    ("C9", Fault::None),
    ("C10", Fault::None),
    // The first pass schedules the chain's first callback, the second one the retry.
    ("C13:2", Fault::None),
];

/// A busy line, a redial that is not answered, another redial: two rings, wherever the process dies.
async fn dies_at(engine: Engine, point: &'static str, fault: Fault) {
    let script = Script { slow_seconds: 1_500.0, ..Script::default() };
    // A short deadline, because requests of the dead process that may be in flight are waited for in real time.
    let settings = [("REDIALER_FAIL_AT", point), ("REDIALER_PLACE_DEADLINE_SECS", "2")];
    let mut walk = Walk::with_settings(engine, 900, script, &settings).await;
    walk.sim.set_person(LEO, vec![Behavior::ending("dial_no_answer"), Behavior::ending("user_hangup")]);
    walk.sim.fail_next(fault);
    walk.outbound_call(LEO, "dial_busy");
    walk.until_aborted().await;
    if fault == Fault::Stall {
        assert!(walk.rings(LEO).is_empty(), "{point}: the provider had not decided");
    }
    walk.unset("REDIALER_FAIL_AT");
    walk.serve().await;
    walk.until_settled(LEO, 2).await;
    walk.assert_rung_once_each();
    let rows = walk.callbacks().await;
    let outcomes: Vec<_> = rows.iter().map(|r| (r["state"].as_str(), r["attempt"].as_u64())).collect();
    assert_eq!(outcomes, [(Some("failed"), Some(1)), (Some("completed"), Some(2))], "{point} on {engine:?}");
    assert_eq!(rows[0]["chain_root_id"], rows[1]["chain_root_id"], "{point} on {engine:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_at_any_failpoint_rings_once() {
    for engine in engines() {
        // Mostly they wait: for the dead process's leases, and for calls.
        join_all(POINTS.map(|(point, fault)| dies_at(engine, point, fault))).await;
    }
}

/// Chats have no idempotency key: only the provider's lists show whether one was placed.
async fn chat_dies_at(point: &'static str, fault: Fault) {
    let settings = [("REDIALER_FAIL_AT", point), ("REDIALER_PLACE_DEADLINE_SECS", "1")];
    let script = Script { slow_seconds: 1_500.0, ..Script::default() };
    let mut walk = Walk::with_settings(Engine::Sqlite, 1_500, script, &settings).await;
    walk.sim.fail_next(fault);
    walk.request_text(LEO);
    walk.until_aborted().await;
    walk.unset("REDIALER_FAIL_AT");
    walk.serve().await;
    walk.until_settled(LEO, 1).await;
    let rows = walk.callbacks().await;
    assert_eq!((rows.len(), rows[0]["state"].as_str()), (1, Some("completed")), "{point}");
    assert_eq!(
        walk.sim.requests_to_place(),
        1,
        "{point}: a request that may have been placed is not repeated"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_texted_once_at_whichever_failpoint_the_process_dies() {
    let points = [("C5", Fault::None), ("C6", Fault::Stall), ("C7", Fault::Silence), ("C8", Fault::None)];
    join_all(points.map(|(point, fault)| chat_dies_at(point, fault))).await;
}
