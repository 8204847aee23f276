//! How far interrupted backfills came.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use redialer_core::{Id, Timestamp, agent::Channel, id};

use crate::state::locked;

/// Interrupted sweeps and where they continue. After a restart they begin from the start.
#[derive(Default)]
pub struct Sweeps(Mutex<HashMap<Id<id::Workspace>, Progress>>);

/// How far a sweep has come.
pub(crate) struct Progress {
    /// When it began: everything that ended before is in it.
    pub(crate) began: Timestamp,
    /// From when on calls count.
    pub(crate) since: Timestamp,
    /// The epoch that it is for.
    pub(crate) epoch: i64,
    /// Lists that are not read to their end, each with the key of its next page.
    pub(crate) lists: VecDeque<(Channel, Option<String>)>,
    /// Calls to take up, newest first.
    pub(crate) unheard: Vec<(Channel, String)>,
    /// How often the next of them could not be read.
    pub(crate) failures: u32,
}

impl Sweeps {
    pub(crate) fn take(&self, workspace: Id<id::Workspace>, epoch: i64) -> Option<Progress> {
        locked(&self.0).remove(&workspace).filter(|progress| progress.epoch == epoch)
    }

    pub(crate) fn keep(&self, workspace: Id<id::Workspace>, progress: Progress) {
        locked(&self.0).insert(workspace, progress);
    }
}
