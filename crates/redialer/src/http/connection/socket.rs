//! A client's connection, as hyper reads and writes it.
//!
//! Invariants: a client that accepts no byte of its response within the write deadline is disconnected. (Reads have
//! their own deadlines elsewhere: for the head, for the body, and for an idle connection.) During a shutdown the
//! deadline is at most two seconds.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{app::App, clock::Deadline, http::connection::framing::Framing};

/// The longest write deadline during a shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of a connection's first request with both framing headers, counted from 1.
#[derive(Clone, Default)]
pub(crate) struct Ambiguous(Arc<AtomicU64>);

impl Ambiguous {
    /// Whether request number `n` of the connection is that request.
    pub(crate) fn is(&self, n: u64) -> bool {
        self.0.load(Ordering::Relaxed) == n
    }
}

/// A connection with a deadline for writing.
pub(crate) struct Socket {
    app: Arc<App>,
    stream: TcpStream,
    framing: Framing,
    ambiguous: Ambiguous,
    /// Set while the client accepts no bytes: the deadline, and whether it is already the shorter one of a shutdown.
    blocked: Option<(Deadline, bool)>,
}

impl Socket {
    pub(crate) fn new(app: Arc<App>, stream: TcpStream, ambiguous: Ambiguous) -> Self {
        Self { app, stream, framing: Framing::default(), ambiguous, blocked: None }
    }

    /// Handles the result of a write; a client that accepts no bytes is disconnected at its deadline.
    fn written(&mut self, tried: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if tried.is_ready() {
            self.blocked = None;
            return tried;
        }
        let is_draining = self.app.is_draining();
        if self.blocked.as_ref().is_none_or(|(_, is_short)| is_draining && !is_short) {
            let limit = Duration::from_secs(self.app.config.write_deadline_secs);
            let limit = if is_draining { limit.min(DRAIN_TIMEOUT) } else { limit };
            self.blocked = Some((Deadline::after(limit), is_draining));
        }
        if let Some((deadline, _)) = &mut self.blocked {
            ready!(deadline.poll_passed(cx));
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its response")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if let Some(request) = self.framing.read(&buf.filled()[before..]) {
            self.ambiguous.0.store(request, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(tried, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let tried = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(tried, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
