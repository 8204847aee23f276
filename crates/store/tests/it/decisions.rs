//! Decisions about recorded events: a batch is read, decided and written in one transaction.

use std::pin::pin;

use redialer_core::{callback::State, decide::AfterCall};
use redialer_store::{Decided, EventRow, Known, Store, StoreError, TenantKey};

use crate::{
    engines::each,
    world::{World, about, at, follow, pending, secrets},
};

/// Schedules a callback for the person in an hour, unless one is already waiting.
fn follow_once(known: &Known) -> AfterCall {
    let live = known.person.as_ref().map(|person| person.live.as_slice()).unwrap_or_default();
    match live.iter().any(|live| live.state == State::Scheduled) {
        true => AfterCall { analyzed: true, ..AfterCall::default() },
        false => follow(known, 60),
    }
}

/// Decides all pending events, at most `max` at once, each of another person.
async fn decide_pending(world: &World, store: &Store, persons: usize, max: usize) {
    let key = store.open_key(world.tenant).await.expect("opened");
    let rows = pending(store, at(1_000), 1_000).await;
    for rows in rows.chunks(max) {
        let of = |i: usize| Some(key.index(&format!("+1415555010{}", i % persons)));
        let events: Vec<_> = rows.iter().enumerate().map(|(i, row)| (row.event, of(i))).collect();
        while let Err(error) = decide_some(world, store, &events, &key).await {
            assert!(error.is_contention(), "{error:?}");
        }
    }
}

/// Decides these events, each of its own call.
async fn decide_some(
    world: &World,
    store: &Store,
    events: &[(EventRow, Option<[u8; 16]>)],
    key: &TenantKey,
) -> Result<(), StoreError> {
    let calls: Vec<String> = events.iter().map(|(event, _)| event.id.to_string()).collect();
    let keys = events.iter().zip(&calls).map(|((event, person), call)| about(*event, call, *person));
    let decisions = store.begin_decisions(keys.collect(), at(0)).await?;
    let secrets = secrets();
    let decided = decisions.known().iter().map(|known| {
        let (after, next) = (follow_once(known.as_ref()?), world.next(&secrets));
        Some(Decided { after, next: Some(next), number: None, outcome: None, key })
    });
    let decided: Vec<_> = decided.collect();
    decisions.finish(&decided, &world.rng).await
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
async fn a_batch_is_decided_like_its_events_one_by_one() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        record_ended(&world, 9).await;
        decide_pending(&world, &engine.store, 9, 9).await;
        assert_eq!(world.callbacks().await.len(), 9, "{}", engine.name);
        assert!(pending(&engine.store, at(1_000), 10).await.is_empty());
    }
}

#[tokio::test]
async fn a_failed_batch_leaves_no_changes() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        record_ended(&world, 2).await;
        let key = engine.store.open_key(world.tenant).await.expect("opened");
        let rows = pending(&engine.store, at(1_000), 10).await;
        let person = Some(key.index(crate::world::NUMBER));
        let keys = vec![about(rows[0].event, "c0", person), about(rows[1].event, "c1", person)];
        let decisions = engine.store.begin_decisions(keys, at(0)).await.expect("begun");
        let secrets = secrets();
        // Two promises to one person violate a constraint of the database.
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
        let refused = decisions.finish(&decided, &world.rng).await.expect_err("one promise a person");
        assert!(refused.is_contention(), "{}: {refused:?}", engine.name);
        assert!(world.callbacks().await.is_empty());
        assert_eq!(pending(&engine.store, at(1_000), 10).await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_decisions_about_three_persons_leave_three_waiting_callbacks() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        record_ended(&world, 60).await;
        // Each of them reads all events and decides those that are still pending.
        let deciders = (0..4).map(|_| decide_pending(&world, &engine.store, 3, 3));
        futures_util::future::join_all(deciders).await;
        assert_eq!(world.callbacks().await.len(), 3, "{}", engine.name);
        assert!(pending(&engine.store, at(1_000), 10).await.is_empty(), "nothing is lost");
    }
}

