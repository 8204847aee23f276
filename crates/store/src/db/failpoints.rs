//! Named points at which a test may stop the program or the database (failure-model, crash points).
//!
//! Invariant: without [`Faults`] nothing happens here. A point that never returns simulates a process that died there.
//! An error at a commit simulates a lost response, before or after the database committed.

use std::{
    future::Future,
    pin::Pin,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

macro_rules! points {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// A point between two steps of the journey.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FailPoint { $($(#[$doc])* $name),* }

        impl FailPoint {
            /// Every point.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name, as in the failure model.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

points! {
    /// Due, not claimed.
    C1,
    /// Claimed, nothing read.
    C2,
    /// Decrypted, no intent.
    C3,
    /// The intent is written but not committed.
    C4,
    /// The intent is on disk, no byte was sent.
    C5,
    /// The request is in flight, the provider has not decided.
    C6,
    /// The provider placed the call, its response has not arrived.
    C7,
    /// The response arrived and is not recorded.
    C8,
    /// The response is recorded, and the caller has not been notified.
    C9,
    /// A webhook is on disk and not answered.
    C10,
    /// The next callback is being written from an outcome.
    C13,
    /// The key service is about to be called.
    Unwrap,
    /// A transaction that may write is about to begin or to be requested.
    Begin,
    /// A transaction is about to be committed.
    BeforeCommit,
    /// A transaction was committed, and the caller has no response yet.
    AfterCommit,
}

/// The effect of a fail point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The program continues.
    Go,
    /// The step fails. After a commit, this simulates a lost response.
    Fail,
    /// The commit is skipped but reported as done: a planted bug.
    Pretend,
}

/// A verdict, returned at once, later or never.
pub type Passing<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// Injected faults.
pub trait Faults: Send + Sync {
    /// Called when the program passes this point.
    fn at(&self, point: FailPoint) -> Passing<'_>;

    /// Returns the statement to run in place of `sql`, to plant a bug.
    fn sql(&self, sql: &'static str) -> &'static str {
        sql
    }

    /// Overrides the database server's clock, in milliseconds.
    fn database_ms(&self) -> Option<i64> {
        None
    }
}

/// Faults shared by a store and its users; `None` in production.
pub(crate) type SharedFaults = Option<Arc<dyn Faults>>;

/// Ends the process, as a power cut would, when it passes a point for the n-th time.
pub struct Abort {
    point: FailPoint,
    left: AtomicU32,
}

/// The text is not a fail point such as `C5` or `C5:3`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a crash point, optionally with a colon and the number of the passage at which to abort, such as C5 or C5:3"
)]
pub struct BadPoint;

impl FromStr for Abort {
    type Err = BadPoint;

    fn from_str(text: &str) -> Result<Self, BadPoint> {
        let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
        let point = FailPoint::ALL.iter().copied().find(|p| p.as_str() == name).ok_or(BadPoint)?;
        let nth: u32 = nth.parse().ok().filter(|n| *n > 0).ok_or(BadPoint)?;
        Ok(Self { point, left: AtomicU32::new(nth) })
    }
}

/// The time by which a request in flight has left the process.
const UNDER_WAY: Duration = Duration::from_millis(80);

impl Faults for Abort {
    #[expect(clippy::disallowed_methods, reason = "for a test alone, and the process is about to die")]
    fn at(&self, point: FailPoint) -> Passing<'_> {
        Box::pin(async move {
            if point == self.point && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                if matches!(point, FailPoint::C6 | FailPoint::C7) {
                    tokio::time::sleep(UNDER_WAY).await;
                }
                std::process::abort();
            }
            Verdict::Go
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_and_its_passage_are_named() {
        let read = |text: &str| text.parse::<Abort>().map(|a| (a.point, a.left.into_inner()));
        assert_eq!(read("C5"), Ok((FailPoint::C5, 1)));
        assert_eq!(read("C13:7"), Ok((FailPoint::C13, 7)));
        for odd in ["", "C11", "C5:0", "C5:x", "c5"] {
            assert_eq!(read(odd), Err(BadPoint), "{odd}");
        }
    }
}
