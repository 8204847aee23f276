//! Limits how fast each workspace starts calls: by its rate, its free lines, and the provider's throttling.
//!
//! Invariant: every time here is a reading of the steady clock, so setting the wall clock changes no rate. The state is
//! local to the replica that leases the workspace's bucket, so processes need not coordinate. If it is lost, the rates
//! are not limited for a short time.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use jiff::SignedDuration;
use redialer_core::{
    Id, Timestamp,
    id::{Callback, Workspace},
};

use crate::state::locked;

/// The state of every workspace, and the time at which each due callback was first seen.
#[derive(Default)]
pub struct DialRateLimiter {
    workspaces: Mutex<HashMap<Id<Workspace>, WorkspaceDials>>,
    seen: Mutex<HashMap<Id<Callback>, (Timestamp, Duration)>>,
}

/// The maximum number of due callbacks whose time is stored.
const MAX_SEEN: usize = 100_000;

#[derive(Default)]
struct WorkspaceDials {
    /// Unused starts; at most one second's worth.
    tokens: f64,
    refilled_at: Duration,
    slow_until: Duration,
    /// When the next start is allowed, after the starts were used up.
    next_start: Duration,
    lines: Option<Lines>,
    busy: bool,
}

/// The provider's answer about the account's free lines.
#[derive(Clone, Copy)]
struct Lines {
    free: u32,
    read_at: Duration,
}

/// The wait for the next start if the rate is too low to compute it.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// How long a reading of the free lines is valid.
const LINES_FRESH: Duration = Duration::from_secs(3);

impl DialRateLimiter {
    /// Records when a callback was first seen to be due.
    pub fn seen_due(&self, id: Id<Callback>, now: Timestamp, steady: Duration) {
        let mut seen = locked(&self.seen);
        // Callbacks that were canceled in the meantime are never claimed; clearing all entries costs a little precision, once.
        if seen.len() >= MAX_SEEN {
            seen.clear();
        }
        seen.entry(id).or_insert((now, steady));
    }

    /// How late a claimed callback is: the virtual time until it was first seen, plus the real time for which the rate
    /// limit has held it back since. At normal speed, the sum is the time since `scheduled_for`.
    pub fn late_by(
        &self,
        id: Id<Callback>,
        scheduled_for: Timestamp,
        now: Timestamp,
        steady: Duration,
    ) -> SignedDuration {
        let seen = locked(&self.seen).remove(&id);
        let (known_at, known_steady) = seen.unwrap_or((now, steady));
        let missed = known_at.duration_since(scheduled_for).max(SignedDuration::ZERO);
        let held_back = steady.saturating_sub(known_steady);
        missed.saturating_add(SignedDuration::try_from(held_back).unwrap_or(SignedDuration::MAX))
    }

    /// Marks a workspace as busy; returns false if it already was.
    pub fn enter(&self, workspace: Id<Workspace>) -> bool {
        let mut workspaces = locked(&self.workspaces);
        let dials = workspaces
            .entry(workspace)
            .or_insert_with(|| WorkspaceDials { tokens: 1.0, ..WorkspaceDials::default() });
        !std::mem::replace(&mut dials.busy, true)
    }

    /// Marks a workspace as no longer busy.
    pub fn leave(&self, workspace: Id<Workspace>) {
        if let Some(dials) = locked(&self.workspaces).get_mut(&workspace) {
            dials.busy = false;
        }
    }

    /// Takes as many of `want` starts as `rate` per second allows now.
    pub fn take(&self, workspace: Id<Workspace>, rate: f64, want: usize, now: Duration) -> Starts<'_> {
        Starts { dial_rate: self, workspace, n: self.spend(workspace, rate, want, now) }
    }

    fn spend(&self, workspace: Id<Workspace>, rate: f64, want: usize, now: Duration) -> usize {
        let mut workspaces = locked(&self.workspaces);
        let dials = workspaces.entry(workspace).or_default();
        if now < dials.slow_until {
            dials.next_start = dials.slow_until;
            return 0;
        }
        let saved = dials.tokens + now.saturating_sub(dials.refilled_at).as_secs_f64() * rate;
        dials.tokens = saved.min(rate.max(1.0));
        dials.refilled_at = now;
        let n = (dials.tokens.floor() as usize).min(want);
        dials.tokens -= n as f64;
        if dials.tokens < 1.0 {
            dials.next_start =
                now + Duration::try_from_secs_f64((1.0 - dials.tokens) / rate).unwrap_or(LONGEST_WAIT);
        }
        n
    }

    /// The time until the next start is allowed; zero if one is allowed now.
    pub fn next_start_in(&self, workspace: Id<Workspace>, now: Duration) -> Duration {
        locked(&self.workspaces)
            .get(&workspace)
            .map_or(Duration::ZERO, |dials| dials.next_start.saturating_sub(now))
    }

    fn give_back(&self, workspace: Id<Workspace>, n: usize) {
        if let Some(dials) = locked(&self.workspaces).get_mut(&workspace) {
            dials.tokens += n as f64;
            dials.next_start = Duration::ZERO;
        }
    }

    /// Allows no start for the workspace until the given time.
    pub fn slow(&self, workspace: Id<Workspace>, until: Duration) {
        let mut workspaces = locked(&self.workspaces);
        let dials = workspaces.entry(workspace).or_default();
        dials.slow_until = dials.slow_until.max(until);
        dials.lines = None;
    }

    /// The time until which the workspace may start no dial, if that time is in the future.
    pub fn slowed_until(&self, workspace: Id<Workspace>, now: Duration) -> Option<Duration> {
        Some(locked(&self.workspaces).get(&workspace)?.slow_until).filter(|until| *until > now)
    }

    /// The free lines as last read, if the reading is still valid.
    pub fn lines(&self, workspace: Id<Workspace>, now: Duration) -> Option<u32> {
        let workspaces = locked(&self.workspaces);
        let lines =
            workspaces.get(&workspace)?.lines.filter(|l| now.saturating_sub(l.read_at) < LINES_FRESH)?;
        Some(lines.free)
    }

    /// Stores the number of free lines.
    pub fn set_lines(&self, workspace: Id<Workspace>, free: u32, now: Duration) {
        if let Some(dials) = locked(&self.workspaces).get_mut(&workspace) {
            dials.lines = Some(Lines { free, read_at: now });
        }
    }

    /// Subtracts the lines that calls are about to take.
    pub fn use_lines(&self, workspace: Id<Workspace>, n: u32) {
        if let Some(lines) = locked(&self.workspaces).get_mut(&workspace).and_then(|l| l.lines.as_mut()) {
            lines.free = lines.free.saturating_sub(n);
        }
    }
}

