//! One replica: the program as `serve` assembles it, without its loops, whose rounds the driver runs.

use std::sync::Arc;

use redialer::{
    app::App,
    clock::{Clock, ManualClock},
    config::Config,
    http::{self, Metrics},
};
use redialer_core::{Id, id, rng::Rng};
use redialer_sim::retell::Retell;
use redialer_store::{Buckets, DispatchWriter, Faults, Inbox, Store};
use tokio::task::JoinHandle;

use super::{bugs::Bug, faults::ReplicaFaults, laws::Laws, shared::Shared, wire::SimWire};

/// A running process.
pub(super) struct Replica {
    pub(super) app: Arc<App>,
    pub(super) door: axum::Router,
    writers: [JoinHandle<()>; 2],
}

/// The parts that all processes of a simulation share.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) store: Store,
    pub(super) shared: Arc<Shared>,
    pub(super) laws: Arc<Laws>,
    pub(super) sim: Retell,
    pub(super) tenant: Id<id::Tenant>,
}

impl Parts {
    /// Starts process number `n` with the clocks of its machine.
    pub(super) async fn start(&self, n: usize, hands: ManualClock) -> Replica {
        let faults: Arc<dyn Faults> = Arc::new(ReplicaFaults::new(n, &self.shared));
        let store = self.store.clone().with_faults(faults);
        let clock = Clock::manual(hands);
        // Starting is not tested here, so it runs without faults.
        if !self.shared.has(Bug::TrustOwnClock) {
            let faults_on = self.shared.faults_on();
            self.shared.set_faults(false);
            clock.join(&store).await.expect("joined");
            self.shared.set_faults(faults_on);
        }
        let (inbox, inbox_writer) = Inbox::start(store.clone());
        let (dispatch_writer, ledger_writer) = DispatchWriter::start(store.clone());
        let wire = SimWire {
            shared: Arc::clone(&self.shared),
            laws: Arc::clone(&self.laws),
            sim: self.sim.clone(),
            router: self.sim.router(),
        };
        let config = Config::default().simulated_at("http://127.0.0.1".to_owned());
        let rng = Rng::seeded(self.shared.rng.bytes());
        let providers = config.providers(Arc::new(wire));
        let app = App::new(config, store, (inbox, dispatch_writer), clock, rng, providers, Buckets::all());
        let door = http::router(Arc::clone(&app), Metrics::detached());
        Replica { app, door, writers: [inbox_writer, ledger_writer] }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        for writer in &self.writers {
            writer.abort();
        }
    }
}
