//! The command line, one file per command.
//!
//! Exit codes: 0 success, 1 failure, 2 invalid usage or settings (one line on stderr that names the setting).

mod api_key;
mod audit;
mod backup;
mod check_signature;
mod database;
mod demo;
mod doctor;
mod encryption_keys;
mod serve;
mod sim;
mod tenant;
mod warnings;
mod when;

use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
};

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use rustix::fs::Mode;
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::config::{BadConfig, Config, ServerFlags, StorageFlags};

pub use serve::Running;

#[derive(Parser)]
#[command(name = "redialer", version, about = "Callback scheduling for voice-AI agents")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scripted day on a simulated provider and an accelerated clock, without configuration
    Demo(demo::Demo),
    /// Run the server: migrate the database, receive webhooks, serve the API and dial, until SIGTERM, SIGINT (Ctrl-C) or SIGHUP
    Serve {
        #[command(flatten)]
        flags: ServerFlags,
    },
    /// Run a provider simulator without a server
    Sim(sim::Sim),
    /// Create tenants, list them, and change their plans
    Tenant {
        #[command(flatten)]
        flags: StorageFlags,
        #[command(subcommand)]
        command: tenant::Tenant,
    },
    /// Create API keys
    Key {
        #[command(flatten)]
        flags: StorageFlags,
        #[command(subcommand)]
        command: api_key::Key,
    },
    /// Verify the audit logs
    Audit {
        #[command(flatten)]
        flags: StorageFlags,
        #[command(subcommand)]
        command: audit::Audit,
    },
    /// Rotate encryption keys, and destroy the key of a tenant
    Keys {
        #[command(flatten)]
        flags: StorageFlags,
        #[command(subcommand)]
        command: encryption_keys::Keys,
    },
    /// Create the database, or upgrade its schema to this version
    Migrate {
        #[command(flatten)]
        flags: StorageFlags,
    },
    /// Check the settings, database, key service, clock and provider keys. Changes nothing and places no call
    Doctor(doctor::Doctor),
    /// Write a backup to a new file. Can run while a server is running
    Backup(backup::Backup),
    /// Restore a backup into an empty database. A server then dials only after it has read the provider's call records since the backup
    Restore(backup::Restore),
    /// Print the OpenAPI 3.1 document of the REST API
    Openapi,
    /// Check webhook signatures. Reads JSON lines from standard input and writes one line for each
    #[command(after_help = check_signature::FORMAT)]
    CheckSignature,
    /// Recognize when callers want to be called back. Reads JSON lines from standard input and writes one line for each
    When(when::When),
    /// Print the completion script of a shell
    Completions {
        /// The shell that will run the script
        shell: Shell,
    },
}

/// Runs the command given on the command line.
pub fn main() -> ExitCode {
    // Databases, backups, keys and every other file created here are accessible only to their owner.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    // On invalid arguments clap prints a usage line and exits with code 2.
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(cli.command)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    note(&format!("redialer: {error:#}"));
    ExitCode::from(if error.is::<BadConfig>() { 2 } else { 1 })
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::CheckSignature => check_signature::run()?,
        Command::Openapi => say(&serde_json::to_string_pretty(&crate::http::document())?),
        Command::When(when) => when.run()?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "redialer", &mut script);
            say(&String::from_utf8(script)?);
        }
        Command::Demo(demo) => demo.run().await?,
        Command::Sim(sim) => sim.run().await?,
        Command::Serve { flags } => serve::run(Config::load(&flags, &flags.storage.file)?).await?,
        Command::Tenant { flags, command } => command.run(&of_storage(&flags)?).await?,
        Command::Key { flags, command } => command.run(&of_storage(&flags)?).await?,
        Command::Audit { flags, command } => command.run(&of_storage(&flags)?).await?,
        Command::Keys { flags, command } => command.run(&of_storage(&flags)?).await?,
        Command::Backup(backup) => backup.run().await?,
        Command::Restore(restore) => restore.run().await?,
        Command::Migrate { flags } => migrate(&of_storage(&flags)?).await?,
        Command::Doctor(doctor) => {
            if !doctor.run().await? {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Loads the settings of a command that works on the data, and sets up logging.
fn of_storage(flags: &StorageFlags) -> Result<Config, BadConfig> {
    let config = Config::load(flags, &flags.file)?;
    log(&config);
    Ok(config)
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let store = database::find_with_retries(config).await?.create_or_migrate().await?;
    store.close().await;
    say("The database schema is up to date.");
    Ok(())
}

/// Sets up logging to stderr; a second call has no effect.
fn log(config: &Config) {
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| "info".into());
    // Debug events of libraries may contain personal data: the phone number library logs each number that it parses.
    // Notices of Postgres ("already exists, skipping") are useless to an operator.
    let ours = filter_fn(|event| {
        let least = if event.target() == "sqlx::postgres::notice" { Level::WARN } else { Level::INFO };
        *event.level() <= least || event.target().starts_with("redialer")
    });
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let lines = match config.log_format.as_str() {
        "json" => lines.json().boxed(),
        _ => lines.boxed(),
    };
    // Filters of the whole registry, not of the layer: sqlx checks whether an event is enabled, and if not, the filter
    // of a layer drops the next event too.
    let set = tracing_subscriber::registry().with(filter).with(ours).with(lines).try_init();
    if set.is_err() {
        tracing::debug!("logging is already set up");
    }
}

/// Prints a line to stdout.
fn say(line: &str) {
    // A closed pipe (`| head`) must not stop the work.
    let _closed = writeln!(std::io::stdout(), "{line}");
}

/// Writes one line to standard output for each line of standard input, except empty ones.
fn answer_lines(answer: impl Fn(&str) -> String) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if !line.trim().is_empty() {
            writeln!(out, "{}", answer(&line))?;
        }
    }
    Ok(())
}

