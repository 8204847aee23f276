//! Checks of the settings' values. Each error names the setting, the reason and the valid values.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::Uri;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::config::{BadConfig, Config, bad};

/// Every numeric setting, with its smallest and largest value.
const RANGES: [(&str, u64, u64); 16] = [
    ("clock_speed", 1, 1_000_000),
    ("signature_tolerance_secs", 1, 3_600),
    ("max_body_bytes", 1_024, 1 << 30),
    ("head_deadline_secs", 1, 3_600),
    ("body_deadline_secs", 1, 3_600),
    ("write_deadline_secs", 1, 3_600),
    ("max_connections", 1, 1_000_000),
    ("max_connections_per_address", 1, 1_000_000),
    ("place_deadline_secs", 1, 3_600),
    ("max_dials", 1, 1_000_000),
    ("drain_deadline_secs", 1, 86_400),
    ("max_waiting_bytes", 1_024, 1 << 40),
    ("max_api_requests", 1, 1_000_000),
    ("api_requests_per_second", 1, 1_000_000),
    ("fuse_per_day", 1, 1_000_000),
    ("fuse_per_10_minutes", 1, 1_000_000),
];

/// The smallest and largest value of a numeric setting.
pub(crate) fn range_of(setting: &str) -> Option<(u64, u64)> {
    RANGES.iter().find(|(name, ..)| *name == setting).map(|(_, least, most)| (*least, *most))
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), BadConfig> {
        self.check_numbers()?;
        self.check_addresses()?;
        self.check_log()?;
        self.check_fail_at()?;
        self.trusted_proxies()?;
        self.plans()?;
        if self.max_waiting_bytes < self.max_body_bytes {
            return bad(
                "max_waiting_bytes",
                format!("must be at least max_body_bytes ({})", self.max_body_bytes),
            );
        }
        if let Some(url) = &self.database_url
            && !(url.starts_with("postgres://") || url.starts_with("postgresql://"))
        {
            return bad("database_url", "must begin with postgres://");
        }
        self.key_service()?;
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), BadConfig> {
        let values = self.values();
        for (setting, least, most) in RANGES {
            let value = values.get(setting).and_then(serde_json::Value::as_u64);
            if !value.is_some_and(|value| (least..=most).contains(&value)) {
                return bad(setting, format!("must be a whole number from {least} to {most}"));
            }
        }
        Ok(())
    }

    fn check_addresses(&self) -> Result<(), BadConfig> {
        let listen = socket_address("listen", &self.listen)?;
        if let Some(text) = &self.metrics_listen {
            let metrics = socket_address("metrics_listen", text)?;
            if metrics == listen && metrics.port() != 0 {
                return bad("metrics_listen", "must differ from listen");
            }
        }
        if let Some(url) = &self.public_url {
            check_public_url(url).map_err(|problem| BadConfig::new("public_url", problem))?;
        }
        let base = &self.retell_base_url;
        let loopback = self.is_simulated();
        if !is_http_url(base) || !(base.starts_with("https://") || loopback) {
            return bad(
                "retell_base_url",
                format!("`{base}` is not valid; it must be https:// and a host, or http:// on loopback"),
            );
        }
        if self.clock_speed > 1 && !loopback {
            return bad(
                "clock_speed",
                "must be 1 unless retell_base_url is a simulator on loopback, because real people are called on the real clock",
            );
        }
        Ok(())
    }

    fn check_log(&self) -> Result<(), BadConfig> {
        check_filter(&self.log).map_err(|problem| BadConfig::new("log", problem))?;
        if !["text", "json"].contains(&self.log_format.as_str()) {
            return bad("log_format", format!("must be `text` or `json`, not `{}`", self.log_format));
        }
        Ok(())
    }

    fn check_fail_at(&self) -> Result<(), BadConfig> {
        let Some(point) = &self.fail_at else { return Ok(()) };
        if !self.is_simulated() {
            return bad(
                "fail_at",
                "must not be set unless retell_base_url is on loopback, because it aborts the process",
            );
        }
        match point.parse::<redialer_store::Abort>() {
            Ok(_) => Ok(()),
            Err(error) => bad("fail_at", error.to_string()),
        }
    }

    /// Whether the provider is a simulator on this machine.
    pub fn is_simulated(&self) -> bool {
        is_loopback(&self.retell_base_url)
    }
}

/// An address and port to listen on. `:8080` means every interface; a bare `8080` means loopback, like the default.
pub(crate) fn socket_address(setting: &str, text: &str) -> Result<SocketAddr, BadConfig> {
    let on = |ip: Ipv4Addr, port: &str| port.parse().map(|port| SocketAddr::new(IpAddr::V4(ip), port)).ok();
    let address = text
        .parse()
        .ok()
        .or_else(|| on(Ipv4Addr::UNSPECIFIED, text.strip_prefix(':')?))
        .or_else(|| on(Ipv4Addr::LOCALHOST, text.strip_prefix("localhost:")?))
        .or_else(|| on(Ipv4Addr::LOCALHOST, text));
    address.ok_or_else(|| {
        let problem = format!(
            "`{text}` is not an address and port; valid examples are 127.0.0.1:8080, [::1]:8080, localhost:8080, 8080 (this machine only) and :8080 (every interface)"
        );
        BadConfig::new(setting, problem)
    })
}

