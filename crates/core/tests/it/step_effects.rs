//! The implementation of each step: one transaction of the store, one message, or one read at the provider.
//!
//! Invariant: each transaction has the same guards as in `store`; each planted bug removes one guard.

use redialer_core::{
    callback,
    decide::{AfterDial, Finding, Resolution, Verdict},
    dispatch,
};

use crate::{
    decide, laws,
    turn::{Bug, Turn},
    world::{Age, Dispatch, Heard, Phase, Task},
};

pub(crate) fn set(turn: &mut Turn<'_>, r: u8, task: Task) {
    turn.world.replicas[usize::from(r)] = task;
}

pub(crate) fn claim(turn: &mut Turn<'_>, r: u8, n: u8) {
    turn.callback_to(n, callback::State::Dispatching);
    turn.move_fence(n);
    let attempts_used = turn.world.attempts_used[usize::from(turn.callback(n).chain)];
    set(
        turn,
        r,
        Task::Claimed { callback: n, fresh: true, attempts_used, suppressed: turn.world.suppressed },
    );
}

/// The claim is still held and has no intent.
fn holds(turn: &Turn<'_>, n: u8, fresh: bool) -> bool {
    let row = turn.callback(n);
    (fresh || turn.has(Bug::FenceIgnored))
        && row.state == callback::State::Dispatching
        && row.dispatch.is_none()
}

pub(crate) fn check(turn: &mut Turn<'_>, r: u8) {
    let Task::Claimed { callback: n, fresh, attempts_used, suppressed } = turn.world.replicas[usize::from(r)]
    else {
        return;
    };
    let held = holds(turn, n, fresh);
    let row = turn.callback(n);
    let (verdict, attempt) = decide::before_dial(turn.rules, &turn.world, row, attempts_used, suppressed);
    let task = match verdict {
        Verdict::Pass => {
            let (attempt, is_final) = (attempt.number as u8, attempt.is_final);
            Task::Checked { callback: n, fresh, attempts_used, attempt, is_final }
        }
        Verdict::Stop(state) => {
            if held {
                turn.callback_to(n, state);
            }
            Task::Idle
        }
        Verdict::Hold(_) => {
            if held {
                let next = if turn.has_another_waiting(n) {
                    callback::State::Superseded
                } else {
                    callback::State::Held
                };
                turn.callback_to(n, next);
            }
            Task::Idle
        }
        Verdict::Wait(_) | Verdict::Replan(_) => {
            if held {
                turn.back_to_waiting(n);
            }
            Task::Idle
        }
    };
    set(turn, r, task);
}

/// Writes the intent, guarded by the claim, the agent, and the chain.
pub(crate) fn commit(turn: &mut Turn<'_>, r: u8) {
    let Task::Checked { callback: n, fresh, attempts_used, attempt, is_final } =
        turn.world.replicas[usize::from(r)]
    else {
        return;
    };
    let row = turn.callback(n);
    let open = |d: &Dispatch| d.on_disk && d.callback == n && d.state.is_open();
    let is_open = turn.world.dispatches.iter().flatten().any(open);
    let held = holds(turn, n, fresh) || (turn.has(Bug::IntentUnguarded) && !is_open);
    let agent = turn.world.agent_enabled || turn.has(Bug::IntentUnguarded);
    if !held || !agent || !chain_is_free(turn, row.chain, attempts_used) {
        if holds(turn, n, fresh) {
            turn.back_to_waiting(n);
        }
        return set(turn, r, Task::Idle);
    }
    turn.must(laws::I7, turn.world.agent_enabled && !turn.world.suppressed && !row.state.is_final());
    let max = turn.rules.policy.max_attempts as u8;
    let is_next = attempt == turn.world.attempts_used[usize::from(row.chain)] + 1;
    turn.must(laws::I5, is_next && attempt <= max && is_final == (attempt == max));
    let dispatch = turn.dispatches().count() as u8;
    let on_disk = !turn.has(Bug::NoIntent);
    turn.world.dispatches[usize::from(dispatch)] = Some(Dispatch {
        state: dispatch::State::Intent,
        callback: n,
        chain: row.chain,
        attempt,
        on_disk,
        age: Age::Young,
        key_over: false,
        repeated: false,
        sent: false,
        loose: false,
    });
    if on_disk {
        turn.callback_mut(n).dispatch = Some(dispatch);
    }
    set(turn, r, Task::Intended(dispatch));
}

