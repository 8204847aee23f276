//! All settings of the program, with their defaults, units and checks.
//!
//! Invariants: a flag overrides the environment, which overrides `redialer.toml`, which overrides the default. An
//! unknown key in the file is an error, and so is a `REDIALER_` variable that looks like a misspelled setting. Errors
//! name the setting. Workspace settings are data and are not here.

mod check;
mod environment;
mod flags;
mod messages;
mod trusted_proxies;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use figment::{
    Figment,
    providers::{Format as _, Serialized, Toml},
};
use redialer_core::fuse::FuseLimits;
use redialer_core::tenant::Plans;
use redialer_kek::transit;
use redialer_providers::{Providers, http::SharedTransport, retell};
use redialer_sim::Simulated;
use serde::{Deserialize, Serialize};

use crate::plans::{self, PlanPatch};

pub(crate) use check::{is_loopback, socket_address};
pub use flags::{DemoFlags, FileFlag, LogFlags, ServerFlags, SimFlags, StorageFlags};
pub use trusted_proxies::Proxies;

/// The settings in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory of the embedded database and the key file.
    pub data_dir: PathBuf,
    /// The URL of a Postgres database; `None` for the embedded one.
    pub database_url: Option<String>,
    /// The address and port to listen on.
    pub listen: String,
    /// The base of webhook URLs.
    pub public_url: Option<String>,
    /// `file:` and a path, or `vault:`, a URL, `#` and the name of a transit key.
    pub kek: Option<String>,
    /// The base URL of Retell's API.
    pub retell_base_url: String,
    /// Virtual seconds per real second.
    pub clock_speed: u32,
    /// A `tracing` filter.
    pub log: String,
    /// `text` or `json`.
    pub log_format: String,
    /// How far the timestamp of a webhook may be from now, in seconds.
    pub signature_tolerance_secs: u64,
    /// The largest accepted body of a webhook, in bytes.
    pub max_body_bytes: usize,
    /// How long a request's head may take, in seconds; also how long a connection may idle.
    pub head_deadline_secs: u64,
    /// How long a request's body may take, in seconds.
    pub body_deadline_secs: u64,
    /// How long a client may accept no byte of its response before it is disconnected, in seconds.
    pub write_deadline_secs: u64,
    /// The maximum number of open connections.
    pub max_connections: usize,
    /// The maximum number of open connections from one IPv4 address or one IPv6 /64 network, except loopback and trusted proxies.
    pub max_connections_per_address: usize,
    /// Networks of proxies whose `X-Forwarded-For` is trusted, separated by commas.
    pub trusted_proxies: String,
    /// A separate address for `/metrics`; `None` to serve it on `listen`.
    pub metrics_listen: Option<String>,
    /// How long a request that places a call may take, in seconds.
    pub place_deadline_secs: u64,
    /// The maximum number of dials in progress, in this process.
    pub max_dials: usize,
    /// How long a shutdown waits for work in progress, in seconds.
    pub drain_deadline_secs: u64,
    /// The maximum total memory for request bodies, in bytes. Beyond it, or for API requests beyond half of it, a
    /// request is rejected with 503.
    pub max_waiting_bytes: usize,
    /// The maximum number of API requests in progress; beyond it, requests are rejected with 503.
    pub max_api_requests: usize,
    /// Requests per second that one API key may send to each replica, with bursts of twice as many.
    pub api_requests_per_second: u32,
    /// The maximum number of calls to one number within any 24 hours (I38).
    pub fuse_per_day: u32,
    /// The maximum number of calls to one number within any 10 minutes (I38).
    pub fuse_per_10_minutes: u32,
    /// Limits of plans that differ from the published ones.
    pub plans: BTreeMap<String, PlanPatch>,
    /// For tests: abort the process at this crash point, such as `C5` or `C5:3`.
    pub fail_at: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./redialer-data"),
            database_url: None,
            listen: "127.0.0.1:8080".to_owned(),
            public_url: None,
            kek: None,
            retell_base_url: retell::PUBLIC_BASE_URL.to_owned(),
            clock_speed: 1,
            log: "info".to_owned(),
            log_format: "text".to_owned(),
            signature_tolerance_secs: 300,
            max_body_bytes: 10 << 20,
            head_deadline_secs: 15,
            body_deadline_secs: 30,
            write_deadline_secs: 30,
            max_connections: 4096,
            max_connections_per_address: 256,
            trusted_proxies: String::new(),
            metrics_listen: None,
            place_deadline_secs: 120,
            max_dials: 256,
            drain_deadline_secs: 150,
            max_waiting_bytes: 256 << 20,
            max_api_requests: 128,
            api_requests_per_second: 100,
            fuse_per_day: 12,
            fuse_per_10_minutes: 3,
            plans: BTreeMap::new(),
            fail_at: None,
        }
    }
}

/// An invalid setting: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BadConfig {
    setting: String,
    problem: String,
}

impl BadConfig {
    /// An error about a setting or a command's option.
    pub(crate) fn new(setting: &str, problem: impl Into<String>) -> Self {
        Self { setting: setting.to_owned(), problem: problem.into() }
    }
}

fn bad<T>(setting: &str, problem: impl Into<String>) -> Result<T, BadConfig> {
    Err(BadConfig::new(setting, problem))
}

impl Config {
    /// Reads and checks the settings of a command with these flags.
    pub fn load(flags: &impl Serialize, file: &FileFlag) -> Result<Self, BadConfig> {
        Self::read(flags, file)?.checked()
    }

    /// The providers at their base URLs, and the simulator for test callbacks. Requests are sent through `wire`.
    pub fn providers(&self, wire: SharedTransport) -> Providers {
        Providers::new(wire, &self.retell_base_url, Arc::new(Simulated))
    }

