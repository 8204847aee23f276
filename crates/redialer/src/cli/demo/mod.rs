//! `redialer demo`: the main scenario in one process, narrated as it happens.
//!
//! A server with a fresh embedded database, a simulated provider, six people, and a clock that runs half an hour per
//! second. Every claim of the narration is also checked: if one fails, the demo exits with code 1.

mod stage;
mod story;

use clap::Args;

use crate::{
    cli::{say, serve::StopSignals},
    config::{Config, DemoFlags},
};

#[derive(Args)]
pub(crate) struct Demo {
    /// Exit at the end of the demo instead of keeping the server running
    #[arg(long)]
    exit: bool,
    #[command(flatten)]
    flags: DemoFlags,
}

const SPEED: u32 = 1_800;

impl Demo {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut config = Config::of_demo(&self.flags, SPEED)?;
        let mut signals = StopSignals::listen()?;
        let data = Scratch::new()?;
        config.data_dir.clone_from(&data.0);
        crate::cli::log(&config);
        let mut stage = stage::Stage::build(config).await?;
        let outcome = tokio::select! {
            outcome = story::run(&mut stage) => Some(outcome),
            () = signals.received() => None,
        };
        match outcome {
            Some(Ok(())) if !self.exit => {
                say("");
                say("The server keeps running until you press Ctrl-C. Explore it with:");
                stage.show_way_in();
                signals.received().await;
                stage.end().await
            }
            Some(Ok(())) => stage.end().await,
            Some(Err(error)) => {
                stage.kill_server();
                Err(error)
            }
            None => {
                stage.kill_server();
                anyhow::bail!("the demo was interrupted")
            }
        }
    }
}

/// A temporary directory, removed when the demo ends.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let name = format!("redialer-demo-{}", crate::clock::rng()?.token::<5>());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(%error, "the demo's temporary directory could not be removed");
        }
    }
}
