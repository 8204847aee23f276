//! `redialer sim`: a provider simulator alone.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use redialer_providers::http::{Clients, PLACE_DEADLINE};
use redialer_sim::{
    SimTime,
    retell::{Retell, Script},
};
use tokio::net::TcpListener;

use super::{log, say};
use crate::{clock::Clock, config::Config};

#[derive(Args)]
pub(super) struct Sim {
    #[command(subcommand)]
    provider: Provider,
}

#[derive(Subcommand)]
enum Provider {
    /// Retell AI: REST API, signed webhooks, scripted people; `--listen` says where [default: 127.0.0.1:9090]
    Retell {
        /// A world as JSON (docs/simulator.md)
        #[arg(long)]
        script: Option<PathBuf>,
    },
}

impl Sim {
    /// Where it listens is said on the command line alone: the environment's is the server's.
    pub(super) async fn run(self, config: &Config, listen: Option<&str>) -> anyhow::Result<()> {
        log(config);
        let Provider::Retell { script } = self.provider;
        let address: SocketAddr = listen.unwrap_or("127.0.0.1:9090").parse().context("--listen")?;
        let script = match script {
            None => Script::default(),
            Some(path) => {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("--script: {}", path.display()))?;
                serde_json::from_str(&text).with_context(|| format!("--script: {}", path.display()))?
            }
        };
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("--listen: {address} is not free"))?;
        say(&format!(
            "A pretend Retell listens on http://{} with key {}",
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

/// The pretend world lives by our clock.
pub(super) fn time_of(clock: &Arc<Clock>) -> SimTime {
    let (now, wait) = (Arc::clone(clock), Arc::clone(clock));
    SimTime::new(
        move || now.now(),
        move |at| {
            let clock = Arc::clone(&wait);
            async move { clock.wait_until(at).await }
        },
    )
}
