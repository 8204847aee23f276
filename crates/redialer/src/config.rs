//! Every setting of the program, with its default, its unit and its check.
//!
//! Invariant: flag beats environment beats `redialer.toml` beats default; an unknown key in the file is an
//! error; what is wrong is named. Settings of a workspace are data, not here.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;
use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use redialer_core::tenant::Plans;
use redialer_kek::transit;
use redialer_providers::retell;
use redialer_store::FuseLimits;
use serde::{Deserialize, Serialize};

use crate::{
    http::Proxies,
    plans::{self, PlanPatch},
};

/// Settings as given on the command line.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct Flags {
    /// Where the embedded database and the key file live [default: ./redialer-data]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
    /// `postgres://…` instead of the embedded database
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    database_url: Option<String>,
    /// Where to listen [default: 127.0.0.1:8080]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    listen: Option<String>,
    /// What webhook URLs begin with [default: the listen address]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    public_url: Option<String>,
    /// The key-encryption key [default: a file in the data dir]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    kek: Option<String>,
    /// Retell's API, or a simulator's
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retell_base_url: Option<String>,
    /// Virtual seconds a real second, for demos and tests [default: 1]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_speed: Option<u32>,
    /// A `tracing` filter [default: info]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    /// `text` or `json` [default: text]
    #[arg(long, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    log_format: Option<String>,
    /// The settings file [default: ./redialer.toml, if there is one]
    #[arg(long, global = true, env = "REDIALER_CONFIG")]
    #[serde(skip)]
    config: Option<PathBuf>,
}

impl Flags {
    /// Where to listen, if the command line says so.
    pub fn listen(&self) -> Option<&str> {
        self.listen.as_deref()
    }
}

/// The settings in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the embedded database and the key file live.
    pub data_dir: PathBuf,
    /// Postgres instead of the embedded database.
    pub database_url: Option<String>,
    /// Where to listen.
    pub listen: String,
    /// What webhook URLs begin with.
    pub public_url: Option<String>,
    /// `file:` and a path, or `vault:`, a URL, `#` and the name of a transit key.
    pub kek: Option<String>,
    /// Retell's API.
    pub retell_base_url: String,
    /// Virtual seconds a real second.
    pub clock_speed: u32,
    /// A `tracing` filter.
    pub log: String,
    /// `text` or `json`.
    pub log_format: String,
    /// How far a webhook's stamp may lie from now, in seconds.
    pub signature_tolerance_secs: u64,
    /// The largest body taken, in bytes.
    pub max_body_bytes: usize,
    /// How long a request's head may take, in seconds; also how long a connection may idle.
    pub head_deadline_secs: u64,
    /// How long a request's body may take, in seconds.
    pub body_deadline_secs: u64,
    /// How long a client may take none of its answer before it is cut off, in seconds.
    pub write_deadline_secs: u64,
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once from one IPv4 address or one IPv6 network of 64 bits, other than loopback and trusted proxies.
    pub max_connections_per_address: usize,
    /// Networks of proxies whose `X-Forwarded-For` counts, separated by commas.
    pub trusted_proxies: String,
    /// Where `/metrics` is served instead of at `listen`.
    pub metrics_listen: Option<String>,
    /// How long a request that places a call may take, in seconds.
    pub place_deadline_secs: u64,
    /// Dials under way at once, in this process.
    pub max_dials: usize,
    /// How long `SIGTERM` waits for what is under way, in seconds.
    pub drain_deadline_secs: u64,
    /// Bodies of webhooks held in memory at once, in bytes; beyond it they are turned away with 503.
    pub max_waiting_bytes: usize,
    /// API requests worked on at once; beyond it they are turned away with 503.
    pub max_api_requests: usize,
    /// Requests a second that one API key may make, on each replica; twice as many at once.
    pub api_requests_per_second: u32,
    /// Calls to one number within any 24 hours, whatever asks for them (I38).
    pub fuse_per_day: u32,
    /// Calls to one number within any 10 minutes, whatever asks for them (I38).
    pub fuse_per_10_minutes: u32,
    /// What plans allow, where that is not the published figure.
    pub plans: BTreeMap<String, PlanPatch>,
    /// For tests: abort the process at this crash point, as `C5` or `C5:3`.
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

/// A setting that cannot be: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct BadConfig {
    setting: String,
    problem: String,
}

fn bad<T>(setting: &str, problem: impl Into<String>) -> Result<T, BadConfig> {
    Err(BadConfig { setting: setting.to_owned(), problem: problem.into() })
}

const ENVIRONMENT: [&str; 27] = [
    "data_dir",
    "database_url",
    "listen",
    "public_url",
    "kek",
    "retell_base_url",
    "clock_speed",
    "log",
    "log_format",
    "signature_tolerance_secs",
    "max_body_bytes",
    "head_deadline_secs",
    "body_deadline_secs",
    "write_deadline_secs",
    "max_connections",
    "max_connections_per_address",
    "trusted_proxies",
    "metrics_listen",
    "place_deadline_secs",
    "max_dials",
    "drain_deadline_secs",
    "max_waiting_bytes",
    "max_api_requests",
    "api_requests_per_second",
    "fuse_per_day",
    "fuse_per_10_minutes",
    "fail_at",
];

