//! The write-ahead log of the embedded database.

use crate::{
    engines::each,
    world::{World, about},
};

#[tokio::test]
async fn the_log_is_checkpointed_during_writes_and_restarts_from_its_beginning() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let log = engine.dir.path().join("test.db-wal");
        let length = || std::fs::metadata(&log).map_or(0, |file| file.len());
        for call in 0..8 {
            world.delivery("call_ended", &format!("c{call}")).await;
            engine.store.maintain().await.expect("copied");
        }
        let full = length();
        for call in 0..100 {
            let (name, minute) = (format!("d{call}"), 1);
            let event = world.delivery("call_ended", &name).await.event;
            let open = world.begin(about(event, &name, None), minute).await;
            engine.store.maintain().await.expect("an open transaction of another does not hold it up");
            drop(open);
        }
        assert!(length() <= 2 * full, "{}: {full} bytes became {}", engine.name, length());
    }
}

/// Up to SQLite 3.51.2 a checkpoint concurrent with a commit could skip pages that it had not copied (the "WAL-reset
/// bug" of <https://sqlite.org/wal.html>), and ours run concurrently with commits.
#[test]
fn the_library_has_no_wal_reset_bug() {
    assert!(rusqlite::version_number() >= 3_051_003, "SQLite {}", rusqlite::version());
}
