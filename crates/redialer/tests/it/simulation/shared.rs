//! State that the driver, the transport and the faults of one simulation share.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicI64, Ordering},
    },
    task::{Poll, Waker},
};

use redialer_core::{Timestamp, rng::Rng, time::from_ms};

use super::bugs::Bug;

/// An operation in progress; the driver advances one at a time.
pub(super) type OpId = u64;

/// Where an operation is parked until the driver resumes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Before the first byte of a request is sent, or just after.
    Sending,
    /// The provider has decided; its answer is in transit.
    Answering,
    /// The process is frozen between two steps.
    Frozen,
    /// The database or the key service is slow.
    Stalled,
    /// A webhook waits before the writer until others arrive there.
    Gathering,
}

/// How a parked operation resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Go,
    /// No connection was established.
    Unsent,
    /// The connection broke, or the answer came too late.
    Lost,
    /// The provider's gateway answers in place of the provider.
    BadGateway,
}

pub(super) struct Shared {
    inner: Mutex<Inner>,
    now_ms: Arc<AtomicI64>,
    /// The error of the database server's clock, in milliseconds.
    database_skew_ms: AtomicI64,
    /// The largest error so far: replicas that have not read the clock since still have it.
    most_skew_ms: AtomicI64,
    pub(super) rng: Rng,
    pub(super) bug: Option<Bug>,
}

#[derive(Default)]
struct Inner {
    current: OpId,
    parked: BTreeMap<OpId, Gate>,
    fates: BTreeMap<OpId, Fate>,
    /// Wakers of tasks that an operation spawned and that are parked.
    wakers: BTreeMap<OpId, Waker>,
    /// How often a process crashed or one of its steps failed.
    failures: u64,
    crashed: Option<usize>,
    waker: Option<Waker>,
    faults_on: bool,
    is_gathering: bool,
    /// Whether commits of decisions about events fail.
    is_decided_in_vain: bool,
    /// The number of random draws: two runs that differ in it differ from there on.
    draws: u64,
    trace: String,
    broken: Option<String>,
    canceled: BTreeSet<String>,
    requests: BTreeMap<String, Vec<i64>>,
    /// Calls whose records the provider has lost.
    lost: BTreeSet<String>,
    /// Whether the provider refused the key and no request has succeeded with it since.
    is_refused: bool,
    /// Pages of other agents' calls that come before ours in the provider's list.
    filler_pages: usize,
}

