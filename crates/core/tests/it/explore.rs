//! Breadth-first search over every state that can be reached.
//!
//! Written here because the checkers on offer bring a web server and some forty crates, and this is all we need:
//! states once each, and for a broken law the shortest way to it.

use std::{
    collections::HashSet,
    fmt::Debug,
    hash::{BuildHasherDefault, Hash, Hasher},
};

/// What was explored.
pub(crate) struct Explored<S> {
    /// Every state that can be reached, in the order found.
    pub(crate) states: Vec<S>,
    /// Steps looked at.
    pub(crate) n_steps: usize,
    /// The first law found broken, with the shortest way there.
    pub(crate) broken: Option<(&'static str, String)>,
}

/// More than any world here comes to; what grows past it has lost its bounds.
const MOST_STATES: usize = 5_000_000;

/// Explores from `start` on, until everything was seen or a law is broken.
///
/// `next` pushes each step that can be taken with where it leads; `broken` names the law that a state breaks.
pub(crate) fn explore<S: Copy + Eq + Hash, Step: Copy + Debug>(
    start: S,
    next: impl Fn(&S, &mut Vec<(Step, S)>),
    broken: impl Fn(&S) -> Option<&'static str>,
) -> Explored<S> {
    let (mut states, mut came) = (vec![start], vec![None]);
    let mut known = HashSet::<S, BuildHasherDefault<Mix>>::default();
    known.insert(start);
    let (mut at, mut n_steps, mut ways) = (0, 0, Vec::new());
    while at < states.len() {
        assert!(states.len() < MOST_STATES, "this world is too large to be explored");
        next(&states[at], &mut ways);
        n_steps += ways.len();
        for (step, state) in ways.drain(..) {
            if !known.insert(state) {
                continue;
            }
            states.push(state);
            came.push(Some((at, step)));
            if let Some(law) = broken(&state) {
                let way = way_to(&came, states.len() - 1);
                return Explored { states, n_steps, broken: Some((law, way)) };
            }
        }
        at += 1;
    }
    Explored { states, n_steps, broken: None }
}

fn way_to<Step: Debug>(came: &[Option<(usize, Step)>], end: usize) -> String {
    let (mut at, mut lines) = (end, Vec::new());
    while let Some((from, step)) = &came[at] {
        lines.push(format!("  {step:?}"));
        at = *from;
    }
    lines.reverse();
    lines.join("\n")
}

/// A hash that an unoptimised build can afford: states are ours, so nobody picks them to collide.
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