/// Starts taken from a workspace's rate. Unused ones are returned on drop, also after a failure.
#[must_use]
pub struct Starts<'a> {
    dial_rate: &'a DialRateLimiter,
    workspace: Id<Workspace>,
    n: usize,
}

impl Starts<'_> {
    /// The number of starts.
    pub const fn n(&self) -> usize {
        self.n
    }

    /// Uses `n` of the starts and returns the rest.
    pub fn used(mut self, n: usize) {
        self.n = self.n.saturating_sub(n);
    }
}

impl Drop for Starts<'_> {
    fn drop(&mut self) {
        if self.n > 0 {
            self.dial_rate.give_back(self.workspace, self.n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes starts and uses them.
    fn starts(dial_rate: &DialRateLimiter, rate: f64, want: usize, now: Duration) -> usize {
        let taken = dial_rate.take(id(), rate, want, now);
        let n = taken.n();
        taken.used(n);
        n
    }

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    fn id() -> Id<Workspace> {
        Id::from_uuid(uuid::Uuid::from_u128(1))
    }

    #[test]
    fn one_start_a_second_and_none_saved_beyond_it() {
        let dial_rate = DialRateLimiter::default();
        assert!(dial_rate.enter(id()) && !dial_rate.enter(id()));
        assert_eq!(starts(&dial_rate, 1.0, 5, ms(0)), 1);
        assert_eq!(starts(&dial_rate, 1.0, 5, ms(999)), 0);
        assert_eq!(starts(&dial_rate, 1.0, 5, ms(1_000)), 1);
        assert_eq!(starts(&dial_rate, 1.0, 5, ms(60_000)), 1, "a quiet minute saves one start, not sixty");
        assert_eq!(starts(&dial_rate, 10.0, 50, ms(120_000)), 10);
    }

    #[test]
    fn the_next_start_is_known_when_none_is_allowed() {
        let dial_rate = DialRateLimiter::default();
        assert_eq!(dial_rate.next_start_in(id(), ms(0)), ms(0));
        assert!(dial_rate.enter(id()));
        let taken = dial_rate.take(id(), 2.0, 5, ms(0));
        assert_eq!((taken.n(), dial_rate.next_start_in(id(), ms(100))), (1, ms(400)));
        drop(taken);
        assert_eq!(dial_rate.next_start_in(id(), ms(100)), ms(0), "a start that was not used");
        dial_rate.slow(id(), ms(5_000));
        assert_eq!(starts(&dial_rate, 2.0, 1, ms(1_000)), 0);
        assert_eq!(dial_rate.next_start_in(id(), ms(1_000)), ms(4_000));
    }

    #[test]
    fn throttling_by_the_provider_stops_starts() {
        let dial_rate = DialRateLimiter::default();
        dial_rate.slow(id(), ms(5_000));
        assert_eq!(starts(&dial_rate, 10.0, 1, ms(4_999)), 0);
        assert_eq!(starts(&dial_rate, 10.0, 1, ms(5_000)), 1);
    }

    #[test]
    fn time_in_the_rate_limit_is_real_time() {
        let (dial_rate, id) = (DialRateLimiter::default(), Id::from_uuid(uuid::Uuid::from_u128(2)));
        let at = |s: i64| Timestamp::from_second(s).expect("in range");
        dial_rate.seen_due(id, at(110), ms(1_000));
        dial_rate.seen_due(id, at(900), ms(3_000));
        assert_eq!(dial_rate.late_by(id, at(100), at(9_000), ms(4_000)), SignedDuration::from_secs(13));
        assert_eq!(
            dial_rate.late_by(id, at(100), at(9_000), ms(4_000)),
            SignedDuration::from_secs(8_900),
            "the entry was removed"
        );
    }

    #[test]
    fn a_reading_of_the_lines_expires() {
        let dial_rate = DialRateLimiter::default();
        dial_rate.enter(id());
        dial_rate.set_lines(id(), 2, ms(0));
        dial_rate.use_lines(id(), 1);
        assert_eq!(dial_rate.lines(id(), ms(2_999)), Some(1));
        assert_eq!(dial_rate.lines(id(), ms(3_000)), None);
    }
}