/// No dispatch of the chain is an intent or unknown, and none was spent since the claim, so the attempt number is still
/// valid.
fn chain_is_free(turn: &Turn<'_>, chain: u8, attempts_used: u8) -> bool {
    let unsure = |d: &Dispatch| {
        d.chain == chain && matches!(d.state, dispatch::State::Intent | dispatch::State::Unknown)
    };
    let is_free = !turn.world.dispatches.iter().flatten().any(unsure);
    let is_as_read = turn.world.attempts_used[usize::from(chain)] == attempts_used;
    (is_free || turn.has(Bug::ChainUnguarded)) && (is_as_read || turn.has(Bug::SpentUnguarded))
}

/// Checks the lease and sends the first byte. From here on the provider may act on the request, even if this replica
/// crashes.
pub(crate) fn send(turn: &mut Turn<'_>, r: u8) {
    let (n, is_repeat) = match turn.world.replicas[usize::from(r)] {
        Task::Intended(n) if turn.dispatch(n).age > Age::Young => {
            return set(turn, r, Task::Responded(n, Heard::Unsent));
        }
        Task::Intended(n) => (n, false),
        Task::Repeating(n) => (n, true),
        _ => return,
    };
    let row = turn.dispatch(n);
    turn.must(laws::I4, row.on_disk);
    turn.must(laws::I1, if is_repeat { turn.rules.keyed && !row.key_over } else { !row.sent });
    turn.dispatch_mut(n).sent |= !is_repeat;
    set(turn, r, Task::Waiting { dispatch: n, is_repeat, placed: false });
}

/// The phone rings, unless it has rung before and the provider recognizes the key.
pub(crate) fn place(turn: &mut Turn<'_>, n: u8) {
    let known = turn.rules.keyed && !turn.dispatch(n).key_over;
    let call = &mut turn.world.calls[usize::from(n)];
    let has_rung = call.phase != Phase::None;
    if !has_rung {
        call.phase = Phase::Ringing;
    }
    turn.must(laws::I2, !has_rung || known);
}

pub(crate) fn answer(turn: &mut Turn<'_>, r: u8, heard: Heard) {
    let Task::Waiting { dispatch: n, is_repeat, placed } = turn.world.replicas[usize::from(r)] else {
        return;
    };
    // A sent request stays in flight even if no replica waits for it.
    turn.dispatch_mut(n).loose |= heard == Heard::Unclear && !placed;
    let task = match heard {
        // Of a repeat's responses only "placed" counts; after any other, the lists are read.
        _ if is_repeat && heard != Heard::Placed => Task::Idle,
        Heard::Unclear if !is_repeat && turn.has(Bug::RetryOnTimeout) => Task::Intended(n),
        _ => Task::Responded(n, heard),
    };
    set(turn, r, task);
}

pub(crate) fn record(turn: &mut Turn<'_>, r: u8) {
    let Task::Responded(n, heard) = turn.world.replicas[usize::from(r)] else { return };
    set(turn, r, Task::Idle);
    turn.dispatch_mut(n).on_disk = true;
    let callback = turn.dispatch(n).callback;
    let Some(after) = decide::after_dial(turn.rules, heard) else { return record_absence(turn, n, heard) };
    match after {
        AfterDial::Dialing { .. } => turn.mark_placed(n),
        AfterDial::Retry { .. } => {
            if turn.refuse(n) {
                turn.back_to_waiting(callback);
            }
        }
        AfterDial::Close { state, .. } => {
            let open = matches!(
                turn.callback(callback).state,
                callback::State::Dispatching | callback::State::Unconfirmed
            );
            if turn.refuse(n) && open {
                turn.callback_to(callback, state);
            }
        }
        AfterDial::Unconfirmed { .. } => {
            if turn.dispatch(n).state == dispatch::State::Intent {
                doubt(turn, n);
            }
        }
    }
}

fn doubt(turn: &mut Turn<'_>, n: u8) {
    turn.dispatch_to(n, dispatch::State::Unknown);
    let callback = turn.dispatch(n).callback;
    if turn.callback(callback).state == callback::State::Dispatching {
        turn.callback_to(callback, callback::State::Unconfirmed);
    }
}

