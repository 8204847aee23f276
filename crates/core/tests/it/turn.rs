//! One step in progress: the changes of store functions, each in one transaction.
//!
//! Invariant: states change only through [`Turn::callback_to`] and [`Turn::dispatch_to`], which check the transition
//! tables in `core` and record each transition.

use std::cell::Cell;

use redialer_core::{Timestamp, callback, dispatch, policy::Policy, time::Zone};

use crate::{
    laws::{self, Law},
    world::{Age, Callback, Dispatch, Ended, Heard, Task, World},
};

/// The parameters of an exploration: the provider's features, the limits, and at most one planted bug.
pub(crate) struct Rules {
    /// Whether the provider accepts idempotency keys.
    pub(crate) keyed: bool,
    /// Whether people cancel callbacks, add to the do-not-call list, and enable or disable the agent.
    pub(crate) people: bool,
    /// The maximum number of dispatches.
    pub(crate) dispatches: usize,
    /// Whether calls are analyzed.
    pub(crate) analysis: bool,
    /// How calls may end; if empty, they never end.
    pub(crate) endings: &'static [Ended],
    pub(crate) bug: Option<Bug>,
    pub(crate) policy: Policy,
    pub(crate) zone: Zone,
    pub(crate) now: Timestamp,
    pub(crate) made: Cell<Made>,
}

/// Bugs that can be planted, one at a time. The exploration must find each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Send the request first, and write the intent with the response.
    NoIntent,
    /// Send again if no response arrived.
    RetryOnTimeout,
    /// Write an intent for a claim whose fence has changed.
    FenceIgnored,
    /// Write an intent regardless of the callback's state.
    IntentUnguarded,
    /// Reschedule a callback whose intent has no result.
    RecoverDialsAgain,
    /// Record a response regardless of the dispatch's state.
    RecordUnguarded,
    /// Accept a late refusal of the first request although a repeat was started.
    RefusalAfterRepeat,
    /// Repeat after the provider has forgotten the key.
    RepeatWithoutKey,
    /// Repeat although the number is suppressed or the agent is disabled.
    RepeatAfterStop,
    /// Treat a failed list as a complete list without the call.
    FailedListCounts,
    /// Accept lists read before the end of the settle time.
    EarlyListCounts,
    /// Accept a single list as proof.
    OneListProves,
    /// Keep the results of lists read before a repeat as proof.
    ProofOutlivesRepeat,
    /// Record the result of a list although a repeat was started after the list was requested.
    StaleListCounts,
    /// Let a late event of an unresolved dispatch add a retry.
    LateRetry,
    /// Process each copy of an event.
    ActTwice,
    /// Write an intent while another dial of the chain may still turn out to be placed.
    ChainUnguarded,
    /// Write an intent although the chain has spent more than at the time of the claim.
    SpentUnguarded,
    /// Hold a claimed callback although another one is waiting.
    HoldBesideWaiting,
}

/// The transitions that occurred: a set of target states for each source state.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Made {
    callbacks: [u16; callback::State::ALL.len()],
    dispatches: [u16; dispatch::State::ALL.len()],
}

impl Made {
    pub(crate) const fn has_callback(&self, from: callback::State, to: callback::State) -> bool {
        self.callbacks[from as usize] & (1 << to as usize) != 0
    }

    pub(crate) const fn has_dispatch(&self, from: dispatch::State, to: dispatch::State) -> bool {
        self.dispatches[from as usize] & (1 << to as usize) != 0
    }

    /// The union of both.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        self.callbacks.iter_mut().zip(other.callbacks).for_each(|(own, others)| *own |= others);
        self.dispatches.iter_mut().zip(other.dispatches).for_each(|(own, others)| *own |= others);
        self
    }
}

/// A world during a step.
pub(crate) struct Turn<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) world: World,
}

