//! The application state that HTTP handlers, commands and background jobs share.

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
        api_rate::ApiRateLimiter, backfill_progress::InterruptedBackfills, dial_permits::Permits,
        dial_rate::DialRateLimiter, due_queue::DueQueue, event_queue::EventQueue, key_outages::Outages,
        rejected_webhooks::RejectedWebhooks,
    },
};

/// The number of stuck items in the last round, and the number last logged, by bucket range and kind.
pub type StuckCounts = BTreeMap<((i64, i64), &'static str), (i64, i64)>;

/// The application state.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// Records inbound events.
    pub inbox: Inbox,
    /// Writes claims, intents and dial results in shared commits.
    pub dispatch_writer: DispatchWriter,
    /// The clocks.
    pub clock: Clock,
    /// The random number generator.
    pub rng: Rng,
    /// The voice providers.
    pub providers: Providers,
    /// Limits how fast each workspace dials.
    pub dial_rate: DialRateLimiter,
    /// Permits for concurrent dials.
    pub dials: Arc<Permits>,
    /// Outages of the key service.
    pub key_outages: Outages,
    /// Progress of backfills, so that the next round resumes them.
    pub backfills: InterruptedBackfills,
    /// When this process started.
    pub started_at: Timestamp,
    /// Memory held by request bodies, in bytes.
    pub waiting_bytes: Arc<AtomicUsize>,
    /// Slots for concurrent API requests.
    pub api_requests: Arc<Semaphore>,
    /// Limits how fast each API key may send requests.
    pub api_rate: ApiRateLimiter,
    /// The name under which this replica leases buckets.
    pub replica: String,
    /// The buckets that this replica works on.
    pub buckets: watch::Sender<Buckets>,
    /// Callbacks that are due soon.
    pub due: DueQueue,
    /// Recorded events that wait to be processed.
    pub events: EventQueue,
    /// Notified when the inbox has new events.
    pub inbox_bell: Notify,
    /// Notified when a callback is newly due or may now be dialed.
    pub due_bell: Notify,
    /// Counts of rejected webhooks.
    pub rejected_webhooks: RejectedWebhooks,
    /// The numbers of stuck items at the last check.
    pub stuck: Mutex<StuckCounts>,
    draining: AtomicBool,
    drain_bell: Notify,
}

impl App {
    /// Assembles the application state.
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
            backfills: InterruptedBackfills::default(),
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
            stuck: Mutex::default(),
            draining: AtomicBool::new(false),
            drain_bell: Notify::new(),
        })
    }

    /// The provider of a workspace, or the simulator for its test callbacks.
    pub fn provider(&self, workspace: &WorkspaceRow, is_test: bool) -> Result<&dyn Provider, StoreError> {
        let provider = self.providers.get(&workspace.provider, is_test);
        provider.map_err(|_| StoreError::Corrupt("name of a provider"))
    }

    /// The URL to which a workspace's provider sends an agent's webhooks.
    pub fn webhook_url(&self, workspace: &WorkspaceRow, slug: &str) -> String {
        format!("{}/api/webhooks/{}/{slug}", self.config.public_url(), workspace.provider)
    }

    /// The ranges of buckets that this replica currently works on.
    pub fn ranges(&self) -> Vec<(i64, i64)> {
        self.buckets.borrow().0.clone()
    }

    /// Whether the program is shutting down; if so, no new work is started.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Starts the shutdown.
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
