//! The load client: requests over keep-alive connections, as many as the server takes or at a fixed rate.
//!
//! Uses a bare socket and a prebuilt request, because a full HTTP client would take more of the shared cores than the
//! server. Absent on purpose: chunked responses, which none of the servers here sends to a webhook.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use crate::{
    payload::{Request, Template, next_serial},
    stats::Sorted,
    watch::Watch,
};

/// A webhook's address.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
}

/// The result of a load.
#[derive(Default)]
pub(crate) struct Outcome {
    /// For every 2xx: when it arrived, and its latency, in microseconds.
    answers: Vec<(u64, u64)>,
    /// Every other response, by status.
    pub(crate) others: BTreeMap<u16, u64>,
}

impl Outcome {
    pub(crate) const fn n(&self) -> usize {
        self.answers.len()
    }

    /// Responses per second between two times of the load.
    pub(crate) fn rate(&self, from_secs: f64, to_secs: f64) -> f64 {
        let within = |(at, _): &&(u64, u64)| (from_secs..to_secs).contains(&(*at as f64 / 1e6));
        self.answers.iter().filter(within).count() as f64 / (to_secs - from_secs)
    }

    /// Latencies in milliseconds.
    pub(crate) fn latencies(&self) -> Sorted {
        Sorted::new(self.answers.iter().map(|(_, us)| *us as f64 / 1e3))
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.answers.extend(other.answers);
        for (status, n) in other.others {
            *self.others.entry(status).or_default() += n;
        }
    }

    fn note(&mut self, status: u16, at_us: u64, took_us: u64) {
        match status {
            200..300 => self.answers.push((at_us, took_us)),
            _ => *self.others.entry(status).or_default() += 1,
        }
    }

    /// Fails if over 1 % of the requests were refused: such a load measures nothing.
    pub(crate) fn all_taken(&self) -> anyhow::Result<()> {
        let refused: u64 = self.others.values().sum();
        if self.n() == 0 || refused as f64 > 0.01 * self.n() as f64 {
            bail!("{} webhooks were taken, others answered {:?}", self.n(), self.others);
        }
        Ok(())
    }
}

/// A keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("{address} is not there"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(4_096) })
    }

    /// Opens a connection from the local address `peer`.
    pub(crate) async fn open_from(peer: SocketAddr, address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(peer)?;
        let stream = socket.connect(address).await.with_context(|| format!("{address} is not there"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::with_capacity(4_096) })
    }

    /// Sends a request, reads the whole response and returns its status.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the server closed the connection");
            }
            let Some(head) = self.answer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&self.answer[..head])?.to_ascii_lowercase();
            let length = text.lines().find_map(|l| l.strip_prefix("content-length:"));
            let length: usize = length.map_or(Ok(0), |l| l.trim().parse())?;
            if self.answer.len() >= head + 4 + length {
                return text.get(9..12).context("a status line")?.parse().context("a status");
            }
        }
    }
}

/// Sends as many requests as the server takes, over `connections` connections, for `window`.
pub(crate) async fn saturate(
    targets: &[Target],
    template: &Arc<Template>,
    connections: usize,
    window: Duration,
) -> anyhow::Result<Outcome> {
    let watch = Watch::start();
    let end_us = u64::try_from(window.as_micros())?;
    let mut all = JoinSet::new();
    for target in targets.iter().cycle().take(connections) {
        let mut connection = Connection::open(target.address).await?;
        let mut request = Request::new(template, &target.address.to_string(), &target.path)?;
        all.spawn(async move {
            let mut outcome = Outcome::default();
            let mut at = watch.us();
            while at < end_us {
                let serial = next_serial();
                let status = connection.ask(request.patched(serial, serial)).await?;
                let now = watch.us();
                outcome.note(status, now, now - at);
                at = now;
            }
            anyhow::Ok(outcome)
        });
    }
    joined(all).await
}

/// Sends requests at a fixed rate, regardless of the server's speed. If a response is late, the next request is sent
/// late, and its latency counts from its planned time.
pub(crate) async fn paced(
    targets: &[Target],
    template: &Arc<Template>,
    rate: u64,
    window: Duration,
) -> anyhow::Result<Outcome> {
    const CONNECTIONS: u64 = 16;
    let watch = Watch::start();
    let end_us = u64::try_from(window.as_micros())?;
    let mut all = JoinSet::new();
    for (i, target) in (0..CONNECTIONS).zip(targets.iter().cycle()) {
        let mut connection = Connection::open(target.address).await?;
        let mut request = Request::new(template, &target.address.to_string(), &target.path)?;
        all.spawn(async move {
            let mut outcome = Outcome::default();
            for turn in 0_u64.. {
                let planned = (turn * CONNECTIONS + i) * 1_000_000 / rate;
                if planned >= end_us {
                    break;
                }
                let behind = watch.us() > planned;
                watch.wait_for(planned).await;
                // The timer's granularity is not attributed to the server.
                let from = if behind && turn > 0 { planned } else { watch.us() };
                let serial = next_serial();
                let status = connection.ask(request.patched(serial, serial)).await?;
                let now = watch.us();
                outcome.note(status, now, now - from);
            }
            anyhow::Ok(outcome)
        });
    }
    joined(all).await
}

async fn joined(mut all: JoinSet<anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    let mut sum = Outcome::default();
    while let Some(one) = all.join_next().await {
        sum.add(one??);
    }
    Ok(sum)
}
