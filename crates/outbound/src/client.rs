//! HTTP clients for requests that may be repeated, and the TLS settings of every connection.

use std::{sync::Arc, time::Duration};

use rustls::{ClientConfig, RootCertStore};

/// Our `User-Agent`.
pub const USER_AGENT_NAME: &str = concat!("redialer/", env!("CARGO_PKG_VERSION"));

/// Trusted root certificates.
pub enum Roots {
    /// The Mozilla roots bundled with the binary.
    Mozilla,
    /// Only these.
    These(RootCertStore),
}

/// Timeouts and connection reuse of a client.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Timeout for connecting.
    pub connect: Duration,
    /// Timeout of a request, from connecting to the end of the answer.
    pub total: Duration,
    /// Whether connections are kept for the next request. A kept connection holds the last answer in its own buffer.
    pub keeps_connections: bool,
}

/// Builds a client. Plain HTTP is allowed, for loopback; the configuration checks every other URL.
pub fn client(roots: Roots, limits: Limits) -> Result<reqwest::Client, reqwest::Error> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls(roots))
        .https_only(false)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(limits.connect)
        .timeout(limits.total)
        .user_agent(USER_AGENT_NAME);
    let builder =
        if limits.keeps_connections { builder } else { builder.pool_max_idle_per_host(0).http1_only() };
    builder.build()
}

/// TLS settings that trust `roots`.
pub(crate) fn tls(roots: Roots) -> ClientConfig {
    let roots = match roots {
        Roots::Mozilla => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
        Roots::These(roots) => roots,
    };
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|_| unreachable!("ring supports the default protocol versions"))
        .with_root_certificates(roots)
        .with_no_client_auth()
}
