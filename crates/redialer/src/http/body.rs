//! Reads request bodies into memory.
//!
//! Invariants: a body has a size limit (413) and a deadline (408). The memory of all bodies together is limited (503),
//! counted by allocated capacity: a body grows in pieces and is never copied into a buffer of twice its size.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::StatusCode,
};
use http_body::Body as _;
use http_body_util::BodyExt as _;

use crate::{app::App, http::error::ApiError};

/// The largest piece of memory that is allocated for a body.
const MAX_PIECE_BYTES: usize = 256 << 10;
/// The first piece, unless the announced size is smaller.
const FIRST_PIECE_BYTES: usize = 32 << 10;

/// The limits of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The size of the body.
    pub(crate) max_bytes: usize,
    /// The memory of all bodies, including this one.
    pub(crate) max_waiting_bytes: usize,
}

/// A part of the memory that all bodies share; released on drop.
pub(crate) struct BodyBudget {
    all: Arc<AtomicUsize>,
    max: usize,
    taken: usize,
}

impl BodyBudget {
    fn take(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.taken += bytes;
        if self.all.fetch_add(bytes, Ordering::Relaxed) + bytes > self.max {
            return Err(ApiError::unavailable());
        }
        Ok(())
    }
}

impl Drop for BodyBudget {
    fn drop(&mut self) {
        self.all.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

/// Reads the whole body. Returns it with its share of the memory.
pub(crate) async fn read(
    app: &Arc<App>,
    body: Body,
    limits: Limits,
) -> Result<(Bytes, BodyBudget), ApiError> {
    let mut room =
        BodyBudget { all: Arc::clone(&app.waiting_bytes), max: limits.max_waiting_bytes, taken: 0 };
    let deadline = Duration::from_secs(app.config.body_deadline_secs);
    let reading = read_body(body, limits.max_bytes, &mut room);
    let Ok(body) = tokio::time::timeout(deadline, reading).await else {
        let why = format!("The body did not arrive within {} s.", deadline.as_secs());
        return Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", why));
    };
    Ok((body?, room))
}

async fn read_body(mut body: Body, max: usize, room: &mut BodyBudget) -> Result<Bytes, ApiError> {
    let too_large = || {
        let why = format!("The body is larger than {max} bytes.");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why)
    };
    let announced = body.size_hint().exact().and_then(|n| usize::try_from(n).ok());
    if announced.is_some_and(|n| n > max) {
        drain(&mut body).await;
        return Err(too_large());
    }
    let mut pieces = Pieces::default();
    while let Some(frame) = body.frame().await {
        let unreadable =
            |_| ApiError::new(StatusCode::BAD_REQUEST, "unreadable", "The body is incomplete or malformed.");
        let Ok(data) = frame.map_err(unreadable)?.into_data() else { continue };
        if pieces.bytes + data.len() > max {
            drop(pieces);
            drain(&mut body).await;
            return Err(too_large());
        }
        pieces.push(&data, announced, room)?;
    }
    Ok(pieces.joined())
}

/// A body that is being read.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Vec<u8>>,
    bytes: usize,
}

impl Pieces {
    fn push(
        &mut self,
        mut data: &[u8],
        announced: Option<usize>,
        room: &mut BodyBudget,
    ) -> Result<(), ApiError> {
        while !data.is_empty() {
            if self.pieces.last().is_none_or(|piece| piece.len() == piece.capacity()) {
                // As much again as has been received: a client that announces much and sends little takes little memory.
                let missing =
                    announced.map_or(MAX_PIECE_BYTES, |all| all.saturating_sub(self.bytes).max(data.len()));
                let capacity = self.bytes.clamp(FIRST_PIECE_BYTES, MAX_PIECE_BYTES).min(missing);
                room.take(capacity)?;
                self.pieces.push(Vec::with_capacity(capacity));
            }
            let Some(piece) = self.pieces.last_mut() else { break };
            let (now, later) = data.split_at(data.len().min(piece.capacity() - piece.len()));
            piece.extend_from_slice(now);
            self.bytes += now.len();
            data = later;
        }
        Ok(())
    }

    /// Joins the pieces; each is freed as soon as it is copied.
    fn joined(mut self) -> Bytes {
        if self.pieces.len() <= 1 {
            return self.pieces.pop().unwrap_or_default().into();
        }
        let mut joined = Vec::with_capacity(self.bytes);
        for piece in self.pieces {
            joined.extend_from_slice(&piece);
        }
        joined.into()
    }
}

/// The most that is read of a body that is too large.
const MAX_DRAINED: usize = 32 << 20;

/// Reads and discards the rest of a body: a client that is still sending does not see the response.
async fn drain(body: &mut Body) {
    let mut read = 0;
    while let (true, Some(Ok(frame))) = (read < MAX_DRAINED, body.frame().await) {
        read += frame.data_ref().map_or(0, |data| data.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(max: usize) -> BodyBudget {
        BodyBudget { all: Arc::default(), max, taken: 0 }
    }

    /// Reads a body in parts of `part` bytes, and checks that the counted memory is the allocated memory.
    fn grow(bytes: usize, part: usize, announced: Option<usize>) -> usize {
        let (mut pieces, mut room) = (Pieces::default(), room(usize::MAX));
        let all = Arc::clone(&room.all);
        let data = vec![b'x'; part];
        while pieces.bytes < bytes {
            let part = &data[..part.min(bytes - pieces.bytes)];
            assert!(pieces.push(part, announced, &mut room).is_ok());
            let allocated: usize = pieces.pieces.iter().map(Vec::capacity).sum();
            assert_eq!(
                all.load(Ordering::Relaxed),
                allocated,
                "{bytes} in parts of {part}",
                part = part.len()
            );
            assert!(allocated <= 2 * pieces.bytes.max(FIRST_PIECE_BYTES), "{allocated} for {}", pieces.bytes);
        }
        let counted = all.load(Ordering::Relaxed);
        assert_eq!(pieces.joined(), vec![b'x'; bytes]);
        drop(room);
        assert_eq!(all.load(Ordering::Relaxed), 0, "given back");
        counted
    }

    #[test]
    fn what_is_counted_of_a_body_is_what_is_allocated() {
        for part in [1, 1_000, 60_000, 500_000] {
            for bytes in [1, FIRST_PIECE_BYTES - 1, FIRST_PIECE_BYTES + 1, 300_000] {
                assert_eq!(grow(bytes, part, Some(bytes)), bytes, "announced: exactly what it has");
                grow(bytes, part, None);
            }
        }
        grow(10 << 20, 60_000, Some(10 << 20));
    }

    #[test]
    fn memory_that_others_hold_is_not_taken() {
        let mut first = room(FIRST_PIECE_BYTES + 10);
        let all = Arc::clone(&first.all);
        assert!(Pieces::default().push(b"x", None, &mut first).is_ok());
        let mut second = BodyBudget { all: Arc::clone(&all), max: first.max, taken: 0 };
        assert!(Pieces::default().push(&[0; 11], Some(11), &mut second).is_err());
        drop(second);
        assert_eq!(all.load(Ordering::Relaxed), FIRST_PIECE_BYTES);
        drop(first);
        let mut third = BodyBudget { all, max: FIRST_PIECE_BYTES, taken: 0 };
        assert!(Pieces::default().push(b"x", None, &mut third).is_ok());
    }
}
