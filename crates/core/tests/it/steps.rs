//! The possible steps in a state: of replicas, time, the provider and people.

use redialer_core::{call::CallPhase, callback, dispatch};

use crate::{
    decide, step_effects,
    turn::{Rules, Turn},
    world::{Age, Call, Heard, Phase, Step, Task, World},
};

/// Pushes every possible step and the resulting state.
pub(crate) fn next(rules: &Rules, world: &World, successors: &mut Vec<(Step, World)>) {
    let turn = Turn { rules, world: *world };
    let mut steps = Vec::with_capacity(32);
    for replica in 0..world.replicas.len() as u8 {
        steps_of_replica(&turn, replica, &mut steps);
    }
    for n in turn.callbacks() {
        steps_of_callback(&turn, n, &mut steps);
    }
    for n in turn.dispatches() {
        steps_of_time(&turn, n, &mut steps);
        steps_of_provider(&turn, n, &mut steps);
    }
    steps_of_people(&turn, &mut steps);
    for step in steps {
        let mut turn = Turn { rules, world: *world };
        take(&mut turn, step);
        turn.world.drop_what_no_longer_matters();
        if turn.world != *world {
            successors.push((step, turn.world));
        }
    }
}

fn steps_of_replica(turn: &Turn<'_>, r: u8, steps: &mut Vec<Step>) {
    let task = turn.world.replicas[usize::from(r)];
    match task {
        Task::Idle => {
            let room = turn.dispatches().count() < turn.rules.dispatches;
            let due = |n: &u8| turn.callback(*n).state == callback::State::Scheduled;
            steps.extend(turn.callbacks().filter(due).filter(|_| room).map(|n| Step::Claim(r, n)));
            let unknown = |n: &u8| turn.dispatch(*n).state == dispatch::State::Unknown;
            for n in turn.dispatches().filter(unknown) {
                steps.push(Step::LookUp(r, n));
                steps.extend(turn.rules.keyed.then_some(Step::Repeat(r, n)));
            }
        }
        Task::Claimed { .. } => steps.push(Step::Check(r)),
        Task::Checked { .. } if turn.dispatches().count() < turn.rules.dispatches => {
            steps.push(Step::Commit(r))
        }
        Task::Checked { .. } => {}
        Task::Intended(_) | Task::Repeating(_) => steps.push(Step::Send(r)),
        Task::Waiting { placed: true, .. } => {
            steps.extend([Step::PlacedIsAnswered(r), Step::AnswerIsLost(r)]);
        }
        // A lost refusal, or a 5xx before the call was placed, is the same as a lost request: neither places a call.
        Task::Waiting { placed: false, .. } => steps.extend([
            Step::RequestIsPlaced(r),
            Step::RefusedIsAnswered(r, Heard::RefusedForGood),
            Step::RefusedIsAnswered(r, Heard::RefusedForNow),
            Step::AnswerIsLost(r),
        ]),
        Task::LookingUp(_) => steps.extend([Step::ListIsComplete(r), Step::ListFails(r)]),
        Task::Responded(..) => steps.push(Step::Record(r)),
    }
    // Crashes are not counted: a limit would need another flag and cover fewer cases.
    if task != Task::Idle {
        steps.push(Step::Crash(r));
    }
}

fn steps_of_callback(turn: &Turn<'_>, n: u8, steps: &mut Vec<Step>) {
    // Also before the lease ends: a replica that loses its database connection counts as gone.
    if turn.callback(n).state == callback::State::Dispatching {
        steps.push(Step::Recover(n));
    }
    if turn.rules.people && turn.may_be_stopped(n) {
        steps.push(Step::Cancel(n));
    }
}

fn steps_of_time(turn: &Turn<'_>, n: u8, steps: &mut Vec<Step>) {
    let row = turn.dispatch(n);
    let is_unknown = row.state == dispatch::State::Unknown;
    match row.age {
        Age::Young if is_unknown || turn.world.replicas.contains(&Task::Intended(n)) => {
            steps.push(Step::LeaseEnds(n));
        }
        // The settle time starts when no more bytes can be sent and the deadline of the sent request has passed.
        Age::Lapsed if is_unknown && !is_under_way(turn, n) => steps.push(Step::SettleTimeEnds(n)),
        // Lists lag by less than the settle time plus one minute.
        Age::Once if is_shown(turn.world.calls[usize::from(n)]) => steps.push(Step::MinuteEnds(n)),
        _ => {}
    }
    // The provider keeps a key for longer than a repeat that was started in time can be in flight.
    if turn.rules.keyed && is_unknown && !row.key_over && row.age > Age::Young && !is_under_way(turn, n) {
        steps.push(Step::KeyEnds(n));
    }
    if is_unknown && row.age >= Age::Settled {
        steps.push(Step::GiveUp(n));
    }
}

/// Whether a request of this dispatch may still be sent or still reach the provider.
fn is_under_way(turn: &Turn<'_>, n: u8) -> bool {
    let by = |task: &Task| match *task {
        Task::Repeating(of) => of == n,
        Task::Waiting { dispatch, placed: false, .. } => dispatch == n,
        _ => false,
    };
    turn.dispatch(n).loose || turn.world.replicas.iter().any(by)
}

