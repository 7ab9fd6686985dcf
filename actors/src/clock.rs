//! Time as the agent sees it; the only file that reads a clock.
//!
//! Delays, deadlines and ages use [`Monotonic`], which no clock step moves. Only cron and
//! timestamps for people use wall time. Both obey tokio's paused clock, so that a test of a day
//! takes milliseconds.

use std::fmt;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use tokio::time::Instant;

/// 2020-01-01: a wall clock that reads less was never set. Unix time in seconds.
const EARLIEST_BELIEVED: i64 = 1_577_836_800;

/// Returns whether a wall clock that reads `wall` was ever set.
pub(crate) const fn is_set(wall: DateTime<Utc>) -> bool {
    wall.timestamp() >= EARLIEST_BELIEVED
}

/// A point on the monotonic clock: the time since the agent's [`Clock`] was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// Returns the point `since_start` after the clock was made.
    #[must_use]
    pub const fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// Returns the time since the clock was made.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Returns the time from `earlier` to `self`, zero when `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Monotonic {
    type Output = Self;

    /// Returns the later point; saturates instead of overflowing.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// For delays, deadlines and ages.
    pub monotonic: Monotonic,
    /// Wall-clock time, for cron and for what is shown. May jump in either direction.
    pub wall: DateTime<Utc>,
}

impl Moment {
    /// Returns the moment `duration` later on both clocks.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let wall = TimeDelta::from_std(duration)
            .ok()
            .and_then(|delta| self.wall.checked_add_signed(delta))
            .unwrap_or(DateTime::<Utc>::MAX_UTC);
        Self { monotonic: self.monotonic + duration, wall }
    }

    /// Returns the wall time at `at`, as the clocks stand now, to the second: the two are never read at one
    /// instant, and a difference would count as news.
    #[must_use]
    pub fn wall_at(self, at: Monotonic) -> DateTime<Utc> {
        let past = TimeDelta::from_std(self.monotonic.saturating_since(at)).unwrap_or_default();
        let wall = self.after(at.saturating_since(self.monotonic)).wall;
        wall.checked_sub_signed(past).unwrap_or(wall).round_subsecs(0)
    }
}

/// Reads the time. Clones read the same clock.
#[derive(Clone)]
pub struct Clock {
    origin: Instant,
    wall: Wall,
}

#[derive(Clone)]
enum Wall {
    /// The system's wall clock.
    System,
    /// Wall time at the origin, and the sum of all steps since, in milliseconds.
    Simulated { at_origin: DateTime<Utc>, stepped: Arc<AtomicI64> },
}

impl Clock {
    /// Returns the machine's clock.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads a clock")]
    pub fn system() -> Self {
        Self { origin: Instant::now(), wall: Wall::System }
    }

    /// Returns a clock whose wall time is `wall` now and then follows tokio's clock, paused or not.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads a clock")]
    pub fn simulated(wall: DateTime<Utc>) -> Self {
        let wall = Wall::Simulated { at_origin: wall, stepped: Arc::default() };
        Self { origin: Instant::now(), wall }
    }

    /// Moves the wall time of a simulated clock by `step`, as NTP or a missing RTC would.
    /// Does nothing to the machine's clock.
    pub fn step(&self, step: TimeDelta) {
        if let Wall::Simulated { stepped, .. } = &self.wall {
            stepped.fetch_add(step.num_milliseconds(), Ordering::Relaxed);
        }
    }

    /// Returns the monotonic reading alone, at half the cost of both.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads a clock")]
    pub fn monotonic(&self) -> Monotonic {
        Monotonic(Instant::now().saturating_duration_since(self.origin))
    }

    /// Returns both readings now.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is the one place that reads a clock")]
    pub fn now(&self) -> Moment {
        let Monotonic(elapsed) = self.monotonic();
        let wall = match &self.wall {
            Wall::System => Utc::now(),
            Wall::Simulated { at_origin, stepped } => {
                let elapsed = TimeDelta::from_std(elapsed).unwrap_or(TimeDelta::MAX);
                let stepped = TimeDelta::milliseconds(stepped.load(Ordering::Relaxed));
                at_origin
                    .checked_add_signed(elapsed)
                    .and_then(|wall| wall.checked_add_signed(stepped))
                    .unwrap_or(DateTime::<Utc>::MAX_UTC)
            }
        };
        Moment { monotonic: Monotonic(elapsed), wall }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("now", &self.now()).finish()
    }
}

/// Returns the moment after `wait`, as tokio's timers count, which in tests is virtual time.
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads a clock")]
pub(crate) fn after(wait: Duration) -> Instant {
    Instant::now() + wait
}
