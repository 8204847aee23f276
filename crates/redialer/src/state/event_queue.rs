//! Recorded events that wait to be processed.
//!
//! Invariants: every event here is pending on disk, so a dropped event is not lost: it is read from the database
//! again. Workspaces take turns, so that a flood of one delays the others by no more than its share of a batch (I42).
//! The events of a workspace keep their order. Memory is bounded, by number and by bytes.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Mutex,
};

use redialer_core::{
    Id,
    call::{CallFacts, Turn},
    id,
};
use redialer_store::EventRow;

use crate::state::locked;

/// The maximum number of events of one workspace that are taken before those of the next workspace.
pub const MAX_PER_WORKSPACE: usize = 32;
/// The maximum number of events of one workspace in memory.
const MAX_EVENTS: usize = 1_024;
/// The maximum size of the bodies of all queued events, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// An event that was recorded and parsed.
pub struct QueuedEvent {
    /// The event.
    pub event: EventRow,
    /// The facts about its call.
    pub facts: CallFacts,
    /// The conversation, if the call may contain a callback request.
    pub conversation: Vec<Turn>,
    /// The size of the body, in bytes.
    pub bytes: usize,
}

/// The events of this process that wait to be processed.
#[derive(Default)]
pub struct EventQueue {
    waiting: Mutex<Waiting>,
    /// Events of an earlier process whose try was counted and has not finished.
    counted: Mutex<HashSet<Id<id::InboundEvent>>>,
}

#[derive(Default)]
struct Waiting {
    by_workspace: HashMap<Id<id::Workspace>, VecDeque<QueuedEvent>>,
    /// Workspaces with events, in the order of their turns.
    turns: VecDeque<Id<id::Workspace>>,
    ids: HashSet<Id<id::InboundEvent>>,
    bytes: usize,
}

impl EventQueue {
    /// Adds an event, unless it is already queued or there is no room.
    pub fn push(&self, event: QueuedEvent) {
        let mut waiting = locked(&self.waiting);
        let workspace = event.event.workspace;
        let n = waiting.by_workspace.get(&workspace).map_or(0, VecDeque::len);
        if n >= MAX_EVENTS || waiting.bytes + event.bytes > MAX_BYTES || !waiting.ids.insert(event.event.id) {
            return;
        }
        waiting.bytes += event.bytes;
        if n == 0 {
            waiting.turns.push_back(workspace);
        }
        waiting.by_workspace.entry(workspace).or_default().push_back(event);
    }

    /// Takes at most `max` events, [`MAX_PER_WORKSPACE`] of a workspace at a time.
    pub fn take(&self, max: usize) -> Vec<QueuedEvent> {
        let mut waiting = locked(&self.waiting);
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(workspace) = waiting.turns.pop_front()
        {
            let events = waiting.by_workspace.entry(workspace).or_default();
            let n = events.len().min(MAX_PER_WORKSPACE).min(max - taken.len());
            taken.extend(events.drain(..n));
            if events.is_empty() {
                waiting.by_workspace.remove(&workspace);
            } else {
                waiting.turns.push_back(workspace);
            }
        }
        for event in &taken {
            waiting.bytes -= event.bytes;
            waiting.ids.remove(&event.event.id);
        }
        taken
    }

    /// Whether an event is queued.
    pub fn contains(&self, id: Id<id::InboundEvent>) -> bool {
        locked(&self.waiting).ids.contains(&id)
    }

    /// Whether the try of an event was counted. If the try ends without a result, as in an outage, it is not counted again.
    pub fn is_counted(&self, id: Id<id::InboundEvent>) -> bool {
        locked(&self.counted).contains(&id)
    }

    /// Records that the try of an event was counted.
    pub fn note_counted(&self, id: Id<id::InboundEvent>) {
        locked(&self.counted).insert(id);
    }

    /// Records that the tries of these events are finished.
    pub fn note_tried(&self, ids: impl IntoIterator<Item = Id<id::InboundEvent>>) {
        let mut counted = locked(&self.counted);
        for id in ids {
            counted.remove(&id);
        }
    }

    /// Whether no event is queued.
    pub fn is_empty(&self) -> bool {
        locked(&self.waiting).turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use redialer_core::{Timestamp, agent::Channel, call::CallPhase, rng::Rng};

    use super::*;

    fn event(workspace: Id<id::Workspace>, bytes: usize, rng: &Rng) -> QueuedEvent {
        let now = Timestamp::UNIX_EPOCH;
        let (id, tenant, agent) = (Id::new(now, rng), Id::new(now, rng), Id::new(now, rng));
        let event =
            EventRow { bucket: 0, id, tenant, workspace, agent, tries: 0, received_at: now, test: false };
        let facts = CallFacts::new(String::new(), CallPhase::Other, Channel::Voice);
        QueuedEvent { event, facts, conversation: Vec::new(), bytes }
    }

    #[test]
    fn workspaces_take_turns_and_keep_their_order() {
        let (queue, rng) = (EventQueue::default(), Rng::seeded([1; 32]));
        let [flood, other] = [1, 2].map(|n| Id::from_uuid(uuid::Uuid::from_u128(n)));
        let mut ids = Vec::new();
        for _ in 0..100 {
            let event = event(flood, 1, &rng);
            ids.push(event.event.id);
            queue.push(event);
        }
        queue.push(event(other, 1, &rng));
        let taken = queue.take(MAX_PER_WORKSPACE + 1);
        assert_eq!(taken.iter().filter(|e| e.event.workspace == other).count(), 1);
        let taken: Vec<_> = taken
            .into_iter()
            .chain(queue.take(1_000))
            .filter(|e| e.event.workspace == flood)
            .map(|e| e.event.id)
            .collect();
        assert_eq!(taken, ids);
        assert!(queue.is_empty());
    }

    #[test]
    fn events_over_the_limits_are_not_queued() {
        let (queue, rng) = (EventQueue::default(), Rng::seeded([1; 32]));
        let workspace = Id::from_uuid(uuid::Uuid::from_u128(1));
        for _ in 0..MAX_EVENTS + 5 {
            queue.push(event(workspace, 1, &rng));
        }
        assert_eq!(queue.take(usize::MAX).len(), MAX_EVENTS);
        let large = event(workspace, MAX_BYTES, &rng);
        let id = large.event.id;
        queue.push(large);
        queue.push(event(workspace, 1, &rng));
        assert!(queue.contains(id));
        assert_eq!(queue.take(usize::MAX).len(), 1);
        assert!(!queue.contains(id));
    }
}