const fn is_shown(call: Call) -> bool {
    call.listed || matches!(call.phase, Phase::None)
}

fn steps_of_provider(turn: &Turn<'_>, n: u8, steps: &mut Vec<Step>) {
    if turn.dispatch(n).loose {
        steps.extend([Step::LooseRequestIsPlaced(n), Step::LooseRequestFails(n)]);
    }
    let call = turn.world.calls[usize::from(n)];
    // Lists are read only while the dispatch is unknown.
    if !is_shown(call) && turn.dispatch(n).state == dispatch::State::Unknown {
        steps.push(Step::CallIsListed(n));
    }
    // Events may arrive twice, late, in any order or never: each is possible once its phase has occurred. A fetched
    // record has the same effect as the event.
    match call.phase {
        Phase::None => {}
        Phase::Ringing => {
            steps.push(Step::HearStarted(n));
            steps.extend(turn.rules.endings.iter().map(|end| Step::CallEnds(n, *end)));
        }
        Phase::Over(_) => {
            steps.extend([Step::HearStarted(n), Step::HearEnded(n)]);
            steps.extend(turn.rules.analysis.then_some(Step::CallIsAnalyzed(n)));
        }
        Phase::Analyzed(_) => {
            steps.extend([Step::HearStarted(n), Step::HearEnded(n), Step::HearAnalyzed(n)]);
        }
    }
}

fn steps_of_people(turn: &Turn<'_>, steps: &mut Vec<Step>) {
    if turn.rules.people {
        steps.push(Step::SwitchAgent(!turn.world.agent_enabled));
        if !turn.world.suppressed {
            steps.push(Step::DoNotCall);
        }
    }
    if turn.world.requests_left > 0 {
        steps.push(Step::RequestByHand);
    }
}

fn take(turn: &mut Turn<'_>, step: Step) {
    match step {
        Step::Claim(r, n) => step_effects::claim(turn, r, n),
        Step::Check(r) => step_effects::check(turn, r),
        Step::Commit(r) => step_effects::commit(turn, r),
        Step::Send(r) => step_effects::send(turn, r),
        Step::PlacedIsAnswered(r) => step_effects::answer(turn, r, Heard::Placed),
        Step::RefusedIsAnswered(r, refusal) => step_effects::answer(turn, r, refusal),
        Step::AnswerIsLost(r) => step_effects::answer(turn, r, Heard::Unclear),
        Step::Record(r) => step_effects::record(turn, r),
        Step::Repeat(r, n) => step_effects::repeat(turn, r, n),
        Step::LookUp(r, n) => step_effects::set(turn, r, Task::LookingUp(n)),
        Step::ListIsComplete(r) => step_effects::list(turn, r, true),
        Step::ListFails(r) => step_effects::list(turn, r, false),
        Step::Crash(r) => step_effects::crash(turn, r),
        Step::Recover(n) => step_effects::recover(turn, n),
        Step::GiveUp(n) => step_effects::give_up(turn, n),
        Step::RequestIsPlaced(r) => {
            if let Task::Waiting { dispatch, placed, .. } = &mut turn.world.replicas[usize::from(r)] {
                *placed = true;
                let n = *dispatch;
                step_effects::place(turn, n);
            }
        }
        Step::LooseRequestIsPlaced(n) => {
            turn.dispatch_mut(n).loose = false;
            step_effects::place(turn, n);
        }
        Step::LooseRequestFails(n) => turn.dispatch_mut(n).loose = false,
        Step::CallEnds(n, end) => turn.world.calls[usize::from(n)].phase = Phase::Over(end),
        Step::CallIsAnalyzed(n) => {
            let call = &mut turn.world.calls[usize::from(n)];
            call.phase = call.phase.end().map_or(call.phase, Phase::Analyzed);
        }
        Step::CallIsListed(n) => turn.world.calls[usize::from(n)].listed = true,
        Step::LeaseEnds(n) => turn.dispatch_mut(n).age = Age::Lapsed,
        Step::SettleTimeEnds(n) => turn.dispatch_mut(n).age = Age::Settled,
        Step::MinuteEnds(n) => turn.dispatch_mut(n).age = Age::Aged,
        Step::KeyEnds(n) => turn.dispatch_mut(n).key_over = true,
        Step::HearStarted(n) => decide::receive_webhook(turn, n, CallPhase::Started),
        Step::HearEnded(n) => decide::receive_webhook(turn, n, CallPhase::Ended),
        Step::HearAnalyzed(n) => decide::receive_webhook(turn, n, CallPhase::Analyzed),
        Step::Cancel(n) => {
            turn.callback_to(n, callback::State::Canceled);
            turn.move_fence(n);
        }
        Step::DoNotCall => turn.suppress(),
        Step::SwitchAgent(on) => step_effects::switch_agent(turn, on),
        Step::RequestByHand => {
            turn.world.requests_left -= 1;
            decide::schedule_manually(turn);
        }
    }
}
