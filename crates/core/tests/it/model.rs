//! Exhaustive exploration of the protocol of claims, leases, intents and webhooks (failure-model §5, 1).
//!
//! The world has two replicas that both believe they own every bucket, one person, up to two dispatches, any number of
//! crashes, responses that arrive late or never, and a provider with or without idempotency keys. The decisions and the
//! transition tables are the production code. The transactions are those of `store`, one step each; the tests of
//! `store` prove that they are atomic. Any step may run between any two steps of another task.
//!
//! Time is a few flags, in the order that the waits in the code guarantee. The model assumes:
//!
//! - No byte of a request is sent by a live process after its lease has ended, and none of a repeat after the provider
//!   has forgotten the key: checking the lease and sending the first byte are one step here. A process frozen between
//!   the two for longer than the deadline and the settle time can still send. This is the documented residual risk,
//!   outside this model.
//! - When the settle time has ended, a request that was sent has reached the provider or never will, and lists show a
//!   placed call by the end of the following minute. Until then lists may lag, fail, or be incomplete.
//! - `Again` is due at once, and an expired claim may be recovered at any time, even while its owner is alive.
//!
//! Not modeled: quiet hours, lateness, paused workspaces, and access control.

use std::{cell::Cell, sync::OnceLock, thread};

use expect_test::expect;
use redialer_core::{
    callback, dispatch,
    policy::Policy,
    time::{Zone, ZoneSource},
};

use crate::{
    explore::{Explored, explore},
    laws,
    steps::next,
    turn::{Bug, Made, Rules},
    world::{CALLBACKS, Call, Callback, DISPATCHES, Ended, Phase, REPLICAS, Step, Task, World},
};

/// The parameters of one world.
#[derive(Debug, Clone, Copy)]
struct Scope {
    keyed: bool,
    people: bool,
    requests: u8,
    dispatches: usize,
    analysis: bool,
    endings: &'static [Ended],
    max_attempts: u32,
}

const PLAIN: Scope = Scope {
    keyed: false,
    people: false,
    requests: 0,
    dispatches: DISPATCHES,
    analysis: false,
    endings: &[Ended::Busy],
    max_attempts: 2,
};
const KEYED: Scope = Scope { keyed: true, ..PLAIN };
const PEOPLE: Scope = Scope { people: true, ..PLAIN };
const KEYED_PEOPLE: Scope = Scope { people: true, dispatches: 1, max_attempts: 1, ..KEYED };
const ANALYSED: Scope = Scope { analysis: true, endings: &[Ended::BusyAsked], ..PLAIN };
const REQUESTED: Scope = Scope { requests: 1, max_attempts: 1, ..PLAIN };
const REQUESTED_PEOPLE: Scope = Scope { people: true, dispatches: 1, ..REQUESTED };

const WORLDS: [(&str, Scope); 7] = [
    (
        "no keys, every ending",
        Scope { endings: &[Ended::Busy, Ended::Talked, Ended::NoLine, Ended::OptOut], ..PLAIN },
    ),
    ("keys", KEYED),
    ("no keys, people act", PEOPLE),
    ("keys, people act, one dispatch", KEYED_PEOPLE),
    ("no keys, the analysis asks for a callback", ANALYSED),
    ("no keys, a manual request, one attempt", REQUESTED),
    ("no keys, a manual request, people act, one dispatch", REQUESTED_PEOPLE),
];

impl Scope {
    fn rules(self, bug: Option<Bug>) -> Rules {
        Rules {
            keyed: self.keyed,
            people: self.people,
            dispatches: self.dispatches,
            analysis: self.analysis,
            endings: self.endings,
            bug,
            policy: Policy { max_attempts: self.max_attempts, ..Policy::default() },
            zone: Zone { name: "UTC".to_owned(), source: ZoneSource::Workspace, is_sure: true },
            now: "2026-11-23T12:00:00Z".parse().expect("a time"),
            made: Cell::default(),
        }
    }

