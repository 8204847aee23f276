//! Breadth-first search over every reachable state.
//!
//! Implemented here because the available model checkers depend on a web server and some forty crates. This module
//! visits each state once and returns the shortest path to a broken law.

use std::{
    collections::HashSet,
    fmt::Debug,
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// The result of an exploration.
pub(crate) struct Explored<S> {
    /// Every reachable state, in the order of discovery.
    pub(crate) states: Vec<S>,
    /// The number of steps examined.
    pub(crate) n_steps: usize,
    /// The first broken law, with the shortest path to it.
    pub(crate) broken: Option<(&'static str, String)>,
}

/// More states than any world here has; a larger world is unbounded by mistake.
const MOST_STATES: usize = 5_000_000;

/// Explores from `start` until every state is visited or a law is broken.
///
/// `next` pushes each possible step with the resulting state; `broken` returns the law that a state breaks.
pub(crate) fn explore<S: Copy + Eq + Hash, Step: Copy + Debug>(
    start: S,
    next: impl Fn(&S, &mut Vec<(Step, S)>),
    broken: impl Fn(&S) -> Option<&'static str>,
) -> Explored<S> {
    let (mut states, mut origins) = (vec![start], vec![None]);
    let mut known = HashSet::<S, BuildHasherDefault<Mix>>::default();
    known.insert(start);
    let (mut at, mut n_steps, mut successors) = (0, 0, Vec::new());
    while at < states.len() {
        assert!(states.len() < MOST_STATES, "this world is too large to be explored");
        next(&states[at], &mut successors);
        n_steps += successors.len();
        for (step, state) in successors.drain(..) {
            if !known.insert(state) {
                continue;
            }
            states.push(state);
            origins.push(Some((at, step)));
            if let Some(law) = broken(&state) {
                let path = path_to(&origins, states.len() - 1);
                return Explored { states, n_steps, broken: Some((law, path)) };
            }
        }
        at += 1;
    }
    Explored { states, n_steps, broken: None }
}

fn path_to<Step: Debug>(origins: &[Option<(usize, Step)>], end: usize) -> String {
    let (mut at, mut lines) = (end, Vec::new());
    while let Some((from, step)) = &origins[at] {
        lines.push(format!("  {step:?}"));
        at = *from;
    }
    lines.reverse();
    lines.join("\n")
}

/// A hash that is fast even in an unoptimized build. All states come from the model, so deliberate collisions are not a
/// concern.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(u64::from(n));
    }

    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as u64);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
