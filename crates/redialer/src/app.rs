//! What every door and every flow holds.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use redialer_core::chance::Chance;
use redialer_providers::{http::Clients, retell};
use redialer_store::{Buckets, Inbox, Store};
use tokio::sync::{Notify, Semaphore, watch};

use crate::{clock::Clock, config::Config, flow::pacing::Pacer};

/// The running program.
pub struct App {
    /// Its settings.
    pub config: Config,
    /// What it remembers.
    pub store: Store,
    /// The way into the inbox.
    pub inbox: Inbox,
    /// Its clocks.
    pub clock: Clock,
    /// Its randomness.
    pub chance: Chance,
    /// Retell's API.
    pub retell: retell::api::Api,
    /// How fast each workspace may dial.
    pub pacer: Pacer,
    /// Dials that may still begin at once.
    pub dials: Arc<Semaphore>,
    /// The name this replica leases buckets under.
    pub replica: String,
    /// The buckets it works on.
    pub buckets: watch::Sender<Buckets>,
    /// Something new is in the inbox.
    pub inbox_bell: Notify,
    /// Something new is due, or may be dialled now.
    pub due_bell: Notify,
    draining: AtomicBool,
    drain_bell: Notify,
}

impl App {
    /// Puts the parts together.
    pub fn new(
        config: Config,
        store: Store,
        inbox: Inbox,
        clock: Clock,
        chance: Chance,
        clients: Clients,
        buckets: Buckets,
    ) -> Arc<Self> {
        let retell = retell::api::Api::new(clients, &config.retell_base_url);
        let replica = chance.token::<10>();
        let dials = Arc::new(Semaphore::new(config.max_dials));
        Arc::new(Self {
            config,
            store,
            inbox,
            clock,
            chance,
            retell,
            pacer: Pacer::default(),
            dials,
            replica,
            buckets: watch::Sender::new(buckets),
            inbox_bell: Notify::new(),
            due_bell: Notify::new(),
            draining: AtomicBool::new(false),
            drain_bell: Notify::new(),
        })
    }

    /// The ranges of buckets this replica works on right now.
    pub fn ranges(&self) -> Vec<(i64, i64)> {
        self.buckets.borrow().0.clone()
    }

    /// Whether the program is shutting down: nothing new is begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Begins to shut down.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.drain_bell.notify_waiters();
        self.inbox_bell.notify_waiters();
        self.due_bell.notify_waiters();
    }

    /// Waits until the program shuts down.
    pub async fn drained(&self) {
        let rung = self.drain_bell.notified();
        tokio::pin!(rung);
        rung.as_mut().enable();
        if !self.is_draining() {
            rung.await;
        }
    }
}
