//! Shutdowns, restarts and several replicas: each callback is dialed once.

use futures_util::future::join_all;
use redialer_sim::retell::{Fault, Script};

use crate::harness::{Engine, Walk, engines};

const EVE: &str = "+13055550188";

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_database_file_refuses_to_start() {
    let walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let second = walk.serve_second();
    assert_eq!(second.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(stderr.contains("another `redialer serve` is using") && stderr.lines().count() == 1, "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_dial_each_callback_once_and_survive_each_other() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let mut walk = Walk::at_speed(Engine::Postgres, 120).await;
    walk.add_replica();
    walk.add_replica();
    let people: Vec<String> = (0..30).map(|i| format!("+141555501{i:02}")).collect();
    for (i, person) in people.iter().enumerate() {
        walk.schedule(person, 2 + i as i64 / 3).await;
    }
    walk.until("some calls", async |w: &Walk| w.sim.placed_calls().len() > 3).await;
    walk.kill();
    walk.serve().await;
    walk.until("all calls, all ended", async |w: &Walk| {
        w.sim.placed_calls().len() >= people.len()
            && w.callbacks().await.iter().all(|c| c["state"] == "completed")
    })
    .await;
    for person in &people {
        assert_eq!(walk.rings(person).len(), 1, "{person}");
    }
}

async fn shuts_down_while_dialing(engine: Engine, fault: Fault) {
    // Two real seconds.
    let script = Script { slow_seconds: 1_200.0, ..Script::default() };
    let mut walk = Walk::with_script(engine, 600, script).await;
    walk.sim.fail_next(fault);
    walk.request_callback(EVE, "try me in half an hour");
    walk.until("the request", async |w: &Walk| w.sim.requests_to_place() == 1).await;
    walk.send_sigterm();
    walk.until_cut_off("it to be no longer ready", async |w: &Walk| !w.is_ready(&w.base).await).await;
    assert!(walk.is_running(), "the dial is waited for");
    let status = walk.until_ended().await;
    assert_eq!(status.code(), Some(0), "{fault:?} on {engine:?}");
    assert_eq!(walk.rings(EVE).len(), 1, "{fault:?}: it ended only after the answer");
    walk.serve().await;
    walk.until_settled(EVE, 1).await;
    assert_eq!(walk.sim.requests_to_place(), 1, "{fault:?} on {engine:?}: the answer was recorded");
    assert_eq!(walk.callbacks().await[0]["state"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_for_the_dial_in_progress() {
    for engine in engines() {
        join_all([Fault::Late, Fault::Stall].map(|fault| shuts_down_while_dialing(engine, fault))).await;
    }
}
