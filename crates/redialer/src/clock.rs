//! The only file that asks the machine for the time, for sleep, and for randomness.
//!
//! Invariants: [`Clock::real_ms`] never runs back. On a database of its own it follows the machine's clock forward
//! (a laptop that slept); on a shared one it is the database server's clock, whatever the machine's says (I32).
//! [`Clock::now`] is virtual time, which runs `speed` times as fast and never back, not even over a restart.
//! Leases, pacing and sockets use real time; everything a person would call "when" is virtual.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use redialer_core::{Timestamp, chance::Chance, time::from_ms};
use redialer_store::{ClockRow, Store, StoreError};
use tokio::time::Instant;

/// The clocks of one process.
pub struct Clock {
    source: Source,
    real: Mutex<Real>,
    anchor: Mutex<ClockRow>,
}

enum Source {
    Machine,
    /// Set by a test; nothing waits for it to move.
    Hands(Arc<AtomicI64>),
}

struct Real {
    /// When the clock was last set, and to what.
    instant: Instant,
    set_ms: i64,
    /// What it showed last.
    ms: i64,
    /// The database server keeps the time: the machine's own is not looked at.
    follows: bool,
}

#[expect(clippy::disallowed_methods, reason = "this is the one file that asks")]
fn machine() -> (Instant, i64) {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (Instant::now(), i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// A source of randomness, seeded by the operating system.
#[expect(clippy::disallowed_methods, reason = "this is the one file that asks")]
pub fn chance() -> Result<Chance, getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(Chance::seeded(seed))
}

impl Clock {
    /// A clock that runs at `speed` virtual seconds a real second, from now.
    pub fn start(speed: u32) -> Self {
        let (instant, ms) = machine();
        Self::of(Source::Machine, instant, ms, speed)
    }

    /// A clock that somebody else moves: the milliseconds since 1970 that `hands` show.
    pub fn by_hand(hands: Arc<AtomicI64>) -> Self {
        let ms = hands.load(Ordering::Relaxed);
        Self::of(Source::Hands(hands), machine().0, ms, 1)
    }

    fn of(source: Source, instant: Instant, ms: i64, speed: u32) -> Self {
        let anchor = ClockRow { real_ms: ms, virtual_ms: ms, speed: i64::from(speed) };
        let real = Real { instant, set_ms: ms, ms, follows: false };
        Self { source, real: Mutex::new(real), anchor: Mutex::new(anchor) }
    }

    /// Takes up the virtual time where the last process on this database left it.
    pub async fn join(&self, store: &Store) -> Result<(), StoreError> {
        if let Some(theirs) = store.database_now_ms().await? {
            // Nothing has been timed yet: even a machine whose clock runs ahead begins at the server's.
            let mut real = self.real.lock().unwrap_or_else(PoisonError::into_inner);
            *real = Real { instant: machine().0, set_ms: theirs, ms: theirs, follows: true };
        }
        let real_ms = self.real_ms();
        let speed = self.anchor().speed;
        let virtual_ms = match store.clock().await? {
            Some(last) if last.speed == speed && at_anchor(last, real_ms) >= real_ms => {
                *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = last;
                return Ok(());
            }
            Some(last) => at_anchor(last, real_ms).max(real_ms),
            None => real_ms,
        };
        let row = ClockRow { real_ms, virtual_ms, speed };
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = row;
        store.set_clock(row).await
    }

    /// Moves the real clock forward to the database server's, where that is another machine (I32).
    pub async fn follow_database(&self, store: &Store) -> Result<(), StoreError> {
        if let Some(theirs) = store.database_now_ms().await? {
            let ours = self.real_ms();
            let mut real = self.real.lock().unwrap_or_else(PoisonError::into_inner);
            // Set back, it stands still until the server has caught up.
            *real = Real { instant: machine().0, set_ms: theirs, ms: ours.max(theirs), follows: true };
        }
        Ok(())
    }

    /// Real milliseconds since 1970; never runs back.
    pub fn real_ms(&self) -> i64 {
        let mut real = self.real.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.source {
            Source::Hands(_) if real.follows => {}
            Source::Hands(hands) => real.ms = real.ms.max(hands.load(Ordering::Relaxed)),
            Source::Machine => {
                let (instant, system) = machine();
                let steady = real.set_ms + elapsed_ms(real.instant, instant);
                if !real.follows && system > steady {
                    (real.instant, real.set_ms) = (instant, system);
                }
                real.ms = real.ms.max(steady).max(if real.follows { steady } else { system });
            }
        }
        real.ms
    }

    /// Virtual time.
    pub fn now(&self) -> Timestamp {
        from_ms(at_anchor(self.anchor(), self.real_ms())).unwrap_or(Timestamp::MAX)
    }

    /// Virtual seconds a real second.
    pub fn speed(&self) -> u32 {
        u32::try_from(self.anchor().speed).unwrap_or(1)
    }

    /// Waits so long in real time.
    #[expect(clippy::disallowed_methods, reason = "this is the one file that waits")]
    pub async fn wait(&self, real: Duration) {
        tokio::time::sleep(real).await;
    }

    /// Waits for that virtual moment.
    pub async fn wait_until(&self, at: Timestamp) {
        self.wait(self.real_until(at)).await;
    }

    /// How long it is, in real time, until that virtual moment.
    pub fn real_until(&self, at: Timestamp) -> Duration {
        let ms = at.as_millisecond() - self.now().as_millisecond();
        Duration::from_millis(u64::try_from(ms).unwrap_or(0)).div_f64(f64::from(self.speed()))
    }

    fn anchor(&self) -> ClockRow {
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn at_anchor(anchor: ClockRow, real_ms: i64) -> i64 {
    anchor.virtual_ms.saturating_add((real_ms - anchor.real_ms).max(0).saturating_mul(anchor.speed))
}

fn elapsed_ms(from: Instant, to: Instant) -> i64 {
    i64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_time_runs_as_fast_as_it_should_and_never_back() {
        let anchor = ClockRow { real_ms: 1_000, virtual_ms: 5_000, speed: 60 };
        assert_eq!(at_anchor(anchor, 1_000), 5_000);
        assert_eq!(at_anchor(anchor, 2_000), 65_000);
        assert_eq!(at_anchor(anchor, 0), 5_000);
    }

    #[test]
    fn hands_that_are_turned_back_stop_the_clock() {
        let hands = Arc::new(AtomicI64::new(10_000));
        let clock = Clock::by_hand(Arc::clone(&hands));
        hands.store(20_000, Ordering::Relaxed);
        assert_eq!(clock.real_ms(), 20_000);
        hands.store(5_000, Ordering::Relaxed);
        assert_eq!(clock.now().as_millisecond(), 20_000);
    }
}
