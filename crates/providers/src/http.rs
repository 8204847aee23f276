//! The HTTP clients that talk to providers.
//!
//! Invariants (failure-model §6): no client here retries, follows redirects or reads proxy variables.
//! The one that places calls keeps no connection and speaks HTTP/1 only, so neither a dead pooled
//! connection nor a refused stream can make it send a request twice.

use std::time::Duration;

/// The two clients, shared by all workspaces.
#[derive(Clone)]
pub struct Clients {
    /// For requests that place a call: a fresh connection each, a long deadline.
    pub placing: reqwest::Client,
    /// For reads, which may be repeated.
    pub reading: reqwest::Client,
}

/// The vendor's own clients wait two minutes for a call to be placed.
pub const PLACE_DEADLINE: Duration = Duration::from_secs(120);
const READ_DEADLINE: Duration = Duration::from_secs(20);
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

impl Clients {
    /// Both clients, trusting the Mozilla roots that come with the binary.
    pub fn new(place_deadline: Duration) -> Result<Self, reqwest::Error> {
        let base = || {
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls())
                .https_only(false) // loopback simulators; `config` checks every other base URL
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .connect_timeout(CONNECT_DEADLINE)
                .user_agent(concat!("redialer/", env!("CARGO_PKG_VERSION")))
        };
        Ok(Self {
            placing: base().http1_only().pool_max_idle_per_host(0).timeout(place_deadline).build()?,
            reading: base().timeout(READ_DEADLINE).build()?,
        })
    }
}

fn tls() -> rustls::ClientConfig {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|_| unreachable!("ring supports the default protocol versions"))
        .with_root_certificates(roots)
        .with_no_client_auth()
}
