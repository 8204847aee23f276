//! The only file that reads the machine's clocks, sleeps, and draws randomness from the system.
//!
//! Invariants: [`Clock::real_ms`] never runs backward, by one rule for every source ([`Shown`]): it follows its source
//! forward at once (a laptop that slept), and after the source was set back it runs at half speed until the source has
//! caught up. With an embedded database the source is the machine's clock; with a shared one it is the database
//! server's clock, even if the machine's differs (I32). Signatures are checked against the source itself
//! ([`Clock::signature_now`]). [`Clock::now`] is virtual time, which runs `speed` times as fast and never back, not
//! even across a restart. Leases, rate limits and sockets use real time; everything that is scheduled for people uses
//! virtual time.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use redialer_core::{Timestamp, rng::Rng, time::from_ms};
use redialer_store::{ClockRow, Store, StoreError};
use tokio::time::{Instant, Sleep};

use crate::state::locked;

/// A recorded time, for [`Clock::elapsed`].
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch {
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
    /// Set by a test. Waiting still takes real time.
    ManualClock(ManualClock),
}

/// The two clocks of a machine, as set by a test, in milliseconds.
#[derive(Clone)]
pub struct ManualClock {
    /// The wall clock: milliseconds since 1970. It may be wrong and may jump.
    pub wall: Arc<AtomicI64>,
    /// The steady clock, which never jumps.
    pub steady: Arc<AtomicI64>,
}

struct Real {
    shown: Shown,
    /// The database server's clock, if it is another machine's, and the steady clock at the time of that reading.
    server: Option<(i64, i64)>,
}

/// The time that a clock shows; it never runs backward when its source is set back.
#[derive(Debug, Clone, Copy)]
struct Shown {
    ms: i64,
    /// The steady clock at that moment.
    steady_ms: i64,
}

impl Shown {
    /// Returns the time to show for a reading of the source and of the steady clock.
    fn follow(&mut self, source_ms: i64, steady_ms: i64) -> i64 {
        // The odd millisecond is carried over: a clock that is read often must not stand still.
        let half = (steady_ms - self.steady_ms).max(0) / 2;
        if source_ms >= self.ms + half {
            *self = Self { ms: source_ms, steady_ms };
        } else {
            *self = Self { ms: self.ms + half, steady_ms: self.steady_ms + 2 * half };
        }
        self.ms
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one file that asks")]
fn machine() -> (Instant, i64) {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (Instant::now(), i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

/// Why a clock could not continue a database's virtual time.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The database was used at another speed.
    #[error(
        "this database was used with clock_speed {stored} and can be used only with that speed; set clock_speed to {stored}, or use another data directory or database for clock_speed {requested}"
    )]
    Speed {
        /// The stored speed, in virtual seconds per real second.
        stored: i64,
        /// The speed of this process.
        requested: i64,
    },
    /// A store error.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A source of randomness, seeded by the operating system.
#[expect(clippy::disallowed_methods, reason = "this is the one file that asks")]
pub fn rng() -> Result<Rng, getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    // On an error the bytes stay unchanged; the seed is still used.
    Ok(Rng::mixed(seed, |bytes| getrandom::fill(bytes).unwrap_or_default()))
}

/// A moment in real time that code which polls by itself, such as a socket, can wait for.
pub struct Deadline(Pin<Box<Sleep>>);

impl Deadline {
    /// The moment that is `real` from now.
    #[expect(clippy::disallowed_methods, reason = "this is the one file that waits")]
    pub fn after(real: Duration) -> Self {
        Self(Box::pin(tokio::time::sleep(real)))
    }