    /// The base URL of each provider, for the log.
    pub fn provider_urls(&self) -> String {
        format!("{}={}", retell::NAME, self.retell_base_url)
    }

    /// The same settings, with a simulator at `url` in place of every provider.
    #[must_use]
    pub fn simulated_at(self, url: String) -> Self {
        Self { retell_base_url: url, ..self }
    }

    /// A simulator's settings: it is a provider itself and calls no real people, so its clock may run at any speed.
    pub fn of_simulator(flags: &SimFlags) -> Result<Self, BadConfig> {
        let read = Self::read(flags, &flags.file)?;
        read.simulated_at("http://127.0.0.1".to_owned()).checked()
    }

    fn read(flags: &impl Serialize, file: &FileFlag) -> Result<Self, BadConfig> {
        let named = file.config.as_deref();
        if let Some(named) = named.filter(|named| !named.exists()) {
            return bad("--config", format!("{} does not exist", named.display()));
        }
        let file = named.unwrap_or(Path::new("redialer.toml"));
        Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::file(file))
            .merge(Serialized::defaults(environment::settings(std::env::vars_os())?))
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(messages::unreadable)
    }

    /// The demo's settings: its own clock, any free port and quiet logs, unless overridden by flags.
    pub fn of_demo(flags: &DemoFlags, clock_speed: u32) -> Result<Self, BadConfig> {
        Self {
            listen: flags.listen.clone().unwrap_or_else(|| "127.0.0.1:0".to_owned()),
            log: flags.log.clone().unwrap_or_else(|| "error".to_owned()),
            retell_base_url: "http://127.0.0.1".to_owned(),
            clock_speed,
            ..Self::default()
        }
        .checked()
    }

    /// Checks the settings. Returns them with complete listen addresses.
    fn checked(mut self) -> Result<Self, BadConfig> {
        self.check()?;
        self.listen = socket_address("listen", &self.listen)?.to_string();
        if let Some(text) = &mut self.metrics_listen {
            *text = socket_address("metrics_listen", text)?.to_string();
        }
        Ok(self)
    }

    /// The proxies whose `X-Forwarded-For` is trusted.
    pub fn trusted_proxies(&self) -> Result<Proxies, BadConfig> {
        Proxies::parse(&self.trusted_proxies).or_else(|part| {
            let problem =
                format!("`{part}` is neither a network such as 10.0.0.0/8 nor an address such as 10.1.2.3");
            bad("trusted_proxies", problem)
        })
    }

    /// The limits of each plan.
    pub fn plans(&self) -> Result<Plans, BadConfig> {
        plans::in_force(&self.plans).map_err(|(setting, problem)| BadConfig { setting, problem })
    }

    /// The embedded database's file.
    pub fn database_file(&self) -> PathBuf {
        self.data_dir.join("redialer.db")
    }

    /// The key service, if one is configured; its credentials come from the environment.
    pub fn key_service(&self) -> Result<Option<transit::Settings>, BadConfig> {
        let kek = self.kek.as_deref().unwrap_or("file:");
        let Some(text) = kek.strip_prefix("vault:") else {
            return if kek.starts_with("file:") {
                Ok(None)
            } else {
                bad("kek", "must be `file:<path>` or `vault:<url>#<key>`")
            };
        };
        let settings = transit::Settings::read(text, |name| std::env::var(name).ok());
        settings.map(Some).map_err(|e| BadConfig { setting: e.setting.to_owned(), problem: e.problem })
    }

    /// The path of the key file.
    pub fn kek_file(&self) -> PathBuf {
        let path = self.kek.as_deref().and_then(|k| k.strip_prefix("file:"));
        path.map_or_else(|| self.data_dir.join("kek"), PathBuf::from)
    }

    /// The base of webhook URLs, without a trailing slash.
    pub fn public_url(&self) -> String {
        // The address of all interfaces cannot be connected to; loopback is one of them.
        let own = || self.listen.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:");
        let url = self.public_url.clone().unwrap_or_else(|| format!("http://{}", own()));
        url.trim_end_matches('/').to_owned()
    }

    /// The limits of the fuse.
    pub const fn fuse(&self) -> FuseLimits {
        FuseLimits { per_day: self.fuse_per_day, per_10_minutes: self.fuse_per_10_minutes }
    }

    /// How long a request that places a call may take.
    pub const fn place_deadline(&self) -> Duration {
        Duration::from_secs(self.place_deadline_secs)
    }

    /// How far the timestamp of a webhook may be from now, in virtual milliseconds.
    pub fn signature_tolerance_ms(&self) -> u64 {
        self.signature_tolerance_secs.saturating_mul(1_000).saturating_mul(u64::from(self.clock_speed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_simulator_runs_fast_without_one_on_loopback() {
        let flags = ServerFlags { clock_speed: Some(60), ..ServerFlags::default() };
        let refused = Config::load(&flags, &flags.storage.file).map_err(|e| e.setting).err();
        assert_eq!(refused.as_deref(), Some("clock_speed"));
        let flags = SimFlags { clock_speed: Some(60), ..SimFlags::default() };
        assert_eq!(Config::of_simulator(&flags).map(|c| c.clock_speed).ok(), Some(60));
    }

    #[test]
    fn a_webhook_url_names_an_address_that_can_be_dialed() {
        let on = |listen: &str| Config { listen: listen.to_owned(), ..Config::default() }.public_url();
        assert_eq!(on("0.0.0.0:8080"), "http://127.0.0.1:8080");
        assert_eq!(on("[::1]:8080"), "http://[::1]:8080");
    }
}
