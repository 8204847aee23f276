//! The open connections: limits on their number, in total and per address.
//!
//! Invariants: a connection over a limit is rejected immediately, never queued. If all slots are taken, every connection is
//! signaled to close after its current request; idle ones close immediately. Loopback addresses and trusted proxies have no
//! limit per address, because many clients share them.

use std::{
    collections::HashMap,
    io::{self, Write as _},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use crate::{
    config::{Config, Proxies},
    state::locked,
};

/// How long a new connection waits for another one to close.
const ROOM_TIMEOUT: Duration = Duration::from_millis(250);

/// The open connections of one listener.
pub(crate) struct Connections {
    slots: Arc<Semaphore>,
    max: usize,
    max_per_address: usize,
    by_address: Arc<ByAddress>,
    proxies: Arc<Proxies>,
    closing: watch::Sender<()>,
    /// Whether connections were signaled to close and none has closed since.
    is_stuck: AtomicBool,
}

/// The slot of one connection; released on drop.
pub(crate) struct Slot {
    _slot: OwnedSemaphorePermit,
    _counted: Option<Counted>,
}

/// Why a connection is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// All slots are taken.
    Full,
    /// The address has reached its limit.
    Address,
}

impl Connections {
    pub(crate) fn new(config: &Config, proxies: Arc<Proxies>) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(config.max_connections)),
            max: config.max_connections,
            max_per_address: config.max_connections_per_address,
            by_address: Arc::default(),
            proxies,
            closing: watch::Sender::new(()),
            is_stuck: AtomicBool::new(false),
        }
    }

    /// Acquires a slot for a connection from `peer`.
    pub(crate) async fn acquire(&self, peer: IpAddr) -> Result<Slot, Refusal> {
        let is_shared = peer.to_canonical().is_loopback() || self.proxies.trust(peer);
        let counted = if is_shared { None } else { Some(self.count(peer).ok_or(Refusal::Address)?) };
        let slot = match Arc::clone(&self.slots).try_acquire_owned() {
            Ok(slot) => slot,
            Err(_) => self.make_room().await.ok_or(Refusal::Full)?,
        };
        self.is_stuck.store(false, Ordering::Relaxed);
        Ok(Slot { _slot: slot, _counted: counted })
    }

    fn count(&self, peer: IpAddr) -> Option<Counted> {
        let address = client_network(peer);
        let mut by_address = locked(&self.by_address);
        let open = by_address.entry(address).or_default();
        if *open >= self.max_per_address {
            return None;
        }
        *open += 1;
        Some(Counted { address, by_address: Arc::clone(&self.by_address) })
    }

    /// Signals connections to close, and waits for a slot. After a timeout this is not repeated until a slot has become
    /// free, because the accept loop waits here.
    async fn make_room(&self) -> Option<OwnedSemaphorePermit> {
        if self.is_stuck.swap(true, Ordering::Relaxed) {
            return None;
        }
        self.signal_close();
        let slot = Arc::clone(&self.slots).acquire_owned();
        tokio::time::timeout(ROOM_TIMEOUT, slot).await.ok()?.ok()
    }

    /// Signals every connection to close after its current request, if any.
    pub(crate) fn signal_close(&self) {
        self.closing.send_replace(());
    }

    /// Changes when connections are signaled to close.
    pub(crate) fn closing(&self) -> watch::Receiver<()> {
        self.closing.subscribe()
    }

    /// Signals every connection to close, and waits until all have closed.
    pub(crate) async fn close(&self) {
        self.signal_close();
        let all = u32::try_from(self.max).unwrap_or(u32::MAX);
        let _all_closed = self.slots.acquire_many(all).await;
    }
}

/// A connection counted for its address; uncounted on drop.
struct Counted {
    address: IpAddr,
    by_address: Arc<ByAddress>,
}

type ByAddress = Mutex<HashMap<IpAddr, usize>>;

impl Drop for Counted {
    fn drop(&mut self) {
        let mut by_address = locked(&self.by_address);
        if let Some(open) = by_address.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// The network of one client: an IPv4 address, or an IPv6 /64 network.
fn client_network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// Sends an error response to a rejected connection and closes it. Best effort, without waiting.
pub(crate) fn refuse(stream: TcpStream, why: Refusal) {
    let (reason, answer): (_, &[u8]) = match why {
        Refusal::Full => {
            ("full", b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        }
        Refusal::Address => {
            ("address", b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        }
    };
    metrics::counter!("redialer_connections_refused_total", "reason" => reason).increment(1);
    let write = |stream: TcpStream| -> io::Result<()> { stream.into_std()?.write_all(answer) };
    if let Err(error) = write(stream) {
        tracing::debug!(%error, "the response to a refused connection could not be sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connections(max: usize, max_per_address: usize) -> Connections {
        let config = Config {
            max_connections: max,
            max_connections_per_address: max_per_address,
            trusted_proxies: "192.0.2.0/24".to_owned(),
            ..Config::default()
        };
        Connections::new(&config, Arc::new(config.trusted_proxies().expect("networks")))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test]
    async fn an_address_has_so_many_connections_and_no_more() {
        let open = connections(100, 2);
        for (address, same) in
            [("198.51.100.7", "::ffff:198.51.100.7"), ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2")]
        {
            let first = open.acquire(ip(address)).await.expect("a slot");
            let _second = open.acquire(ip(same)).await.expect("a slot");
            assert_eq!(open.acquire(ip(address)).await.err(), Some(Refusal::Address), "{address}");
            drop(first);
            assert!(open.acquire(ip(address)).await.is_ok(), "{address}");
        }
        assert!(locked(&open.by_address).is_empty(), "an address without connections is removed");
        assert!(open.acquire(ip("198.51.100.8")).await.is_ok());
        let mut kept = Vec::new();
        for address in ["127.0.0.1", "::1", "192.0.2.9", "::ffff:192.0.2.9"].repeat(3) {
            kept.push(open.acquire(ip(address)).await.expect("many clients share it"));
        }
    }

    #[tokio::test]
    async fn full_slots_signal_connections_to_close_once() {
        let open = connections(1, 1);
        let peer = ip("127.0.0.1");
        let slot = open.acquire(peer).await.expect("a slot");
        let mut closing = open.closing();
        let connection = tokio::spawn(async move {
            closing.changed().await.expect("a signal to close");
            drop(slot);
            closing
        });
        let slot = open.acquire(peer).await.expect("room was made");
        let mut closing = connection.await.expect("closed");
        assert_eq!(open.acquire(peer).await.err(), Some(Refusal::Full), "this one does not close");
        assert!(closing.has_changed().expect("open"));
        closing.mark_unchanged();
        assert_eq!(open.acquire(peer).await.err(), Some(Refusal::Full));
        assert!(!closing.has_changed().expect("open"), "no second signal");
        drop(slot);
        assert!(open.acquire(peer).await.is_ok());
    }
}
