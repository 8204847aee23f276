//! Time never runs backward, even across restarts.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use jiff::SignedDuration;
use redialer::clock::{Clock, ManualClock};
use redialer_core::{rng::Rng, time::plus};
use redialer_store::{Kek, Store};

use crate::harness::{Engine, Walk, time};

const TRUE_MS: i64 = 1_790_000_000_000;

/// A machine whose clock is `ahead_ms` milliseconds fast.
fn machine(ahead_ms: i64) -> ManualClock {
    ManualClock { wall: Arc::new(AtomicI64::new(TRUE_MS + ahead_ms)), steady: Arc::default() }
}

#[tokio::test]
async fn after_a_restart_with_a_corrected_clock_time_continues_where_it_was() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::sqlite(&dir.path().join("clock.db"), Kek::from_bytes([1; 32])).await.expect("opened");
    store.migrate(&Rng::seeded([1; 32])).await.expect("migrated");

    let ahead = machine(600_000);
    let clock = Clock::manual(ahead.clone());
    clock.join(&store).await.expect("joined");
    for of in [&ahead.wall, &ahead.steady] {
        of.fetch_add(60_000, Relaxed);
    }
    clock.keep(&store).await.expect("stored");
    let before = clock.now();

    let right = machine(61_000);
    let restarted = Clock::manual(right.clone());
    restarted.join(&store).await.expect("joined");
    assert_eq!(restarted.now(), before);
    for of in [&right.wall, &right.steady] {
        of.fetch_add(10_000, Relaxed);
    }
    assert_eq!(
        restarted.now(),
        plus(before, SignedDuration::from_secs(5)),
        "at half speed until it is true again"
    );
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