impl Config {
    /// Reads and checks the settings.
    pub fn load(flags: &Flags) -> Result<Self, BadConfig> {
        let config = Self::read(flags)?;
        config.check()?;
        Ok(config)
    }

    /// A pretend provider's settings: it is a provider itself and dials nobody, so its clock may run at any speed.
    pub fn of_simulator(flags: &Flags) -> Result<Self, BadConfig> {
        let config = Self { retell_base_url: "http://127.0.0.1".to_owned(), ..Self::read(flags)? };
        config.check()?;
        Ok(config)
    }

    fn read(flags: &Flags) -> Result<Self, BadConfig> {
        let file = flags.config.clone().unwrap_or_else(|| PathBuf::from("redialer.toml"));
        if flags.config.is_some() && !file.exists() {
            return bad("--config", format!("{} does not exist", file.display()));
        }
        Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::file(file))
            .merge(Env::prefixed("REDIALER_").only(&ENVIRONMENT))
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|e| {
                let setting = if e.path.is_empty() { "redialer.toml".to_owned() } else { e.path.join(".") };
                BadConfig { setting, problem: e.kind.to_string() }
            })
    }

    /// The demo's settings: its own clock, any free port, quiet logs, unless flags say otherwise.
    pub fn of_demo(flags: &Flags, clock_speed: u32) -> Result<Self, BadConfig> {
        let config = Self {
            listen: flags.listen.clone().unwrap_or_else(|| "127.0.0.1:0".to_owned()),
            log: flags.log.clone().unwrap_or_else(|| "error".to_owned()),
            retell_base_url: "http://127.0.0.1".to_owned(),
            clock_speed,
            ..Self::default()
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), BadConfig> {
        if self.clock_speed == 0 || self.clock_speed > 1_000_000 {
            return bad("clock_speed", "must be from 1 to 1000000 virtual seconds a real second");
        }
        if self.listen.parse::<SocketAddr>().is_err() {
            return bad("listen", format!("`{}` is not an address and port, as 127.0.0.1:8080", self.listen));
        }
        self.check_connections()?;
        let base = &self.retell_base_url;
        let loopback = is_loopback(base);
        if !(base.starts_with("https://") || base.starts_with("http://") && loopback) {
            return bad("retell_base_url", format!("`{base}` must be https://, or http:// on loopback"));
        }
        if self.clock_speed > 1 && !loopback {
            return bad(
                "clock_speed",
                "above 1 only with a provider base URL on loopback: real people live in real time",
            );
        }
        if let Some(point) = &self.fail_at {
            if !loopback {
                return bad("fail_at", "only with a provider base URL on loopback: it ends the process");
            }
            if let Err(error) = point.parse::<redialer_store::Abort>() {
                return bad("fail_at", error.to_string());
            }
        }
        if self.api_requests_per_second == 0 {
            return bad("api_requests_per_second", "must be at least 1");
        }
        if self.fuse_per_day == 0 || self.fuse_per_10_minutes == 0 {
            let setting = if self.fuse_per_day == 0 { "fuse_per_day" } else { "fuse_per_10_minutes" };
            return bad(setting, "must be at least 1: a fuse of 0 would hold every callback");
        }
        self.plans()?;
        if self.max_waiting_bytes < self.max_body_bytes {
            return bad("max_waiting_bytes", "must hold at least one body of max_body_bytes");
        }
        if let Some(url) = &self.database_url
            && !(url.starts_with("postgres://") || url.starts_with("postgresql://"))
        {
            return bad("database_url", "must begin with postgres://");
        }
        self.key_service()?;
        if !["text", "json"].contains(&self.log_format.as_str()) {
            return bad("log_format", "must be text or json");
        }
        Ok(())
    }

    fn check_connections(&self) -> Result<(), BadConfig> {
        if let Some(address) = &self.metrics_listen
            && address.parse::<SocketAddr>().is_err()
        {
            return bad(
                "metrics_listen",
                format!("`{address}` is not an address and port, as 127.0.0.1:9090"),
            );
        }
        if self
            .metrics_listen
            .as_ref()
            .is_some_and(|address| *address == self.listen && !address.ends_with(":0"))
        {
            return bad("metrics_listen", "must differ from listen");
        }
        self.trusted_proxies()?;
        let numbers = [
            ("write_deadline_secs", self.write_deadline_secs == 0),
            ("max_connections_per_address", self.max_connections_per_address == 0),
        ];
        match numbers.iter().find(|(_, is_zero)| *is_zero) {
            Some((setting, _)) => bad(setting, "must be at least 1"),
            None => Ok(()),
        }
    }

    /// The proxies whose `X-Forwarded-For` counts.
    pub fn trusted_proxies(&self) -> Result<Proxies, BadConfig> {
        Proxies::parse(&self.trusted_proxies).or_else(|part| {
            let problem =
                format!("`{part}` is neither a network, as 10.0.0.0/8, nor an address, as 10.1.2.3");
            bad("trusted_proxies", problem)
        })
    }

    /// What each plan allows.
    pub fn plans(&self) -> Result<Plans, BadConfig> {
        plans::in_force(&self.plans).map_err(|(setting, problem)| BadConfig { setting, problem })
    }

    /// The embedded database's file.
    pub fn database_file(&self) -> PathBuf {
        self.data_dir.join("redialer.db")
    }

    /// The key service, where there is one; how to log in there stands in the environment.
    pub fn key_service(&self) -> Result<Option<transit::Settings>, BadConfig> {
        let kek = self.kek.as_deref().unwrap_or("file:");
        let Some(text) = kek.strip_prefix("vault:") else {
            return if kek.starts_with("file:") {
                Ok(None)
            } else {
                bad("kek", "must be file:<path> or vault:<url>#<key>")
            };
        };
        let settings = transit::Settings::read(text, |name| std::env::var(name).ok());
        settings.map(Some).map_err(|e| BadConfig { setting: e.setting.to_owned(), problem: e.problem })
    }

    /// The key file.
    pub fn kek_file(&self) -> PathBuf {
        let given = self.kek.as_deref().and_then(|k| k.strip_prefix("file:"));
        given.map_or_else(|| self.data_dir.join("kek"), PathBuf::from)
    }

    /// What webhook URLs begin with, without a slash at the end.
    pub fn public_url(&self) -> String {
        let given = self.public_url.clone().unwrap_or_else(|| format!("http://{}", self.listen));
        given.trim_end_matches('/').to_owned()
    }

    /// How often one number may be called, whatever asks for it.
    pub const fn fuse(&self) -> FuseLimits {
        FuseLimits { per_day: self.fuse_per_day, per_10_minutes: self.fuse_per_10_minutes }
    }

    /// How long a request that places a call may take.
    pub const fn place_deadline(&self) -> Duration {
        Duration::from_secs(self.place_deadline_secs)
    }

    /// How far a webhook's stamp may lie from now: five real minutes are more in virtual time.
    pub fn signature_tolerance_ms(&self) -> u64 {
        self.signature_tolerance_secs.saturating_mul(1_000).saturating_mul(u64::from(self.clock_speed))
    }
}

fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Config), want: Result<(), &str>) {
        let mut config = Config::default();
        change(&mut config);
        let got = config.check();
        assert_eq!(got.as_ref().map_err(|e| e.setting.as_str()).copied(), want, "{got:?}");
    }

    #[test]
    fn a_setting_that_cannot_be_is_named() {
        check(|_| {}, Ok(()));
        check(|c| c.retell_base_url = "http://127.0.0.1:9000".to_owned(), Ok(()));
        check(|c| c.retell_base_url = "http://[::1]:9000".to_owned(), Ok(()));
        check(|c| c.retell_base_url = "http://127.0.0.1@example.com".to_owned(), Err("retell_base_url"));
        check(|c| c.retell_base_url = "http://example.com".to_owned(), Err("retell_base_url"));
        check(|c| c.fail_at = Some("C5".to_owned()), Err("fail_at"));
        check(|c| c.max_waiting_bytes = 1, Err("max_waiting_bytes"));
        check(|c| c.clock_speed = 60, Err("clock_speed"));
        check(|c| c.clock_speed = 0, Err("clock_speed"));
        check(|c| c.listen = "8080".to_owned(), Err("listen"));
        check(|c| c.metrics_listen = Some("9090".to_owned()), Err("metrics_listen"));
        check(|c| c.metrics_listen = Some(c.listen.clone()), Err("metrics_listen"));
        check(|c| c.metrics_listen = Some("127.0.0.1:9090".to_owned()), Ok(()));
        check(|c| c.trusted_proxies = "10.0.0.0/8, proxy".to_owned(), Err("trusted_proxies"));
        check(|c| c.trusted_proxies = "10.0.0.0/8, ::1".to_owned(), Ok(()));
        check(|c| c.write_deadline_secs = 0, Err("write_deadline_secs"));
        check(|c| c.max_connections_per_address = 0, Err("max_connections_per_address"));
        check(|c| c.database_url = Some("mysql://x".to_owned()), Err("database_url"));
        check(|c| c.kek = Some("vault:x".to_owned()), Err("kek"));
    }

    #[test]
    fn only_a_pretend_provider_runs_fast_without_one_on_loopback() {
        let flags = Flags { clock_speed: Some(60), ..Flags::default() };
        assert_eq!(Config::load(&flags).map_err(|e| e.setting).err().as_deref(), Some("clock_speed"));
        assert_eq!(Config::of_simulator(&flags).map(|c| c.clock_speed).ok(), Some(60));
    }

    #[test]
    fn every_setting_can_come_from_the_environment() {
        let value = serde_json::to_value(Config::default()).expect("serialises");
        let fields: Vec<_> = value.as_object().expect("an object").keys().cloned().collect();
        // A table has no name of its own there.
        assert!(fields.iter().all(|f| f == "plans" || ENVIRONMENT.contains(&f.as_str())), "{fields:?}");
    }
}
