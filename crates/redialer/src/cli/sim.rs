//! `redialer sim`: runs only a provider simulator.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use redialer_providers::http::{Clients, PLACE_DEADLINE};
use redialer_sim::{
    SimTime,
    retell::{Retell, Script},
};
use tokio::net::TcpListener;

use crate::{
    cli::{log, say},
    clock::Clock,
    config::{BadConfig, Config, SimFlags, socket_address},
};

#[derive(Args)]
pub(crate) struct Sim {
    #[command(subcommand)]
    provider: Provider,
}

#[derive(Subcommand)]
enum Provider {
    /// Simulate Retell AI: its REST API, signed webhooks, and people who behave as scripted
    Retell {
        /// The address and port of the simulator. `REDIALER_LISTEN` applies only to the server
        #[arg(long, default_value = "127.0.0.1:9090")]
        listen: String,
        /// A JSON file that describes the simulated account, people and calls (docs/simulator.md)
        #[arg(long)]
        script: Option<PathBuf>,
        #[command(flatten)]
        flags: SimFlags,
    },
}

impl Sim {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Provider::Retell { listen, script, flags } = self.provider;
        let config = Config::of_simulator(&flags)?;
        log(&config);
        let address = socket_address("--listen", &listen)?;
        let script = match script {
            None => Script::default(),
            Some(path) => {
                let wrong = |e: &dyn std::fmt::Display| {
                    BadConfig::new("--script", format!("{} cannot be read: {e}", path.display()))
                };
                let text = std::fs::read_to_string(&path).map_err(|e| wrong(&e))?;
                serde_json::from_str(&text).map_err(|e| wrong(&e))?
            }
        };
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("--listen: the simulator cannot listen on {address}"))?;
        say(&format!(
            "The Retell simulator listens on http://{}; its API key is {}",
            listener.local_addr()?,
            script.api_key
        ));
        let retell = Retell::new(
            script,
            time_of(&Arc::new(Clock::start(config.clock_speed))),
            Clients::new(PLACE_DEADLINE)?.reading,
        );
        retell.play();
        axum::serve(listener, retell.router()).await?;
        Ok(())
    }
}

/// A simulator's time, taken from redialer's clock.
pub(crate) fn time_of(clock: &Arc<Clock>) -> SimTime {
    let (now, wait) = (Arc::clone(clock), Arc::clone(clock));
    SimTime::new(
        move || now.now(),
        move |at| {
            let clock = Arc::clone(&wait);
            async move { clock.wait_until(at).await }
        },
    )
}