impl Turn<'_> {
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.rules.bug == Some(bug)
    }

    /// Records the first broken law.
    pub(crate) fn must(&mut self, law: Law, kept: bool) {
        if !kept && self.world.broken.is_none() {
            self.world.broken = Some(law);
        }
    }

    pub(crate) fn callback(&self, n: u8) -> Callback {
        self.world.callbacks[usize::from(n)].expect("a callback")
    }

    pub(crate) fn callback_mut(&mut self, n: u8) -> &mut Callback {
        self.world.callbacks[usize::from(n)].as_mut().expect("a callback")
    }

    pub(crate) fn dispatch(&self, n: u8) -> Dispatch {
        self.world.dispatches[usize::from(n)].expect("a dispatch")
    }

    pub(crate) fn dispatch_mut(&mut self, n: u8) -> &mut Dispatch {
        self.world.dispatches[usize::from(n)].as_mut().expect("a dispatch")
    }

    pub(crate) fn callback_to(&mut self, n: u8, next: callback::State) {
        let was = self.callback(n).state;
        self.must(laws::I12, was.may_become(next));
        let mut made = self.rules.made.get();
        made.callbacks[was as usize] |= 1 << next as usize;
        self.rules.made.set(made);
        self.callback_mut(n).state = next;
    }

    pub(crate) fn dispatch_to(&mut self, n: u8, next: dispatch::State) {
        let was = self.dispatch(n).state;
        self.must(laws::I12, was.may_become(next));
        let mut made = self.rules.made.get();
        made.dispatches[was as usize] |= 1 << next as usize;
        self.rules.made.set(made);
        self.dispatch_mut(n).state = next;
    }

    /// `fence = fence + 1`: every claim on the callback becomes stale.
    pub(crate) fn move_fence(&mut self, n: u8) {
        for task in &mut self.world.replicas {
            if let Task::Claimed { callback, fresh, .. } | Task::Checked { callback, fresh, .. } = task
                && *callback == n
            {
                *fresh = false;
            }
        }
    }

    /// Whether a person may still stop it: it is not claimed, or claimed without an intent.
    pub(crate) fn may_be_stopped(&self, n: u8) -> bool {
        let row = self.callback(n);
        row.state.is_waiting() || (row.state == callback::State::Dispatching && row.dispatch.is_none())
    }

    pub(crate) fn has_another_waiting(&self, n: u8) -> bool {
        let others = self.world.callbacks.iter().enumerate().filter(|(at, _)| *at != usize::from(n));
        others.filter_map(|(_, row)| *row).any(|row| row.state.is_waiting())
    }

    /// As the store function of the same name.
    pub(crate) fn back_to_waiting(&mut self, n: u8) {
        use callback::State::{Dialing, Dispatching, Scheduled, Superseded, Unconfirmed};
        if matches!(self.callback(n).state, Dispatching | Dialing | Unconfirmed) {
            let next = if self.has_another_waiting(n) { Superseded } else { Scheduled };
            self.callback_to(n, next);
            self.callback_mut(n).dispatch = None;
        }
    }

    /// As the store function of the same name: records the first proof that a dispatch became a call.
    pub(crate) fn mark_placed(&mut self, n: u8) {
        use callback::State::{Dialing, Dispatching, Unconfirmed};
        if !matches!(self.dispatch(n).state, dispatch::State::Intent | dispatch::State::Unknown) {
            return;
        }
        self.dispatch_to(n, dispatch::State::Placed);
        let row = self.dispatch(n);
        if matches!(self.callback(row.callback).state, Dispatching | Unconfirmed) {
            self.callback_to(row.callback, Dialing);
            self.world.attempts_used[usize::from(row.chain)] += 1;
        }
    }

    /// Records a refusal of the first request; returns whether it still proves that no phone rang.
    pub(crate) fn refuse(&mut self, n: u8) -> bool {
        let row = self.dispatch(n);
        let believed = match row.state {
            dispatch::State::Intent => true,
            dispatch::State::Unknown => !row.repeated || self.has(Bug::RefusalAfterRepeat),
            _ => self.has(Bug::RecordUnguarded),
        };
        if believed {
            self.dispatch_to(n, dispatch::State::Refused);
        }
        believed
    }

    /// Inserts a row. A violated unique index is a broken law here, and a failed transaction in the store.
    pub(crate) fn insert(&mut self, row: Callback) -> Option<u8> {
        let again = |other: &Callback| row.source.is_some() && other.source == row.source;
        let twice = self.world.callbacks.iter().flatten().any(again);
        self.must(laws::I10, !twice);
        let free = self.world.callbacks.iter().position(Option::is_none)?;
        self.world.callbacks[free] = Some(row);
        Some(free as u8)
    }

    pub(crate) fn end_waiting(&mut self, n: u8, state: callback::State) {
        if self.callback(n).state.is_waiting() {
            self.callback_to(n, state);
            self.move_fence(n);
        }
    }

    /// Adds the number to the do-not-call list and ends its waiting callbacks.
    pub(crate) fn suppress(&mut self) {
        self.world.suppressed = true;
        for n in self.callbacks() {
            if self.may_be_stopped(n) {
                self.callback_to(n, callback::State::Suppressed);
                self.move_fence(n);
            }
        }
    }

    pub(crate) fn callbacks(&self) -> impl Iterator<Item = u8> + use<> {
        let n = self.world.callbacks.iter().flatten().count();
        0..n as u8
    }

    pub(crate) fn dispatches(&self) -> impl Iterator<Item = u8> + use<> {
        let n = self.world.dispatches.iter().flatten().count();
        0..n as u8
    }

    /// A repeat may place the call, so earlier lists no longer prove anything.
    pub(crate) fn restart_proof(&mut self, n: u8) {
        if self.has(Bug::ProofOutlivesRepeat) {
            return;
        }
        self.dispatch_mut(n).age = self.dispatch(n).age.min(Age::Lapsed);
        if self.has(Bug::StaleListCounts) {
            return;
        }
        for task in &mut self.world.replicas {
            if matches!(task, Task::Responded(of, Heard::Absent(_)) if *of == n) {
                *task = Task::Idle;
            }
        }
    }
}
