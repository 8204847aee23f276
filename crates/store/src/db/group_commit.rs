//! Group commit: callers queue items for one writer, which takes all queued items and commits once.
//!
//! Invariants: [`GroupCommit::write`] returns only after the commit. A single item is written at once. If several are
//! queued, the writer pauses briefly for more, because a commit of many costs little more than a commit of two. The
//! queue is bounded, and an item that does not fit is rejected. A batch has a deadline, after which its items are
//! reported as not written. A batch that panics does not end the writer.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{StoreError, db::writer_health::WriterHealth};

/// The maximum number of items per commit.
const MAX_BATCH: usize = 256;
/// How long a batch of several items waits for more. Meanwhile the database is free for other transactions.
const GATHER_INTERVAL: Duration = Duration::from_millis(1);

/// A batch that runs for longer is stalled, and `/readyz` reports it.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);
/// A stalled batch is given up after this additional time: longer than it takes to detect a silent database server and
/// to write the batch to the next one.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(20);

type Waiting<T, R> = (T, oneshot::Sender<Option<R>>);

/// Handle to one writer.
pub(crate) struct GroupCommit<T, R>(mpsc::Sender<Waiting<T, R>>);

impl<T, R> Clone for GroupCommit<T, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The queue is full, or the batch could not be written.
#[derive(Debug, thiserror::Error)]
#[error("too many writes are waiting for the database")]
pub struct QueueFull;

impl From<QueueFull> for StoreError {
    fn from(_: QueueFull) -> Self {
        Self::Full
    }
}

impl<T: Send + 'static, R: Send + 'static> GroupCommit<T, R> {
    /// Starts a writer with a queue of `waiting` items. It ends when every [`GroupCommit`] is dropped and the queue is
    /// written.
    pub(crate) fn start<F>(
        waiting: usize,
        writer_health: Arc<WriterHealth>,
        write: impl Fn(Vec<T>) -> F + Send + Sync + 'static,
    ) -> (Self, JoinHandle<()>)
    where
        F: Future<Output = Result<Vec<R>, StoreError>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::channel::<Waiting<T, R>>(waiting);
        (Self(sender), spawned(batches(receiver, writer_health, write)))
    }

    /// Writes one item, or rejects it at once if the queue is full.
    pub(crate) async fn write(&self, item: T) -> Result<R, QueueFull> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send((item, answer)).map_err(|_| QueueFull)?;
        answered.await.ok().flatten().ok_or(QueueFull)
    }

    /// Writes one item; waits for room in the queue.
    pub(crate) async fn write_waiting(&self, item: T) -> Result<R, QueueFull> {
        let (answer, answered) = oneshot::channel();
        self.0.send((item, answer)).await.map_err(|_| QueueFull)?;
        answered.await.ok().flatten().ok_or(QueueFull)
    }
}

async fn batches<T, R, F>(
    mut receiver: mpsc::Receiver<Waiting<T, R>>,
    writer_health: Arc<WriterHealth>,
    write: impl Fn(Vec<T>) -> F,
) where
    F: Future<Output = Result<Vec<R>, StoreError>> + Send,
{
    let mut taken = Vec::new();
    while receiver.recv_many(&mut taken, MAX_BATCH).await > 0 {
        if (2..MAX_BATCH).contains(&taken.len()) {
            gather().await;
            let more = std::iter::from_fn(|| receiver.try_recv().ok()).take(MAX_BATCH - taken.len());
            taken.extend(more);
        }
        let (items, answers): (Vec<_>, Vec<_>) = taken.drain(..).unzip();
        let mut results = match written(write(items), &writer_health).await {
            Ok(results) => results.into_iter().map(Some).collect(),
            Err(error) => {
                tracing::error!(%error, n = answers.len(), "a batch of writes failed");
                Vec::new()
            }
        }
        .into_iter();
        for answer in answers {
            // The caller may be gone; the write stands either way.
            let _gone = answer.send(results.next().flatten());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the machine's own pace: no rule and no test reads it")]
async fn gather() {
    sleep(GATHER_INTERVAL).await;
}

/// Writes a batch within its deadline.
async fn written<R>(
    batch: impl Future<Output = Result<Vec<R>, StoreError>> + Send,
    writer_health: &Arc<WriterHealth>,
) -> Result<Vec<R>, StoreError> {
    let mut batch = pin!(AssertUnwindSafe(batch).catch_unwind());
    let written = match timeout(STALL_TIMEOUT, &mut batch).await {
        Ok(written) => Some(written),
        Err(_) => {
            let _stall = writer_health.stall();
            tracing::warn!("a batch of writes has been running for {} s", STALL_TIMEOUT.as_secs());
            timeout(GIVE_UP_TIMEOUT, &mut batch).await.ok()
        }
    };
    match written {
        Some(Ok(written)) => written,
        Some(Err(_panic)) => {
            tracing::error!("a batch of writes panicked");
            Err(StoreError::Full)
        }
        None => Err(StoreError::Full),
    }
}

/// On a multi-threaded runtime the writer has its own thread, so that it does not queue behind the tasks that wait for
/// it.
fn spawned(writer: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let here = Handle::current();
    match here.runtime_flavor() {
        RuntimeFlavor::CurrentThread => tokio::spawn(writer),
        _ => tokio::task::spawn_blocking(move || here.block_on(writer)),
    }
}
