//! The inbox: durable before anybody is answered, once each.

use redialer_store::{ActivityFilter, Inbox, Recorded};

use crate::{
    engines::each,
    world::{World, at, later},
};

#[tokio::test]
async fn a_second_copy_changes_nothing() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        assert_eq!(
            inbox.record(later(world.event("call_ended", "c1").await)).await.expect("recorded"),
            Recorded::New
        );
        for _ in 0..3 {
            assert_eq!(
                inbox.record(later(world.event("call_ended", "c1").await)).await.expect("recorded"),
                Recorded::Seen
            );
        }
        assert_eq!(
            inbox.record(later(world.event("call_analyzed", "c1").await)).await.expect("recorded"),
            Recorded::New
        );
        assert_eq!(crate::world::pending(&engine.store, at(1), 100).await.len(), 2, "{}", engine.name);
    }
}

#[tokio::test]
async fn many_at_once_are_each_recorded_once() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (inbox, writer) = Inbox::start(engine.store.clone());
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..300 {
            let event = world.event("call_ended", &format!("c{}", i % 100)).await;
            let inbox = inbox.clone();
            tasks.spawn(async move { inbox.record(later(event)).await.expect("recorded") });
        }
        let answers = tasks.join_all().await;
        assert_eq!(answers.iter().filter(|a| **a == Recorded::New).count(), 100, "{}", engine.name);
        drop(inbox);
        writer.await.expect("the writer ends with its last sender");
        assert_eq!(crate::world::pending(&engine.store, at(1), 1_000).await.len(), 100);
    }
}

#[tokio::test]
async fn a_failing_event_is_put_off_and_then_aside() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let row = world.delivery("call_ended", "c1").await;
        engine.store.retry_delivery(&row, Some(at(10)), "set_aside").await.expect("put off");
        assert!(crate::world::pending(&engine.store, at(9), 10).await.is_empty());
        let row = crate::world::pending(&engine.store, at(10), 10).await.pop().expect("due again");
        assert_eq!(row.tries, 1);
        engine.store.retry_delivery(&row, None, "set_aside").await.expect("set aside");
        assert!(crate::world::pending(&engine.store, at(1_000), 10).await.is_empty());
        let first = (redialer_core::Timestamp::MAX, uuid::Uuid::max());
        let feed = world.of().activity(&ActivityFilter::default(), first, 10).await.expect("read");
        assert_eq!((feed[0].state.as_str(), feed[0].notes.as_str()), ("aside", "set_aside"));
    }
}

#[tokio::test]
async fn a_delivery_is_decided_once() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let row = world.delivery("call_ended", "c1").await;
        let subject = || redialer_store::Subject {
            delivery: &row,
            call_id: "c1",
            person_ix: None,
            redial: None,
            channel: redialer_core::agent::Channel::Voice,
        };
        let (decision, _) =
            engine.store.begin_decision(subject(), at(0)).await.expect("begun").expect("open");
        let key = engine.store.open_key(world.tenant).await.expect("opened");
        let nobody = redialer_store::SpokenWith { number: None, outcome: None };
        decision
            .finish(&redialer_core::decide::AfterCall::default(), None, &nobody, &key, &world.chance)
            .await
            .expect("finished");
        assert!(
            engine.store.begin_decision(subject(), at(0)).await.expect("asked").is_none(),
            "{}",
            engine.name
        );
    }
}
