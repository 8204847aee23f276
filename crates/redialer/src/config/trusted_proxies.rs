//! The trusted proxies in front of the server, and the address of the client behind them.
//!
//! Invariant: `X-Forwarded-For` is used only if the peer is a trusted proxy, and only as far back as trusted proxies
//! have written it: everything to the left of the first untrusted address comes from that client.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED: &str = "x-forwarded-for";

/// The networks of the trusted proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<IpNet>);

impl Proxies {
    /// Parses networks (`10.0.0.0/8`) and addresses, separated by commas; the error is the first part that is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let network = |part: &str| {
            let network = part.parse::<IpNet>().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| part.to_owned())
        };
        Ok(Self(parts.map(network).collect::<Result<_, _>>()?))
    }

    /// Whether an address belongs to a trusted proxy.
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client: the peer or, behind trusted proxies, the last address in `X-Forwarded-For` that is not one.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines = headers.get_all(FORWARDED).iter().rev();
        let mut hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        while self.trust(client) {
            // An entry that is not an address was not written by a trusted proxy.
            let Some(hop) = hops.next().and_then(address) else { break };
            client = hop;
        }
        client
    }
}

/// Parses an address; some proxies write it with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = hop.parse().or_else(|_| hop.parse::<SocketAddr>().map(|socket| socket.ip()));
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.ok().or_else(bracketed).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
        let proxies = Proxies::parse("192.0.2.0/24, 2001:db8::/32,203.0.113.5").expect("networks");
        let check = |peer: &str, lines: &[&'static str], want: &str| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED, line.parse().expect("a value"));
            }
            let client = proxies.client(peer.parse().expect("an address"), &headers);
            assert_eq!(client.to_string(), want, "{peer} {lines:?}");
        };
        check("198.51.100.1", &["203.0.113.9"], "198.51.100.1");
        check("192.0.2.1", &[], "192.0.2.1");
        check("192.0.2.1", &["198.51.100.1"], "198.51.100.1");
        check("::ffff:192.0.2.1", &["198.51.100.1"], "198.51.100.1");
        check("192.0.2.1", &["10.9.9.9, 198.51.100.1,192.0.2.7"], "198.51.100.1");
        check("192.0.2.1", &["10.9.9.9", "198.51.100.1", "203.0.113.5"], "198.51.100.1");
        check("2001:db8::1", &["198.51.100.1:4711"], "198.51.100.1");
        check("2001:db8::1", &["[2001:db9::7]:80"], "2001:db9::7");
        check("2001:db8::1", &["[2001:db9::7]"], "2001:db9::7");
        check("192.0.2.1", &["198.51.100.1, unknown"], "192.0.2.1");
        check("192.0.2.1", &["198.51.100.1, unknown, 192.0.2.7"], "192.0.2.7");
        check("192.0.2.1", &["192.0.2.8, 192.0.2.7"], "192.0.2.8");
    }

    #[test]
    fn what_is_no_network_is_named() {
        assert_eq!(Proxies::parse("10.0.0.0/8, 10.0.0.0/33"), Err("10.0.0.0/33".to_owned()));
        assert_eq!(Proxies::parse("proxy.example.com"), Err("proxy.example.com".to_owned()));
        assert_eq!(Proxies::parse(" "), Ok(Proxies::default()));
    }
}