    /// The initial world: one callback that is due.
    fn start(self) -> World {
        let call = Call { phase: Phase::None, listed: false, settled: false, analyzed: false, retry: None };
        let mut callbacks = [None; CALLBACKS];
        callbacks[0] = Some(Callback {
            state: callback::State::Scheduled,
            chain: 0,
            is_retry: false,
            dispatch: None,
            source: None,
        });
        World {
            callbacks,
            dispatches: [None; DISPATCHES],
            calls: [call; DISPATCHES],
            attempts_used: [0; CALLBACKS],
            agent_enabled: true,
            suppressed: false,
            replicas: [Task::Idle; REPLICAS],
            requests_left: self.requests,
            broken: None,
        }
    }

    fn explore(self, rules: &Rules) -> Explored<World> {
        explore(
            self.start(),
            |world, successors| next(rules, world, successors),
            |world| laws::broken(rules, world),
        )
    }
}

/// The results of exploring the worlds.
#[derive(Default)]
struct Explorations {
    made: Made,
    summary: String,
}

/// Explores every world once for all tests.
fn explored() -> &'static Explorations {
    static EXPLORED: OnceLock<Explorations> = OnceLock::new();
    EXPLORED.get_or_init(|| {
        thread::scope(|scope| {
            let threads = WORLDS.map(|(name, world)| scope.spawn(move || explore_one(name, world)));
            let all = threads.into_iter().map(|thread| thread.join().expect("explored"));
            all.fold(Explorations::default(), |all, one| Explorations {
                made: all.made.and(&one.made),
                summary: all.summary + &one.summary,
            })
        })
    })
}

fn explore_one(name: &str, world: Scope) -> Explorations {
    let rules = world.rules(None);
    let found = world.explore(&rules);
    if let Some((law, path)) = found.broken {
        panic!("{name}: {law} is broken by\n{path}");
    }
    let summary = format!("{name}: {} states, {} steps\n", found.states.len(), found.n_steps);
    Explorations { made: rules.made.get(), summary }
}

#[test]
fn every_law_holds_in_every_reachable_state() {
    println!("{}", explored().summary);
}

