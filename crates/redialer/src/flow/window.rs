//! What is due soon, kept in memory: dialling goes by the clock and never polls the database for "due now".
//!
//! Invariants: the database is the truth; what is here may be out of date, and a claim that finds it so changes
//! nothing. A row that this process writes inside the window is added after its commit; everything else comes in
//! with the next reading. Bounded: in a backlog the longest due rows of each workspace are kept.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use redialer_core::{
    Id, Timestamp,
    id::{Callback, Workspace},
    time::plus,
};
use redialer_store::{DueRow, StoreError};

use crate::app::App;

/// How far ahead the window reaches, in real time: each row is read some four times before it is due.
const AHEAD: SignedDuration = SignedDuration::from_secs(12);
/// The interval between two readings of the database.
const READ_EVERY: Duration = Duration::from_secs(3);
/// The interval while more is due than one reading returns.
const READ_BACKLOG_EVERY: Duration = Duration::from_millis(500);
/// The least time between two readings.
const REST: Duration = Duration::from_millis(50);
/// The most rows of one reading: of one workspace, and of all workspaces in a range of buckets.
const EACH: i64 = 5_000;
const MOST: i64 = 40_000;
/// Rows of one workspace that are looked at in one round.
const A_ROUND: usize = 500;

/// The rows that are due within the window.
#[derive(Default)]
pub struct Window(Mutex<Inner>);

struct Inner {
    rows: BTreeMap<(Timestamp, Id<Callback>), DueRow>,
    /// Everything due by then was read.
    until: Timestamp,
    /// What was added while the database is being read.
    added: Vec<DueRow>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), until: Timestamp::MIN, added: Vec::new() }
    }
}

/// Due rows by workspace, the longest due first.
pub type Lanes = BTreeMap<Id<Workspace>, Vec<DueRow>>;

impl Window {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a row that was just written; whether it lies in the window.
    pub fn add(&self, row: DueRow) -> bool {
        let mut inner = self.inner();
        let within = row.due_at <= inner.until;
        if within {
            inner.rows.insert((row.due_at, row.id), row);
            inner.added.push(row);
        }
        within
    }

    /// Everything due by then is here.
    pub fn until(&self) -> Timestamp {
        self.inner().until
    }

    /// Forgets rows that were dealt with.
    pub fn forget(&self, rows: &[DueRow]) {
        let mut inner = self.inner();
        for row in rows {
            inner.rows.remove(&(row.due_at, row.id));
        }
    }

    /// What is due at `now`, by workspace.
    pub fn lanes(&self, now: Timestamp) -> Lanes {
        let mut lanes = Lanes::new();
        for (_, row) in self.inner().rows.range(..=(now, Id::from_uuid(uuid::Uuid::max()))) {
            let lane = lanes.entry(row.workspace).or_default();
            if lane.len() < A_ROUND {
                lane.push(*row);
            }
        }
        lanes
    }

    /// When the next row after `now` is due.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let from = (now, Id::from_uuid(uuid::Uuid::max()));
        self.inner().rows.range(from..).next().map(|((due_at, _), _)| *due_at)
    }

    fn fill(&self, rows: Vec<DueRow>, until: Timestamp) {
        let mut inner = self.inner();
        let added = std::mem::take(&mut inner.added);
        inner.rows = rows.into_iter().chain(added).map(|row| ((row.due_at, row.id), row)).collect();
        inner.until = until;
    }
}

/// Reads the window again and again until the program shuts down.
pub async fn run(app: Arc<App>) {
    while !app.is_draining() {
        let bell = app.window_bell.notified();
        let every = match read(&app).await {
            Ok(is_all) => {
                app.due_bell.notify_one();
                if is_all { READ_EVERY } else { READ_BACKLOG_EVERY }
            }
            Err(error) => {
                tracing::warn!(%error, "what is due could not be read");
                READ_EVERY
            }
        };
        // However many changes are told of, the database is read at a pace of our own.
        app.clock.wait(REST).await;
        tokio::select! { () = bell => {}, () = app.clock.wait(every) => {}, () = app.drained() => {} }
    }
}

/// Reads the callbacks that are due within the window. Returns whether those are all.
pub async fn read(app: &App) -> Result<bool, StoreError> {
    app.window.inner().added.clear();
    let until = plus(app.clock.now(), AHEAD * i32::try_from(app.clock.speed()).unwrap_or(i32::MAX));
    let (mut rows, mut is_all) = (Vec::new(), true);
    for range in app.ranges() {
        let due = app.store.due(range, until, EACH, MOST).await?;
        is_all &= due.is_all;
        rows.extend(due.rows);
    }
    app.window.fill(rows, until);
    Ok(is_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: u128, second: i64) -> DueRow {
        DueRow {
            test: false,
            bucket: 1,
            id: Id::from_uuid(uuid::Uuid::from_u128(n)),
            tenant: Id::from_uuid(uuid::Uuid::from_u128(1)),
            workspace: Id::from_uuid(uuid::Uuid::from_u128(1)),
            channel: redialer_core::agent::Channel::Voice,
            due_at: at(second),
            failures: 0,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn rows_come_due_in_order_and_what_is_further_off_is_left_to_the_database() {
        let window = Window::default();
        assert!(!window.add(row(9, 5)), "nothing was read yet");
        window.fill(vec![row(1, 20), row(2, 10)], at(30));
        assert!(window.add(row(3, 5)) && !window.add(row(4, 31)));
        assert_eq!(window.next(at(5)), Some(at(10)));
        let due: Vec<_> = window.lanes(at(10)).into_values().flatten().map(|r| r.due_at).collect();
        assert_eq!(due, [at(5), at(10)]);
        window.forget(&[row(3, 5)]);
        assert_eq!(window.lanes(at(9)).len(), 0);
    }

    #[test]
    fn what_is_added_during_a_reading_outlives_it() {
        let window = Window::default();
        window.fill(Vec::new(), at(30));
        window.inner().added.clear();
        window.add(row(1, 7));
        window.fill(Vec::new(), at(40));
        assert_eq!(window.next(at(0)), Some(at(7)));
    }
}
