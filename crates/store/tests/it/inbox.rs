//! The inbox: an event is durable before the response, and recorded once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use futures_util::future::join_all;
use redialer_store::{ActivityFilter, FailPoint, Faults, Inbox, Passing, Recorded, Verdict};

use crate::{
    engines::each,
    world::{World, at},
};

#[tokio::test]
async fn a_duplicate_event_changes_nothing() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        assert_eq!(
            inbox.record(world.event("call_ended", "c1").await).await.expect("recorded"),
            Recorded::New
        );
        for _ in 0..3 {
            assert_eq!(
                inbox.record(world.event("call_ended", "c1").await).await.expect("recorded"),
                Recorded::Duplicate
            );
        }
        assert_eq!(
            inbox.record(world.event("call_analyzed", "c1").await).await.expect("recorded"),
            Recorded::New
        );
        assert_eq!(crate::world::pending(&engine.store, at(1), 100).await.len(), 2, "{}", engine.name);
    }
}

#[tokio::test]
async fn concurrent_events_are_each_recorded_once() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (inbox, writer) = Inbox::start(engine.store.clone());
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..300 {
            let event = world.event("call_ended", &format!("c{}", i % 100)).await;
            let inbox = inbox.clone();
            tasks.spawn(async move { inbox.record(event).await.expect("recorded") });
        }
        let answers = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|a| **a == Recorded::New).count(), 100, "{}", engine.name);
        drop(inbox);
        writer.await.expect("the writer ends with its last sender");
        assert_eq!(crate::world::pending(&engine.store, at(1), 1_000).await.len(), 100);
    }
}

#[tokio::test]
async fn a_failing_event_is_retried_and_then_set_aside() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let row = world.delivery("call_ended", "c1").await;
        engine.store.postpone_event(&row.event, Some(at(10)), "set_aside").await.expect("put off");
        assert!(crate::world::pending(&engine.store, at(9), 10).await.is_empty());
        let row = crate::world::pending(&engine.store, at(10), 10).await.pop().expect("due again");
        assert_eq!(row.event.tries, 1);
        engine.store.postpone_event(&row.event, None, "set_aside").await.expect("set aside");
        assert!(crate::world::pending(&engine.store, at(1_000), 10).await.is_empty());
        let first = (redialer_core::Timestamp::MAX, uuid::Uuid::max());
        let feed = world.tenant_store().activity(&ActivityFilter::default(), first, 10).await.expect("read");
        assert_eq!((feed[0].state.as_str(), feed[0].notes.as_str()), ("quarantined", "set_aside"));
    }
}

async fn feed(world: &World) -> Vec<(String, bool)> {
    let first = (redialer_core::Timestamp::MAX, uuid::Uuid::max());
    let rows = world.tenant_store().activity(&ActivityFilter::default(), first, 1_000).await.expect("read");
    rows.into_iter().map(|row| (row.state, row.callback.is_some())).collect()
}

#[tokio::test]
async fn an_invalid_event_fails_alone() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        let first = world.event("call_ended", "c0").await;
        let id = first.event.id;
        inbox.record(first).await.expect("recorded");
        let mut batch = Vec::new();
        for i in 1..=20 {
            batch.push(world.event("call_ended", &format!("c{i}")).await);
        }
        // A row with the id of another one is rejected, and on Postgres so is a text with a NUL.
        batch[7].event.id = id;
        batch[8].name = "call_\0ended".to_owned();
        let answers = join_all(batch.into_iter().map(|delivery| inbox.record(delivery))).await;
        let failed: Vec<_> = (0..20).filter(|i| answers[*i].is_err()).collect();
        assert_eq!(failed, if engine.url.is_some() { vec![7, 8] } else { vec![7] }, "{}", engine.name);
        assert_eq!(feed(&world).await.len(), 1 + 20 - failed.len(), "{}", engine.name);
    }
}

#[tokio::test]
async fn two_replicas_that_get_copies_of_the_same_events_record_each_once() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (one, _writer) = Inbox::start(engine.store.clone());
        let (other, _writer) = Inbox::start(engine.store.clone());
        let mut answers = Vec::new();
        for i in 0..100 {
            let call = format!("c{i}");
            let (event, copy) =
                (world.event("call_ended", &call).await, world.event("call_ended", &call).await);
            answers.push(async { tokio::join!(one.record(event), other.record(copy)) });
        }
        for (one, other) in join_all(answers).await {
            let new = [one.expect("recorded"), other.expect("recorded")];
            assert_eq!(new.iter().filter(|new| **new == Recorded::New).count(), 1, "{}", engine.name);
        }
        assert_eq!(feed(&world).await.len(), 100, "{}", engine.name);
    }
}

/// A disk without space, or a database that rejects every commit.
#[derive(Default)]
struct NoRoom(AtomicBool);

impl Faults for NoRoom {
    fn at(&self, point: FailPoint) -> Passing<'_> {
        let fails = point == FailPoint::BeforeCommit && self.0.load(Relaxed);
        Box::pin(async move { if fails { Verdict::Fail } else { Verdict::Go } })
    }
}

#[tokio::test]
async fn a_store_reports_failing_commits_until_one_succeeds() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let full = Arc::new(NoRoom::default());
        let store = engine.store.clone().with_faults(Arc::<NoRoom>::clone(&full));
        let (inbox, _writer) = Inbox::start(store.clone());
        assert!(store.can_write().await, "{}", engine.name);
        full.0.store(true, Relaxed);
        assert!(inbox.record(world.event("call_ended", "c1").await).await.is_err());
        assert!(!store.can_write().await, "{}", engine.name);
        full.0.store(false, Relaxed);
        assert!(store.can_write().await, "{}", engine.name);
        inbox.record(world.event("call_ended", "c1").await).await.expect("recorded");
    }
}
