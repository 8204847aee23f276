//! The small world: rows on disk, the memory of each replica, and the calls at the provider.
//!
//! Numbers are array positions. Fences are not counted; the world records only whether a claim's fence still equals the
//! row's (`Task::Claimed::fresh`), so it stays finite however often a callback is claimed.

use redialer_core::{callback, dispatch};

pub(crate) const CALLBACKS: usize = 4;
pub(crate) const DISPATCHES: usize = 2;
pub(crate) const REPLICAS: usize = 2;

/// The state of the whole system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) callbacks: [Option<Callback>; CALLBACKS],
    pub(crate) dispatches: [Option<Dispatch>; DISPATCHES],
    /// The calls, at the position of the dispatch that created them.
    pub(crate) calls: [Call; DISPATCHES],
    /// Dials spent, at the position of the chain's first callback.
    pub(crate) attempts_used: [u8; CALLBACKS],
    pub(crate) agent_enabled: bool,
    pub(crate) suppressed: bool,
    pub(crate) replicas: [Task; REPLICAS],
    pub(crate) requests_left: u8,
    /// The first law that a step broke.
    pub(crate) broken: Option<&'static str>,
}

impl World {
    /// Makes states equal that differ only in values that are never read again.
    pub(crate) fn drop_what_no_longer_matters(&mut self) {
        // Replicas are interchangeable.
        self.replicas.sort_unstable();
        for n in 0..DISPATCHES {
            let (Some(row), call) = (&mut self.dispatches[n], &mut self.calls[n]) else { continue };
            // A second request under the same key places no call.
            row.loose &= call.phase == Phase::None;
            let was_sent = matches!(row.state, dispatch::State::Intent | dispatch::State::Unknown);
            if !was_sent && !row.loose && !self.replicas.iter().any(|task| task.is_about(n as u8)) {
                row.age = Age::Lapsed;
                row.key_over = true;
                row.repeated = false;
                call.listed = call.phase != Phase::None;
            }
        }
    }
}

/// A row of `callbacks`. All belong to one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Callback {
    pub(crate) state: callback::State,
    pub(crate) chain: u8,
    pub(crate) is_retry: bool,
    /// The dispatch that is dialing it.
    pub(crate) dispatch: Option<u8>,
    /// The call that led to it, and whether as a retry. No two rows may have the same value: this is a law, not an
    /// index.
    pub(crate) source: Option<(u8, bool)>,
}

/// A row of `dispatches`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Dispatch {
    pub(crate) state: dispatch::State,
    pub(crate) callback: u8,
    pub(crate) chain: u8,
    pub(crate) attempt: u8,
    /// Whether the row is on disk; only a planted bug keeps it in memory.
    pub(crate) on_disk: bool,
    pub(crate) age: Age,
    /// The provider has forgotten its key, or is about to.
    pub(crate) key_over: bool,
    /// A repeat under the key was started.
    pub(crate) repeated: bool,
    /// The first request was sent.
    pub(crate) sent: bool,
    /// A request is still in flight, and no replica waits for its response.
    pub(crate) loose: bool,
}

/// How far time and the proof of absence have advanced for one dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Age {
    /// Within its lease.
    Young,
    /// The lease has ended: no more bytes are sent.
    Lapsed,
    /// Deadline and settle time have passed: lists count from now on.
    Settled,
    /// One complete list did not contain it.
    Once,
    /// That list was read at least a minute ago.
    Aged,
}

/// The provider's state of one call, and our row for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    pub(crate) phase: Phase,
    /// Whether lists show it.
    pub(crate) listed: bool,
    /// `calls.settled`.
    pub(crate) settled: bool,
    /// `calls.analyzed`.
    pub(crate) analyzed: bool,
    /// `calls.retry_id`.
    pub(crate) retry: Option<u8>,
}

/// The phase of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    None,
    Ringing,
    Over(Ended),
    Analyzed(Ended),
}

impl Phase {
    pub(crate) const fn end(self) -> Option<Ended> {
        match self {
            Self::Over(end) | Self::Analyzed(end) => Some(end),
            Self::None | Self::Ringing => None,
        }
    }

    pub(crate) const fn had_no_line(self) -> bool {
        matches!(self.end(), Some(Ended::NoLine))
    }
}

/// How a call ended, and the content of its analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ended {
    Talked,
    TalkedAsked,
    Busy,
    BusyAsked,
    /// The provider had no line free: no phone rang.
    NoLine,
    OptOut,
}

impl Ended {
    pub(crate) const fn was_requested(self) -> bool {
        matches!(self, Self::TalkedAsked | Self::BusyAsked)
    }
}

/// The current task of a replica. It has one task at a time: two tasks of one process behave like two replicas, except
/// that they crash together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Task {
    Idle,
    /// Holds a claim; the values that were read with it may be stale.
    Claimed {
        callback: u8,
        fresh: bool,
        attempts_used: u8,
        suppressed: bool,
    },
    /// The gates allowed the dial.
    Checked {
        callback: u8,
        fresh: bool,
        attempts_used: u8,
        attempt: u8,
        is_final: bool,
    },
    /// The intent is on disk.
    Intended(u8),
    /// A repeat is recorded on disk; its first byte is sent next.
    Repeating(u8),
    /// The request was sent; `placed` once the provider has placed the call.
    Waiting {
        dispatch: u8,
        is_repeat: bool,
        placed: bool,
    },
    /// Is about to read the provider's list.
    LookingUp(u8),
    /// Has a result that is not on disk yet.
    Responded(u8, Heard),
}

impl Task {
    fn is_about(self, n: u8) -> bool {
        match self {
            Self::Intended(of) | Self::Repeating(of) | Self::LookingUp(of) | Self::Responded(of, _) => {
                of == n
            }
            Self::Waiting { dispatch, .. } => dispatch == n,
            Self::Idle | Self::Claimed { .. } | Self::Checked { .. } => false,
        }
    }
}

/// A replica's result for a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Heard {
    Placed,
    RefusedForGood,
    RefusedForNow,
    /// No byte of the first request was sent.
    Unsent,
    /// No clear response.
    Unclear,
    /// A complete list did not contain it, read at this stage of the proof.
    Absent(Age),
}

/// One step. In steps of replicas, the first number is the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Claim(u8, u8),
    Check(u8),
    Commit(u8),
    Send(u8),
    PlacedIsAnswered(u8),
    RefusedIsAnswered(u8, Heard),
    AnswerIsLost(u8),
    Record(u8),
    Repeat(u8, u8),
    LookUp(u8, u8),
    ListIsComplete(u8),
    ListFails(u8),
    Crash(u8),
    Recover(u8),
    GiveUp(u8),
    RequestIsPlaced(u8),
    LooseRequestIsPlaced(u8),
    LooseRequestFails(u8),
    CallEnds(u8, Ended),
    CallIsAnalyzed(u8),
    CallIsListed(u8),
    LeaseEnds(u8),
    SettleTimeEnds(u8),
    MinuteEnds(u8),
    KeyEnds(u8),
    HearStarted(u8),
    HearEnded(u8),
    HearAnalyzed(u8),
    Cancel(u8),
    DoNotCall,
    SwitchAgent(bool),
    RequestByHand,
}
