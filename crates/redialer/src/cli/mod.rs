//! The command line: one file a command.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage or settings (one line on stderr that names the setting).

mod audit;
mod backup;
mod check_signature;
mod demo;
mod doctor;
mod keys;
mod serve;
mod sim;
mod tenant;
mod when;

use std::{
    io::{IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use redialer_core::chance::Chance;
use redialer_kek::{Kek, KeyFile, Transit};
use redialer_store::{Abort, Store};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{FilterExt as _, filter_fn},
    fmt,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    clock,
    config::{BadConfig, Config, Flags},
};

pub use serve::Running;

#[derive(Parser)]
#[command(name = "redialer", version, about = "Callback scheduling for voice-AI agents")]
struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show the whole main job on a simulated provider and an accelerated clock
    Demo(demo::Demo),
    /// Migrate, listen, and run the workers until SIGTERM
    Serve,
    /// Run a provider simulator alone
    Sim(sim::Sim),
    /// Manage tenants
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Check the books of privileged acts
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Rotate keys
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Bring the database's schema up to this version
    Migrate,
    /// Check settings, database, key service, clock and provider keys; changes nothing
    Doctor(doctor::Doctor),
    /// Write a backup to a new file, beside a running server
    Backup(backup::Backup),
    /// Read a backup into an empty database; nothing is dialled before the provider was asked what happened since
    Restore(backup::Restore),
    /// Print the OpenAPI 3.1 document of the REST API
    Openapi,
    /// Check webhook signatures: JSON lines in and out
    CheckSignature,
    /// Hear when callers want to be called back: JSON lines in and out
    When(when::When),
}

/// Runs the command that was given.
pub fn main() -> ExitCode {
    // Clap exits with 2 and a usage line by itself when the words are wrong.
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    // Nothing is left to do when stderr is closed.
    let _closed = writeln!(std::io::stderr(), "redialer: {error:#}");
    ExitCode::from(if error.is::<BadConfig>() { 2 } else { 1 })
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::CheckSignature = cli.command {
        check_signature::run()?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::Openapi = cli.command {
        say(&serde_json::to_string_pretty(&crate::http::document())?);
        return Ok(ExitCode::SUCCESS);
    }
    if let Command::When(when) = &cli.command {
        return when.run().map(|()| ExitCode::SUCCESS);
    }
    if let Command::Demo(demo) = &cli.command {
        return demo.run(&cli.flags).await.map(|()| ExitCode::SUCCESS);
    }
    let config = match cli.command {
        Command::Sim(_) => Config::of_simulator(&cli.flags)?,
        _ => Config::load(&cli.flags)?,
    };
    match cli.command {
        Command::Demo(_) | Command::CheckSignature | Command::Openapi | Command::When(_) => {}
        Command::Serve => serve::run(config).await?,
        Command::Sim(sim) => sim.run(&config, cli.flags.listen()).await?,
        Command::Tenant(tenant) => tenant.run(&config).await?,
        Command::Audit(audit) => audit.run(&config).await?,
        Command::Doctor(doctor) => {
            if !doctor.run(&config).await? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Keys(keys) => keys.run(&config).await?,
        Command::Backup(backup) => backup.run(&config).await?,
        Command::Restore(restore) => restore.run(&config).await?,
        Command::Migrate => {
            let store = open(&config).await?;
            store.close().await;
            say("The database is up to date.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens the database and brings its schema up to this version.
async fn open(config: &Config) -> anyhow::Result<Store> {
    let chance = clock::chance().context("the operating system gave no randomness")?;
    let dir = &config.data_dir;
    std::fs::create_dir_all(dir).with_context(|| format!("data_dir: {} cannot be made", dir.display()))?;
    let is_new = config.key_service()?.is_none() && !config.kek_file().exists();
    let kek = kek(config, &chance)?;
    let store = match &config.database_url {
        Some(url) => {
            Store::postgres(url, kek).await.context("database_url: the database cannot be reached")?
        }
        None => Store::sqlite(&config.database_file(), kek)
            .await
            .context("data_dir: the database cannot be opened")?,
    };
    store.migrate(&chance).await?;
    let store = match config.fail_at.as_deref().and_then(|point| point.parse::<Abort>().ok()) {
        Some(abort) => store.with_faults(Arc::new(abort)),
        None => store,
    };
    if is_new {
        let file = config.kek_file();
        tracing::warn!(
            "a new key was made in {}: back it up, without it the data cannot be read",
            file.display()
        );
    }
    Ok(store)
}

/// The key-encryption key: a file, made when there is none, or a key service.
fn kek(config: &Config, chance: &Chance) -> anyhow::Result<Kek> {
    Ok(match config.key_service()? {
        Some(settings) => Kek::Transit(Transit::begin(settings)?),
        None => Kek::File(KeyFile::open(&config.kek_file(), chance)?),
    })
}

/// Sets up logging to stderr; a second call changes nothing.
fn log(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| "info".into());
    // What libraries tell of their inner life may be personal: the one for numbers tells each that it reads.
    let ours = filter_fn(|event| *event.level() <= Level::INFO || event.target().starts_with("redialer"));
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let lines = match config.log_format.as_str() {
        "json" => lines.json().boxed(),
        _ => lines.boxed(),
    };
    let set = tracing_subscriber::registry().with(lines.with_filter(filter.and(ours))).try_init();
    if set.is_err() {
        tracing::debug!("logging was set up before");
    }
}

/// One line for people, on stdout.
fn say(line: &str) {
    // A closed pipe (`| head`) is no reason to stop the work.
    let _closed = writeln!(std::io::stdout(), "{line}");
}

/// A handle that many tasks share.
type Shared = Arc<crate::app::App>;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn no_two_words_of_the_command_line_clash() {
        super::Cli::command().debug_assert();
    }
}
