//! `redialer serve`: the server and its workers, until SIGTERM, SIGINT or SIGHUP.

use std::{fs::File, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use redialer_providers::{Providers, http::Clients};
use redialer_store::{Buckets, DispatchWriter, Inbox, Store};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};

use crate::{
    app::App,
    cli::{Shared, database, log, warnings},
    clock::{self, Clock, JoinError},
    config::{BadConfig, Config},
    flow::{backfill, census, dial, due, ingest, job::every, maintenance, reconcile, sync},
    http::{self, Listeners, Metrics},
};

pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    log(&config);
    no_cores();
    let mut signals = StopSignals::listen()?;
    let metrics = Metrics::install().context("the metrics recorder could not be installed")?;
    let providers = providers(&config)?;
    let running = Running::start(config, providers, metrics).await?;
    banner(&running.app().config);
    signals.received().await;
    tracing::info!("draining: no new work is started; waiting for work in progress");
    running.stop().await
}

/// Disables core dumps: data that is only briefly in memory must not end up in a file (T20).
fn no_cores() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps could not be disabled");
    }
}

/// The start banner: version, database, key, addresses, and warnings.
fn banner(config: &Config) {
    let database = match &config.database_url {
        Some(url) => database::masked(url),
        None => config.database_file().display().to_string(),
    };
    let key = match config.key_service() {
        Ok(Some(_)) => "key service".to_owned(),
        _ => config.kek_file().display().to_string(),
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        database,
        key,
        listen = config.listen,
        public_url = config.public_url(),
        providers = config.provider_urls(),
        "redialer listens on {}",
        config.listen
    );
    if config.clock_speed > 1 {
        tracing::info!("virtual time runs {} times as fast as real time", config.clock_speed);
    }
    for warning in warnings::all(config) {
        tracing::warn!("{}", warning.message);
    }
}

/// The signals that request an orderly shutdown.
pub(crate) struct StopSignals([Signal; 3]);