fn record_absence(turn: &mut Turn<'_>, n: u8, heard: Heard) {
    let (row, Heard::Absent(read_at)) = (turn.dispatch(n), heard) else { return };
    // The proof or the dispatch has changed since the list was read.
    if row.state != dispatch::State::Unknown || (row.age != read_at && !turn.has(Bug::StaleListCounts)) {
        return;
    }
    if read_at == Age::Settled && !turn.has(Bug::OneListProves) {
        turn.dispatch_mut(n).age = Age::Once;
        return;
    }
    turn.dispatch_to(n, dispatch::State::NotPlaced);
    turn.back_to_waiting(row.callback);
}

/// Starts a repeat, on disk, if the key is still valid, the number is not suppressed, and the agent is enabled.
pub(crate) fn repeat(turn: &mut Turn<'_>, r: u8, n: u8) {
    let stopped = turn.world.suppressed || !turn.world.agent_enabled;
    let key_over = turn.dispatch(n).key_over;
    if (stopped && !turn.has(Bug::RepeatAfterStop)) || (key_over && !turn.has(Bug::RepeatWithoutKey)) {
        return;
    }
    turn.must(laws::I7, !stopped);
    turn.dispatch_mut(n).repeated = true;
    turn.restart_proof(n);
    set(turn, r, Task::Repeating(n));
}

pub(crate) fn list(turn: &mut Turn<'_>, r: u8, complete: bool) {
    let Task::LookingUp(n) = turn.world.replicas[usize::from(r)] else { return };
    let mut age = turn.dispatch(n).age;
    if turn.has(Bug::EarlyListCounts) && age < Age::Settled {
        age = Age::Settled;
        turn.dispatch_mut(n).age = age;
    }
    let finding = match (complete || turn.has(Bug::FailedListCounts), turn.world.calls[usize::from(n)].listed)
    {
        (true, true) if complete => Finding::Call(String::new()),
        (true, _) => Finding::Absent,
        (false, _) => Finding::NoAnswer,
    };
    let task = match decide::after_lookup(turn.rules, age, finding) {
        Resolution::Placed { .. } => Task::Responded(n, Heard::Placed),
        Resolution::NotPlaced => Task::Responded(n, Heard::Absent(Age::Aged)),
        Resolution::Later { first_absent_at: Some(_), .. } if age == Age::Settled => {
            Task::Responded(n, Heard::Absent(Age::Settled))
        }
        Resolution::Later { .. } | Resolution::Unresolved => Task::Idle,
    };
    set(turn, r, task);
}

pub(crate) fn crash(turn: &mut Turn<'_>, r: u8) {
    if let Task::Waiting { dispatch, placed: false, .. } = turn.world.replicas[usize::from(r)] {
        turn.dispatch_mut(dispatch).loose = true;
    }
    set(turn, r, Task::Idle);
}

pub(crate) fn recover(turn: &mut Turn<'_>, n: u8) {
    turn.move_fence(n);
    match turn.callback(n).dispatch {
        Some(_) if turn.has(Bug::RecoverDialsAgain) => turn.back_to_waiting(n),
        Some(dispatch) if turn.dispatch(dispatch).state == dispatch::State::Intent => doubt(turn, dispatch),
        Some(_) => turn.callback_to(n, callback::State::Unconfirmed),
        None => turn.back_to_waiting(n),
    }
}

/// No proof within a day: counts as an attempt, and is never dialed again automatically.
pub(crate) fn give_up(turn: &mut Turn<'_>, n: u8) {
    turn.dispatch_to(n, dispatch::State::Unresolved);
    let row = turn.dispatch(n);
    turn.world.attempts_used[usize::from(row.chain)] += 1;
    if turn.callback(row.callback).state == callback::State::Unconfirmed {
        turn.callback_to(row.callback, callback::State::Failed);
    }
}

pub(crate) fn switch_agent(turn: &mut Turn<'_>, on: bool) {
    turn.world.agent_enabled = on;
    for n in turn.callbacks() {
        let state = turn.callback(n).state;
        if on && state == callback::State::Held {
            turn.callback_to(n, callback::State::Scheduled);
        } else if !on && state != callback::State::Held && turn.may_be_stopped(n) {
            let gives_way =
                !state.is_waiting() && turn.has_another_waiting(n) && !turn.has(Bug::HoldBesideWaiting);
            let next = if gives_way { callback::State::Superseded } else { callback::State::Held };
            turn.callback_to(n, next);
            turn.move_fence(n);
        }
    }
}
