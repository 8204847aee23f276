//! Permits for concurrent dials, shared fairly between workspaces.
//!
//! Invariants: a workspace holds at most half of all permits and takes at most half of the free ones, so that a slow
//! provider account leaves permits for all others (I17). A permit is held from before the claim until the provider's response.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use redialer_core::{Id, id::Workspace};
use tokio::sync::Notify;

use crate::state::locked;

/// The permits of this process.
pub struct Permits {
    max: usize,
    taken: Mutex<HashMap<Id<Workspace>, usize>>,
    returned: Notify,
    /// Whether a request for permits was not met in full.
    has_unmet_request: AtomicBool,
}

/// Permission for one dial; released on drop.
pub struct Permit {
    permits: Arc<Permits>,
    workspace: Id<Workspace>,
}

impl Permits {
    /// Creates `max` permits, but at least one.
    pub fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            taken: Mutex::default(),
            returned: Notify::new(),
            has_unmet_request: AtomicBool::new(false),
        }
    }

    /// Takes at most `want` permits for a workspace; none if its share is used up.
    pub fn take(self: &Arc<Self>, workspace: Id<Workspace>, want: usize) -> Vec<Permit> {
        let mut taken = locked(&self.taken);
        let free = self.max.saturating_sub(taken.values().sum());
        let held = taken.get(&workspace).copied().unwrap_or(0);
        let share = self.max.div_ceil(2).saturating_sub(held).min(free.div_ceil(2));
        let n = want.min(share);
        if n < want {
            self.has_unmet_request.store(true, Ordering::Relaxed);
        }
        if n > 0 {
            *taken.entry(workspace).or_default() += n;
        }
        (0..n).map(|_| Permit { permits: Arc::clone(self), workspace }).collect()
    }

    /// Whether a request for permits was not met in full since the last call of this method.
    pub fn had_unmet_requests(&self) -> bool {
        self.has_unmet_request.swap(false, Ordering::Relaxed)
    }

    /// Waits until no dial is in progress.
    pub async fn all_returned(&self) {
        loop {
            let returned = self.returned.notified();
            if locked(&self.taken).is_empty() {
                return;
            }
            returned.await;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = locked(&self.permits.taken);
        if let Some(n) = taken.get_mut(&self.workspace) {
            *n -= 1;
            if *n == 0 {
                taken.remove(&self.workspace);
            }
        }
        drop(taken);
        self.permits.returned.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(n: u128) -> Id<Workspace> {
        Id::from_uuid(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn a_workspace_leaves_room_for_the_others() {
        let permits = Arc::new(Permits::new(16));
        let slow = permits.take(workspace(1), 100);
        assert_eq!(slow.len(), 8);
        assert_eq!(permits.take(workspace(1), 100).len(), 0, "its share is used up");
        let second = permits.take(workspace(2), 100);
        assert_eq!(second.len(), 4);
        let third = permits.take(workspace(3), 1);
        assert_eq!((third.len(), permits.take(workspace(4), 1).len()), (1, 1));
        drop(slow);
        assert_eq!(permits.take(workspace(3), 100).len(), 6);
    }

    #[tokio::test]
    async fn waiters_for_all_permits_are_notified() {
        let permits = Arc::new(Permits::new(2));
        let one = permits.take(workspace(1), 1);
        let waits = tokio::spawn({
            let permits = Arc::clone(&permits);
            async move { permits.all_returned().await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(one);
        waits.await.expect("all are returned");
    }
}
