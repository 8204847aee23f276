//! Fresh webhooks: recorded and decided in one commit, or recorded alone.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use futures_util::future::join_all;
use redialer_core::{Id, Timestamp, callback::State, chance::Chance, decide::AfterCall, id};
use redialer_store::{
    ActivityFilter, Arrival, Decided, Decider, Faults, Following, Fresh, Inbox, KnownCall, KnownCase,
    Passing, Point, Reading, Recorded, Secrets, TenantKey, Verdict,
};

use sqlx::{Connection as _, PgConnection};

use crate::{
    engines::each,
    world::{World, at, follow, later, secrets},
};

/// Schedules a callback for the person in an hour, unless one waits already; or panics.
struct Asked {
    key: TenantKey,
    chance: Chance,
    id: Id<id::Callback>,
    agent: Id<id::Agent>,
    secrets: Secrets,
    panics: bool,
    /// What somebody else writes between its reading and its writing: a database, a statement, and how often.
    meanwhile: Option<Meanwhile>,
}

struct Meanwhile {
    url: String,
    sql: &'static str,
    left: AtomicU32,
}

impl Meanwhile {
    fn pass(&self) {
        if self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            write_beside(&self.url, self.sql);
        }
    }
}

impl Decider for Asked {
    fn decide(&self, known: &KnownCase) -> Decided<'_> {
        assert!(!self.panics, "this event cannot be decided");
        if let Some(meanwhile) = &self.meanwhile {
            meanwhile.pass();
        }
        let person = known.person.clone().unwrap_or_default();
        let waits = person.live.iter().any(|live| live.state == State::Scheduled);
        let known = KnownCall { seen: known.seen.clone(), redial: None, person: Some(person) };
        let after =
            if waits { AfterCall { analyzed: true, ..AfterCall::default() } } else { follow(&known, 60) };
        Decided {
            after,
            following: Some(Following {
                id: self.id,
                agent: self.agent,
                channel: redialer_core::agent::Channel::Voice,
                secrets: &self.secrets,
                promise_scope: None,
            }),
            sealed: None,
            number: None,
            now: at(0),
        }
    }

    fn key(&self) -> &TenantKey {
        &self.key
    }

    fn chance(&self) -> &Chance {
        &self.chance
    }
}

/// Somebody else's transaction, over before this returns.
fn write_beside(url: &str, sql: &'static str) {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connection = PgConnection::connect(url).await.expect("connected");
            let done = sqlx::query(sql).execute(&mut connection).await.expect("written");
            assert_eq!(done.rows_affected(), 1, "{sql}");
        });
    };
    std::thread::scope(|scope| scope.spawn(work).join().expect("written"));
}

async fn fresh(world: &World, event: &str, call: &str, number: &str, panics: bool) -> Arrival {
    fresh_while(world, (event, call, number), panics, None).await
}

async fn fresh_while(
    world: &World,
    (event, call, number): (&str, &str, &str),
    panics: bool,
    meanwhile: Option<Meanwhile>,
) -> Arrival {
    let key = world.store.open_key(world.tenant).await.expect("opened");
    let person_ix = Some(key.index(number));
    let decider = Asked {
        key,
        chance: Chance::seeded(world.chance.bytes()),
        id: Id::new(at(0), &world.chance),
        agent: world.agent.id,
        secrets: secrets(),
        panics,
        meanwhile,
    };
    let reading = Reading::Fresh(Fresh {
        call_id: call.to_owned(),
        person_ix,
        channel: redialer_core::agent::Channel::Voice,
        decider: Box::new(decider),
    });
    Arrival { delivery: world.event(event, call).await, reading }
}

async fn feed(world: &World) -> Vec<(String, bool)> {
    let first = (Timestamp::MAX, uuid::Uuid::max());
    let rows = world.of().activity(&ActivityFilter::default(), first, 1_000).await.expect("read");
    rows.into_iter().map(|row| (row.state, row.callback.is_some())).collect()
}

