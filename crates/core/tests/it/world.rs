//! The small world: what is on disk, what each replica holds in memory, what the provider has.
//!
//! Numbers are positions in the arrays. Fences are not counted: what counts is whether a claim's fence is still
//! the row's (`Task::Claimed::fresh`), so the world stays finite however often a callback is claimed.

use redialer_core::{callback, dispatch};

pub(crate) const CALLBACKS: usize = 4;
pub(crate) const DISPATCHES: usize = 2;
pub(crate) const REPLICAS: usize = 2;

/// Everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) callbacks: [Option<Callback>; CALLBACKS],
    pub(crate) dispatches: [Option<Dispatch>; DISPATCHES],
    /// The call that the dispatch of the same number became.
    pub(crate) calls: [Call; DISPATCHES],
    /// Dials spent, by the number of the chain's first callback.
    pub(crate) spent: [u8; CALLBACKS],
    pub(crate) agent_enabled: bool,
    pub(crate) suppressed: bool,
    pub(crate) replicas: [Task; REPLICAS],
    pub(crate) requests_left: u8,
    /// The first law that a step broke.
    pub(crate) broken: Option<&'static str>,
}

impl World {
    /// Makes states equal that differ only in what nobody will ever look at again.
    pub(crate) fn forget_what_no_longer_matters(&mut self) {
        // Which replica does what makes no difference.
        self.replicas.sort_unstable();
        for n in 0..DISPATCHES {
            let (Some(row), call) = (&mut self.dispatches[n], &mut self.calls[n]) else { continue };
            // A second request under a key places nothing.
            row.loose &= call.phase == Phase::None;
            let asked = matches!(row.state, dispatch::State::Intent | dispatch::State::Unknown);
            if !asked && !row.loose && !self.replicas.iter().any(|task| task.is_about(n as u8)) {
                row.age = Age::Lapsed;
                row.key_over = true;
                row.repeated = false;
                call.listed = call.phase != Phase::None;
            }
        }
    }
}

/// A row of `callbacks`. All are of one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Callback {
    pub(crate) state: callback::State,
    pub(crate) chain: u8,
    pub(crate) is_retry: bool,
    /// The dispatch it is being dialled by.
    pub(crate) dispatch: Option<u8>,
    /// The call it was born of, and whether as a retry: never twice the same, which is a law and no index.
    pub(crate) source: Option<(u8, bool)>,
}

/// A row of `dispatches`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Dispatch {
    pub(crate) state: dispatch::State,
    pub(crate) callback: u8,
    pub(crate) chain: u8,
    pub(crate) attempt: u8,
    /// Whether the row is on disk; only a planted bug leaves it in memory.
    pub(crate) on_disk: bool,
    pub(crate) age: Age,
    /// The provider has forgotten its key, or is about to.
    pub(crate) key_over: bool,
    /// A repeat under the key was begun.
    pub(crate) repeated: bool,
    /// The first request left us.
    pub(crate) sent: bool,
    /// A request of it is still on its way and nobody waits for its answer.
    pub(crate) loose: bool,
}

/// How far time and the proof of absence have come for one dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Age {
    /// Within its lease.
    Young,
    /// The lease is over: no byte leaves any more.
    Lapsed,
    /// Deadline and settle time are over: lists begin to count.
    Settled,
    /// One complete list had none.
    Once,
    /// And that was at least a minute ago.
    Aged,
}

/// What the provider has of one dispatch, and what we wrote down of that call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Call {
    pub(crate) phase: Phase,
    /// Whether lists show it yet.
    pub(crate) listed: bool,
    /// `calls.settled`.
    pub(crate) settled: bool,
    /// `calls.analyzed`.
    pub(crate) analyzed: bool,
    /// `calls.retry_id`.
    pub(crate) retry: Option<u8>,
}

/// How far a call has come.
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

/// How a call ended, and what its analysis will say.
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
    pub(crate) const fn asked(self) -> bool {
        matches!(self, Self::TalkedAsked | Self::BusyAsked)
    }
}

/// What a replica is doing. One thing at a time: two tasks of one process are like two replicas, save that
/// they die together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Task {
    Idle,
    /// Holds a claim; what was read with it may be out of date.
    Claimed {
        callback: u8,
        fresh: bool,
        spent: u8,
        suppressed: bool,
    },
    /// Was told to dial.
    Checked {
        callback: u8,
        fresh: bool,
        spent: u8,
        attempt: u8,
        is_final: bool,
    },
    /// The intent is on disk.
    Intended(u8),
    /// A repeat was begun on disk; its first byte is next.
    Repeating(u8),
    /// The request is out; `placed` once the provider has placed the call.
    Waiting {
        dispatch: u8,
        is_repeat: bool,
        placed: bool,
    },
    /// Will read the provider's list.
    Asking(u8),
    /// Knows something that is not on disk yet.
    Told(u8, Heard),
}

impl Task {
    fn is_about(self, n: u8) -> bool {
        match self {
            Self::Intended(of) | Self::Repeating(of) | Self::Asking(of) | Self::Told(of, _) => of == n,
            Self::Waiting { dispatch, .. } => dispatch == n,
            Self::Idle | Self::Claimed { .. } | Self::Checked { .. } => false,
        }
    }
}

/// What a replica knows of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Heard {
    Placed,
    RefusedForGood,
    RefusedForNow,
    /// No byte of the first request left.
    Unsent,
    /// No clear answer.
    Unclear,
    /// A complete list had none; read when the proof stood there.
    Absent(Age),
}

/// One step of somebody. The first number of a replica's step is the replica.
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
    Ask(u8, u8),
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
