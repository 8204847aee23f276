//! The only file that asks the machine for the time, for sleep, and for randomness.
//!
//! Invariants: [`Clock::real_ms`] never runs back. On a database of its own it follows the machine's clock forward
//! (a laptop that slept); on a shared one it is the database server's clock, whatever the machine's says (I32).
//! [`Clock::now`] is virtual time, which runs `speed` times as fast and never back, not even over a restart.
//! Leases, pacing and sockets use real time; everything a person would call "when" is virtual.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use redialer_core::{Timestamp, chance::Chance, time::from_ms};
use redialer_store::{ClockRow, Store, StoreError};
use tokio::time::{Instant, Sleep};

/// A moment that was taken note of.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    steady_ms: i64,
    wall_ms: i64,
}

/// The clocks of one process.
pub struct Clock {
    source: Source,
    born: Instant,
    real: Mutex<Real>,
    anchor: Mutex<ClockRow>,
}

enum Source {
    Machine,
    /// Moved by a test; nothing waits for it to move.
    Hands(Hands),
}

/// The two clocks of a machine as a test sets them, in milliseconds.
#[derive(Clone)]
pub struct Hands {
    /// What it calls the time since 1970; may be wrong, and may jump.
    pub wall: Arc<AtomicI64>,
    /// What never jumps.
    pub steady: Arc<AtomicI64>,
}

struct Real {
    /// When the clock was last set, by the machine's steady clock or by the hands, and to what.
    instant: Instant,
    hands_ms: i64,
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

/// A moment of real time that code which polls by itself, as a socket does, can wait for.
pub struct Deadline(Pin<Box<Sleep>>);

impl Deadline {
    /// The moment that is so far from now.
    #[expect(clippy::disallowed_methods, reason = "this is the one file that waits")]
    pub fn after(real: Duration) -> Self {
        Self(Box::pin(tokio::time::sleep(real)))
    }

    /// Ready once the moment has passed; until then the task is woken when it does.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl Clock {
    /// A clock that runs at `speed` virtual seconds a real second, from now.
    pub fn start(speed: u32) -> Self {
        let ms = machine().1;
        Self::of(Source::Machine, ms, speed)
    }

    /// A clock that somebody else moves.
    pub fn by_hand(hands: Hands) -> Self {
        let ms = hands.wall.load(Ordering::Relaxed);
        Self::of(Source::Hands(hands), ms, 1)
    }

    fn of(source: Source, ms: i64, speed: u32) -> Self {
        let anchor = ClockRow { real_ms: ms, virtual_ms: ms, speed: i64::from(speed) };
        let real = Real { instant: machine().0, hands_ms: 0, set_ms: ms, ms, follows: false };
        Self { source, born: machine().0, real: Mutex::new(real), anchor: Mutex::new(anchor) }
    }

    /// Sets the real clock to the database server's.
    fn follow(&self, set_ms: i64, ms: i64) {
        let hands_ms = match &self.source {
            Source::Machine => 0,
            Source::Hands(hands) => hands.steady.load(Ordering::Relaxed),
        };
        let mut real = self.real.lock().unwrap_or_else(PoisonError::into_inner);
        *real = Real { instant: machine().0, hands_ms, set_ms, ms, follows: true };
    }

    /// Takes up the virtual time where the last process on this database left it.
    pub async fn join(&self, store: &Store) -> Result<(), StoreError> {
        if let Some(theirs) = store.database_now_ms().await? {
            // Nothing has been timed yet: even a machine whose clock runs ahead begins at the server's.
            self.follow(theirs, theirs);
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
            // Set back, it stands still until the server has caught up.
            self.follow(theirs, self.real_ms().max(theirs));
        }
        Ok(())
    }

    /// Real milliseconds since 1970; never runs back.
    pub fn real_ms(&self) -> i64 {
        let mut real = self.real.lock().unwrap_or_else(PoisonError::into_inner);
        match &self.source {
            Source::Hands(hands) => {
                let steady = real.set_ms + hands.steady.load(Ordering::Relaxed) - real.hands_ms;
                let wall = hands.wall.load(Ordering::Relaxed);
                real.ms = real.ms.max(if real.follows { steady } else { wall });
            }
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

    /// Takes note of this moment, for [`Clock::since`].
    pub fn mark(&self) -> Mark {
        let (steady_ms, wall_ms) = self.both_ms();
        Mark { steady_ms, wall_ms }
    }

    /// Real time since then, by whichever of the machine's clocks says more: the steady one stands still while a
    /// machine is suspended, the other may be set back.
    pub fn since(&self, mark: Mark) -> Duration {
        let (steady_ms, wall_ms) = self.both_ms();
        let ms = (steady_ms - mark.steady_ms).max(wall_ms - mark.wall_ms);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    fn both_ms(&self) -> (i64, i64) {
        match &self.source {
            Source::Hands(hands) => {
                (hands.steady.load(Ordering::Relaxed), hands.wall.load(Ordering::Relaxed))
            }
            Source::Machine => {
                let (instant, wall_ms) = machine();
                (elapsed_ms(self.born, instant), wall_ms)
            }
        }
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
    fn a_suspended_machine_knows_that_it_slept() {
        let (wall, steady) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let clock = Clock::by_hand(Hands { wall: Arc::clone(&wall), steady: Arc::clone(&steady) });
        let mark = clock.mark();
        wall.store(90_000, Ordering::Relaxed);
        assert_eq!(clock.since(mark), Duration::from_secs(90));
        wall.store(-5_000, Ordering::Relaxed);
        steady.store(2_000, Ordering::Relaxed);
        assert_eq!(clock.since(mark), Duration::from_secs(2));
    }

    #[test]
    fn hands_that_are_turned_back_stop_the_clock() {
        let wall = Arc::new(AtomicI64::new(10_000));
        let clock = Clock::by_hand(Hands { wall: Arc::clone(&wall), steady: Arc::default() });
        wall.store(20_000, Ordering::Relaxed);
        assert_eq!(clock.real_ms(), 20_000);
        wall.store(5_000, Ordering::Relaxed);
        assert_eq!(clock.now().as_millisecond(), 20_000);
    }
}