/// Records two events of one call and does not decide them.
async fn two_events_of(world: &World, call: &'static str) -> [EventRow; 2] {
    let (inbox, _writer) = redialer_store::Inbox::start(world.store.clone());
    for event in ["call_ended", "call_analyzed"] {
        inbox.record(world.event(event, call).await).await.expect("recorded");
    }
    let mut rows = pending(&world.store, at(1_000), 10).await;
    rows.retain(|row| row.event.tenant == world.tenant);
    [rows[0].event, rows[1].event]
}

/// The calls of two events, and whether the events share a person instead of a call.
const SHARED: [([&str; 2], bool); 2] = [(["c0", "c0"], false), (["c1", "c2"], true)];

/// The first decision, and a check whether the second decision sees its effect.
fn reached() -> (AfterCall, impl Fn(&Known) -> bool) {
    let after = AfterCall { settled: true, reached_at: Some(at(7)), ..AfterCall::default() };
    let knows = |known: &Known| match &known.person {
        Some(person) => person.reached_at == Some(at(7)),
        None => known.seen.settled,
    };
    (after, knows)
}

#[tokio::test]
async fn decisions_about_a_known_call_or_person_wait_for_each_other() {
    const WAITING: &str = "select count(*)::text from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock'";
    for engine in each().await {
        // On SQLite every decision waits for the one writer.
        if engine.url.is_none() {
            continue;
        }
        let mut beside = engine.connection().await;
        for (seed, (calls, by_person)) in (1..).zip(SHARED) {
            let world = World::new(&engine.store, seed).await;
            let key = engine.store.open_key(world.tenant).await.expect("opened");
            world.decide("call_started", "c0", |_| AfterCall::default()).await;
            let person = by_person.then(|| key.index(crate::world::NUMBER));
            let events = two_events_of(&world, "c0").await;
            let [first, second] = [0, 1].map(|i| about(events[i], calls[i], person));
            let (decisions, _) = world.begin(first, 0).await.expect("open");
            let mut other = pin!(world.begin(second, 0));
            loop {
                tokio::select! {
                    _ = other.as_mut() => panic!("it did not wait"),
                    waiting = beside.texts(WAITING) => if waiting == ["1"] { break },
                }
            }
            let (after, knows) = reached();
            world.finish(decisions, after, &secrets(), &key).await.expect("finished");
            let (_, known) = other.await.expect("open");
            assert!(knows(&known), "it knows what was decided meanwhile: {known:?}");
        }
    }
}

#[tokio::test]
async fn of_two_decisions_about_a_new_call_or_person_the_second_is_repeated() {
    for engine in each().await {
        // On SQLite every decision waits for the one writer.
        if engine.url.is_none() {
            continue;
        }
        for (seed, (calls, by_person)) in (1..).zip(SHARED) {
            let world = World::new(&engine.store, seed).await;
            let key = engine.store.open_key(world.tenant).await.expect("opened");
            let person = by_person.then_some([7; 16]);
            let events = two_events_of(&world, "c0").await;
            let [first, second] = [0, 1].map(|i| world.begin(about(events[i], calls[i], person), 0));
            let ((first, _), (second, known)) = (first.await.expect("open"), second.await.expect("open"));
            let (after, knows) = reached();
            assert!(!knows(&known), "{known:?}");
            world.finish(first, after, &secrets(), &key).await.expect("finished");
            let nothing = AfterCall::default();
            let refused =
                world.finish(second, nothing, &secrets(), &key).await.expect_err("it knew too little");
            assert!(refused.is_contention(), "{refused:?}");
            let (_, known) = world.begin(about(events[1], calls[1], person), 0).await.expect("open");
            assert!(knows(&known), "{known:?}");
        }
    }
}
