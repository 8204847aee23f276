//! What every door and every flow holds.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use redialer_core::{Timestamp, rng::Rng};
use redialer_providers::{Provider, Providers};
use redialer_store::{Buckets, DispatchWriter, Inbox, Store, StoreError, WorkspaceRow};
use tokio::sync::{Notify, Semaphore, watch};

use crate::{
    clock::Clock,
    config::Config,
    state::{
        api_rate::ApiRateLimiter, backfill_progress::Sweeps, dial_permits::Permits,
        dial_rate::DialRateLimiter, due_queue::DueQueue, event_queue::EventQueue, key_outages::Outages,
        rejected_webhooks::RejectedWebhooks,
    },
};

/// How many things were stuck in the last round, and for how many it was told; by range of buckets and kind.
pub type Alarms = BTreeMap<((i64, i64), &'static str), (i64, i64)>;

/// The running program.
pub struct App {
    /// Its settings.
    pub config: Config,
    /// What it remembers.
    pub store: Store,
    /// The way into the inbox.
    pub inbox: Inbox,
    /// The way to write what dialling writes.
    pub dispatch_writer: DispatchWriter,
    /// Its clocks.
    pub clock: Clock,
    /// Its randomness.
    pub rng: Rng,
    /// Whom it may ask and dial through.
    pub providers: Providers,
    /// How fast each workspace may dial.
    pub dial_rate: DialRateLimiter,
    /// Dials that may be under way at once.
    pub dials: Arc<Permits>,
    /// When the key service was away.
    pub key_outages: Outages,
    /// Sweeps that go on where they were.
    pub sweeps: Sweeps,
    /// When this process began its work.
    pub started_at: Timestamp,
    /// Memory taken by the bodies of requests, in bytes.
    pub waiting_bytes: Arc<AtomicUsize>,
    /// API requests that may still be worked on at once.
    pub api_requests: Arc<Semaphore>,
    /// How often each API key may ask.
    pub api_rate: ApiRateLimiter,
    /// The name this replica leases buckets under.
    pub replica: String,
    /// The buckets it works on.
    pub buckets: watch::Sender<Buckets>,
    /// What is due soon.
    pub due: DueQueue,
    /// Recorded events that wait to be decided.
    pub events: EventQueue,
    /// Something new is in the inbox.
    pub inbox_bell: Notify,
    /// Something new is due, or may be dialled now.
    pub due_bell: Notify,
    /// Webhooks that were turned away.
    pub rejected_webhooks: RejectedWebhooks,
    /// What was stuck when we last looked.
    pub alarms: Mutex<Alarms>,
    draining: AtomicBool,
    drain_bell: Notify,
}

impl App {
    /// Puts the parts together.
    pub fn new(
        config: Config,
        store: Store,
        (inbox, dispatch_writer): (Inbox, DispatchWriter),
        clock: Clock,
        rng: Rng,
        providers: Providers,
        buckets: Buckets,
    ) -> Arc<Self> {
        let started_at = clock.now();
        let replica = rng.token::<10>();
        let api_requests = Arc::new(Semaphore::new(config.max_api_requests));
        let api_rate = ApiRateLimiter::new(config.api_requests_per_second);
        let dials = Arc::new(Permits::new(config.max_dials));
        Arc::new(Self {
            config,
            store,
            inbox,
            dispatch_writer,
            clock,
            rng,
            providers,
            dial_rate: DialRateLimiter::default(),
            dials,
            key_outages: Outages::default(),
            sweeps: Sweeps::default(),
            started_at,
            waiting_bytes: Arc::default(),
            api_requests,
            api_rate,
            replica,
            buckets: watch::Sender::new(buckets),
            due: DueQueue::default(),
            events: EventQueue::default(),
            inbox_bell: Notify::new(),
            due_bell: Notify::new(),
            rejected_webhooks: RejectedWebhooks::default(),
            alarms: Mutex::default(),
            draining: AtomicBool::new(false),
            drain_bell: Notify::new(),
        })
    }

    /// The provider of a workspace, or the simulator for its test callbacks.
    pub fn provider(&self, workspace: &WorkspaceRow, is_test: bool) -> Result<&dyn Provider, StoreError> {
        let found = self.providers.get(&workspace.provider, is_test);
        found.map_err(|_| StoreError::Corrupt("name of a provider"))
    }

    /// Where a workspace's provider sends the webhooks of an agent.
    pub fn webhook_url(&self, workspace: &WorkspaceRow, slug: &str) -> String {
        format!("{}/api/webhooks/{}/{slug}", self.config.public_url(), workspace.provider)
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
