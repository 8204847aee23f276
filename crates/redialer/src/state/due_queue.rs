//! Callbacks that are due soon, in memory: dialing follows the clock and never polls the database for due callbacks.
//!
//! Invariants: the database is authoritative. An entry here may be out of date; its claim then changes nothing. The
//! size is bounded: in a backlog, the rows of each workspace that have been due longest are kept.

use std::{collections::BTreeMap, sync::Mutex};

use redialer_core::{
    Id, Timestamp,
    id::{Callback, Workspace},
};
use redialer_store::DueRow;

use crate::state::locked;

/// The maximum number of rows of one workspace per round: of its live callbacks, and of its test callbacks.
const MAX_ROUND: usize = 500;

/// The callbacks that are due within the horizon of the last read.
#[derive(Default)]
pub struct DueQueue(Mutex<BTreeMap<(Timestamp, Id<Callback>), DueRow>>);

/// Due rows by workspace, the earliest first.
pub type DueByWorkspace = BTreeMap<Id<Workspace>, Vec<DueRow>>;

/// A key that sorts after every callback that is due at `moment`.
fn after(moment: Timestamp) -> (Timestamp, Id<Callback>) {
    (moment, Id::from_uuid(uuid::Uuid::max()))
}

impl DueQueue {
    /// Replaces all rows by those of a new read.
    pub fn fill(&self, rows: Vec<DueRow>) {
        *locked(&self.0) = rows.into_iter().map(|row| ((row.due_at, row.id), row)).collect();
    }

    /// Removes rows that were claimed here, belong to another replica, or are no longer due.
    pub fn remove(&self, rows: &[DueRow]) {
        let mut all = locked(&self.0);
        for row in rows {
            all.remove(&(row.due_at, row.id));
        }
    }

    /// The rows that are due at `now`, by workspace.
    pub fn due(&self, now: Timestamp) -> DueByWorkspace {
        let (mut due, mut counts) = (DueByWorkspace::new(), BTreeMap::<_, usize>::new());
        for (_, row) in locked(&self.0).range(..=after(now)) {
            let n = counts.entry((row.workspace, row.test)).or_default();
            if *n < MAX_ROUND {
                *n += 1;
                due.entry(row.workspace).or_default().push(*row);
            }
        }
        due
    }

    /// The due time of the next row after `now`.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        locked(&self.0).range(after(now)..).next().map(|((due_at, _), _)| *due_at)
    }
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
    fn rows_come_due_in_order() {
        let queue = DueQueue::default();
        queue.fill(vec![row(1, 20), row(2, 10), row(3, 5)]);
        assert_eq!(queue.next(at(5)), Some(at(10)));
        let due: Vec<_> = queue.due(at(10)).into_values().flatten().map(|row| row.due_at).collect();
        assert_eq!(due, [at(5), at(10)]);
        queue.remove(&[row(3, 5)]);
        assert!(queue.due(at(9)).is_empty());
        queue.fill(Vec::new());
        assert_eq!(queue.next(at(0)), None);
    }

    #[test]
    fn due_test_callbacks_do_not_displace_live_callbacks() {
        let queue = DueQueue::default();
        let tests = (0..600).map(|n| DueRow { test: true, ..row(n, 1) });
        queue.fill(tests.chain([row(601, 2)]).collect());
        let due: Vec<_> = queue.due(at(3)).into_values().flatten().collect();
        assert_eq!(due.iter().filter(|row| row.test).count(), MAX_ROUND);
        assert_eq!(due.iter().filter(|row| !row.test).count(), 1);
    }
}
