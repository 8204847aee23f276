//! Restores a backup that is older than the latest dials (I31): no person is called twice, no callback is lost.

use futures_util::future::join_all;
use redialer_core::time::{minutes, plus};
use redialer_sim::retell::script::Behavior;
use serde_json::Value;

use crate::harness::{Engine, Walk, engines};

/// Called before the restore, without an answer: a retry follows.
const ANN: &str = "+13055550101";
/// Called before the restore.
const BOB: &str = "+13055550102";
/// Due while no server runs.
const CAT: &str = "+13055550103";
/// Due long after the restore.
const DAN: &str = "+13055550104";
/// Promised only after the backup.
const EVA: &str = "+13055550105";

async fn schedule(walk: &Walk, person: &str, in_minutes: i64, behaviors: Vec<Behavior>) {
    walk.sim.set_person(person, behaviors);
    walk.schedule(person, in_minutes).await;
}

async fn everything_was_dialed_once(from: Engine, to: Engine) {
    let mut walk = Walk::at_speed(from, 600).await;
    let talks = || vec![Behavior::ending("user_hangup")];
    schedule(&walk, ANN, 60, vec![Behavior::ending("dial_no_answer"), Behavior::ending("user_hangup")]).await;
    schedule(&walk, BOB, 70, talks()).await;
    schedule(&walk, CAT, 100, talks()).await;
    schedule(&walk, DAN, 360, talks()).await;
    let file = walk.backup();
    walk.sim.set_person(EVA, talks());
    let call = walk.request_callback(EVA, "call me in 5 hours");
    walk.until("two calls, and a request", async |w: &Walk| {
        let rows = w.callbacks().await;
        let over = |person: &&str| w.rings(person).len() == 1;
        [ANN, BOB].iter().all(over) && rows.iter().any(|c| c["source_call_id"] == call.as_str())
    })
    .await;
    walk.kill();
    let restored_at = walk.now();
    let done = walk.restore(&file, to);
    assert!(done.status.success(), "{from:?} to {to:?}: {}", String::from_utf8_lossy(&done.stderr));
    walk.serve().await;
    let settled_at = plus(restored_at, minutes(11)).as_millisecond();
    walk.until_settled(ANN, 2).await;
    for person in [BOB, CAT, DAN, EVA] {
        walk.until_settled(person, 1).await;
    }
    walk.assert_rung_once_each();
    let after: Vec<_> =
        walk.sim.placed_calls().into_iter().filter(|r| r.at_ms > restored_at.as_millisecond()).collect();
    assert!(after.iter().all(|r| r.at_ms >= settled_at), "{from:?} to {to:?}: dialed before the proof");
    let rows = walk.callbacks().await;
    let kept = rows.iter().find(|c| c["source_call_id"] == call.as_str()).expect("found by the sweep");
    assert_eq!(kept["state"], "completed");
    let ends: Vec<&Value> = rows.iter().map(|c| &c["state"]).collect();
    assert_eq!(ends.iter().filter(|s| **s == "completed").count(), 5, "{from:?} to {to:?}: {ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_called_since_the_backup_are_not_called_again() {
    let mut ways = vec![(Engine::Sqlite, Engine::Sqlite)];
    if engines().contains(&Engine::Postgres) {
        ways.extend([(Engine::Postgres, Engine::Sqlite), (Engine::Sqlite, Engine::Postgres)]);
    }
    join_all(ways.into_iter().map(|(from, to)| everything_was_dialed_once(from, to))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_overwrites_nothing_and_needs_a_backup_and_its_key() {
    let mut walk = Walk::at_speed(Engine::Sqlite, 1).await;
    let file = walk.backup();
    let check = |done: &std::process::Output, expected: &str| {
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{expected}: {text}");
        assert!(text.contains(expected) && text.lines().count() == 1, "{expected}: {text}");
    };
    check(&walk.restore_here(&file), "another `redialer serve` is using");
    walk.kill();
    check(&walk.restore_here(&file), "exists");
    let nonsense = walk.beside("nonsense");
    std::fs::write(&nonsense, "no backup").expect("written");
    let live = walk.beside("live");
    std::fs::copy(walk.data_dir().join("redialer.db"), &live).expect("copied");
    for other in [&nonsense, &live] {
        check(&walk.restore(other, Engine::Sqlite), "is not a backup");
    }
    check(&walk.restore(&walk.beside("nowhere"), Engine::Sqlite), "does not exist");
    assert!(walk.restore(&file, Engine::Sqlite).status.success(), "and then it works");
    if engines().contains(&Engine::Postgres) {
        assert!(walk.restore(&file, Engine::Postgres).status.success());
        check(&walk.restore_here(&file), "already contains tenants");
    }
    std::fs::remove_file(walk.data_dir().join("kek")).expect("removed");
    check(&walk.restore_here(&file), "kek");
}