impl StopSignals {
    /// Installs the handlers; from then on these signals no longer end the process by themselves.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let [terminate, hang_up, interrupt] =
            [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()].map(signal);
        Ok(Self([terminate?, hang_up?, interrupt?]))
    }

    /// Waits for the first signal.
    pub(crate) async fn received(&mut self) {
        let [terminate, hang_up, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// The providers at their configured base URLs, with new HTTP clients.
pub(crate) fn providers(config: &Config) -> anyhow::Result<Providers> {
    Ok(config.providers(Arc::new(Clients::new(config.place_deadline())?)))
}

/// A running server and its workers.
pub struct Running {
    app: Shared,
    workers: Vec<JoinHandle<()>>,
    writers: [JoinHandle<()>; 2],
    store: Store,
    _lock: Option<File>,
}

/// How long a writer may take at shutdown to write its queue.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_secs(2);

impl Running {
    /// Opens the database, recovers claims of the last run, listens, and starts the workers.
    pub async fn start(mut config: Config, providers: Providers, metrics: Metrics) -> anyhow::Result<Self> {
        redialer_core::phone::warm_up();
        let rng = clock::rng().context("the operating system returned no random bytes")?;
        // Invalid settings are rejected before the first file is created.
        let inspected = database::find_with_retries(&config).await?;
        let lock = lock(&config)?;
        let store = inspected.create_or_migrate().await?;
        let clock = Clock::start(config.clock_speed);
        clock.join(&store).await.map_err(|error| match error {
            JoinError::Speed { .. } => BadConfig::new("clock_speed", error.to_string()).into(),
            JoinError::Store(error) => anyhow::Error::from(error),
        })?;
        let listener = TcpListener::bind(&config.listen)
            .await
            .with_context(|| format!("listen: the server cannot listen on {}", config.listen))?;
        // Port 0 means any free port; store the assigned one.
        config.listen = listener.local_addr()?.to_string();
        let metrics_listener = match &mut config.metrics_listen {
            Some(address) => {
                let listener = TcpListener::bind(&*address)
                    .await
                    .with_context(|| format!("metrics_listen: the server cannot listen on {address}"))?;
                *address = listener.local_addr()?.to_string();
                Some(listener)
            }
            None => None,
        };
        let listeners = Listeners { public: listener, metrics: metrics_listener };
        let (inbox, inbox_writer) = Inbox::start(store.clone());
        let (dispatch_writer, ledger_writer) = DispatchWriter::start(store.clone());
        let buckets = if store.is_shared() { Buckets::default() } else { Buckets::all() };
        let app = App::new(config, store.clone(), (inbox, dispatch_writer), clock, rng, providers, buckets);
        if !store.is_shared() {
            // Only one process uses this file, so the owner of every existing claim is gone.
            for range in app.ranges() {
                let n = store.recover(range, i64::MAX, app.clock.now(), 1).await?;
                if n > 0 {
                    tracing::warn!(n, "{n} claims of the last run were released");
                }
            }
        }
        maintenance::hold_leases(&app).await?;
        let maintenance = maintenance::maintenance_interval(store.is_shared());
        let workers = vec![
            tokio::spawn(http::serve(Arc::clone(&app), listeners, metrics)),
            tokio::spawn(ingest::run(Arc::clone(&app))),
            tokio::spawn(due::run(Arc::clone(&app))),
            tokio::spawn(dial::run(Arc::clone(&app))),
            every(&app, reconcile::INTERVAL, "the lookup of calls at the provider failed", |app| {
                Box::pin(reconcile::round(app))
            }),
            every(&app, backfill::INTERVAL, "the backfill of missed webhooks failed", |app| {
                Box::pin(backfill::round(app))
            }),
            every(&app, sync::INTERVAL, "the sync of agents and numbers failed", |app| {
                Box::pin(sync::round(app))
            }),
            every(&app, maintenance::INTERVAL, "the maintenance round failed", |app| {
                Box::pin(maintenance::round(app))
            }),
            every(&app, census::INTERVAL, "the gauges of waiting work could not be updated", |app| {
                Box::pin(census::round(app))
            }),
            every(&app, maintenance, "database maintenance failed", |app| {
                Box::pin(maintenance::maintain(app))
            }),
            tokio::spawn(maintenance::keep_time(Arc::clone(&app))),
        ];
        Ok(Self { app, workers, writers: [inbox_writer, ledger_writer], store, _lock: lock })
    }

    /// The application.
    pub const fn app(&self) -> &Shared {
        &self.app
    }

    /// Starts no new work, finishes work in progress, and closes the database.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.app.drain();
        let deadline = Duration::from_secs(self.app.config.drain_deadline_secs);
        let finished = async {
            for worker in self.workers {
                worker.await?;
            }
            self.app.dials.all_returned().await;
            anyhow::Ok(())
        };
        match tokio::time::timeout(deadline, finished).await {
            Ok(done) => done?,
            Err(_) => tracing::warn!(
                "the drain deadline passed; dials still in progress are looked up at the provider after the next start"
            ),
        }
        if self.store.is_shared()
            && let Err(error) = self.store.release_leases(&self.app.replica).await
        {
            tracing::warn!(%error, "bucket leases could not be released; they expire by themselves");
        }
        drop(self.app);
        // A writer ends when its last sender is dropped; a task that outlives the deadline may still hold one.
        for mut writer in self.writers {
            if tokio::time::timeout(LAST_WRITE_TIMEOUT, &mut writer).await.is_err() {
                writer.abort();
            }
        }
        self.store.close().await;
        Ok(())
    }
}

/// Allows one `serve` per database file (I37). The lock is released when the process ends, even by a crash.
pub(crate) fn lock(config: &Config) -> anyhow::Result<Option<File>> {
    if config.database_url.is_some() {
        return Ok(None);
    }
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("data_dir: {} cannot be created", config.data_dir.display()))?;
    let path = config.data_dir.join("serve.lock");
    let file =
        File::create(&path).with_context(|| format!("data_dir: {} cannot be written", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!("data_dir: another `redialer serve` is using {}", config.data_dir.display())
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).context("data_dir: the file serve.lock cannot be locked")
        }
    }
}
