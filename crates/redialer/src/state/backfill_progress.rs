//! The progress of interrupted backfills.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use redialer_core::{Id, Timestamp, agent::Channel, id};

use crate::state::locked;

/// The progress of interrupted backfills, by workspace. After a restart they start from the beginning.
#[derive(Default)]
pub struct InterruptedBackfills(Mutex<HashMap<Id<id::Workspace>, Progress>>);

/// The progress of a backfill.
pub(crate) struct Progress {
    /// When the backfill began; it covers every call that ended before.
    pub(crate) began: Timestamp,
    /// The start of the period that the backfill covers.
    pub(crate) since: Timestamp,
    /// The restore generation that the backfill is for.
    pub(crate) restore_generation: i64,
    /// Lists that are not read to the end, each with the cursor of its next page.
    pub(crate) lists: VecDeque<(Channel, Option<String>)>,
    /// Calls to import, newest first.
    pub(crate) unprocessed: Vec<(Channel, String)>,
    /// The number of times that the record of the next call could not be read.
    pub(crate) failures: u32,
}

impl InterruptedBackfills {
    pub(crate) fn take(&self, workspace: Id<id::Workspace>, restore_generation: i64) -> Option<Progress> {
        locked(&self.0)
            .remove(&workspace)
            .filter(|progress| progress.restore_generation == restore_generation)
    }

    pub(crate) fn keep(&self, workspace: Id<id::Workspace>, progress: Progress) {
        locked(&self.0).insert(workspace, progress);
    }
}