#[tokio::test]
async fn a_fresh_event_is_decided_where_it_is_recorded() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        let one = |event, call| fresh(&world, event, call, "+14155550101", false);
        let decided = inbox.record(one("call_ended", "c1").await).await.expect("recorded");
        assert!(matches!(decided, Recorded::Decided(after) if after.follow.is_some()), "{}", engine.name);
        assert_eq!(world.callbacks().await.len(), 1);
        assert_eq!(feed(&world).await, [("done".to_owned(), true)]);
        // A copy changes nothing; another event of the call is told what is known.
        assert_eq!(inbox.record(one("call_ended", "c1").await).await.expect("recorded"), Recorded::Seen);
        let copy = later(world.event("call_ended", "c1").await);
        assert_eq!(inbox.record(copy).await.expect("recorded"), Recorded::Seen);
        let decided = inbox.record(one("call_analyzed", "c1").await).await.expect("recorded");
        assert!(matches!(decided, Recorded::Decided(after) if after.follow.is_none()), "{}", engine.name);
        assert_eq!(world.callbacks().await.len(), 1);
        assert!(crate::world::pending(&engine.store, at(1_000), 10).await.is_empty());
    }
}

#[tokio::test]
async fn a_batch_with_a_panic_in_it_is_recorded_and_decided_later() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        let arrival = fresh(&world, "call_ended", "c1", "+14155550101", true).await;
        assert_eq!(inbox.record(arrival).await.expect("recorded"), Recorded::New, "{}", engine.name);
        assert_eq!(crate::world::pending(&engine.store, at(1_000), 10).await.len(), 1);
        assert!(world.callbacks().await.is_empty());
        let arrival = fresh(&world, "call_ended", "c2", "+14155550101", false).await;
        assert!(matches!(inbox.record(arrival).await.expect("recorded"), Recorded::Decided(_)));
    }
}

#[tokio::test]
async fn of_many_calls_of_one_person_at_once_one_callback_waits() {
    const CALLS: usize = 120;
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        // Two replicas' doors.
        let doors = [Inbox::start(engine.store.clone()).0, Inbox::start(engine.store.clone()).0];
        let mut tasks = tokio::task::JoinSet::new();
        for i in 0..CALLS {
            // Three persons, so that batches meet over some of their cases and not over others.
            let number = format!("+1415555010{}", i % 3);
            let arrival = fresh(&world, "call_ended", &format!("c{i}"), &number, false).await;
            let door = doors[i % 2].clone();
            tasks.spawn(async move { door.record(arrival).await.expect("recorded") });
        }
        let answers = tasks.join_all().await;
        let led = answers.iter().filter(|a| matches!(a, Recorded::Decided(a) if a.follow.is_some())).count();
        let left = answers.iter().filter(|a| **a == Recorded::New).count();
        let pending = crate::world::pending(&engine.store, at(1_000), 1_000).await.len();
        assert_eq!((led, left), (world.callbacks().await.len(), pending), "{}", engine.name);
        assert!((1..=3).contains(&led), "{}: {led} callbacks for three persons", engine.name);
        assert_eq!(feed(&world).await.len(), CALLS, "nothing is lost");
    }
}

// Several threads: who writes meanwhile blocks one, and may wait for a transaction that another rolls back.
#[tokio::test(flavor = "multi_thread")]
async fn what_moved_on_while_a_batch_was_decided_is_decided_again() {
    for engine in each().await {
        // The embedded database has one writer: nothing can move on meanwhile.
        let Some(url) = engine.url.clone() else { continue };
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        let record = async |event, call, meanwhile: Option<&'static str>| {
            let always = AtomicU32::new(u32::MAX);
            let meanwhile = meanwhile.map(|sql| Meanwhile { url: url.clone(), sql, left: always });
            let arrival = fresh_while(&world, (event, call, "+14155550101"), false, meanwhile).await;
            inbox.record(arrival).await.expect("recorded")
        };
        assert!(matches!(record("call_ended", "c1", None).await, Recorded::Decided(_)));
        let call = record("call_analyzed", "c1", Some("update calls set seq = seq + 1")).await;
        assert_eq!(call, Recorded::New, "its call has moved on");
        // Nothing waits for the person any more: the next call would lead to a callback.
        write_beside(&url, "update callbacks set state = 'canceled'");
        let person = record("call_ended", "c2", Some("update persons set seq = seq + 1")).await;
        assert_eq!(person, Recorded::New, "its person has moved on");
        assert_eq!(crate::world::pending(&engine.store, at(1_000), 10).await.len(), 2);
    }
}

