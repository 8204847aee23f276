//! Settings as flags: a command has only those that it uses.
//!
//! Invariant: each flag is named like its setting, and its help names the environment variable.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::config::Config;

/// The location of the settings file.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct FileFlag {
    /// The settings file [default: ./redialer.toml, if it exists]
    #[arg(long, global = true, env = "REDIALER_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
}

/// The location of the data.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Settings")]
pub struct StorageFlags {
    /// Directory of the embedded database and the key file [env: REDIALER_DATA_DIR] [default: ./redialer-data]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// URL of a Postgres database (`postgres://…`) to use instead of the embedded SQLite database [env: REDIALER_DATABASE_URL]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    database_url: Option<String>,
    /// The key-encryption key: `file:<path>` or `vault:<url>#<key>` [env: REDIALER_KEK] [default: the file `kek` in the
    /// data directory]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    kek: Option<String>,
    /// The settings file.
    #[command(flatten)]
    #[serde(skip)]
    pub file: FileFlag,
}

/// How a command logs.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Settings")]
pub struct LogFlags {
    /// Log level (off, error, warn, info, debug, trace), or directives such as info,redialer=debug [env: REDIALER_LOG]
    /// [default: info]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<String>,
    /// Log format: `text` or `json` [env: REDIALER_LOG_FORMAT] [default: text]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_format: Option<String>,
}

/// The flags of `serve` and `doctor`.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Settings", after_help = more_settings())]
pub struct ServerFlags {
    /// Address and port to listen on [env: REDIALER_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<String>,
    /// Base of webhook URLs: the URL at which providers reach this server [env: REDIALER_PUBLIC_URL] [default: `http://` and
    /// the listen address]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
    /// Base URL of Retell's API, or of a simulator [env: REDIALER_RETELL_BASE_URL] [default: `https://api.retellai.com`]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retell_base_url: Option<String>,
    /// Clock multiplier for tests with a simulator: 60 is one minute per second [env: REDIALER_CLOCK_SPEED] [default: 1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clock_speed: Option<u32>,
    /// The log settings.
    #[command(flatten)]
    #[serde(flatten)]
    pub log: LogFlags,
    /// The location of the data.
    #[command(flatten)]
    #[serde(flatten)]
    pub storage: StorageFlags,
}

/// The flags of a simulator. Its address comes only from the command line: `REDIALER_LISTEN` is the server's.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[command(next_help_heading = "Settings")]
pub struct SimFlags {
    /// Clock multiplier, which must be the same as the server's: 60 is one minute per second [env: REDIALER_CLOCK_SPEED]
    /// [default: 1]
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clock_speed: Option<u32>,
    /// The log settings.
    #[command(flatten)]
    #[serde(flatten)]
    pub log: LogFlags,
    /// The settings file.
    #[command(flatten)]
    #[serde(skip)]
    pub file: FileFlag,
}

/// The flags of the demo, which reads neither the environment nor a file.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct DemoFlags {
    /// Address and port to listen on [default: any free port on loopback]
    #[arg(long)]
    pub(crate) listen: Option<String>,
    /// Log level (off, error, warn, info, debug, trace), or directives such as info,redialer=debug [default: error]
    #[arg(long)]
    pub(crate) log: Option<String>,
}

/// The settings without a flag, with their defaults, for the end of a help page.
fn more_settings() -> String {
    let flags = [
        "data_dir",
        "database_url",
        "kek",
        "listen",
        "public_url",
        "retell_base_url",
        "clock_speed",
        "log",
        "log_format",
    ];
    let mut text =
        "Settings without an option, as environment variables or as keys of the settings file (`max_dials` for REDIALER_MAX_DIALS):\n".to_owned();
    for (name, default) in Config::default().values() {
        if !flags.contains(&name.as_str()) && !default.is_object() {
            let default = if default.is_null() { "none".to_owned() } else { default.to_string() };
            text.push_str(&format!("  REDIALER_{} [default: {default}]\n", name.to_uppercase()));
        }
    }
    text + "The limits of plans are tables in the settings file. docs/configuration.md describes all settings."
}