#[test]
fn the_model_makes_every_allowed_state_change_and_no_other() {
    let made = explored().made;
    let states = dispatch::State::ALL;
    for (from, to) in states.into_iter().flat_map(|from| states.map(|to| (from, to))) {
        assert_eq!(made.has_dispatch(from, to), from.may_become(to), "dispatch {from:?} -> {to:?}");
    }
    let mut unused = String::new();
    for from in callback::State::ALL {
        assert!(callback::State::ALL.iter().all(|to| !made.has_callback(from, *to) || from.may_become(*to)));
        let left = callback::State::ALL
            .into_iter()
            .filter(|to| from.may_become(*to) && !made.has_callback(from, *to));
        let left: Vec<_> = left.map(callback::State::as_str).collect();
        if !left.is_empty() {
            unused += &format!("{} -> {}\n", from.as_str(), left.join(", "));
        }
    }
    // Lateness, other reasons to hold, and restores are not modeled. An unconfirmed callback becomes dialing before its
    // call ends, and a ringing callback is never superseded.
    expect![[r#"
        scheduled -> dialing, failed, expired
        held -> held, dialing, failed
        dispatching -> completed, expired
        dialing -> dialing, superseded
        unconfirmed -> completed, exhausted, suppressed
    "#]]
    .assert_eq(&unused);
}

/// Each planted bug breaks this law in this world.
const BUGS: [(Bug, Scope, laws::Law); 19] = [
    (Bug::NoIntent, PLAIN, laws::I4),
    (Bug::RetryOnTimeout, PLAIN, laws::I1),
    (Bug::FenceIgnored, PEOPLE, laws::I7),
    (Bug::IntentUnguarded, PEOPLE, laws::I7),
    (Bug::RecoverDialsAgain, Scope { endings: &[], ..PLAIN }, laws::I2),
    (Bug::RecordUnguarded, PLAIN, laws::I12),
    (Bug::RefusalAfterRepeat, KEYED, laws::I2),
    (Bug::RepeatWithoutKey, KEYED, laws::I1),
    (Bug::RepeatAfterStop, KEYED_PEOPLE, laws::I7),
    (Bug::FailedListCounts, PLAIN, laws::I2),
    (Bug::EarlyListCounts, PLAIN, laws::I2),
    (Bug::OneListProves, PLAIN, laws::I2),
    (Bug::ProofOutlivesRepeat, KEYED, laws::I2),
    (Bug::StaleListCounts, KEYED, laws::I2),
    (Bug::LateRetry, PLAIN, laws::I12),
    (Bug::ActTwice, PLAIN, laws::I10),
    (Bug::ChainUnguarded, REQUESTED, laws::I2),
    (Bug::SpentUnguarded, REQUESTED, laws::I5),
    (Bug::HoldBesideWaiting, REQUESTED_PEOPLE, laws::ONE_WAITING),
];

#[test]
fn every_planted_bug_is_found() {
    for (bug, world, law) in BUGS {
        let found = world.explore(&world.rules(Some(bug)));
        let Some((broken, path)) = found.broken else { panic!("{bug:?} is not found") };
        println!("{bug:?}, after {} states: {broken} is broken by\n{path}\n", found.states.len());
        assert_eq!(broken, law, "{bug:?}");
    }
}

/// All end states of one dial whose call ends in this way, with only responses and events after the request is sent.
fn ends_of(class: &'static [Ended]) -> Vec<World> {
    let scope = Scope { analysis: true, endings: class, ..PLAIN };
    let rules = scope.rules(None);
    let quiet = |step: Step| {
        !matches!(step, Step::Claim(..) | Step::Check(_) | Step::Commit(_))
            && !matches!(
                step,
                Step::RefusedIsAnswered(..) | Step::Repeat(..) | Step::LookUp(..) | Step::GiveUp(_)
            )
            && !matches!(step, Step::Crash(_) | Step::LooseRequestFails(_) | Step::LeaseEnds(_))
    };
    let all = |world: &World| {
        let mut successors = Vec::new();
        next(&rules, world, &mut successors);
        successors
    };
    let mut out = scope.start();
    for wanted in ["Claim", "Check", "Commit", "Send"] {
        let mut successors = all(&out).into_iter();
        out = successors.find(|(step, _)| format!("{step:?}").starts_with(wanted)).expect("a step").1;
    }
    let found = explore(
        out,
        |world, successors| successors.extend(all(world).into_iter().filter(|(step, _)| quiet(*step))),
        |world| laws::broken(&rules, world),
    );
    assert!(found.broken.is_none());
    let is_end = |world: &&World| !all(world).into_iter().any(|(step, _)| quiet(step));
    found.states.iter().filter(is_end).copied().collect()
}

#[test]
fn any_order_and_number_of_events_ends_in_the_same_rows() {
    let check = |class: &'static [Ended], want: &str| {
        let ends = ends_of(class);
        let rows = |world: &World| {
            let rows = world.callbacks.iter().flatten();
            let rows: Vec<_> = rows.map(|c| format!("{} retry={}", c.state.as_str(), c.is_retry)).collect();
            format!("{}, spent {}", rows.join(", "), world.attempts_used[0])
        };
        assert!(!ends.is_empty());
        for world in &ends {
            assert_eq!(rows(world), want, "{class:?}");
            assert!(world.callbacks.iter().flatten().all(|c| c.chain == 0), "{class:?}");
        }
    };
    check(&[Ended::Talked], "completed retry=false, spent 1");
    check(&[Ended::TalkedAsked], "completed retry=false, scheduled retry=false, spent 1");
    check(&[Ended::Busy], "failed retry=false, scheduled retry=true, spent 1");
    check(&[Ended::BusyAsked], "failed retry=false, scheduled retry=false, spent 1");
    check(&[Ended::NoLine], "scheduled retry=false, spent 0");
    check(&[Ended::OptOut], "suppressed retry=false, spent 1");
}