impl Shared {
    pub(super) fn new(seed: u64, start_ms: i64, bug: Option<Bug>) -> Arc<Self> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Arc::new(Self {
            inner: Mutex::default(),
            now_ms: Arc::new(AtomicI64::new(start_ms)),
            database_skew_ms: AtomicI64::default(),
            most_skew_ms: AtomicI64::default(),
            rng: Rng::seeded(bytes),
            bug,
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// The monotonic clock of every machine.
    pub(super) fn steady(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.now_ms)
    }

    pub(super) fn now(&self) -> Timestamp {
        from_ms(self.now_ms()).expect("in range")
    }

    pub(super) fn set_now(&self, ms: i64) {
        self.now_ms.store(ms, Ordering::Relaxed);
    }

    /// The database server's clock, which the replicas use, too.
    pub(super) fn database_ms(&self) -> i64 {
        self.now_ms() + self.database_skew_ms.load(Ordering::Relaxed)
    }

    /// Sets the error of the database server's clock.
    pub(super) fn set_database_skew(&self, ms: i64) {
        self.database_skew_ms.store(ms, Ordering::Relaxed);
        self.most_skew_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// The latest time that a replica can rightly assume.
    pub(super) fn latest(&self) -> Timestamp {
        from_ms(self.now_ms() + self.most_skew_ms.load(Ordering::Relaxed)).expect("in range")
    }

    /// Counts a crash or a failed step. The process may not have recorded a refusal that it received; the next one
    /// will.
    pub(super) fn failed(&self) {
        let mut inner = self.inner();
        inner.failures += 1;
        inner.is_refused = false;
    }

    pub(super) fn failures(&self) -> u64 {
        self.inner().failures
    }

    /// Returns true `percent` of the time.
    pub(super) fn sometimes(&self, percent: f64) -> bool {
        self.draw() * 100.0 < percent
    }

    fn draw(&self) -> f64 {
        self.inner().draws += 1;
        self.rng.next_f64()
    }

    pub(super) fn below(&self, n: usize) -> usize {
        ((self.draw() * n as f64) as usize).min(n.saturating_sub(1))
    }

    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub(super) fn faults_on(&self) -> bool {
        self.inner().faults_on
    }

    pub(super) fn set_faults(&self, on: bool) {
        self.inner().faults_on = on;
    }

    pub(super) fn set_gathering(&self, on: bool) {
        self.inner().is_gathering = on;
    }

    pub(super) fn is_gathering(&self) -> bool {
        self.inner().is_gathering
    }

    pub(super) fn set_decided_in_vain(&self, on: bool) {
        self.inner().is_decided_in_vain = on;
    }

    pub(super) fn is_decided_in_vain(&self) -> bool {
        self.inner().is_decided_in_vain
    }

    pub(super) fn note(&self, line: &str) {
        let at = self.now();
        let mut inner = self.inner();
        let draws = inner.draws;
        let _written = writeln!(inner.trace, "{at} #{draws} {line}");
    }

    pub(super) fn broke(&self, law: &str) {
        self.note(&format!("BROKEN {law}"));
        self.inner().broken.get_or_insert_with(|| law.to_owned());
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.inner().broken.clone()
    }

    pub(super) fn trace(&self) -> String {
        self.inner().trace.clone()
    }

    pub(super) fn canceled(&self, callback: &str) {
        self.inner().canceled.insert(callback.to_owned());
    }

    pub(super) fn was_canceled(&self, callback: &str) -> bool {
        self.inner().canceled.contains(callback)
    }

    /// The provider loses its record of a call.
    pub(super) fn lose(&self, call: &str) {
        self.inner().lost.insert(call.to_owned());
    }

    pub(super) fn has_lost(&self, call: &str) -> bool {
        self.inner().lost.contains(call)
    }

    pub(super) fn set_refused(&self, refused: bool) {
        self.inner().is_refused = refused;
    }

    pub(super) fn is_refused(&self) -> bool {
        self.inner().is_refused
    }

    pub(super) fn set_filler_pages(&self, pages: usize) {
        self.inner().filler_pages = pages;
    }

    pub(super) fn filler_pages(&self) -> usize {
        self.inner().filler_pages
    }

    /// Counts a request; returns the times of all requests of the same dispatch.
    pub(super) fn requested(&self, dispatch: &str) -> Vec<i64> {
        let now = self.now_ms();
        let mut inner = self.inner();
        let times = inner.requests.entry(dispatch.to_owned()).or_default();
        times.push(now);
        times.clone()
    }

    /// Parks the operation until the driver resumes it.
    pub(super) async fn park(&self, gate: Gate) -> Fate {
        if !self.faults_on() {
            return Fate::Go;
        }
        let op = self.inner().current;
        let mut entered = false;
        std::future::poll_fn(|cx| {
            let mut inner = self.inner();
            let fate = if entered { inner.fates.remove(&op) } else { None };
            entered = true;
            match fate {
                Some(fate) => {
                    inner.parked.remove(&op);
                    Poll::Ready(fate)
                }
                None => {
                    inner.parked.insert(op, gate);
                    inner.wakers.insert(op, cx.waker().clone());
                    // The driver must be woken, because a spawned task may have parked.
                    if let Some(driver) = &inner.waker {
                        driver.wake_by_ref();
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }

    pub(super) fn begin(&self, op: OpId) {
        self.inner().current = op;
    }

    pub(super) fn decide(&self, op: OpId, fate: Fate) {
        let mut inner = self.inner();
        inner.parked.remove(&op);
        inner.fates.insert(op, fate);
        if let Some(waker) = inner.wakers.remove(&op) {
            waker.wake();
        }
    }

    pub(super) fn parked(&self, op: OpId) -> Option<Gate> {
        self.inner().parked.get(&op).copied()
    }

    pub(super) fn forget(&self, op: OpId) {
        let mut inner = self.inner();
        inner.parked.remove(&op);
        inner.fates.remove(&op);
        inner.wakers.remove(&op);
    }

    /// Crashes the process of a replica, immediately.
    pub(super) fn crash(&self, replica: usize) -> ! {
        self.failed();
        {
            let mut inner = self.inner();
            inner.crashed = Some(replica);
            if let Some(waker) = inner.waker.take() {
                waker.wake();
            }
        }
        // Unwinding closes open resources, as the end of a process does; the driver discards the operation.
        std::panic::resume_unwind(Box::new("crashed"))
    }

    pub(super) fn take_crash(&self) -> Option<usize> {
        self.inner().crashed.take()
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.inner().crashed.is_some()
    }

    pub(super) fn wake_on_crash(&self, waker: &Waker) {
        self.inner().waker = Some(waker.clone());
    }
}