fn is_http_url(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|url| {
        url.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme))
            && url.host().is_some_and(|host| !host.is_empty())
    })
}

fn check_public_url(text: &str) -> Result<(), String> {
    if !is_http_url(text) {
        return Err(format!(
            "`{text}` is not a URL that providers can reach; it must be http:// or https:// and a host, such as https://redialer.example.com"
        ));
    }
    if text.contains(['?', '#', '@']) {
        return Err(format!(
            "`{text}` must not contain a user name, query or fragment, because the paths of webhooks are appended to it"
        ));
    }
    Ok(())
}

/// Rejects log filters that would silence the log: the parser reads a misspelled level as the name of a module.
fn check_filter(text: &str) -> Result<(), String> {
    let valid = "the valid values are off, error, warn, info, debug, trace, and directives such as info,redialer=debug";
    let bare = text.split(',').map(str::trim).find(|directive| {
        let is_level = !directive.is_empty() && directive.parse::<LevelFilter>().is_ok();
        !directive.contains(['=', '[', ']']) && !is_level
    });
    if let Some(word) = bare {
        return Err(format!("`{word}` is not a log level; {valid}"));
    }
    EnvFilter::try_new(text).map(|_| ()).map_err(|_| format!("`{text}` is not a log filter; {valid}"))
}

/// Whether a URL's host is this machine's loopback.
pub(crate) fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return false;
    }
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
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
        check(|c| c.retell_base_url = "https://".to_owned(), Err("retell_base_url"));
        check(|c| c.fail_at = Some("C5".to_owned()), Err("fail_at"));
        check(|c| c.max_waiting_bytes = 2_000, Err("max_waiting_bytes"));
        check(|c| c.clock_speed = 60, Err("clock_speed"));
        check(|c| c.database_url = Some("mysql://x".to_owned()), Err("database_url"));
        check(|c| c.kek = Some("vault:x".to_owned()), Err("kek"));
        check(|c| c.metrics_listen = Some("example.com:9090".to_owned()), Err("metrics_listen"));
        check(|c| c.metrics_listen = Some("localhost:8080".to_owned()), Err("metrics_listen"));
        check(|c| c.metrics_listen = Some("9090".to_owned()), Ok(()));
        check(|c| c.trusted_proxies = "10.0.0.0/8, proxy".to_owned(), Err("trusted_proxies"));
        check(|c| c.trusted_proxies = "10.0.0.0/8, ::1".to_owned(), Ok(()));
        check(|c| c.log_format = "xml".to_owned(), Err("log_format"));
    }

    #[test]
    fn every_number_has_a_range_and_its_ends_are_refused_beyond() {
        let numbers = Config::default().values().into_iter().filter(|(_, default)| default.is_number());
        for (name, default) in numbers {
            let (least, most) = range_of(&name).unwrap_or_else(|| panic!("{name} has no range"));
            assert!((least..=most).contains(&default.as_u64().expect("a whole number")), "{name}");
            assert!(least > 0, "{name} may not be 0");
            for wrong in [0, most + 1] {
                let mut values = serde_json::to_value(Config::default()).expect("serializes");
                values[&name] = wrong.into();
                let Ok(config) = serde_json::from_value::<Config>(values) else { continue };
                let error = config.check().expect_err(&name).to_string();
                assert_eq!(error, format!("{name}: must be a whole number from {least} to {most}"));
            }
        }
    }

    #[test]
    fn a_public_url_has_a_scheme_and_a_host() {
        for good in
            ["https://redialer.example.com", "http://10.0.0.7:8080/redialer/", "https://[2001:db8::1]"]
        {
            check(|c| c.public_url = Some(good.to_owned()), Ok(()));
        }
        for wrong in [
            "redialer.example.com",
            "ftp://example.com",
            "https://",
            "",
            "https://a b",
            "/x",
            "https://example.com/?a=b",
            "https://me@example.com",
        ] {
            check(|c| c.public_url = Some(wrong.to_owned()), Err("public_url"));
        }
    }

    #[test]
    fn a_log_filter_filters() {
        for good in
            ["info", "WARN", "off", "info,redialer=debug", "redialer::flow=trace,warn", "[batch{id}]=debug"]
        {
            check(|c| c.log = good.to_owned(), Ok(()));
        }
        for wrong in ["verbose", "", "info,verbose", "redialer=loud", "info,"] {
            check(|c| c.log = wrong.to_owned(), Err("log"));
        }
    }

    #[test]
    fn an_address_to_listen_on_may_be_short() {
        for (text, want) in [
            ("127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("[::1]:8099", Some("[::1]:8099")),
            (":8080", Some("0.0.0.0:8080")),
            ("localhost:8080", Some("127.0.0.1:8080")),
            ("8080", Some("127.0.0.1:8080")),
            ("99999", None),
            ("example.com:80", None),
            ("127.0.0.1", None),
            ("", None),
            (":", None),
        ] {
            let got = socket_address("listen", text).map(|address| address.to_string());
            assert_eq!(got.as_deref().ok(), want, "{text}: {got:?}");
        }
    }
}