    /// Ready once the moment has passed; until then, registers the task to be woken.
    pub fn poll_passed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl Clock {
    /// A clock that runs at `speed` virtual seconds per real second, from now.
    pub fn start(speed: u32) -> Self {
        let ms = machine().1;
        Self::new(Source::Machine, ms, speed)
    }

    /// A clock that the caller sets.
    pub fn manual(manual: ManualClock) -> Self {
        let ms = manual.wall.load(Ordering::Relaxed);
        Self::new(Source::ManualClock(manual), ms, 1)
    }

    fn new(source: Source, ms: i64, speed: u32) -> Self {
        let anchor = ClockRow { real_ms: ms, virtual_ms: ms, speed: i64::from(speed) };
        let steady_ms = match &source {
            Source::Machine => 0,
            Source::ManualClock(manual) => manual.steady.load(Ordering::Relaxed),
        };
        let real = Real { shown: Shown { ms, steady_ms }, server: None };
        Self { source, born: machine().0, real: Mutex::new(real), anchor: Mutex::new(anchor) }
    }

    /// Continues the virtual time of the last server on this database, and stores the anchor that other processes
    /// follow. Fails if that server ran at another speed: its virtual time stays ahead of real time, and at another
    /// speed providers' signatures and scheduled times would be wrong.
    pub async fn join(&self, store: &Store) -> Result<(), JoinError> {
        self.begin_at_database(store).await?;
        let speed = self.anchor().speed;
        let last = store.clock().await?;
        if let Some(last) = last.filter(|last| last.speed != speed) {
            return Err(JoinError::Speed { stored: last.speed, requested: speed });
        }
        let row = self.import(last);
        if last == Some(row) {
            return Ok(());
        }
        Ok(store.set_clock(row).await?)
    }

    /// Stores the current time of this clock, so that the next server on this database does not start before it, even
    /// if the machine's clock is set back in between.
    pub async fn keep(&self, store: &Store) -> Result<(), StoreError> {
        let real_ms = self.real_ms();
        let ClockRow { speed, .. } = self.anchor();
        store.save_clock(ClockRow { real_ms, virtual_ms: at_anchor(self.anchor(), real_ms), speed }).await
    }

    /// A clock for a command that runs while a server runs, or between two runs of it: it shows the server's virtual time,
    /// at the server's speed, and writes nothing.
    pub async fn follow_stored(store: &Store) -> Result<Self, StoreError> {
        let clock = Self::start(1);
        clock.begin_at_database(store).await?;
        clock.import(store.clock().await?);
        Ok(clock)
    }

    /// Starts at the time of a shared database's server, even if the machine's clock is ahead of it; no interval has been measured yet.
    async fn begin_at_database(&self, store: &Store) -> Result<(), StoreError> {
        if let Some(theirs) = store.database_now_ms().await? {
            let steady_ms = self.both_ms().0;
            *locked(&self.real) =
                Real { shown: Shown { ms: theirs, steady_ms }, server: Some((theirs, steady_ms)) };
        }
        Ok(())
    }

    /// Continues from a stored anchor. Returns the anchor to store.
    fn import(&self, stored: Option<ClockRow>) -> ClockRow {
        let real_ms = self.real_ms();
        let speed = stored.map_or_else(|| self.anchor().speed, |row| row.speed);
        let row = match stored {
            // At speed 1 both clocks are the same, and keep moving when the source was set back.
            Some(row) if speed == 1 => {
                let mut real = locked(&self.real);
                real.shown.ms = real.shown.ms.max(row.virtual_ms);
                ClockRow { real_ms: real.shown.ms, virtual_ms: real.shown.ms, speed }
            }
            Some(row) if at_anchor(row, real_ms) >= real_ms => row,
            _ => ClockRow { real_ms, virtual_ms: real_ms, speed },
        };
        *locked(&self.anchor) = row;
        row
    }

    /// Uses the database server's clock as the source, if that is another machine (I32).
    pub async fn follow_database(&self, store: &Store) -> Result<(), StoreError> {
        if let Some(theirs) = store.database_now_ms().await? {
            locked(&self.real).server = Some((theirs, self.both_ms().0));
        }
        Ok(())
    }

    /// Real milliseconds since 1970; never runs backward.
    pub fn real_ms(&self) -> i64 {
        let mut real = locked(&self.real);
        let (steady_ms, wall_ms) = self.both_ms();
        let source_ms = source_ms(&real, steady_ms, wall_ms);
        real.shown.follow(source_ms, steady_ms)
    }

    /// The time against which the age of a signature is checked: the source's time, even if it was set back. On an
    /// accelerated clock the timestamps of signatures are virtual.
    pub fn signature_now(&self) -> Timestamp {
        if self.speed() > 1 {
            return self.now();
        }
        let (steady_ms, wall_ms) = self.both_ms();
        from_ms(source_ms(&locked(&self.real), steady_ms, wall_ms)).unwrap_or(Timestamp::MAX)
    }

    /// The reading of the steady clock, which cannot be set, for intervals within this process. Its type is not a
    /// number of milliseconds, so that it cannot be mistaken for another clock's.
    pub fn steady(&self) -> Duration {
        Duration::from_millis(self.both_ms().0.max(0).unsigned_abs())
    }

    /// Records the current time for [`Clock::elapsed`].
    pub fn mark(&self) -> Stopwatch {
        let (steady_ms, wall_ms) = self.both_ms();
        Stopwatch { steady_ms, wall_ms }
    }

    /// The real time since `mark`, by the machine's clock that shows more: the steady clock stops while the machine is
    /// suspended, and the wall clock may be set back.
    pub fn elapsed(&self, mark: Stopwatch) -> Duration {
        let (steady_ms, wall_ms) = self.both_ms();
        let ms = (steady_ms - mark.steady_ms).max(wall_ms - mark.wall_ms);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    fn both_ms(&self) -> (i64, i64) {
        match &self.source {
            Source::ManualClock(manual) => {
                (manual.steady.load(Ordering::Relaxed), manual.wall.load(Ordering::Relaxed))
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

    /// Virtual seconds per real second.
    pub fn speed(&self) -> u32 {
        u32::try_from(self.anchor().speed).unwrap_or(1)
    }

    /// Waits for a duration of real time.
    #[expect(clippy::disallowed_methods, reason = "this is the one file that waits")]
    pub async fn wait(&self, real: Duration) {
        tokio::time::sleep(real).await;
    }

    /// Waits until a virtual time.
    pub async fn wait_until(&self, at: Timestamp) {
        self.wait(self.real_until(at)).await;
    }

    /// The real time until a virtual time.
    pub fn real_until(&self, at: Timestamp) -> Duration {
        let ms = at.as_millisecond() - self.now().as_millisecond();
        Duration::from_millis(u64::try_from(ms).unwrap_or(0)).div_f64(f64::from(self.speed()))
    }

    fn anchor(&self) -> ClockRow {
        *locked(&self.anchor)
    }
}

/// The current time of a clock's source.
fn source_ms(real: &Real, steady_ms: i64, wall_ms: i64) -> i64 {
    real.server.map_or(wall_ms, |(server_ms, then_ms)| server_ms + (steady_ms - then_ms).max(0))
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
    fn a_stored_clock_is_taken_up_unless_real_time_has_overtaken_it() {
        let (wall, steady) = (Arc::new(AtomicI64::new(2_000)), Arc::new(AtomicI64::new(0)));
        let clock = || Clock::manual(ManualClock { wall: Arc::clone(&wall), steady: Arc::clone(&steady) });
        let row = |real_ms, virtual_ms, speed| ClockRow { real_ms, virtual_ms, speed };
        assert_eq!(clock().import(None), row(2_000, 2_000, 1));
        assert_eq!(clock().import(Some(row(1_000, 5_000, 60))), row(1_000, 5_000, 60));
        // The machine's clock was behind when the row was written.
        assert_eq!(clock().import(Some(row(9_000, 1_000, 60))), row(2_000, 2_000, 60));
        assert_eq!(clock().import(Some(row(1_000, 1_000, 1))), row(2_000, 2_000, 1));
        // The machine's clock was set back before this start: time continues at half speed.
        let late = clock();
        assert_eq!(late.import(Some(row(9_000, 9_000, 1))), row(9_000, 9_000, 1));
        wall.store(3_000, Ordering::Relaxed);
        steady.store(1_000, Ordering::Relaxed);
        assert_eq!(late.now().as_millisecond(), 9_500);
    }

    #[test]
    fn a_suspended_machine_knows_that_it_slept() {
        let (wall, steady) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let clock = Clock::manual(ManualClock { wall: Arc::clone(&wall), steady: Arc::clone(&steady) });
        let mark = clock.mark();
        wall.store(90_000, Ordering::Relaxed);
        assert_eq!(clock.elapsed(mark), Duration::from_secs(90));
        wall.store(-5_000, Ordering::Relaxed);
        steady.store(2_000, Ordering::Relaxed);
        assert_eq!(clock.elapsed(mark), Duration::from_secs(2));
    }

    #[test]
    fn a_clock_that_was_set_back_goes_on_at_half_speed_until_its_source_has_caught_up() {
        let (wall, steady) = (Arc::new(AtomicI64::new(10_000)), Arc::new(AtomicI64::new(0)));
        let clock = Clock::manual(ManualClock { wall: Arc::clone(&wall), steady: Arc::clone(&steady) });
        let after = |wall_ms, steady_ms| {
            wall.store(wall_ms, Ordering::Relaxed);
            steady.store(steady_ms, Ordering::Relaxed);
            clock.real_ms()
        };
        assert_eq!(after(20_000, 10_000), 20_000);
        assert_eq!(after(15_000, 10_000), 20_000, "never back");
        assert_eq!(after(19_000, 14_000), 22_000);
        assert_eq!(after(24_000, 19_000), 24_500);
        assert_eq!(after(26_000, 21_000), 26_000, "caught up");
        assert_eq!(after(99_000, 21_000), 99_000, "a machine that slept");
        assert_eq!(clock.signature_now().as_millisecond(), 99_000);
        assert_eq!(after(98_000, 21_000), 99_000);
        assert_eq!(clock.signature_now().as_millisecond(), 98_000, "by the source itself");
    }

    #[test]
    fn a_clock_that_is_read_every_millisecond_advances_too() {
        let mut shown = Shown { ms: 1_000, steady_ms: 0 };
        for steady_ms in 1..=100 {
            shown.follow(0, steady_ms);
        }
        assert_eq!(shown.ms, 1_050);
    }
}
