//! Fresh webhooks: recorded and decided in one commit, or recorded alone.

use redialer_core::{Id, Timestamp, callback::State, chance::Chance, decide::AfterCall, id};
use redialer_store::{
    ActivityFilter, Arrival, Decided, Decider, Following, Fresh, Inbox, KnownCall, KnownCase, Reading,
    Recorded, Secrets, TenantKey,
};

use sqlx::{Connection as _, PgConnection};

use crate::{
    engines::each,
    world::{ALL, World, at, follow, later, secrets},
};

/// Schedules a callback for the person in an hour, unless one waits already; or panics.
struct Asked {
    key: TenantKey,
    chance: Chance,
    id: Id<id::Callback>,
    agent: Id<id::Agent>,
    secrets: Secrets,
    panics: bool,
    /// What somebody else writes between its reading and its writing: a database, and a statement.
    meanwhile: Option<(String, &'static str)>,
}

impl Decider for Asked {
    fn decide(&self, known: &KnownCase) -> Decided<'_> {
        assert!(!self.panics, "this event cannot be decided");
        if let Some((url, sql)) = self.meanwhile.clone() {
            write_beside(&url, sql);
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
    meanwhile: Option<(String, &'static str)>,
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
    let reading = Reading::Fresh(Fresh { call_id: call.to_owned(), person_ix, decider: Box::new(decider) });
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
        assert!(engine.store.pending(ALL, at(1_000), 10).await.expect("read").is_empty());
    }
}

#[tokio::test]
async fn a_batch_with_a_panic_in_it_is_recorded_and_decided_later() {
    for engine in each().await {
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        let arrival = fresh(&world, "call_ended", "c1", "+14155550101", true).await;
        assert_eq!(inbox.record(arrival).await.expect("recorded"), Recorded::New, "{}", engine.name);
        assert_eq!(engine.store.pending(ALL, at(1_000), 10).await.expect("read").len(), 1);
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
        let pending = engine.store.pending(ALL, at(1_000), 1_000).await.expect("read").len();
        assert_eq!((led, left), (world.callbacks().await.len(), pending), "{}", engine.name);
        assert!((1..=3).contains(&led), "{}: {led} callbacks for three persons", engine.name);
        assert_eq!(feed(&world).await.len(), CALLS, "nothing is lost");
    }
}

#[tokio::test]
async fn what_moved_on_while_a_batch_was_decided_is_decided_again() {
    for engine in each().await {
        // The embedded database has one writer: nothing can move on meanwhile.
        let Some(url) = engine.url.clone() else { continue };
        let world = World::new(&engine.store, 1).await;
        let (inbox, _writer) = Inbox::start(engine.store.clone());
        let record = async |event, call, meanwhile: Option<&'static str>| {
            let meanwhile = meanwhile.map(|sql| (url.clone(), sql));
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
        assert_eq!(engine.store.pending(ALL, at(1_000), 10).await.expect("read").len(), 2);
    }
}