#[tokio::test]
async fn a_bad_arrival_fails_alone() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        let first = world.event("call_ended", "c0").await;
        let id = first.id;
        inbox.record(later(first)).await.expect("recorded");
        let mut batch = Vec::new();
        for i in 1..=20 {
            batch.push(later(world.event("call_ended", &format!("c{i}")).await));
        }
        // No row can have the id of another; and no text on Postgres a NUL.
        batch[7].delivery.id = id;
        batch[8].delivery.event = "call_\0ended".to_owned();
        let answers = join_all(batch.into_iter().map(|arrival| inbox.record(arrival))).await;
        let failed: Vec<_> = (0..20).filter(|i| answers[*i].is_err()).collect();
        assert_eq!(failed, if engine.url.is_some() { vec![7, 8] } else { vec![7] }, "{}", engine.name);
        assert_eq!(feed(&world).await.len(), 1 + 20 - failed.len(), "{}", engine.name);
    }
}

#[tokio::test]
async fn a_panic_costs_no_other_event_its_decision() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        let mut batch = Vec::new();
        for i in 0..9 {
            let (call, number) = (format!("c{i}"), format!("+1415555010{i}"));
            batch.push(fresh(&world, "call_ended", &call, &number, i == 4).await);
        }
        let answers = join_all(batch.into_iter().map(|arrival| inbox.record(arrival))).await;
        for (i, answer) in answers.into_iter().enumerate() {
            let is_decided = matches!(answer.expect("recorded"), Recorded::Decided(_));
            assert_eq!(is_decided, i != 4, "{}: event {i}", engine.name);
        }
    }
}

#[tokio::test]
async fn what_moved_on_once_is_read_and_decided_again_at_once() {
    for engine in each().await {
        let Some(url) = engine.url.clone() else { continue };
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        let arrival = fresh(&world, "call_ended", "c1", "+14155550101", false).await;
        inbox.record(arrival).await.expect("recorded");
        let meanwhile = Meanwhile { url, sql: "update calls set seq = seq + 1", left: AtomicU32::new(1) };
        let event = ("call_analyzed", "c1", "+14155550101");
        let arrival = fresh_while(&world, event, false, Some(meanwhile)).await;
        let answer = inbox.record(arrival).await.expect("recorded");
        assert!(matches!(answer, Recorded::Decided(_)), "{answer:?}");
    }
}

/// Somebody else changes every call, once, right before a batch writes its own.
struct Faster(Meanwhile);

impl Faults for Faster {
    fn at(&self, _: Point) -> Passing<'_> {
        Box::pin(async { Verdict::Go })
    }

    fn sql(&self, sql: &'static str) -> &'static str {
        if sql.starts_with("insert into calls") {
            self.0.pass();
        }
        sql
    }
}

#[tokio::test]
async fn an_event_that_is_only_recorded_meets_a_conflict_once() {
    for engine in each().await {
        let Some(url) = engine.url.clone() else { continue };
        let world = World::new(&engine.store, 1).await;
        world.delivery("call_ended", "c1").await;
        let once = Meanwhile { url, sql: "update calls set seq = seq + 1", left: AtomicU32::new(1) };
        let (inbox, _writer) = Inbox::start(engine.store.clone().with_faults(Arc::new(Faster(once))));
        let answer = inbox.record(later(world.event("call_analyzed", "c1").await)).await;
        assert_eq!(answer.expect("a good webhook is recorded"), Recorded::New);
    }
}

/// A disk without room, or a database that turns every commit down.
#[derive(Default)]
struct NoRoom(AtomicBool);

impl Faults for NoRoom {
    fn at(&self, point: Point) -> Passing<'_> {
        let fails = point == Point::BeforeCommit && self.0.load(Relaxed);
        Box::pin(async move { if fails { Verdict::Fail } else { Verdict::Go } })
    }
}

#[tokio::test]
async fn a_store_whose_commits_fail_says_so_until_one_works() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let full = Arc::new(NoRoom::default());
        let store = engine.store.clone().with_faults(Arc::<NoRoom>::clone(&full));
        let (inbox, _writer) = Inbox::start(store.clone());
        assert!(store.can_write().await, "{}", engine.name);
        full.0.store(true, Relaxed);
        assert!(inbox.record(later(world.event("call_ended", "c1").await)).await.is_err());
        assert!(!store.can_write().await, "{}", engine.name);
        full.0.store(false, Relaxed);
        assert!(store.can_write().await, "{}", engine.name);
        inbox.record(later(world.event("call_ended", "c1").await)).await.expect("recorded");
    }
}