/// Prints a line to stderr.
fn note(line: &str) {
    // If stderr is closed, there is nowhere left to report it.
    let _closed = writeln!(std::io::stderr(), "{line}");
}

/// A shared handle of the application.
type Shared = Arc<crate::app::App>;

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use crate::config::Config;

    #[test]
    fn no_two_words_of_the_command_line_clash() {
        super::Cli::command().debug_assert();
    }

    /// Every command without subcommands, with its help page.
    fn pages() -> Vec<(String, String)> {
        fn walk(command: &mut Command, path: &str, pages: &mut Vec<(String, String)>) {
            let path = format!("{path} {}", command.get_name()).trim_start().to_owned();
            if !command.has_subcommands() {
                pages.push((path, command.render_long_help().to_string()));
                return;
            }
            for below in command.get_subcommands_mut().filter(|c| c.get_name() != "help") {
                walk(below, &path, pages);
            }
        }
        let (mut cli, mut pages) = (super::Cli::command(), Vec::new());
        cli.build();
        walk(&mut cli, "", &mut pages);
        pages
    }

    fn page(name: &str) -> String {
        pages().into_iter().find(|(path, _)| path == name).expect(name).1
    }

    #[test]
    fn a_help_page_names_the_environment_variable_of_each_setting_it_takes() {
        for (path, text) in pages() {
            for name in Config::default().values().keys() {
                let flag = format!("--{} ", name.replace('_', "-"));
                let variable = format!("REDIALER_{}", name.to_uppercase());
                let is_exempt =
                    path == "redialer demo" || (path.starts_with("redialer sim ") && name == "listen");
                assert!(
                    !text.contains(&flag) || is_exempt || text.contains(&variable),
                    "{path}: {name}\n{text}"
                );
            }
        }
        let serve = page("redialer serve");
        for name in Config::default().values().keys().filter(|name| *name != "plans") {
            assert!(serve.contains(&format!("REDIALER_{}", name.to_uppercase())), "{name}\n{serve}");
        }
    }

    #[test]
    fn a_command_has_no_option_that_it_does_not_use() {
        for name in ["redialer openapi", "redialer check-signature", "redialer when"] {
            let text = page(name);
            let options: Vec<&str> = text.lines().map(str::trim).filter(|l| l.starts_with("--")).collect();
            let own: &[&str] = if name.ends_with("when") { &["--explain"] } else { &[] };
            assert_eq!(options, own, "{name}\n{text}");
        }
        assert!(!page("redialer backup").contains("--listen"));
        let sim = page(&format!("redialer sim {}", redialer_providers::NAMES[0]));
        assert_eq!(sim.matches("[default: 127.0.0.1:").count(), 1, "{sim}");
    }
}
