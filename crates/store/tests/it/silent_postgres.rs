//! A silent Postgres: its connections stay open but no longer answer, while new connections to the same address work. A
//! leader that was frozen and replaced behaves like this, and so does a firewall that lost its state.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use redialer_core::rng::Rng;
use redialer_store::{Actor, FailPoint, Faults, Filter, Inbox, Kek, Passing, Recorded, Store, Verdict};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

use crate::{
    engines::{KEK, new_database, postgres},
    world::{World, at, end},
};

/// The time within which the store must recover.
const SURVIVED: Duration = Duration::from_secs(30);

/// A proxy to the server that can make its connections fall silent.
struct Proxy {
    url: String,
    silences: Arc<watch::Sender<usize>>,
}

impl Proxy {
    async fn before(url: &str) -> Self {
        let (server, database) = url.rsplit_once('/').expect("a database");
        let (start, address) = server.rsplit_once('@').expect("a user");
        let address = address.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let own = listener.local_addr().expect("an address");
        let silences = Arc::new(watch::Sender::new(0));
        let active_agents = Arc::clone(&silences);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(&address).await.expect("the test server answers");
                let mut silence = active_agents.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        // Both sides stay open.
                        _ = silence.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { url: format!("{start}@{own}/{database}"), silences }
    }

    fn fall_silent(&self) {
        self.silences.send_modify(|n| *n += 1);
    }
}

/// Makes the server fall silent when the first transaction is about to be committed.
struct AtCommit {
    proxy: Proxy,
    armed: AtomicBool,
}

impl Faults for AtCommit {
    fn at(&self, point: FailPoint) -> Passing<'_> {
        if point == FailPoint::BeforeCommit && self.armed.swap(false, Relaxed) {
            self.proxy.fall_silent();
        }
        Box::pin(async { Verdict::Go })
    }
}

/// A migrated database, and a proxy to it.
async fn behind_a_proxy() -> Option<(Proxy, String)> {
    let url = new_database(&postgres()?).await;
    let store = Store::postgres(&url, Kek::from_bytes(KEK)).await.expect("connected");
    store.migrate(&Rng::seeded([9; 32])).await.expect("migrated");
    store.close().await;
    Some((Proxy::before(&url).await, url))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_survives_a_silent_server_and_its_locks_end() {
    let Some((proxy, url)) = behind_a_proxy().await else { return };
    let through = Store::postgres(&proxy.url, Kek::from_bytes(KEK)).await.expect("connected");
    let world = World::new(&through, 1).await;
    // Another replica, whose connections keep working.
    let other = Store::postgres(&url, Kek::from_bytes(KEK)).await.expect("connected");
    let faults = Arc::new(AtCommit { proxy, armed: AtomicBool::new(true) });
    let store = through.with_faults(Arc::<AtCommit>::clone(&faults));
    let (inbox, _writer) = Inbox::start(store.clone());
    let beside = world.event("call_analyzed", "c1").await;
    let (door, arrival) = (inbox.clone(), world.event("call_ended", "c1").await);
    let stuck = tokio::spawn(async move { timeout(SURVIVED, door.record(arrival)).await });
    while faults.armed.load(Relaxed) {
        other.ping().await.expect("it answers the other replica");
    }
    // The lost transaction holds the row of the call, which the other replica needs too.
    let (elsewhere, _other_writer) = Inbox::start(other.clone());
    let beside = tokio::spawn(async move { timeout(SURVIVED, elsewhere.record(beside)).await });
    let seen = timeout(SURVIVED, async {
        while store.can_write().await {
            other.ping().await.expect("it answers the other replica");
        }
    });
    seen.await.expect("a stalled batch is reported");
    let written = stuck.await.expect("no panic").expect("within 30 s");
    assert!(matches!(written, Ok(Recorded::New | Recorded::Duplicate)), "{written:?}");
    beside.await.expect("no panic").expect("within 30 s").expect("recorded");
    assert!(store.can_write().await, "what comes after works at once");
    assert_eq!(store.pending(world.workspace, at(1_000), 10).await.expect("read").len(), 2);
}

#[tokio::test]
async fn reads_survive_a_silent_server() {
    let Some((proxy, _)) = behind_a_proxy().await else { return };
    let store = Store::postgres(&proxy.url, Kek::from_bytes(KEK)).await.expect("connected");
    let world = World::new(&store, 1).await;
    // Opens several connections, all of which fall silent later.
    let reads = || futures_util::future::join_all((0..12).map(|_| store.pending(world.workspace, at(0), 1)));
    assert!(reads().await.iter().all(Result::is_ok));
    let of = world.tenant_store().by(Actor::command());
    let first = end();
    let any = Filter::default();
    let list = || of.callbacks(&any, first, 10);
    list().await.expect("read");
    proxy.fall_silent();
    let healed = timeout(SURVIVED, async {
        while reads().await.iter().any(Result::is_err) {}
        while list().await.is_err() {}
        store.workspace_context(world.tenant, world.workspace, 0).await.expect("read");
    });
    healed.await.expect("within 30 s");
}
