//! Decisions about recorded events: a batch is read, decided and written in one transaction.

use std::pin::pin;

use redialer_core::{callback::State, decide::AfterCall};
use redialer_store::{Decided, Known, Store};

use crate::{
    engines::each,
    world::{World, about, at, follow, pending, secrets},
};

/// Schedules a callback for the person in an hour, unless one waits already.
fn follow_once(known: &Known) -> AfterCall {
    let live = known.person.as_ref().map(|person| person.live.as_slice()).unwrap_or_default();
    match live.iter().any(|live| live.state == State::Scheduled) {
        true => AfterCall { analyzed: true, ..AfterCall::default() },
        false => follow(known, 60),
    }
}

/// Decides all that waits, at most `max` events at once, each of another person.
async fn decide_pending(world: &World, store: &Store, persons: usize, max: usize) {
    let key = store.open_key(world.tenant).await.expect("opened");
    let secrets = secrets();
    let rows = pending(store, at(1_000), 1_000).await;
    for rows in rows.chunks(max) {
        let calls: Vec<String> = rows.iter().map(|row| row.event.id.to_string()).collect();
        let keys = rows.iter().zip(&calls).enumerate().map(|(i, (row, call))| {
            about(row.event, call, Some(key.index(&format!("+1415555010{}", i % persons))))
        });
        let decisions = store.begin_decisions(keys.collect(), at(0)).await.expect("begun");
        let decided: Vec<_> = decisions
            .known()
            .iter()
            .map(|known| {
                let next = world.next(&secrets);
                let after = follow_once(known.as_ref()?);
                Some(Decided { after, next: Some(next), number: None, outcome: None, key: &key })
            })
            .collect();
        decisions.finish(&decided, &world.chance).await.expect("finished");
    }
}

async fn record_ended(world: &World, calls: usize) {
    let (inbox, _writer) = redialer_store::Inbox::start(world.store.clone());
    for i in 0..calls {
        inbox.record(world.event("call_ended", &format!("c{i}")).await).await.expect("recorded");
    }
}

#[tokio::test]
async fn an_event_is_decided_once() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let event = world.delivery("call_ended", "c1").await.event;
        let key = engine.store.open_key(world.tenant).await.expect("opened");
        let (decisions, _) = world.begin(about(event, "c1", None), 0).await.expect("open");
        let nothing = AfterCall::default();
        world.finish(decisions, nothing, &secrets(), &key).await.expect("finished");
        assert!(world.begin(about(event, "c1", None), 0).await.is_none(), "{}", engine.name);
    }
}

#[tokio::test]
async fn a_batch_is_decided_as_its_events_one_by_one() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        record_ended(&world, 9).await;
        decide_pending(&world, &engine.store, 9, 9).await;
        assert_eq!(world.callbacks().await.len(), 9, "{}", engine.name);
        assert!(pending(&engine.store, at(1_000), 10).await.is_empty());
    }
}

#[tokio::test]
async fn what_fails_leaves_nothing_of_its_batch() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        record_ended(&world, 2).await;
        let key = engine.store.open_key(world.tenant).await.expect("opened");
        let rows = pending(&engine.store, at(1_000), 10).await;
        let person = Some(key.index(crate::world::NUMBER));
        let keys = vec![about(rows[0].event, "c0", person), about(rows[1].event, "c1", person)];
        let decisions = engine.store.begin_decisions(keys, at(0)).await.expect("begun");
        let secrets = secrets();
        // Two promises to one person: the database itself refuses.
        let decided = decisions.known().iter().flatten().map(|known| {
            let next = world.next(&secrets);
            Some(Decided {
                after: follow(known, 60),
                next: Some(next),
                number: None,
                outcome: None,
                key: &key,
            })
        });
        let decided: Vec<_> = decided.collect();
        let refused = decisions.finish(&decided, &world.chance).await.expect_err("one promise a person");
        assert!(refused.is_contention(), "{}: {refused:?}", engine.name);
        assert!(world.callbacks().await.is_empty());
        assert_eq!(pending(&engine.store, at(1_000), 10).await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_deciders_of_three_persons_at_once_three_callbacks_wait() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        record_ended(&world, 60).await;
        // Each sees all events and decides those that nobody has decided yet.
        let deciders = (0..4).map(|_| decide_pending(&world, &engine.store, 3, 3));
        futures_util::future::join_all(deciders).await;
        assert_eq!(world.callbacks().await.len(), 3, "{}", engine.name);
        assert!(pending(&engine.store, at(1_000), 10).await.is_empty(), "nothing is lost");
    }
}

#[tokio::test]
async fn who_decides_about_a_new_call_makes_others_wait() {
    const WAITING: &str = "select count(*)::text from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'";
    for engine in each().await {
        // On SQLite everybody waits for the one writer.
        if engine.url.is_none() {
            continue;
        }
        let world = World::new(&engine.store, 1).await;
        record_ended(&world, 1).await;
        let (inbox, _writer) = redialer_store::Inbox::start(engine.store.clone());
        inbox.record(world.event("call_analyzed", "c0").await).await.expect("recorded");
        let rows = pending(&engine.store, at(1_000), 10).await;
        let [ended, analyzed] = [0, 1].map(|i| about(rows[i].event, "c0", None));
        let (decisions, _) = world.begin(ended, 0).await.expect("open");
        let mut other = pin!(world.begin(analyzed, 0));
        let mut beside = engine.connection().await;
        loop {
            tokio::select! {
                _ = other.as_mut() => panic!("it did not wait"),
                waiting = beside.texts(WAITING) => if waiting == ["1"] { break },
            }
        }
        let key = engine.store.open_key(world.tenant).await.expect("opened");
        let after = AfterCall { settled: true, ..AfterCall::default() };
        world.finish(decisions, after, &secrets(), &key).await.expect("finished");
        let (_, known) = other.await.expect("open");
        assert!(known.seen.settled, "it knows what was decided meanwhile");
    }
}
