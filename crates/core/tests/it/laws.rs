//! The laws that the model checks, by their codes in the failure model.
//!
//! Laws about a single state are checked here for every state; laws about a step are checked where the step is taken.

use redialer_core::callback;

use crate::{
    turn::Rules,
    world::{Phase, World},
};

/// The name of a law.
pub(crate) type Law = &'static str;

/// At most one create-call request per dispatch, except repeats under a key that the provider still keeps.
pub(crate) const I1: Law = "I1";
/// At most one open dispatch per callback; at most one phone rung per attempt; no phone rings without a record.
pub(crate) const I2: Law = "I2";
/// The intent is on disk before the request is sent.
pub(crate) const I4: Law = "I4";
/// Attempts stay within the maximum, and only the last one is final.
pub(crate) const I5: Law = "I5";
/// No dial starts after a stop was confirmed.
pub(crate) const I7: Law = "I7";
/// The events of a call have the same effects in any order and number.
pub(crate) const I10: Law = "I10";
/// A final state is never left, and a late event only adds data.
pub(crate) const I12: Law = "I12";
/// At most one waiting callback per person, enforced by an index: a transaction that violates it would fail.
pub(crate) const ONE_WAITING: Law = "one waiting";

/// The law that this state breaks, if any.
pub(crate) fn broken(rules: &Rules, world: &World) -> Option<Law> {
    let checks = [
        (I2, has_one_open_dispatch(world) && rings_are_accounted_for(world)),
        (I5, is_within_ceiling(rules, world)),
        (I10, has_one_next_of_a_kind(world)),
        (ONE_WAITING, has_one_waiting(world)),
    ];
    world.broken.or_else(|| checks.into_iter().find(|(_, kept)| !kept).map(|(law, _)| law))
}

fn has_one_open_dispatch(world: &World) -> bool {
    let open = |n: usize| {
        let of = world.dispatches.iter().flatten();
        of.filter(|d| d.on_disk && usize::from(d.callback) == n && d.state.is_open()).count()
    };
    (0..world.callbacks.len()).all(|n| open(n) <= 1)
}

/// No phone rings for a dispatch that is recorded as definitely not placed, and none rings twice for one attempt.
fn rings_are_accounted_for(world: &World) -> bool {
    use redialer_core::dispatch::State::{NotPlaced, Refused};
    let mut rung = Vec::new();
    for (dispatch, call) in world.dispatches.iter().zip(&world.calls) {
        let Some(dispatch) = dispatch.filter(|_| call.phase != Phase::None) else { continue };
        if matches!(dispatch.state, Refused | NotPlaced) {
            return false;
        }
        if !call.phase.had_no_line() {
            rung.push((dispatch.chain, dispatch.attempt));
        }
    }
    rung.len() < 2 || rung[0] != rung[1]
}

fn is_within_ceiling(rules: &Rules, world: &World) -> bool {
    world.attempts_used.iter().all(|attempts_used| u32::from(*attempts_used) <= rules.policy.max_attempts)
}

fn has_one_next_of_a_kind(world: &World) -> bool {
    let born: Vec<_> = world.callbacks.iter().flatten().filter_map(|c| c.source).collect();
    born.iter().enumerate().all(|(at, source)| !born[..at].contains(source))
}

fn has_one_waiting(world: &World) -> bool {
    world.callbacks.iter().flatten().filter(|c| callback::State::is_waiting(c.state)).count() <= 1
}
